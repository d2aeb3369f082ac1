"""Failures of one subject or session: named, kept, and no end of the others."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.exceptions import InputError, KrakenBidsError
from kraken_bids.resources import explain_shortage

logger = logging.getLogger(__name__)

FAILURE_COLUMNS = ("participant_id", "session_id", "stage", "error", "message", "run")
EXPECTED_END = "expected the process that computes this participant to end by itself;"


EXPECTED_ROOM = "expected room to compute this participant;"


MORE_MEMORY = (
    "Give more memory (--mem-gb, where that sets the limit) or a smaller --n-procs and rerun: "
    "finished files are kept."
)


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


def record(
    failures: list[Failure], error: BaseException, *, subject: str, session: str | None, stage: str
) -> None:
    """Add what went wrong with one participant or session to the failures, and log it."""
    failure = failure_of(error, subject=subject, session=session, stage=stage)
    logger.error("%s: %s: %s", failure.label, stage, failure.message)
    failures.append(failure)


@contextmanager
def failing_alone(
    failures: list[Failure], *, subject: str, session: str | None, stage: str
) -> Iterator[None]:
    """Let whatever goes wrong in the block fail one participant or session, and go on after it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - recorded by name; the others go on
        record(failures, error, subject=subject, session=session, stage=stage)


@contextmanager
def going_on(problems: list[Exception]) -> Iterator[None]:
    """Keep an error that concerns everyone until all that does not need the block is done."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - raised at the end of the run
        refused = explain_refusal(error)
        logger.error("%s", refused or error)
        problems.append(InputError(refused) if refused else error)


def read_failures(output_dir: Path, subject: str) -> list[tuple[str, str, str]]:
    """List what of a participant has failed: session (or ``n/a``), stage and message of each."""
    rows = read_rows(output_dir / "logs" / "failures.tsv")
    return [(row[1], row[2], row[4]) for row in rows if row[0] == f"sub-{subject}"]


def list_failures(output_dir: Path) -> list[tuple[str, str, str, str]]:
    """List what of anybody has failed: participant, session (or ``n/a``), stage, message."""
    rows = read_rows(output_dir / "logs" / "failures.tsv")
    return [(row[0], row[1], row[2], row[4]) for row in rows]


def read_rows(path: Path) -> list[tuple[str, ...]]:
    """Read the rows of ``failures.tsv``; damaged ones are left out with a warning."""
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
