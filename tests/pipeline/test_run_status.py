"""How far OUTPUT_DIR is: from files and logs, as runs leave them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner

from kraken_bids.bids.outputs import latents_path, relmat_path, sidecar_path
from kraken_bids.cli.tools import main
from kraken_bids.cohort.failures import FAILURE_COLUMNS
from kraken_bids.cohort.standing import record_path
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.writing import write_json, write_relmat, write_text
from kraken_bids.pipeline import run_logs
from kraken_bids.pipeline.run_status import read_status

FLAVOR = parse_flavor("FCcorr_fs86_hpf")


def measure(out: Path, subject: str, session: str | None = None, *, predicts: bool = True) -> Path:
    """Write what a run leaves of a session that is done; returns its connectome."""
    entities = {"sub": subject} | ({"ses": session} if session else {})
    path = relmat_path(out, entities, FLAVOR, source=None)
    write_relmat(path, np.eye(86))
    write_json(sidecar_path(path), {"RunDigest": "d", "FileSize": path.stat().st_size})
    name = path.relative_to(out).as_posix()
    write_json(record_path(out, subject, session), {"Measured": {name: "d"}, "LeftAside": []})
    if predicts:
        latents = latents_path(out, subject, session)
        write_text(latents, "source\tz000\nfusion\t0.1\n")
        write_json(sidecar_path(latents), {"RunDigest": "p", "FileSize": latents.stat().st_size})
    return path


def write_run(
    out: Path, day: int, words: str, level: str = "participant", **options: object
) -> Path:
    """Write the log and the settings of a run; returns the log."""
    log = out / "logs" / f"202601{day:02d}T000000_{level}_7.log"
    write_text(log, f"2026-01-01 00:00:00,000 INFO kraken_bids.x {words}\n")
    write_text(log.with_suffix(".toml"), tomli_w.dumps({"bids_dir": str(out / "none"), **options}))
    return log


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Make an OUTPUT_DIR of a run over two participants that are done."""
    write_run(tmp_path, 1, "all 2 participant(s) done", participant_label=["01", "02"])
    measure(tmp_path, "01")
    measure(tmp_path, "02")
    return tmp_path


def states(out: Path) -> dict[str, str]:
    return {one.label: one.state for one in read_status(out).sessions}


def test_who_is_measured_and_predicted_is_done(out: Path) -> None:
    """And nobody else is expected."""
    found = read_status(out)

    assert states(out) == {"sub-01": "done", "sub-02": "done"}
    assert found.is_done
    assert (found.group, found.going_on) == ("missing", ())


@pytest.mark.parametrize("harm", ["cut", "gone", "other", "no latents"])
def test_what_is_not_as_its_run_wrote_it_is_missing(out: Path, harm: str) -> None:
    """A truncated file, none, one of another run, and predictions that are not there."""
    path = measure(out, "02")
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif harm == "gone":
        path.unlink()
    elif harm == "other":
        write_json(sidecar_path(path), {"RunDigest": "e", "FileSize": path.stat().st_size})
    else:
        latents_path(out, "02", None).unlink()

    (found,) = (one for one in read_status(out).sessions if one.state != "done")

    assert (found.label, found.state) == ("sub-02", "missing")
    assert ("predictions" if harm == "no latents" else "1 of 1 connectomes") in found.why


def predict(out: Path, subject: str, run: str = "p", source: str = "fusion") -> Path:
    """Write a prediction of a session that is done, of a run with this digest."""
    path = relmat_path(out, {"sub": subject}, FLAVOR, source=source)
    write_relmat(path, np.eye(86))
    write_json(sidecar_path(path), {"RunDigest": run, "FileSize": path.stat().st_size})
    return path


@pytest.mark.parametrize("harm", ["cut", "gone", "no sidecar", "damaged sidecar"])
def test_predictions_that_are_not_as_their_run_wrote_them_are_missing(
    out: Path, harm: str
) -> None:
    """The participant level predicts that session again."""
    predict(out, "01")
    path = predict(out, "02")
    assert states(out) == {"sub-01": "done", "sub-02": "done"}
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif harm == "gone":
        path.unlink()
    elif harm == "no sidecar":
        sidecar_path(path).unlink()
    else:
        sidecar_path(path).write_bytes(b"{")

    (found,) = (one for one in read_status(out).sessions if one.state != "done")

    assert (found.label, found.state) == ("sub-02", "missing")
    assert found.why.startswith("1 prediction(s) are not as their run wrote them")


