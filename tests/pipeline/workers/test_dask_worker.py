"""The process beside a worker of dask."""

from pathlib import Path

import pytest

from kraken_bids.pipeline.workers.dask_worker import Neighbour, Surroundings


def test_functions_of_a_script_are_called_beside_a_worker() -> None:
    """What dask sent by value, since no module holds it, is sent on by value."""
    pytest.importorskip("distributed")

    def count() -> int:
        return 7

    count.__module__, count.__qualname__ = "__main__", "count"
    neighbour = Neighbour(Surroundings(Path.cwd(), {}, start=print))
    try:
        assert neighbour.run(count) == 7
    finally:
        neighbour.end()
