"""What a run leaves behind besides its results: digests, log, settings, failures, citation."""

import hashlib
import json
import logging
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import tomli_w

from kraken_bids import __version__
from kraken_bids.bids.write import check_output_folder, write_table, write_text
from kraken_bids.exceptions import InputError, KrakenBidsError
from kraken_bids.files import take_lock
from kraken_bids.logs import claim_log, start_file_log, stop_file_log
from kraken_bids.resources import explain_shortage
from kraken_bids.settings import Settings, to_plain

logger = logging.getLogger(__name__)

CITATION = """\
# How to cite

Connectomes were computed and translated between structure and function with kraken_bids {version}
and the Krakencoder:

> Jamison KW, Gu Z, Wang Q, Tozlu C, Sabuncu MR, Kuceyeski A. Krakencoder: a unified brain
> connectome translation and fusion tool. *Nature Methods* (2025).
> doi:10.1038/s41592-025-02706-2

Please cite also the software whose outputs were read (fMRIPrep, QSIPrep/QSIRecon, MRtrix3) and the
parcellations used (Desikan-Killiany/FreeSurfer for fs86; Shen et al. 2013 for shen268; Glasser et
al. 2016 and Diedrichsen et al. 2009, among others, for coco439).
"""
CITATION_BIB = """\
@article{jamison2025krakencoder,
  author = {Jamison, Keith W. and Gu, Zijin and Wang, Qinxin and Tozlu, Ceren and Sabuncu, Mert R.
            and Kuceyeski, Amy},
  title = {Krakencoder: a unified brain connectome translation and fusion tool},
  journal = {Nature Methods},
  year = {2025},
  doi = {10.1038/s41592-025-02706-2}
}
"""
EXPECTED_END = "expected the process that computes this participant to end by itself;"
EXPECTED_ROOM = "expected room to compute this participant;"
MORE_MEMORY = (
    "Give more memory (--mem-gb, where that sets the limit) or a smaller --n-procs and rerun: "
    "finished files are kept."
)
GO_ON = "finished files are kept, and the same command goes on from there"
FAILURE_COLUMNS = ("participant_id", "session_id", "stage", "error", "message", "run")


@dataclass(frozen=True)
class Failure:
    """One participant, or one session of it, that could not be finished."""

    subject: str
    """Label without ``sub-``."""
    session: str | None
    """Label without ``ses-``."""
    stage: str
    """``inputs``, ``connectomes``, ``predictions`` or ``report``."""
    error: str
    """Name of the exception."""
    message: str
    """What was expected, what was found, where, and what to do."""
    exit_code: int
    """What the error alone would end the command with."""

    @property
    def participant_id(self) -> str:
        """Label with ``sub-``."""
        return f"sub-{self.subject}"

    @property
    def label(self) -> str:
        """``sub-01`` or ``sub-01_ses-1``."""
        return self.participant_id + (f"_ses-{self.session}" if self.session else "")


@dataclass(frozen=True)
class Run:
    """One call of the command."""

    name: str
    """Date, level and process; the stem of its files in ``logs/``."""
    output_dir: Path
    """The dataset that it writes."""
    log: Path
    """Its log file."""
    handler: logging.Handler
    """What writes to it."""


def start_run(settings: Settings, level: str) -> Run:
    """Open the log of a run and save its settings beside it as TOML (for ``--config-file``)."""
    check_output_folder(settings.data.output_dir)
    logs = settings.data.output_dir / "logs"
    stamp = datetime.now().astimezone().strftime("%Y%m%dT%H%M%S")
    try:
        log = claim_log(logs, f"{stamp}_{level}_{os.getpid()}")
        handler = start_file_log(log)
    except OSError as error:
        raise InputError(
            f"OUTPUT_DIR: cannot write to {settings.data.output_dir} ({error.strerror}). Give a "
            "folder that this user may write to; in a container, mount it read-write."
        ) from error
    run = Run(log.stem, settings.data.output_dir, log, handler)
    write_text(log.with_suffix(".toml"), tomli_w.dumps(as_options(settings)))
    citations = {".md": CITATION.format(version=__version__), ".bib": CITATION_BIB}
    for suffix, text in citations.items():
        try:
            write_text(logs / f"CITATION{suffix}", text)
        except InputError as error:  # no result hangs on it
            logger.warning("%s", error)
    return run


@contextmanager
def follow_run(run: Run) -> Iterator[None]:
    """Close the log of a run at its end, and say in it what has ended the run early."""
    try:
        yield
    except KeyboardInterrupt:
        logger.warning("stopped by Ctrl-C; %s", GO_ON)
        raise
    except SystemExit as error:
        logger.warning("stopped by a signal (exit code %s); %s", error.code, GO_ON)
        raise
    except Exception as error:
        logger.debug("the run ended with an error", exc_info=error)
        raise
    finally:
        stop_file_log(run.handler)


def as_options(settings: Settings) -> dict[str, object]:
    """Spell the settings as options of the command, so that ``--config-file`` repeats the run."""
    plain = to_plain(settings)
    renamed: dict[object, str] = {
        "participants": "participant_label",
        "sessions": "session_id",
        "tasks": "task_id",
        "atlas_images": "atlas",
        "parcellation_images": "parcellation",
        "units": "sc_units",
    }
    options: dict[str, object] = {}
    for stage in plain.values():
        assert isinstance(stage, dict)
        for key, value in stage.items():
            if value not in (None, [], {}, ()):
                options[renamed.get(key, str(key))] = value
    return options


