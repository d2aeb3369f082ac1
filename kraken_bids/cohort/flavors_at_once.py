"""Flavors of a cohort two at a time, each by a thread of its own."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import TypeVar

from kraken_bids.cohort.read_ahead import keeping_threads_busy
from kraken_bids.flavors import Flavor
from kraken_bids.models.devices import Device, single_thread
from kraken_bids.shared_work import share_work

Result = TypeVar("Result")

AT_ONCE = 2
"""More would take memory for theirs, and wait for the same disk."""


def work_on_flavors(
    work: Callable[[Flavor], Result], flavors: Iterable[Flavor], device: Device
) -> dict[Flavor, Result]:
    """Do the work of every flavor, on a CPU two at a time; returns the results by flavor.

    Raises
    ------
    Exception
        What was raised first; the other flavor ends where it next asks whether it is wanted.
    """
    flavors = tuple(flavors)
    if device.is_gpu or len(flavors) == 1:
        return {flavor: work(flavor) for flavor in flavors}
    with (
        single_thread() as n_threads,  # each multiplies by itself
        keeping_threads_busy() if 1 < n_threads <= AT_ONCE else nullcontext(),
    ):
        return dict(zip(flavors, share_work(work, flavors, min(n_threads, AT_ONCE)), strict=True))
