"""What a run leaves behind besides its results."""

import errno
import logging
import tomllib
from concurrent.futures import BrokenExecutor
from datetime import datetime, tzinfo
from pathlib import Path

import pytest
from click.testing import CliRunner

from kraken_bids.bids.outputs import latents_path, prediction_archive_path, sidecar_path
from kraken_bids.cli import app
from kraken_bids.cli.options import read_config
from kraken_bids.cohort.failures import exit_code_of, failure_of, going_on, read_failures
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.digests import digest, file_stamps
from kraken_bids.io.writing import write_json
from kraken_bids.logs import stop_file_log
from kraken_bids.pipeline.provenance import (
    Run,
    follow_run,
    start_run,
    write_citation,
    write_failures,
)
from kraken_bids.run_settings import RunSettings
from kraken_bids.settings import (
    DataSettings,
    FunctionalSettings,
    PredictionSettings,
    Settings,
    StructuralSettings,
)


def make_run(folder: Path) -> Run:
    """Make a run whose log goes nowhere."""
    (folder / "logs").mkdir(exist_ok=True)
    return Run("now", folder, folder / "logs" / "now.log", logging.NullHandler())


def test_failures_of_other_participants_stay(tmp_path: Path) -> None:
    """A second job brings its own participants up to date and leaves the others' rows."""
    run = make_run(tmp_path)
    one = failure_of(InputError("no confounds"), subject="01", session=None, stage="inputs")
    two = failure_of(ConnectomeError("NaN"), subject="02", session="01", stage="connectomes")
    write_failures(run, [one, two], subjects=["01", "02"])
    write_failures(run, [], subjects=["01"])

    _, row = (tmp_path / "logs" / "failures.tsv").read_text().splitlines()
    assert row.split("\t") == ["sub-02", "ses-01", "connectomes", "ConnectomeError", "NaN", "now"]


@pytest.mark.parametrize(
    ("errors", "n_subjects", "expected"),
    [
        ([], 3, 0),
        ([("01", InputError("x"))], 3, 1),
        ([("01", InputError("x"))], 1, 3),
        ([("01", InputError("x")), ("02", ConnectomeError("x"))], 2, 1),
        ([("01", ConnectomeError("x")), ("02", ConnectomeError("x"))], 2, 4),
        ([("01", RuntimeError("x"))], 1, 1),
    ],
)
def test_exit_codes(errors: list[tuple[str, Exception]], n_subjects: int, expected: int) -> None:
    """1 where some got through; where nobody did for one reason, that reason's code."""
    failures = [failure_of(e, subject=s, session=None, stage="inputs") for s, e in errors]

    assert exit_code_of(failures, n_subjects) == expected


def test_a_digest_changes_with_settings_and_files(tmp_path: Path) -> None:
    """The same again gives the same; another value or another file does not."""
    path = tmp_path / "a"
    path.write_text("x")
    first = digest("stage", {"b": 1, "a": 2}, file_stamps([path, None]))

    assert digest("stage", {"a": 2, "b": 1}, file_stamps([path])) == first
    assert digest("stage", {"a": 2, "b": 3}, file_stamps([path])) != first
    path.write_text("xy")
    assert digest("stage", {"a": 2, "b": 1}, file_stamps([path])) != first