def digest(*parts: object) -> str:
    """SHA-256 over values that JSON can hold, for telling whether a result is up to date."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _list_files(paths: Iterable[Path | None]) -> Iterator[Path]:
    for path in paths:
        if path is not None and path.is_dir():
            yield from sorted(inner for inner in path.rglob("*") if inner.is_file())
        elif path is not None:
            yield path


def file_stamps(paths: Iterable[Path | None]) -> list[tuple[str, int, int]]:
    """Name, size and time of change of each file: what tells that an input changed.

    Of a folder (an unpacked ``.trx``) the files in it count.
    """
    stamps = []
    for path in _list_files(paths):
        if path.exists():
            status = path.stat()
            stamps.append((path.name, status.st_size, status.st_mtime_ns))
    return stamps


def failure_of(error: BaseException, *, subject: str, session: str | None, stage: str) -> Failure:
    """Turn an exception into a row of ``failures.tsv``; unexpected ones keep their class name."""
    if isinstance(error, KrakenBidsError):
        message, exit_code = str(error), error.exit_code
    elif isinstance(error, BrokenExecutor):
        message, exit_code = f"{EXPECTED_END} {error}. {MORE_MEMORY}", 1
    elif lacked := explain_shortage(error):
        message, exit_code = f"{EXPECTED_ROOM} {lacked}. {MORE_MEMORY}", 1
    elif refused := explain_refusal(error):
        message, exit_code = refused, 1
        logger.debug("traceback of sub-%s", subject, exc_info=error)
    else:
        message = (
            f"unexpected {type(error).__name__}: {error}. The log holds the traceback; please "
            "report it with the log."
        )
        exit_code = 1
        logger.debug("traceback of sub-%s", subject, exc_info=error)
    return Failure(
        subject, session, stage, type(error).__name__, " ".join(message.split()), exit_code
    )


def explain_refusal(error: BaseException) -> str:
    """Say what to do where the system refused a file or a folder; '' for any other error."""
    if not isinstance(error, OSError) or not error.filename:
        return ""
    return (
        f"expected to use the file or folder {error.filename}; that gave: {error.strerror}. Check "
        "that this user may read and write there, and rerun the same command."
    )


def write_failures(
    run: Run,
    failures: Sequence[Failure],
    *,
    subjects: Iterable[str],
    kept_stages: Collection[str] = (),
) -> None:
    """Bring ``logs/failures.tsv`` up to date for the participants of this run.

    Rows of other participants stay; concurrent jobs take turns through a lock.

    Parameters
    ----------
    run : Run
    failures : sequence of Failure
        Those of this run.
    subjects : iterable of str
        Participants of this run.
    kept_stages : collection of str, optional
        Stages that this run has not done again, so that their rows stay too.
    """
    path = run.output_dir / "logs" / "failures.tsv"
    done = {f"sub-{subject}" for subject in subjects}
    lock = take_lock(run.output_dir / "logs" / ".failures.lock")
    try:
        rows = [
            row
            for row in _read_rows(path)
            if row[0] not in done or (row[2] in kept_stages and row[-1] != run.name)
        ]
        rows += [
            (
                f.participant_id,
                f"ses-{f.session}" if f.session else "n/a",
                f.stage,
                f.error,
                f.message,
                run.name,
            )
            for f in failures
        ]
        columns = zip(*rows, strict=True) if rows else [[] for _ in FAILURE_COLUMNS]
        write_table(path, dict(zip(FAILURE_COLUMNS, map(list, columns), strict=True)))
    finally:
        if lock is not None:
            os.close(lock)


def read_failures(output_dir: Path, subject: str) -> list[tuple[str, str, str]]:
    """List what of a participant has failed: session (or ``n/a``), stage and message of each."""
    rows = _read_rows(output_dir / "logs" / "failures.tsv")
    return [(row[1], row[2], row[4]) for row in rows if row[0] == f"sub-{subject}"]


def list_failures(output_dir: Path) -> list[tuple[str, str, str, str]]:
    """List what of anybody has failed: participant, session (or ``n/a``), stage, message."""
    rows = _read_rows(output_dir / "logs" / "failures.tsv")
    return [(row[0], row[1], row[2], row[4]) for row in rows]


def _read_rows(path: Path) -> list[tuple[str, ...]]:
    """Rows of ``failures.tsv``; what is none (a damaged file) is left out."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        logger.warning("%s: earlier failures cannot be read: %s", path, error)
        return []
    rows = [tuple(line.split("\t")) for line in text.splitlines()[1:]]
    whole = [row for row in rows if len(row) == len(FAILURE_COLUMNS)]
    if len(whole) < len(rows):
        logger.warning("%s: %d damaged row(s) left out", path, len(rows) - len(whole))
    return whole


def exit_code_of(failures: Sequence[Failure], n_subjects: int) -> int:
    """0 all done; 1 some participant failed; where nobody got through for one reason, its code."""
    if not failures:
        return 0
    codes = {failure.exit_code for failure in failures}
    nobody = len({failure.subject for failure in failures}) == n_subjects
    return codes.pop() if nobody and len(codes) == 1 else 1
