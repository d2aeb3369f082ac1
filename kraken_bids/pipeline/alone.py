"""What goes wrong is caught here: one participant fails alone, and the others go on."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kraken_bids.exceptions import InputError
from kraken_bids.pipeline.provenance import Failure, explain_refusal, failure_of

logger = logging.getLogger(__name__)


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