def test_predictions_of_an_earlier_run_are_passed_over(out: Path) -> None:
    """Nobody reads them: those of a source that the last run was not asked for."""
    path = predict(out, "02", run="q", source="fusionSC")
    path.write_bytes(b"")

    assert states(out) == {"sub-01": "done", "sub-02": "done"}


def test_who_measured_without_a_model_needs_no_predictions(out: Path) -> None:
    """With custom atlases alone, no model is asked."""
    measure(out, "03", predicts=False)
    options = {"participant_label": ["03"], "atlases": ["mine"], "atlas": {"mine": "x.nii.gz"}}
    write_run(out, 2, "all 1 participant(s) done", **options)

    assert states(out)["sub-03"] == "done"


def test_who_failed_is_named_with_the_reason(out: Path) -> None:
    """The last run's; what it wrote before does not count."""
    row = ("sub-02", "n/a", "predictions", "InputError", "expected a model", "run")
    write_text(
        out / "logs/failures.tsv", "\t".join(FAILURE_COLUMNS) + "\n" + "\t".join(row) + "\n"
    )

    found = {one.label: one for one in read_status(out).sessions}

    assert found["sub-02"].state == "failed"
    assert found["sub-02"].why == "predictions: expected a model"
    assert found["sub-01"].state == "done"


def test_a_failure_of_everything_of_a_participant_is_of_each_session(out: Path) -> None:
    """Inputs are looked for before sessions are known."""
    measure(out, "04", "1")
    measure(out, "04", "2")
    row = ("sub-04", "n/a", "inputs", "InputError", "no", "run")
    write_text(
        out / "logs/failures.tsv", "\t".join(FAILURE_COLUMNS) + "\n" + "\t".join(row) + "\n"
    )

    assert states(out)["sub-04_ses-1"] == states(out)["sub-04_ses-2"] == "failed"


def test_who_was_asked_for_and_never_begun_is_missing(out: Path) -> None:
    """By a run that was killed, and by a list of jobs that have not started."""
    write_run(out, 2, "sub-05 measured (1 of 2)", participant_label=["sub-05"])
    write_text(out / "logs/jobs/today/participants.txt", "01\n06\n")

    found = {one.label: one for one in read_status(out).sessions}

    assert found["sub-05"].state == found["sub-06"].state == "missing"
    assert "ended without a word, after 'sub-05 measured (1 of 2)'" in found["sub-05"].why
    assert found["sub-06"].why == "nothing was begun"


def test_a_run_of_everyone_expects_everyone_of_its_dataset(raw: Path, tmp_path: Path) -> None:
    """Those that it has not come to are missing."""
    out = tmp_path / "out"
    shutil.copytree(
        raw / "derivatives/fmriprep/sub-01",
        raw / "derivatives/fmriprep/sub-07",
        copy_function=shutil.copy,
    )
    write_run(out, 1, "looked for inputs", bids_dir=str(raw))
    measure(out, "01")

    assert states(out) == {"sub-01": "done", "sub-07": "missing"}


