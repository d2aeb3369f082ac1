"""Items made ahead, or written behind, come in their order, and errors come out."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kraken_bids.cohort.read_ahead import (
    WAITING,
    keeping_threads_busy,
    read_ahead,
    write_behind,
)


@settings(max_examples=20, deadline=None)
@given(items=st.lists(st.integers() | st.none()))
def test_order_stays(items: list[int | None]) -> None:
    """Falsy items too; what is written is what was given."""
    assert list(read_ahead(items)) == items
    written: list[int | None] = []
    write_behind(read_ahead(items), written.append)
    assert written == items


def test_what_making_an_item_raises_comes_where_it_would_stand() -> None:
    """Items before it are given."""

    def make() -> Iterator[int]:
        yield 1
        raise ValueError("second")

    items = read_ahead(make())
    assert next(items) == 1
    with pytest.raises(ValueError, match="second"):
        next(items)


def test_what_writing_raises_is_raised_in_the_end_at_the_latest() -> None:
    """Nothing is lost silently, not even of the last item."""

    def write(item: int) -> None:
        if item == 3:
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write_behind(range(4), write)


def test_few_items_wait_to_be_written() -> None:
    """Memory stays bounded where writing is slower than making."""
    may_write, made, most = threading.Event(), 0, []

    def make() -> Iterator[int]:
        nonlocal made
        for number in range(WAITING + 4):
            made += 1
            if number == WAITING + 1:
                may_write.set()
            yield number

    def write(number: int) -> None:
        may_write.wait(10)
        most.append(made - number)

    write_behind(make(), write)
    assert len(most) == WAITING + 4
    assert max(most) <= WAITING + 3


def test_nothing_is_read_ahead_where_all_threads_have_work() -> None:
    """Items are made in the thread that takes them, one by one."""

    def make() -> Iterator[int]:
        for _ in range(3):
            yield threading.get_ident()

    with keeping_threads_busy():
        here = set(read_ahead(make()))

    assert here == {threading.get_ident()}
    assert set(read_ahead(make())) != here
