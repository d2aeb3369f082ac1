"""Work that threads share: in order, within itself, and ended by whoever fails first."""

import threading
from concurrent.futures import CancelledError

import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.shared_work import check_wanted, share_parts, share_work


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_results_come_in_the_order_of_the_parts(n_threads: int) -> None:
    """However many threads there are."""
    assert share_parts(lambda part: part**2, range(5), n_threads) == [0, 1, 4, 9, 16]
    assert share_parts(lambda part: part, [], n_threads) == []


@pytest.mark.parametrize("n_threads", [2, 3])
def test_a_part_shares_parts_of_its_own(n_threads: int) -> None:
    """Three levels deep, with fewer threads than wait for each other: nobody waits for ever."""

    def share(path: tuple[int, ...]) -> list[object] | tuple[int, ...]:
        if len(path) == 3:
            return path
        return share_parts(lambda part: share((*path, part)), range(3), n_threads)

    found = share(())

    assert found == [[[(i, j, k) for k in range(3)] for j in range(3)] for i in range(3)]


def test_idle_threads_take_parts_of_a_part() -> None:
    """While this one waits for a part that is shared, two others compute its parts."""
    both = threading.Barrier(2, timeout=10)

    def work(part: int) -> list[int]:
        if part == 0:
            return []
        return share_work(lambda _: both.wait(), range(2), 2)

    assert sorted(share_work(work, (0, 1), 2)[1]) == [0, 1]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_error_keeps_its_cause(n_threads: int) -> None:
    """A reader who looks for it finds what lay beneath."""

    def fail(_part: int) -> None:
        try:
            {}.pop("a")
        except KeyError as error:
            raise InputError("no column") from error

    with pytest.raises(InputError, match="no column") as raised:
        share_work(fail, range(2), n_threads)

    assert isinstance(raised.value.__cause__, KeyError)


def test_what_ends_a_part_ends_the_parts_of_others() -> None:
    """Also those that another part shares; whoever is stopped is not waited for."""
    begun = threading.Barrier(3, timeout=10)
    ended: list[int] = []

    def read(part: int) -> None:
        begun.wait()
        try:
            while True:
                check_wanted()
        except CancelledError:
            ended.append(part)
            raise

    def work(part: int) -> None:
        if part == 0:
            begun.wait()
            raise SystemExit(143)
        share_work(read, (1, 2), 2)

    with pytest.raises(SystemExit):
        share_work(work, (0, 1), 2)

    assert sorted(ended) == [1, 2]
    check_wanted()  # what comes next is another matter