def test_saved_settings_repeat_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The TOML of a run, given as --config-file, means the same settings."""
    settings = Settings(
        DataSettings(
            tmp_path / "in",
            tmp_path / "out",
            derivatives={"fmriprep": tmp_path / "f"},
            participants=("01",),
            tasks=("rest",),
            atlas_images={"shen268": "/x/{subject}.nii.gz"},
            flavors=(parse_flavor("FCcorr_fs86_hpf"),),
        ),
        FunctionalSettings(high_pass=0.02, drop_volumes=4, pcorr_lambda={"fs86": 0.1}),
        StructuralSettings(search_radius=2.0, parcellation_images={"fs86": "/y.nii.gz"}),
        PredictionSettings(model="m", sources=("fusion",), adaptation_min_subjects=4),
        RunSettings(n_procs=1, force=True),
    )
    run = start_run(settings, "participant")
    stop_file_log(run.handler)
    config = run.log.with_suffix(".toml")
    assert read_config(config, app.main)["high_pass"] == "0.02"  # as on the command line

    seen: list[Settings] = []
    monkeypatch.setattr(
        app, "_prepare_process", lambda settings, _verbosity: seen.append(settings)
    )
    monkeypatch.setattr(app, "_check_dataset", lambda _settings: None)
    monkeypatch.setattr("kraken_bids.pipeline.participant.run_participants", lambda _settings: 0)
    words = [str(tmp_path / "in"), str(tmp_path / "out"), "participant"]
    result = CliRunner().invoke(app.main, [*words, "--config-file", str(config)])

    assert result.exit_code == 0, result.output
    assert seen == [settings]

    result = CliRunner().invoke(app.main, ["--config", str(config)])
    assert result.exit_code == 0, result.output
    assert seen == [settings, settings]


def test_a_folder_counts_by_its_files(tmp_path: Path) -> None:
    """Of an unpacked trx every file counts, so that none changes unnoticed."""
    inner = tmp_path / "a.trx" / "dps" / "weights.float32"
    inner.parent.mkdir(parents=True)
    inner.write_bytes(bytes(4))
    first = file_stamps([tmp_path / "a.trx"])
    inner.write_bytes(bytes(8))
    assert file_stamps([tmp_path / "a.trx"]) != first


def test_runs_of_one_second_and_one_process_number_keep_logs_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As four containers have them that start together, each with process number 1."""

    class OneSecond(datetime):
        """A clock that stands."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime(2026, 1, 1, tzinfo=tz)

    monkeypatch.setattr("kraken_bids.pipeline.provenance.datetime", OneSecond)
    monkeypatch.setattr("os.getpid", lambda: 1)
    runs = [start_run(Settings(DataSettings(tmp_path / "in", tmp_path / "out")), "group")
            for _ in range(4)]  # fmt: skip
    for run in runs:
        stop_file_log(run.handler)

    assert len({run.name for run in runs}) == 4
    logs = tmp_path / "out" / "logs"
    assert len(list(logs.glob("*.log"))) == len(list(logs.glob("*.toml"))) == 4


def test_failures_are_written_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without flock costs the turn-taking, not the report of a day's work."""
    monkeypatch.setattr("kraken_bids.pipeline.provenance.take_lock", lambda _: None)
    run = make_run(tmp_path)
    one = failure_of(InputError("no confounds"), subject="01", session=None, stage="inputs")

    write_failures(run, [one], subjects=["01"])

    assert read_failures(tmp_path, "01") == [("n/a", "inputs", "no confounds")]


@pytest.mark.parametrize("damage", [b"", b"\n\n", b"x\ty\n\xff\xfe\t\tz\nsub-09", bytes(100)])
def test_a_damaged_table_of_failures_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    """What is no row goes; it does not end every later run."""
    run = make_run(tmp_path)
    (tmp_path / "logs" / "failures.tsv").write_bytes(damage)
    one = failure_of(InputError("no confounds"), subject="01", session=None, stage="inputs")

    write_failures(run, [one], subjects=["01"])

    assert read_failures(tmp_path, "01") == [("n/a", "inputs", "no confounds")]
    assert len((tmp_path / "logs" / "failures.tsv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyboardInterrupt(), "stopped by Ctrl-C; finished files are kept"),
        (SystemExit(143), "stopped by a signal (exit code 143)"),
        (RuntimeError("no luck"), "RuntimeError: no luck"),
    ],
)
def test_the_log_says_what_ended_a_run(tmp_path: Path, error: BaseException, words: str) -> None:
    """However it ends, the last lines of its file say so."""
    run = start_run(Settings(DataSettings(tmp_path / "in", tmp_path / "out")), "participant")
    logging.getLogger("kraken_bids").setLevel(logging.DEBUG)

    with pytest.raises(type(error)), follow_run(run):
        raise error

    assert words in run.log.read_text()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "there was no memory left"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "there was no memory left"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "there was no memory left"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "--device cpu"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (BrokenExecutor("the job 7 ended"), "the job 7 ended"),
    ],
)
def test_who_needs_more_memory_is_told_so(error: BaseException, words: str) -> None:
    """And is not asked to report a fault."""
    message = failure_of(error, subject="01", session=None, stage="connectomes").message

    assert words in message
    assert "--mem-gb" in message
    assert "report" not in message


def test_a_file_that_the_system_refuses_is_named_with_what_to_do(tmp_path: Path) -> None:
    """Its owner closed it, say: nothing to report to anybody."""
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "x.tsv"))
    message = failure_of(error, subject="01", session=None, stage="report").message
    assert str(tmp_path / "x.tsv") in message
    assert "Permission denied" in message
    assert "may read and write" in message
    assert "report it" not in message


