"""Matrices are parsed once as long as memory allows, and anew when their file has changed."""

from pathlib import Path

import numpy as np
import pytest

from kraken_bids.cohort import recalled_matrices
from kraken_bids.cohort.recalled_matrices import recall_relmat
from kraken_bids.exceptions import InputError
from kraken_bids.io.writing import write_relmat


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that were parsed, in turn."""
    paths: list[Path] = []
    read = recalled_matrices.read_relmat
    monkeypatch.setattr(
        recalled_matrices, "read_relmat", lambda path: paths.append(path) or read(path)
    )
    monkeypatch.setattr(recalled_matrices, "_kept", recalled_matrices.RecalledMatrices())
    return paths


def test_a_file_is_parsed_once_until_it_changes(tmp_path: Path, parsed: list[Path]) -> None:
    path = tmp_path / "a_relmat.dense.tsv"
    write_relmat(path, np.eye(3))
    np.testing.assert_array_equal(recall_relmat(path), recall_relmat(path))
    assert parsed == [path]

    write_relmat(path, np.full((3, 3), 0.25))
    np.testing.assert_array_equal(recall_relmat(path), np.full((3, 3), 0.25))
    assert parsed == [path, path]


def test_what_goes_beyond_the_memory_is_read_anew(
    tmp_path: Path, parsed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recalled_matrices, "MAX_BYTES", 9 * 8)
    for name in "ab":
        write_relmat(tmp_path / name, np.eye(3))
    for _ in range(2):
        for name in "ab":
            np.testing.assert_array_equal(recall_relmat(tmp_path / name), np.eye(3))
    assert [path.name for path in parsed] == ["a", "b", "b"]


def test_nobody_can_change_what_others_will_be_given(tmp_path: Path, parsed: list[Path]) -> None:
    path = tmp_path / "a_relmat.dense.tsv"
    write_relmat(path, np.eye(3))
    with pytest.raises(ValueError, match="read-only"):
        recall_relmat(path)[0, 0] = 2
    with pytest.raises(InputError, match="expected"):
        recall_relmat(tmp_path / "missing_relmat.dense.tsv")
