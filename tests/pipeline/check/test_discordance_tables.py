"""Discordance of a cohort: whom sessions are compared with, and the tables that are written."""

import json
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.bids.outputs import discordance_path, group_path, latents_path, sidecar_path
from kraken_bids.cohort.calibrated_pairs import CalibratedPair
from kraken_bids.cohort.measurements import Measurement
from kraken_bids.cohort.members import Member
from kraken_bids.exceptions import SettingsError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.facts import read_table
from kraken_bids.io.records import remove_records
from kraken_bids.models.calibration.calibration import fit_calibration
from kraken_bids.models.splits import deal_folds
from kraken_bids.parcellations import load_parcellation
from kraken_bids.pipeline.check.compared_sessions import (
    ControlRules,
    compare_sessions,
    read_control_rules,
)
from kraken_bids.pipeline.check.discordance_record import are_tables_current, digest_cohort
from kraken_bids.pipeline.check.discordance_tables import write_discordance
from kraken_bids.pipeline.check.kept_results import Kept
from kraken_bids.pipeline.check.region_residuals import ResidualReader
from kraken_bids.settings import DataSettings, Settings
from kraken_bids.worth_settings import WorthSettings

TARGET = parse_flavor("FCcorr_fs86_hpf")
N = 24
CHANGED = 7
"""Region of the first member whose edges are lower than predicted."""


DIGESTS = {f"sub-{k + 1:02d}": f"run {k} 0" for k in range(N)}
"""Of the predictions of each."""