def test_what_the_system_refuses_of_everyone_is_raised_as_an_error_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on, and ends with the code of an input; other errors stay what they are."""
    problems: list[Exception] = []
    for error in (PermissionError(errno.EACCES, "Permission denied", "x.tsv"), ValueError("y")):
        with going_on(problems):
            raise error
    assert [type(one) for one in problems] == [InputError, ValueError]
    assert "x.tsv" in str(problems[0])
    assert "Permission denied" in caplog.text


def test_the_methods_of_a_part_leave_those_of_everyone(output_dir: Path) -> None:
    """A later run on one participant does not take away what the text says of the others."""
    citation = output_dir / "logs" / "CITATION.md"
    everyone = list_members(output_dir)
    write_citation(output_dir, everyone[:1], is_part=True)
    first = citation.read_text()
    assert "## Software" in first
    assert "participants of one run" in first
    citation.write_text(first.replace("Krakencoder", "another, before it was interrupted"))
    write_citation(output_dir, everyone[:1], is_part=True)
    assert citation.read_text() == first
    write_citation(output_dir, everyone, is_part=False)
    whole = citation.read_text()
    write_citation(output_dir, everyone[:1], is_part=True)
    assert citation.read_text() == whole
    assert "@article{jamison2025krakencoder," in (citation.with_suffix(".bib")).read_text()


def test_boilerplate_only_describes_what_is_there(output_dir: Path, tmp_path: Path) -> None:
    """Nothing is measured or predicted; without connectomes there is nothing to describe."""
    bids = tmp_path / "bids"
    bids.mkdir()
    words = [str(bids), str(output_dir), "participant", "--boilerplate-only"]
    before = set(output_dir.rglob("*"))
    result = CliRunner().invoke(app.main, words)
    assert result.exit_code == 0, result.output
    assert {path.name for path in set(output_dir.rglob("*")) - before} == {
        "logs",
        "CITATION.md",
        "CITATION.bib",
    }
    assert "fs86, 86 regions" in (output_dir / "logs/CITATION.md").read_text()
    empty = CliRunner().invoke(app.main, [str(bids), str(tmp_path / "none"), *words[2:]])
    assert empty.exit_code == 3
    assert "Run the participant level first" in " ".join(empty.output.split())


def test_a_damaged_archive_does_not_keep_the_methods_section_from_being_written(
    output_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What one participant's predictions were made from is known of the others."""
    (tmp_path / "bids").mkdir()
    member = list_members(output_dir)[0]
    latents = latents_path(output_dir, member.subject, member.session)
    write_json(sidecar_path(latents), {"RunDigest": "d", "InputSources": {"fusion": {}}})
    latents.write_text("source\tz000\nfusion\t0.1\n")
    archive = prediction_archive_path(output_dir, member.subject, member.session)
    archive.write_bytes(b"\x89HDF and no more")
    words = [str(tmp_path / "bids"), str(output_dir), "participant", "--boilerplate-only"]
    result = CliRunner().invoke(app.main, words)
    assert result.exit_code == 0, result.output
    assert str(archive) in result.output + caplog.text
    assert "fs86, 86 regions" in (output_dir / "logs/CITATION.md").read_text()


def test_boilerplate_that_cannot_be_written_is_an_error(output_dir: Path, tmp_path: Path) -> None:
    """Nobody is told of a file that is not there; a run says the same at its end."""
    (tmp_path / "bids").mkdir()
    (output_dir / "logs/CITATION.md/closed").mkdir(parents=True)
    words = [str(tmp_path / "bids"), str(output_dir), "participant", "--boilerplate-only"]
    result = CliRunner().invoke(app.main, words)
    assert result.exit_code == 3
    assert "expected to write" in result.output
    with pytest.raises(InputError, match=r"CITATION\.md"):
        write_citation(output_dir, list_members(output_dir), is_part=False)


def test_boilerplate_of_one_participant_leaves_others_out(
    output_dir: Path, tmp_path: Path
) -> None:
    """Neither who else failed nor the group's communities belong to it."""
    bids = tmp_path / "bids"
    bids.mkdir()
    (output_dir / "logs").mkdir()
    (output_dir / "logs/failures.tsv").write_text(
        "participant_id\tsession_id\tstage\terror\tmessage\trun\nsub-09\tn/a\tinputs\tX\ty\tz\n"
    )
    words = [str(bids), str(output_dir), "participant", "--boilerplate-only"]
    citation = output_dir / "logs/CITATION.md"
    assert CliRunner().invoke(app.main, words).exit_code == 0
    assert "1 participant(s) could not be processed" in citation.read_text()
    assert CliRunner().invoke(app.main, [*words, "--participant-label", "01"]).exit_code == 0
    assert "could not be processed" not in citation.read_text()
    nobody = CliRunner().invoke(app.main, [*words, "--participant-label", "77"])
    assert nobody.exit_code == 3
    assert "connectomes of 77 in" in " ".join(nobody.output.split())


def test_settings_of_a_run_hold_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Datasets and models are spelled from the root; words that are no paths stay."""
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    data = DataSettings(Path("bids"), Path("out"), derivatives={"fmriprep": Path("f")})
    for model, expected in (("model", str(tmp_path / "model")), ("pretrained", "pretrained")):
        run = start_run(Settings(data, prediction=PredictionSettings(model=model)), "group")
        stop_file_log(run.handler)
        words = tomllib.loads(run.log.with_suffix(".toml").read_text())
        assert words["bids_dir"] == str(tmp_path / "bids")
        assert words["output_dir"] == str(tmp_path / "out")
        assert words["derivatives"] == {"fmriprep": str(tmp_path / "f")}
        assert words["model"] == expected
        assert words["adaptation"] == "auto"
