"""The group level calibrates what it predicts, saves it, and takes it away again."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from kraken_bids.bids.outputs import find_calibrated, intervals_path, relmat_path, sidecar_path
from kraken_bids.cohort.failures import list_failures
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.connectome.matrices import edges_to_square, square_to_edges
from kraken_bids.exceptions import CheckpointError, SettingsError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.pipeline.group import run_group
from kraken_bids.pipeline.levels import Job
from kraken_bids.pipeline.participant import _predict
from kraken_bids.pipeline.workers import InlineExecutor
from kraken_bids.settings import Settings
from kraken_bids.worth_settings import WorthSettings

FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")
Settled = Callable[..., Settings]


@pytest.fixture
def output(calibrated_once: Path, tmp_path: Path) -> Path:
    """Copy the calibrated cohort."""
    return Path(shutil.copytree(calibrated_once, tmp_path / "out", copy_function=shutil.copy2))


def calibrated_path(output: Path, subject: str, target=FC, source="fusionSC") -> Path:
    return relmat_path(output, {"sub": subject}, target, source=source, is_calibrated=True)


def edges_of(path: Path) -> np.ndarray:
    return square_to_edges(read_relmat(path))


def all_calibrated(output: Path) -> dict[str, bytes]:
    found = [path for k in range(24) for path in find_calibrated(output, f"{k + 1:02d}", None)]
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in found}


def run_participants_on(settings: Settings) -> Job:
    """Predict and calibrate as the participant level does once everything is measured."""
    job = Job(settings, InlineExecutor(), [], [])
    output = settings.data.output_dir
    _predict(job, load_model(settings.prediction.model, device="cpu"), list_members(output))
    return job


@contextmanager
def says(caplog: pytest.LogCaptureFixture, words: str, level: str = "INFO") -> Iterator[None]:
    caplog.clear()
    with caplog.at_level(level):
        yield
    assert words in caplog.text


def test_everyone_gets_predictions_in_measured_units_and_intervals(
    population: SimpleNamespace, calibrated_once: Path
) -> None:
    """Also who lacks function; they are nearer the truth than raw ones and than the mean."""
    truth = population.draw(24, 2)[FC]
    others = truth[:22].mean(axis=0)
    errors, mean_errors, raw_errors, covered = [], [], [], []
    for row in (22, 23):
        path = calibrated_path(calibrated_once, f"{row + 1}")
        errors.append(((edges_of(path) - truth[row]) ** 2).sum())
        mean_errors.append(((others - truth[row]) ** 2).sum())
        raw = relmat_path(calibrated_once, {"sub": f"{row + 1}"}, FC, source="fusionSC")
        raw_errors.append(((edges_of(raw) - truth[row]) ** 2).sum())
        square = read_relmat(path)
        assert (np.diag(square) == 1).all()
        with h5py.File(intervals_path(calibrated_once, f"{row + 1}", None)) as file:
            low, high = (file[f"fusionSC/{FC.name}/{end}"][()] for end in ("low", "high"))
        assert (np.diag(low) == np.diag(high)).all()
        assert (low <= square + 1e-6).all()
        assert (square <= high + 1e-6).all()
        low, high = square_to_edges(low), square_to_edges(high)
        covered.append(((truth[row] >= low) & (truth[row] <= high)).mean())
    assert np.sum(errors) < 0.95 * np.sum(mean_errors)
    assert np.sum(raw_errors) > 5 * np.sum(mean_errors)
    assert 0.82 < np.mean(covered) < 0.99
    facts = json.loads(sidecar_path(calibrated_path(calibrated_once, "23")).read_text())
    assert facts["Calibration"] == "bids::group/calibration.h5"
    assert (facts["HeldOut"], facts["NFitted"], facts["IntervalCoverage"]) == (0, 22, 0.9)
    assert "Rank" not in facts
    assert facts["Sources"][0].endswith("desc-fusionSCkraken_relmat.dense.tsv")


def test_only_predictions_across_modalities_are_calibrated(calibrated_once: Path) -> None:
    """No fusion of everything, whose inputs may hold the target, and no flavor of its own."""
    names = {Path(name).name for name in all_calibrated(calibrated_once)}
    made = {name.partition("desc-")[2].partition("krakencal")[0] for name in names}
    assert made == {"", "fusionSC", "fusionFC"}


def test_the_tables_say_what_it_is_worth(calibrated_once: Path) -> None:
    pairs = read_columns(calibrated_once / "group" / "calibration.tsv")
    assert list(pairs["source"]) == ["fusionFC", "fusionSC"]
    assert (pairs["gain"] > 0.1).all()
    assert (pairs["gain_low"] > 0).all()
    assert (np.abs(pairs["coverage"] - 0.92) < 0.05).all()
    assert (pairs["coverage_weakest_class"] <= pairs["coverage_within"]).all()
    assert (pairs["gain_p"] < 0.01).all()
    metrics = read_columns(calibrated_once / "group" / "metrics.tsv")
    of_gain = metrics["metric"] == "cal_gain"
    assert sorted(metrics["value"][of_gain]) == sorted(pairs["gain"])
    described = json.loads((calibrated_once / "group" / "calibration.json").read_text())
    assert set(described) - {"Description"} <= set(pairs)
    people = read_columns(calibrated_once / "group" / "calibrated.tsv")
    assert len(people["gain"]) == 2 * 22 + 2
    assert int((people["held_out"] == 0).sum()) == 2
    own = np.array(people["gain"][people["held_out"] == 1])
    assert pairs["gain"].mean() == pytest.approx(own.mean(), abs=0.05)


def test_what_a_subject_gets_knows_nothing_of_the_own_measured_target(
    population: SimpleNamespace, output: Path, settings_of: Settled, no_pages: None
) -> None:
    """Another measured connectome changes what everybody else gets, and not the own prediction."""
    before = {k: edges_of(calibrated_path(output, k)) for k in ("01", "02")}
    path = relmat_path(output, {"sub": "01"}, FC, source=None)
    strange = np.random.default_rng(8).uniform(0.1, 0.6, 3655)
    write_relmat(path, edges_to_square(strange, diagonal=1))
    assert run_group(settings_of(output)) == 0
    after = {k: edges_of(calibrated_path(output, k)) for k in ("01", "02")}
    np.testing.assert_array_equal(after["01"], before["01"])
    assert np.abs(after["02"] - before["02"]).max() > 1e-3


def test_a_run_with_nothing_changed_writes_nothing(
    output: Path, settings_of: Settled, no_pages: None
) -> None:
    def list_written() -> dict[str, int]:
        found = [*output.rglob("*krakencal*"), output / "group" / "calibration.h5"]
        return {str(path): path.stat().st_mtime_ns for path in found}

    def read_tables() -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (output / "group").glob("*.[tj]s*")}

    before, content, tables = list_written(), all_calibrated(output), read_tables()
    assert run_group(settings_of(output)) == 0
    assert list_written() == before
    assert read_tables() == tables  # in the same order, though calibrations are read back
    job = run_participants_on(settings_of(output))
    assert (job.failures, job.problems) == ([], [])
    assert list_written() == before
    assert run_group(settings_of(output, force=True)) == 0
    assert all_calibrated(output) == content
    assert read_tables() == tables


def test_the_participant_level_writes_the_same_bytes(
    output: Path, settings_of: Settled, caplog: pytest.LogCaptureFixture
) -> None:
    """With the saved calibration, those who were fitted on held out as before."""
    content = all_calibrated(output)
    for path in output.rglob("*krakencal*"):
        path.unlink()
    with says(caplog, "calibration: the one saved by the group level"):
        run_participants_on(settings_of(output))
    assert all_calibrated(output) == content


def test_damage_is_mended(output: Path, settings_of: Settled, no_pages: None) -> None:
    """A matrix cut short, and a calibration of other bytes."""
    content = all_calibrated(output)
    path = calibrated_path(output, "05")
    path.write_bytes(path.read_bytes()[:-20])
    saved = output / "group" / "calibration.h5"
    whole = saved.read_bytes()
    saved.write_bytes(whole[:3000] + bytes(500) + whole[3500:])
    assert run_group(settings_of(output)) == 0
    assert saved.read_bytes() == whole
    assert all_calibrated(output) == content


def test_none_takes_everything_away(output: Path, settings_of: Settled, no_pages: None) -> None:
    """Files of sessions, and what later participant runs would take over."""
    assert run_group(settings_of(output, WorthSettings(calibrate="none"))) == 0
    assert all_calibrated(output) == {}
    assert not list((output / "group").glob("calibrat*"))


def test_what_cannot_be_taken_away_fails_its_session_alone(
    output: Path, settings_of: Settled, no_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a folder that belongs to somebody else: the others keep nothing stale."""
    kept = find_calibrated(output, "05", None)
    unlink = Path.unlink

    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        if path in kept:
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)

    assert run_group(settings_of(output, WorthSettings(calibrate="none"))) == 1
    assert {*all_calibrated(output)} == {path.relative_to(output).as_posix() for path in kept}
    assert [row[0] for row in list_failures(output)] == ["sub-05"]


