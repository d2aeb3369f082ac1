"""Flavors of a cohort two at a time, each by a thread of its own."""

from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from contextlib import nullcontext
from contextvars import ContextVar
from typing import TypeVar

from kraken_bids.cohort.read_ahead import keeping_threads_busy
from kraken_bids.flavors import Flavor
from kraken_bids.models.devices import Device, share_parts, single_thread

Result = TypeVar("Result")

AT_ONCE = 2
"""More would take memory for theirs, and wait for the same disk."""

_ERRORS: ContextVar[list[BaseException]] = ContextVar("_ERRORS")
"""What ended the work on any of the flavors."""


def work_on_flavors(
    work: Callable[[Flavor], Result], flavors: Iterable[Flavor], device: Device
) -> dict[Flavor, Result]:
    """Results of all flavors, which are begun in their order; on a GPU one after the other.

    Raises
    ------
    Exception
        What was raised first; the other flavor ends at its next :func:`check_wanted`.
    """
    flavors = tuple(flavors)
    if device.is_gpu or len(flavors) == 1:
        return {flavor: work(flavor) for flavor in flavors}
    errors: list[BaseException] = []

    def do(flavor: Flavor) -> Result:
        try:
            return work(flavor)
        except BaseException as error:
            errors.append(error)
            raise

    before = _ERRORS.set(errors)
    try:
        with (
            single_thread() as n_threads,  # each multiplies by itself
            keeping_threads_busy() if 1 < n_threads <= AT_ONCE else nullcontext(),
        ):
            found = share_parts(do, flavors, min(n_threads, AT_ONCE))
        return dict(zip(flavors, found, strict=True))
    except BaseException as error:  # noqa: BLE001 - the first one is raised, whatever it was
        errors.append(error)  # of this thread, while it waited for the other
        raise errors[0] from None
    finally:
        _ERRORS.reset(before)


def check_wanted() -> None:
    """Raise CancelledError if the work on another flavor has ended with an error."""
    if _ERRORS.get([]):
        raise CancelledError("the work on another flavor has ended with an error")
