"""Two flavors of a cohort at a time: numbers as of one by one, and nobody waits for the other."""

import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kraken_bids.cohort.edge_columns import EdgeColumns
from kraken_bids.cohort.flavors_at_once import work_on_flavors
from kraken_bids.cohort.projections import BLOCK, Cohort, project_cohort
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.models.devices import CPU, Device, single_thread
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.shared_work import check_wanted

FLAVORS = [parse_flavor(f"FCcorr_{atlas}_hpf") for atlas in ("coco439", "shen268", "fs86")]


def test_two_are_worked_on_at_once_and_come_in_order() -> None:
    """Two meet, each where numpy may use one thread, also in a thread that it starts."""
    both = threading.Barrier(2, timeout=10)

    def meet(flavor: Flavor) -> str:
        if flavor != FLAVORS[2]:
            both.wait()
        with single_thread() as allowed:  # which would wait for the other one
            return f"{flavor} {allowed}"

    with threadpool_limits(2, user_api="blas"):
        found = work_on_flavors(meet, FLAVORS, CPU)

    assert list(found.items()) == [(flavor, f"{flavor} 1") for flavor in FLAVORS]


@pytest.mark.parametrize("device", [Device("cpu", "torch"), CPU])
def test_on_a_gpu_or_where_numpy_has_one_thread_they_follow_each_other(device: Device) -> None:
    """In this thread."""
    with threadpool_limits(2 if device.is_gpu else 1, user_api="blas"):
        found = work_on_flavors(lambda _flavor: threading.get_ident(), FLAVORS, device)

    assert set(found.values()) == {threading.get_ident()}


@pytest.mark.parametrize("place", [0, 1])
def test_the_first_error_is_raised_and_the_other_work_ends(place: int) -> None:
    """Whichever flavor it is of; what is left is not begun."""
    both = threading.Barrier(2, timeout=10)
    begun: list[Flavor] = []

    def fail(flavor: Flavor) -> None:
        begun.append(flavor)
        both.wait()
        if flavor == FLAVORS[place]:
            raise InputError("a file that is cut")
        while True:
            check_wanted()

    with threadpool_limits(2, user_api="blas"):
        with pytest.raises(InputError, match="a file that is cut"):
            work_on_flavors(fail, FLAVORS, CPU)
        check_wanted()  # the next cohort is another matter

    assert set(begun) == set(FLAVORS[:2])


@dataclass
class Rows:
    """Connectomes that fail, or come once others have failed."""

    n_edges: int
    fails: bool
    n_read: int = 0

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """Random ones."""
        if self.fails:
            raise InputError("a file that is cut")
        with suppress(CancelledError):
            while True:
                check_wanted()
        self.n_read += 1
        return np.random.default_rng(0).random((stop - start, self.n_edges))

    def list_columns(self) -> list[tuple[NDArray[np.int64], EdgeColumns]]:
        """None."""
        return []

    def list_mirrored(self) -> list[int]:
        """None."""
        return []

    def list_present(self) -> NDArray[np.bool_]:
        """Everybody."""
        return np.ones(1000 * BLOCK, bool)


def test_reading_ends_at_the_next_block_where_another_flavor_fails(model: Model) -> None:
    """Of a thousand blocks two at most; none, where it had not begun."""
    one, other = (Rows(model.n_edges(flavor), fails) for flavor, fails in zip(
        model.flavors[:2], (True, False), strict=True
    ))  # fmt: skip
    subjects = tuple(map(str, range(1000 * BLOCK)))
    cohort = Cohort(subjects, dict(zip(model.flavors[:2], (one, other), strict=True)))

    with threadpool_limits(2, user_api="blas"), pytest.raises(InputError, match="that is cut"):
        project_cohort(model, cohort)

    assert other.n_read <= 2