def test_a_participant_run_without_calibration_leaves_none_behind(
    output: Path, settings_of: Settled, caplog: pytest.LogCaptureFixture
) -> None:
    """Asked for none, or with predictions of another adaptation."""
    with says(caplog, "is of predictions with another adaptation"):
        run_participants_on(settings_of(output, adaptation="none"))
    assert all_calibrated(output) == {}
    run_participants_on(settings_of(output))
    assert all_calibrated(output)
    run_participants_on(settings_of(output, WorthSettings(calibrate="none")))
    assert all_calibrated(output) == {}
    assert (output / "group" / "calibration.h5").exists()


def test_few_people_are_refused_with_the_reason(
    population: SimpleNamespace,
    tmp_path: Path,
    settings_of: Settled,
    no_pages: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In the log, in the table; the run ends well."""
    population.write(tmp_path, population.draw(19, 2), {})
    with says(caplog, "no calibration is fitted: expected at least 20 subjects", "WARNING"):
        assert run_group(settings_of(tmp_path)) == 0
    table = read_columns(tmp_path / "group" / "calibration.tsv")
    assert all("found 19" in reason for reason in table["reason"])
    assert not (tmp_path / "group" / "calibration.h5").exists()
    assert not list(tmp_path.rglob("*krakencal*"))


def test_a_calibration_that_is_refused_leaves_no_earlier_one_in_its_place(
    output: Path, settings_of: Settled, no_pages: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor discordance from it: intervals of 90 % are not those of 99 % that were asked for."""
    assert all_calibrated(output)
    with says(caplog, "expected at least 99 subjects", "WARNING"):
        assert run_group(settings_of(output, WorthSettings(interval_coverage=0.99))) == 0
    assert all_calibrated(output) == {}
    assert not (output / "group" / "calibration.h5").exists()
    table = read_columns(output / "group" / "calibration.tsv")
    assert all("99 subjects" in reason for reason in table["reason"])
    assert not list(output.rglob("*discordance_regions.tsv"))


def test_a_coverage_that_a_saved_calibration_does_not_have_is_warned_of(
    output: Path, settings_of: Settled, no_pages: None, caplog: pytest.LogCaptureFixture
) -> None:
    with says(caplog, "the intervals of this calibration promise 0.9", "WARNING"):
        run_participants_on(settings_of(output, WorthSettings(interval_coverage=0.95)))


def test_the_model_s_own_training_subjects_are_warned_of(
    output: Path,
    predicting_model: Path,
    tmp_path: Path,
    settings_of: Settled,
    no_pages: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By their labels, in the log, the table and the saved calibration."""
    before = read_columns(output / "group" / "calibration.tsv")["n_in_training"]
    assert np.isnan(np.asarray(before, float)).all()
    model = load_model(str(predicting_model))
    known = replace(model, provenance={**model.provenance, "Subjects": ["1", "002", "77", "24"]})
    settings = settings_of(output, model=str(write_model(known, tmp_path / "known")), force=True)
    with says(caplog, "2 of the subjects that calibrations are fitted on are named", "WARNING"):
        assert run_group(settings) == 0
    columns = read_columns(output / "group" / "calibration.tsv")
    assert list(columns["n_in_training"]) == [2, 2]


def test_another_site_uses_the_file_and_checks_its_coverage(
    population: SimpleNamespace, output: Path, tmp_path: Path, settings_of: Settled, no_pages: None
) -> None:
    """Few people, the same labels: nobody is taken for one of those fitted on."""
    site, saved = tmp_path / "site", output / "group" / "calibration.h5"
    truth = population.draw(12, 9)
    population.write(site, truth, {0: FC})
    worth = WorthSettings(calibrate=str(saved))
    assert run_group(settings_of(site, worth)) == 0
    people = read_columns(site / "group" / "calibrated.tsv")
    assert set(people["held_out"]) == {0}
    pairs = read_columns(site / "group" / "calibration.tsv")
    assert list(pairs["n_judged"]) == [11, 11]
    assert (pairs["coverage_judged"] > 0.85).all()
    assert (pairs["gain_judged"] > 0).all()
    facts = json.loads(sidecar_path(calibrated_path(site, "02")).read_text())
    assert facts["Calibration"] == str(saved)
    with h5py.File(intervals_path(site, "02", None)) as file:
        low, high = (
            square_to_edges(file[f"fusionSC/{FC.name}/{end}"][()]) for end in ("low", "high")
        )
    reached = ((truth[FC][1] >= low) & (truth[FC][1] <= high)).mean()
    assert facts["Coverage"] == pytest.approx(reached, abs=1e-3)
    assert not (site / "group" / "calibration.h5").exists()
    # a person who was fitted on there is known again by the measured connectome
    shutil.copy(
        relmat_path(output, {"sub": "07"}, FC, source=None),
        relmat_path(site, {"sub": "03"}, FC, source=None),
    )
    run_participants_on(settings_of(site, worth))
    facts = json.loads(sidecar_path(calibrated_path(site, "03")).read_text())
    assert facts["HeldOut"] == 1


def test_a_file_that_does_not_fit_is_refused(
    output: Path, settings_of: Settled, model_folder: Path, no_pages: None
) -> None:
    """Of another model, of other adaptation, or of another kind."""
    worth = WorthSettings(calibrate=str(output / "group" / "calibration.h5"))
    with pytest.raises(CheckpointError, match="expected a calibration of predictions adapted as"):
        run_group(settings_of(output, worth, adaptation="none"))
    with pytest.raises(CheckpointError, match="found those of another"):
        run_group(settings_of(output, worth, model=str(model_folder)))
    kind = WorthSettings(calibrate=str(output / "group" / "adaptation.h5"))
    with pytest.raises(CheckpointError, match="an HDF5 file of another kind"):
        run_group(settings_of(output, kind))


def test_archives_hold_what_tables_hold(
    output: Path, settings_of: Settled, no_pages: None
) -> None:
    """With --output-format h5: one file of matrices, one of intervals, and no tables."""
    before = edges_of(calibrated_path(output, "24"))
    assert run_group(settings_of(output, output_format="h5")) == 0
    found = find_calibrated(output, "24", None)
    assert {path.suffix for path in found} == {".h5", ".json"}
    archive = next(path for path in found if path.name.endswith("relmats.h5"))
    with h5py.File(archive) as file:
        edges = square_to_edges(file[f"fusionSC/{FC.name}"][()])
    np.testing.assert_allclose(edges, before, atol=1e-5)


def test_regions_that_are_missing_leave_a_subject_out_by_name(
    output: Path, settings_of: Settled, no_pages: None, caplog: pytest.LogCaptureFixture
) -> None:
    path = relmat_path(output, {"sub": "04"}, FC, source=None)
    square = read_relmat(path)
    square[5], square[:, 5] = np.nan, np.nan
    write_relmat(path, square)
    with says(caplog, "not calibrated on sub-04"):
        assert run_group(settings_of(output)) == 0
    table = read_columns(output / "group" / "calibration.tsv")
    by_target = dict(zip(table["target"], table["n"], strict=True))
    assert by_target == {FC.name: 21, SC.name: 22}
    assert "sub-04" in list(table["left_out"])
    assert calibrated_path(output, "04").exists()


def test_families_are_held_out_together_and_their_column_must_be_there(
    output: Path, settings_of: Settled, no_pages: None
) -> None:
    rows = "".join(f"sub-{k + 1:02d}\tF{k // 4}\n" for k in range(24))
    (output / "participants.tsv").write_text("participant_id\tfamily\n" + rows)
    assert run_group(settings_of(output, WorthSettings(families="family"))) == 0
    with h5py.File(output / "group" / "calibration.h5") as file:
        folds = file[f"pairs/fusionSC/{FC.name}/folds"][()]
    assert [len(set(folds[k : k + 4])) for k in range(0, 22, 4)] == [1] * 6
    assert len(set(folds)) == 6
    with pytest.raises(SettingsError, match="Did you mean family"):
        run_group(settings_of(output, WorthSettings(families="famly")))


def test_sources_that_are_not_written_are_not_calibrated(
    output: Path, settings_of: Settled, no_pages: None
) -> None:
    """What was calibrated of them before goes."""
    assert run_group(settings_of(output, sources=("fusion", "fusionFC"))) == 0
    assert {
        name.split("fusion")[-1][:2] for name in all_calibrated(output) if "fusion" in name
    } == {"FC"}
