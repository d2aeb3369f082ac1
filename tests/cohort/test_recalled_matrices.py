"""Matrices are parsed once as long as memory allows, and anew when their file has changed."""

import errno
import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.cohort import recalled_matrices
from kraken_bids.cohort.recalled_matrices import (
    keep_prediction,
    keeping_on_disk,
    recall_prediction,
    recall_relmat,
)
from kraken_bids.connectome.matrices import edges_to_square
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


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has room for no matrix, and any disk has room enough."""
    monkeypatch.setattr(recalled_matrices, "MAX_BYTES", 0)
    monkeypatch.setattr(recalled_matrices, "MAX_FILE_BYTES", 1 << 12)


@pytest.mark.usefixtures("little_memory")
def test_what_goes_beyond_the_memory_is_kept_in_a_file_that_nobody_sees(
    tmp_path: Path, parsed: list[Path], rng: np.random.Generator
) -> None:
    paths, squares = [tmp_path / name for name in "abc"], rng.integers(-9, 9, (3, 4, 4)) / 8
    squares[1, 2] = np.nan
    for path, square in zip(paths, squares, strict=True):
        write_relmat(path, square)
    with keeping_on_disk(tmp_path):
        for _ in range(2):
            for path, square in zip(paths, squares, strict=True):
                np.testing.assert_array_equal(recall_relmat(path), square)
        write_relmat(paths[0], 2 * squares[0])
        np.testing.assert_array_equal(recall_relmat(paths[0]), 2 * squares[0])
        with pytest.raises(ValueError, match="read-only"):
            recall_relmat(paths[0])[0, 0] = 2
        assert sorted(tmp_path.iterdir()) == paths
    assert parsed == [*paths, paths[0]]

    np.testing.assert_array_equal(recall_relmat(paths[2]), squares[2])
    assert parsed[4:] == [paths[2]]  # nothing is kept after the run


@pytest.mark.usefixtures("little_memory")
def test_a_full_disk_gets_the_room_back(
    tmp_path: Path, parsed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results need it more; matrices are read anew then."""
    write_relmat(tmp_path / "a", np.full((4, 4), 0.25))
    write_relmat(tmp_path / "b", np.full((4, 4), 0.5))

    def refuse(*_: object) -> int:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with keeping_on_disk(tmp_path):
        recall_relmat(tmp_path / "a")
        monkeypatch.setattr(os, "pwrite", refuse)
        recall_relmat(tmp_path / "b")
        file = recalled_matrices._kept.file
        assert file is not None
        assert os.fstat(file.file.fileno()).st_size == 0
        found = [recall_relmat(tmp_path / name)[0, 0] for name in "ab"]

    assert found == [0.25, 0.5]
    assert [path.name for path in parsed] == ["a", "b", "a", "b"]


@pytest.mark.usefixtures("little_memory")
def test_forked_processes_read_the_file_and_do_not_write_to_it(
    tmp_path: Path, parsed: list[Path]
) -> None:
    for name, value in (("a", 0.25), ("b", 0.5), ("c", 0.75)):
        write_relmat(tmp_path / name, np.full((4, 4), value))

    def look(found: "multiprocessing.SimpleQueue[list[object]]") -> None:
        del parsed[:]
        values = [recall_relmat(tmp_path / name)[0, 0] for name in "ab"]
        found.put([*values, *(path.name for path in parsed)])

    with keeping_on_disk(tmp_path):
        recall_relmat(tmp_path / "a")
        context = multiprocessing.get_context("fork")
        found = context.SimpleQueue()
        process = context.Process(target=look, args=(found,))
        process.start()
        assert found.get() == [0.25, 0.5, "b"]
        process.join()
        recall_relmat(tmp_path / "c")
        assert [recall_relmat(tmp_path / name)[0, 0] for name in "ac"] == [0.25, 0.75]
    assert [path.name for path in parsed] == ["a", "c"]


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("lack", ["free disk", "room in the file", "writing", "reading"])
def test_without_a_file_matrices_are_read_anew(
    tmp_path: Path, parsed: list[Path], monkeypatch: pytest.MonkeyPatch, lack: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    if lack == "free disk":
        usage = shutil.disk_usage(tmp_path)._replace(free=1 << 13)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    elif lack == "room in the file":
        monkeypatch.setattr(recalled_matrices, "MAX_FILE_BYTES", 8)
    else:
        monkeypatch.setattr(os, "pwrite" if lack == "writing" else "pread", refuse)
    path = tmp_path / "a"
    write_relmat(path, np.eye(4))
    with keeping_on_disk(tmp_path):
        for _ in range(2):
            np.testing.assert_array_equal(recall_relmat(path), np.eye(4))
    assert parsed == [path, path]


def write_prediction(path: Path, edges: np.ndarray, diagonal: float) -> None:
    write_relmat(path, edges_to_square(edges, diagonal=diagonal))
    keep_prediction(path, edges)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("diagonal", [0.0, 1.0])
def test_what_was_just_written_is_recalled_as_it_is_read(
    tmp_path: Path, parsed: list[Path], rng: np.random.Generator, diagonal: float
) -> None:
    """To the last bit, of numbers with more digits than the file has, and of none."""
    paths = [tmp_path / name for name in "ab"]
    edges = (rng.standard_normal((2, 45)) * 10.0 ** rng.integers(-9, 9, 45)).astype(np.float32)
    edges[1, :9] = np.nan
    with keeping_on_disk(tmp_path):
        for path, own in zip(paths, edges, strict=True):
            write_prediction(path, own, diagonal)
        found = [recall_prediction(path, diagonal=diagonal) for path in paths]
        assert not parsed
    for path, square in zip(paths, found, strict=True):
        read = recall_prediction(path, diagonal=diagonal)
        np.testing.assert_array_equal(square.view(np.int64), read.view(np.int64))
    assert parsed == paths  # nothing is kept after the run


@pytest.mark.usefixtures("little_memory")
def test_a_prediction_that_was_changed_since_is_read(tmp_path: Path, parsed: list[Path]) -> None:
    path = tmp_path / "a"
    with keeping_on_disk(tmp_path):
        write_prediction(path, np.full(3, 0.25, np.float32), 0.0)
        write_relmat(path, np.full((3, 3), 0.125))
        np.testing.assert_array_equal(
            recall_prediction(path, diagonal=0.0), np.full((3, 3), 0.125)
        )
    assert parsed == [path]


@pytest.mark.usefixtures("little_memory")
def test_each_process_recalls_what_it_has_written(tmp_path: Path, parsed: list[Path]) -> None:
    """Processes share the room; what another one has written is read."""

    def work(found: "multiprocessing.SimpleQueue[list[object]]") -> None:
        for name in "bcd":
            write_prediction(tmp_path / name, np.full(190, 0.5, np.float32), 0.0)
        values = [recall_prediction(tmp_path / name, diagonal=0.0)[0, 1] for name in "abcd"]
        found.put([*values, *(path.name for path in parsed)])

    with keeping_on_disk(tmp_path, n_procs=2):
        write_prediction(tmp_path / "a", np.full(190, 0.25, np.float32), 0.0)
        context = multiprocessing.get_context("fork")
        found = context.SimpleQueue()
        process = context.Process(target=work, args=(found,))
        process.start()
        # a is of another process, and d is beyond the room
        assert found.get() == [0.25, 0.5, 0.5, 0.5, "a", "d"]
        process.join()
        recall_prediction(tmp_path / "a", diagonal=0.0)
        recall_prediction(tmp_path / "b", diagonal=0.0)
    assert [path.name for path in parsed] == ["b"]