def make_members(output_dir: Path, sessions: int = 1) -> list[Member]:
    """Sessions with latents on disk, and motion that grows from one to the next."""
    members = []
    for k in range(N // sessions):
        for number in range(sessions):
            label = f"{k + 1:02d}"
            session = None if sessions == 1 else f"{number + 1}"
            path = output_dir / f"{label}_{session}.tsv"
            read = {path: Measurement(mean_fd=0.1 + 0.01 * len(members))}
            members.append(Member(label, session, {TARGET: path}, read))
            sidecar = sidecar_path(latents_path(output_dir, label, session))
            sidecar.parent.mkdir(parents=True, exist_ok=True)
            sidecar.write_text(json.dumps({"RunDigest": f"run {k} {number}"}))
    return members


@pytest.fixture
def reader(tmp_path: Path, rng: np.random.Generator) -> ResidualReader:
    """Residuals of a cohort whose first member has one region of its own."""
    measured = 0.3 + 0.1 * rng.standard_normal((N, TARGET.n_regions * 85 // 2))
    first, second = np.triu_indices(TARGET.n_regions, 1)
    measured[0, (first == CHANGED) | (second == CHANGED)] -= 0.3
    predicted = measured + 0.1 * rng.standard_normal(measured.shape)
    rows = measured.astype(np.float32), rng.permutation(predicted).astype(np.float32)
    fitted = fit_calibration(*rows, folds=deal_folds(N, 6))
    reader = ResidualReader(tmp_path)
    reader.read(CalibratedPair("fusionSC", TARGET, list(range(N)), *rows, fitted, []))
    return reader


def test_a_changed_region_is_found_and_named_first(tmp_path: Path, reader: ResidualReader) -> None:
    """In the table of the session and in that of the group."""
    members = make_members(tmp_path)
    rules = ControlRules(frozenset(range(N)), {})
    compared = compare_sessions(members, [*reader.found.values()], rules)
    assert write_discordance(tmp_path, members, compared, rules, digests=DIGESTS) == []
    name = load_parcellation("fs86").region_names[CHANGED]
    own = read_table(discordance_path(tmp_path, "01", None), numbers=("shift_q",), texts=("name",))
    assert own["name"][own["shift_q"].argmin()] == name
    found = read_table(group_path(tmp_path, "discordance.tsv"), numbers=("z",), texts=("name",))
    assert found["participant_id"][0] == "sub-01"
    assert found["name"][0] == name
    assert found["z"][0] < -6
    tests = read_table(group_path(tmp_path, "discordance_tests.tsv"), numbers=("n_tested",))
    assert len(tests["n_tested"]) == 2 * N
    assert set(tests["n_tested"].tolist()) == {1 + 8 + 86}
    facts = json.loads(sidecar_path(discordance_path(tmp_path, "01", None)).read_text())
    assert (facts["NControls"], facts["Covariates"]) == (N - 1, [])
    assert facts["PredictionsDigest"] == "run 0 0"


def test_tables_are_written_where_something_changed(
    tmp_path: Path, reader: ResidualReader
) -> None:
    """Another run on the same residuals touches nothing; what no longer holds is taken away."""
    members = make_members(tmp_path)
    rules = ControlRules(frozenset(range(N)), {})
    compared = compare_sessions(members, [*reader.found.values()], rules)
    write_discordance(tmp_path, members, compared, rules, digests=DIGESTS)
    path = discordance_path(tmp_path, "02", None)
    before = path.stat().st_mtime_ns
    write_discordance(tmp_path, members, compared, rules, digests=DIGESTS)
    assert path.stat().st_mtime_ns == before
    write_discordance(tmp_path, members, {}, rules, digests=DIGESTS | {"sub-02": "earlier"})
    assert path.exists()  # another run has predicted since
    assert not discordance_path(tmp_path, "03", None).exists()
    assert not group_path(tmp_path, "discordance.tsv").exists()


def test_residuals_are_kept_for_the_next_run(tmp_path: Path, reader: ResidualReader) -> None:
    """To the last bit; on other inputs they are computed anew."""
    kept = Kept(tmp_path, "inputs")
    reader.keep(kept, "model")
    again = ResidualReader(tmp_path)
    again.recall(kept, "another model", [TARGET])
    assert again.wants("fusionSC", TARGET)
    assert not again.wants("fusion", TARGET)
    again.recall(kept, "model", [TARGET])
    assert not again.wants("fusionSC", TARGET)
    (before,), (after,) = reader.found.values(), again.found.values()
    assert after.subjects == before.subjects
    for name in ("shift", "size"):
        np.testing.assert_array_equal(after.measures[name], before.measures[name])


def test_named_controls_are_the_only_ones(tmp_path: Path, reader: ResidualReader) -> None:
    """A patient is compared with all of them, a control with all others."""
    members = make_members(tmp_path)
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tage\tgroup\n"
        + "".join(f"sub-{m.subject}\t{20 + k}\t{'patient' if k < 8 else 'control'}\n"
                  for k, m in enumerate(members))
    )  # fmt: skip
    settings = Settings(
        DataSettings(tmp_path / "bids", tmp_path),
        worth=WorthSettings(controls=("group==control",), covariates=("age", "motion")),
    )
    rules = read_control_rules(settings, members)
    assert rules.controls == frozenset(range(8, N))
    assert rules.columns["age"][0] == "20"
    assert rules.columns["motion"][3] == pytest.approx(0.13)
    (residuals,) = reader.found.values()
    compared = compare_sessions(members, [residuals], rules)
    counts = [compared[k][0].measures["shift"].n_controls for k in range(N)]
    assert counts == [16] * 8 + [15] * 16
    with pytest.raises(SettingsError, match=r"--covariates: expected the columns.*weight"):
        read_control_rules(
            Settings(settings.data, worth=WorthSettings(covariates=("weight",))), members
        )


def test_too_few_controls_are_said_and_nothing_is_written(
    tmp_path: Path, reader: ResidualReader, caplog: pytest.LogCaptureFixture
) -> None:
    """With the reason in the table of the group."""
    members = make_members(tmp_path)
    rules = ControlRules(frozenset(range(5)), {}, is_named=True)
    compared = compare_sessions(members, [*reader.found.values()], rules)
    write_discordance(tmp_path, members, compared, rules, digests=DIGESTS)
    assert "no discordance of 19 session(s)" in caplog.text
    assert not discordance_path(tmp_path, "01", None).exists()
    tests = read_table(group_path(tmp_path, "discordance_tests.tsv"), texts=("reason",))
    assert "at least 11 controls" in tests["reason"][0]


def test_another_session_of_a_subject_is_no_control(
    tmp_path: Path, reader: ResidualReader
) -> None:
    """Two sessions of each of twelve subjects are eleven controls."""
    members = make_members(tmp_path, sessions=2)
    rules = ControlRules(frozenset(range(N)), {})
    compared = compare_sessions(members, [*reader.found.values()], rules)
    assert compared[0][0].measures["shift"].n_controls == N // 2 - 1


def test_tables_of_the_same_residuals_are_not_made_again(
    tmp_path: Path, reader: ResidualReader
) -> None:
    """Unless one of them is gone, or predictions, residuals or rules are others."""
    members = make_members(tmp_path)
    rules, found = ControlRules(frozenset(range(N)), {}), [*reader.found.values()]
    digest = digest_cohort(members, found, rules, digests=DIGESTS)
    assert not are_tables_current(tmp_path, members, digest=digest)
    compared = compare_sessions(members, found, rules)
    write_discordance(tmp_path, members, compared, rules, digests=DIGESTS, digest=digest)
    assert are_tables_current(tmp_path, members, digest=digest)
    named = ControlRules(frozenset(range(20)), {}, is_named=True)
    for other in (
        digest_cohort(members, found, named, digests=DIGESTS),
        digest_cohort(members, found[:0], rules, digests=DIGESTS),
        digest_cohort(members, found, rules, digests=DIGESTS | {members[0].label: "other"}),
    ):
        assert other != digest
        assert not are_tables_current(tmp_path, members, digest=other)
    remove_records(discordance_path(tmp_path, members[0].subject, None))
    assert not are_tables_current(tmp_path, members, digest=digest)
