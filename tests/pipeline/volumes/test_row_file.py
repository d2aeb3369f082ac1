"""A file of rows, held to an array in memory."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kraken_bids.pipeline.volumes.row_file import RowFile


def test_rows_and_columns_are_those_of_an_array(tmp_path: Path) -> None:
    """The last ones are fewer than were asked for."""
    expected = np.random.default_rng(0).normal(size=(7, 13)).astype(np.float32)
    with tempfile.TemporaryFile(dir=tmp_path, buffering=0) as file:
        rows = RowFile(file, 7, 13)
        for number in (3, 0, 6, 1, 2, 5, 4):
            rows.write_row(number, expected[number].astype(np.float64))
        np.testing.assert_array_equal(rows.read_rows(0, 7), expected)
        np.testing.assert_array_equal(rows.read_rows(5, 9), expected[5:])
        assert rows.read_rows(7, 2).shape == (0, 13)
        np.testing.assert_array_equal(rows.read_columns(10, 5), expected[:, 10:])
        expected[:, 4:9] = expected[:, 4:9] * 2
        rows.write_columns(4, expected[:, 4:9])
        np.testing.assert_array_equal(rows.read_rows(0, 7), expected)


def test_threads_read_rows_of_their_own(tmp_path: Path) -> None:
    with tempfile.TemporaryFile(dir=tmp_path, buffering=0) as file:
        rows = RowFile(file, 64, 500)
        for number in range(64):
            rows.write_row(number, np.full(500, number))
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda k: np.unique(rows.read_rows(k % 64, 1)), range(640)))
    assert [one.tolist() for one in found] == [[k % 64] for k in range(640)]
