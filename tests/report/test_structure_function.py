"""Pages on where function differs from what structure lets expect."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kraken_bids.bids.outputs import discordance_path, group_path, latents_path, sidecar_path
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.connectome.edge_groups import group_edges
from kraken_bids.io.records import write_columns, write_records
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.parcellations import load_parcellation
from kraken_bids.pipeline.check.group_tables import Whose
from kraken_bids.report.brain_views import draw_deviations
from kraken_bids.report.page import build_group_page, build_subject_page, render_page
from kraken_bids.report.sections.structure_function import gather_subject, summarize_subject
from kraken_bids.report.written import Written
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.calibrated_records import CalibratedPairRecord
from kraken_bids.scores.deviations import DiscordanceTest, Finding, RegionDeviation

TARGETS = ("FCcorr_fs86_hpf", "FCpcorr_fs86_hpf")
GROUPS = group_edges(load_parcellation("fs86"))
WHERE = GROUPS.names.index("Left-Hippocampus")
FACTS = {
    "Controls": "everyone else",
    "NControls": 27,
    "Covariates": ["age"],
    "PredictionsDigest": "now",
}


def make_columns(*, found: bool) -> dict[str, Any]:
    """Columns of two flavors; in the second one region differs, or none."""
    n = len(GROUPS.names)
    rng = np.random.default_rng(4)
    columns: dict[str, Any] = {
        "target": np.repeat(TARGETS, n),
        "source": np.full(2 * n, "fusionSC"),
        "level": np.tile(GROUPS.levels, 2),
        "name": np.tile(GROUPS.names, 2),
    }
    for measure in ("shift", "size"):
        columns |= {f"{measure}{e}": rng.normal(size=2 * n) for e in ("", "_expected", "_z", "_p")}
        columns[f"{measure}_q"] = np.full(2 * n, 0.8)
    columns["size_z"][0] = 1.0
    columns["size_z"][n] = 3.5
    if found:
        columns["shift_q"][n + WHERE], columns["shift_z"][n + WHERE] = 1e-9, -7.0
    return columns


@pytest.fixture
def write(output_dir: Path):
    """Write the table of the first session."""

    def write(*, found: bool = True, digest: str = "now") -> Written:
        member = list_members(output_dir)[0]
        latents = latents_path(output_dir, member.subject, None)
        write_table(latents, {"source": ["fusionSC"], "n_inputs": [1], "z000": [0.5]})
        write_json(sidecar_path(latents), {"RunDigest": digest})
        path = discordance_path(output_dir, member.subject, None)
        columns = make_columns(found=found)
        write_columns(path, RegionDeviation, columns, description="", facts=FACTS)
        return Written(output_dir, member)

    return write


def test_a_region_that_differs_is_named_with_its_direction(write) -> None:
    """And the flavor in which most was found is drawn."""
    page = build_subject_page(write())
    data = page.data["discordance"]
    assert [(one.name, one.target, one.n_tested) for one in data.found] == [
        ("Left-Hippocampus", TARGETS[1], len(GROUPS.names))
    ]
    assert data.drawn == TARGETS[1]
    assert "Left-Hippocampus (more weakly connected, z = −7.0)" in summarize_subject(data)
    text = render_page(page, {})
    assert "compared with 27 other people" in text
    assert "allowing for age" in text
    assert "less like its prediction than in controls (z = 3.5)" in text
    assert "says nothing of structure" not in text


def test_a_flavor_without_gain_is_marked(write, output_dir: Path) -> None:
    """What is left of it is the difference from the mean."""
    record = CalibratedPairRecord("fusionSC", TARGETS[1], gain=0.0, gain_low=-0.1, gain_high=0.1)
    path = group_path(output_dir, "calibration.tsv")
    write_records(path, [CalibratedPairRecord], [[record]], description="")
    text = render_page(build_subject_page(write()), {})
    assert f"{TARGETS[1]} *" in text
    assert "Function differs from the group&#39;s mean at Left-Hippocampus" in text
    assert "says nothing of structure" in text


def test_a_session_in_which_nothing_differs_says_so(write) -> None:
    """Rather than nothing."""
    data = gather_subject(write(found=False))
    assert data is not None
    assert summarize_subject(data).startswith("In none of 2 functional flavors")


def test_a_comparison_of_earlier_predictions_is_not_shown(write) -> None:
    """The page says what to do."""
    data = gather_subject(write(digest="later"))
    assert data is not None
    assert "run the group level again" in data.refused
    assert not data.found


def test_a_session_that_was_refused_says_why(output_dir: Path) -> None:
    """By the table of the group; without one the section is left out."""
    member = list_members(output_dir)[0]
    assert gather_subject(Written(output_dir, member)) is None
    test = DiscordanceTest(TARGETS[0], "fusionSC", "shift", n_tested=0, n_found=0, reason="few")
    write_records(
        group_path(output_dir, "discordance_tests.tsv"),
        (Whose, DiscordanceTest),
        [(Whose("sub-01"), test)],
        description="",
    )
    page = build_subject_page(Written(output_dir, member))
    assert "Not compared: few" in render_page(page, {})


def test_the_group_lists_whom_something_was_found_of(output_dir: Path) -> None:
    """Beside what chance alone would give."""
    tests = [
        DiscordanceTest(TARGETS[0], "fusionSC", measure, 11, 10, 95, n, 0.06, 0.1)
        for measure, n in (("shift", 1), ("size", 0))
        for _ in range(20)
    ]
    rows = [(Whose(f"sub-{k % 12 + 1:02d}"), one) for k, one in enumerate(tests)]
    finding = Finding(
        TARGETS[0], "fusionSC", "size", "region", "Left-Putamen", 1, 0, 5.5, 1e-8, 1e-6, 95
    )
    for name, kind, content in (
        ("discordance_tests.tsv", DiscordanceTest, rows),
        ("discordance.tsv", Finding, [(Whose("sub-02"), finding)]),
    ):
        write_records(group_path(output_dir, name), (Whose, kind), content, description="")
    page = build_group_page(WrittenGroup(output_dir, list_members(output_dir)))
    text = render_page(page, {})
    assert "In 1 of 12 sessions" in text
    assert "in 20 of 40 combinations" in text
    assert "Chance alone gives up to 2," in text
    assert "Left-Putamen: less like the prediction, z = 5.5" in text


def test_regions_without_known_places_leave_networks_alone_to_draw() -> None:
    """Names of an atlas of the user's own may hold anything."""
    columns = make_columns(found=True)
    columns["name"] = columns["name"].astype(object)
    columns["name"][1] = "a $ <b>"
    n = len(GROUPS.names)
    own = {name: values[n:] for name, values in columns.items()}
    assert draw_deviations("FCcorr_mine_hpf", own).startswith(b"\x89PNG")
    assert len(draw_deviations(TARGETS[1], own)) > len(draw_deviations("FCcorr_mine_hpf", own))