@pytest.mark.skipif(sys.platform == "win32", reason="no locks")
def test_a_run_that_goes_on_is_told_from_one_that_was_killed(out: Path) -> None:
    """By the lock of its log, which the system takes back whatever ends it."""
    log = write_run(out, 2, "sub-05 …", participant_label=["01", "05"])
    code = (
        "import logging, sys, time; from pathlib import Path;"
        "from kraken_bids.logs import start_file_log;"
        "from kraken_bids.io.file_control import lock_open;"
        "log = start_file_log(Path(sys.argv[1])); lock_open(log.stream);"
        "print('locked', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(log)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "locked\n"
        assert states(out) == {"sub-01": "done", "sub-02": "done", "sub-05": "running"}
        assert read_status(out).going_on == (log.stem,)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

    assert states(out)["sub-05"] == "missing"


def test_without_locks_a_log_that_grows_is_of_a_run_that_goes_on(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless its last words are those of an end, or it is silent for an hour."""
    monkeypatch.setattr(run_logs, "is_locked", lambda _: None)
    log = write_run(out, 2, "sub-05 …", participant_label=["05"])

    assert states(out)["sub-05"] == "running"
    os.utime(log, (0, 0))
    assert states(out)["sub-05"] == "missing"


def test_a_group_is_outdated_once_participants_were_computed_after_it(out: Path) -> None:
    """Until it is run again."""
    write_run(out, 3, "all 2 participant(s) done", "group")
    write_text(out / "group.html", "x")
    assert read_status(out).group == "done"

    write_run(out, 4, "all 1 participant(s) done", participant_label=["01"])

    assert read_status(out).group == "outdated"


@pytest.mark.parametrize("words", ["1 of 2 participant(s) failed; …", "group report: x"])
def test_a_group_that_did_not_come_to_a_good_end_has_failed(out: Path, words: str) -> None:
    """It says so, or was killed."""
    write_run(out, 3, words, "group")
    write_text(out / "group.html", "x")

    assert read_status(out).group == "failed"


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    """It is another folder, most likely."""
    with pytest.raises(InputError, match="logs of its runs; found none"):
        read_status(tmp_path)


def test_damaged_logs_and_settings_are_passed_over(out: Path) -> None:
    """They say nothing; files do."""
    for path in (out / "logs").glob("2026*"):
        path.write_bytes(b"\xff\x00" * 50)

    assert states(out) == {"sub-01": "done", "sub-02": "done"}


OTHER_KINDS = {
    "bids_dir": 5, "derivatives": 3, "participant_label": 3, "analysis": 3, "atlases": 7,
    "flavors": ["nothing known", 3],
}  # fmt: skip


@pytest.mark.parametrize("option", OTHER_KINDS)
def test_settings_of_another_kind_are_passed_over(out: Path, option: str) -> None:
    """As somebody's hand, or another program, may leave them."""
    write_run(out, 2, "all 2 participant(s) done", **{option: OTHER_KINDS[option]})

    assert states(out) == {"sub-01": "done", "sub-02": "done"}


def test_a_damaged_list_of_jobs_is_passed_over(
    out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning, since somebody may be missing."""
    path = out / "logs/jobs/x/participants.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xfe")

    assert states(out) == {"sub-01": "done", "sub-02": "done"}
    assert str(path) in caplog.text


@pytest.mark.parametrize("is_done", [True, False])
def test_the_command_counts_names_and_ends_with_a_code(out: Path, is_done: bool) -> None:
    """0 where all are done, 1 where not; JSON has everyone."""
    if not is_done:
        write_run(out, 2, "sub-05 …", participant_label=["05"])

    plain = CliRunner().invoke(main, ["status", str(out)])
    as_json = json.loads(CliRunner().invoke(main, ["status", str(out), "--json"]).output)

    assert plain.exit_code == (0 if is_done else 1)
    assert ("missing sub-05" in plain.output) != is_done
    assert as_json["Counts"] == {"done": 2, "running": 0, "failed": 0, "missing": 1 - is_done}
    assert as_json["Sessions"][0]["participant_id"] == "sub-01"


def test_settings_without_a_dataset_are_not_taken_for_those_of_the_working_folder(
    out: Path, raw: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As runs of older versions, or ones killed at once, leave them."""
    log = write_run(out, 2, "all 2 participant(s) done")
    log.with_suffix(".toml").write_text('atlases = ["fs86"]\n')
    people = raw / "derivatives/fmriprep"
    shutil.copytree(people / "sub-01", people / "sub-77")
    monkeypatch.chdir(raw)

    assert set(states(out)) == {"sub-01", "sub-02"}
    assert "name no BIDS_DIR" in caplog.text


def test_where_nobody_was_measured_nothing_is_done(tmp_path: Path) -> None:
    """As where the group level alone has run, on connectomes of another tool."""
    write_run(tmp_path, 1, "all 12 participant(s) done", level="group")
    found = read_status(tmp_path)

    assert not found.is_done
    assert next(found.describe()).startswith("0 session(s): no run has measured any; group level")
