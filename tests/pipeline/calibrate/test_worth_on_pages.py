"""What a group run writes of discordance, and what the pages make of all of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kraken_bids.bids.outputs import discordance_path, group_path, latents_path, sidecar_path
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.exceptions import SettingsError
from kraken_bids.io.facts import read_facts, read_table
from kraken_bids.pipeline.group import run_group
from kraken_bids.report.page import build_group_page, build_subject_page, draw_figures, render_page
from kraken_bids.report.written import Written
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.settings import Settings
from kraken_bids.worth_settings import WorthSettings

TARGET = "FCcorr_fs86_hpf"
Settled = Callable[..., Settings]


@pytest.fixture
def output(calibrated_once: Path, tmp_path: Path) -> Path:
    """Copy the calibrated cohort."""
    return Path(shutil.copytree(calibrated_once, tmp_path / "out", copy_function=shutil.copy2))


def test_everyone_with_function_and_structure_is_compared(calibrated_once: Path) -> None:
    """With all others, by predictions that are the ones written."""
    path = discordance_path(calibrated_once, "01", None)
    facts = read_facts(sidecar_path(path))
    latents = read_facts(sidecar_path(latents_path(calibrated_once, "01", None)))
    assert facts.count("NControls") == 21
    assert facts.text("PredictionsDigest") == latents.text("RunDigest")
    assert set(read_table(path, texts=("target",))["target"]) == {TARGET}
    assert not discordance_path(calibrated_once, "23", None).exists()
    tests = read_table(
        group_path(calibrated_once, "discordance_tests.tsv"), numbers=("share_p05",)
    )
    assert len(tests["share_p05"]) == 2 * 22
    assert 0.02 < tests["share_p05"].mean() < 0.09


def test_pages_say_what_predictions_are_worth(calibrated_once: Path) -> None:
    """Of who was measured, of who was not, and of the group."""
    members = {member.subject: member for member in list_members(calibrated_once)}
    measured, lacking = (
        build_subject_page(Written(calibrated_once, members[label])) for label in ("01", "23")
    )
    assert {one.target.name for one in measured.data["worth"].panels} >= {TARGET}
    assert measured.data["discordance"].n_controls == 21
    (own,) = (one for one in lacking.data["worth"].panels if one.target.name == TARGET)
    assert own.claim.verdict == "not measured"
    assert "discordance" not in lacking.data
    page = build_group_page(WrittenGroup(calibrated_once, list(members.values())))
    assert "about people" in render_page(page, draw_figures(page))


def test_none_takes_discordance_away(output: Path, settings_of: Settled, no_pages: None) -> None:
    """It rests on calibrated predictions."""
    assert run_group(settings_of(output, WorthSettings(calibrate="none"))) == 0
    assert not list(output.rglob("*discordance*"))


def test_other_controls_write_other_tables_of_the_same_residuals(
    output: Path, settings_of: Settled, no_pages: None
) -> None:
    """Nothing is predicted or calibrated again."""
    calibration = group_path(output, "calibration.h5").stat().st_mtime_ns
    controls = tuple(f"{k:02d}" for k in range(5, 21))
    assert run_group(settings_of(output, WorthSettings(controls=controls))) == 0
    counts = [
        read_facts(sidecar_path(discordance_path(output, label, None))).count("NControls")
        for label in ("01", "05")
    ]
    assert counts == [16, 15]
    assert group_path(output, "calibration.h5").stat().st_mtime_ns == calibration


def test_controls_who_are_nobody_are_refused_at_once(
    output: Path, settings_of: Settled, no_pages: None
) -> None:
    """Before anything is computed."""
    with pytest.raises(SettingsError, match="--controls: expected participants of this run"):
        run_group(settings_of(output, WorthSettings(controls=("99",))))
