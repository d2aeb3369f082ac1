"""MATLAB files of every version give the same arrays, in pieces as well as whole."""

import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_array

from kraken_bids.cohort.from_files import open_connectomes, read_connectomes
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io import matlab, matlab_rows
from kraken_bids.io.matlab_rows import ColumnRows, StackedRows
from kraken_bids.io.named_arrays import open_arrays, read_arrays
from kraken_bids.io.stored_rows import load_rows

FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")
UPPER = np.triu_indices(86, 1)
NAMES = ["b", "a", "d", "c"]
WRITE_STRINGS = """
import sys
import numpy as np
from matio import save_to_mat

words = {
    "string_scalar": [["Hello"]],
    "string_array": [["Apple", "Banana", "Cherry"], ["Date", "Fig", "Grapes"]],
    "string_empty": [[""]],
}
arrays = {name: np.array(value, np.dtypes.StringDType()) for name, value in words.items()}
save_to_mat(sys.argv[1], arrays, version=sys.argv[2])
"""
"""In a process of its own: mat-io sets an option of pandas for all."""


@pytest.fixture
def squares() -> np.ndarray:
    x = np.random.default_rng(2).normal(size=(4, 86, 86))
    return (x + x.swapaxes(1, 2)) / 2


@pytest.fixture
def few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make everything large: three rows at once, in pieces of a few cells."""
    monkeypatch.setattr(matlab, "LAZY_BYTES", 1)
    monkeypatch.setattr(matlab_rows, "PANEL_BYTES", 3 * 8 * 7 * 7)
    monkeypatch.setattr(matlab_rows, "SHARE", 10**9)
    monkeypatch.setattr(matlab_rows, "CHUNK_BYTES", 500)


@pytest.mark.usefixtures("few_rows_at_once")
@pytest.mark.parametrize("shape", [(10, 7, 7), (7, 7, 10), (10, 21), (21, 10), (10, 1, 49)])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "u1", "i8"])
@pytest.mark.parametrize("is_packed", [True, False])
def test_rows_of_a_file_are_those_of_the_array(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, is_packed: bool
) -> None:
    """In order, backwards, all at once, and again; compressed as MATLAB does it, or not."""
    array = np.random.default_rng(0).integers(0, 99, shape).astype(dtype)
    savemat(
        tmp_path / "x.mat", {"first": np.arange(5), "data": array, "last": "words"},
        do_compression=is_packed,
    )  # fmt: skip

    rows = open_arrays(tmp_path / "x.mat")["data"]

    assert isinstance(rows, ColumnRows)
    squeezed = array.squeeze()
    assert rows.shape == squeezed.shape
    for start, stop in ((0, 2), (2, 4), (4, 7), (1, 3), (0, len(squeezed)), (5, 6), (6, 6)):
        np.testing.assert_array_equal(rows[start:stop], squeezed[start:stop])
    last, moved = rows.turn(), np.moveaxis(squeezed, -1, 0)
    assert last.shape == moved.shape
    for start, stop in ((2, 6), (0, 3), (3, 3), (3, len(moved))):
        np.testing.assert_array_equal(last[start:stop], moved[start:stop])


def test_rows_of_the_last_axis_are_unpacked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Block after block, the stream goes on."""
    monkeypatch.setattr(matlab, "LAZY_BYTES", 1)
    array = np.random.default_rng(0).normal(size=(7, 7, 40))
    savemat(tmp_path / "x.mat", {"data": array}, do_compression=True)
    rows = open_arrays(tmp_path / "x.mat")["data"]
    assert isinstance(rows, ColumnRows)
    opened: list[Path] = []
    plain = matlab_rows.open_numbers
    monkeypatch.setattr(
        matlab_rows, "open_numbers", lambda path, one: [opened.append(path), plain(path, one)][1]
    )
    last = rows.turn()
    blocks = [last[start : start + 6] for start in range(0, 40, 6)]
    np.testing.assert_array_equal(np.concatenate(blocks), np.moveaxis(array, -1, 0))
    assert len(opened) == 1


def put_in_cells(values: list[np.ndarray]) -> np.ndarray:
    cells = np.empty((1, len(values)), object)
    for place, value in enumerate(values):
        cells[0, place] = value
    return cells


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("shape", [(7, 7), (21, 1), (5, 3)])
@pytest.mark.parametrize("dtypes", [["f8"], ["f4"], ["u2", "i2", "i2"]])
def test_cells_of_equal_matrices_stay_on_disk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_packed: bool,
    shape: tuple[int, int],
    dtypes: list[str],
) -> None:
    """A matrix in each cell, of types of one size, as MATLAB packs whole numbers."""
    rng = np.random.default_rng(0)
    matrices = [rng.integers(0, 99, shape).astype(dtypes[k % len(dtypes)]) for k in range(9)]
    content = {"a": 1.0, "data": put_in_cells(matrices), "z": "words"}
    savemat(tmp_path / "x.mat", content, do_compression=is_packed)
    expected = np.stack([matrix.squeeze() for matrix in matrices])
    in_memory = open_arrays(tmp_path / "x.mat")["data"]
    assert isinstance(in_memory, np.ndarray)
    np.testing.assert_array_equal(in_memory, expected)
    monkeypatch.setattr(matlab, "LAZY_BYTES", 1)

    rows = open_arrays(tmp_path / "x.mat")["data"]

    assert isinstance(rows, StackedRows)
    assert rows.shape == expected.shape
    for start, stop in ((0, 2), (2, 9), (4, 5), (0, 9), (3, 3)):
        np.testing.assert_array_equal(rows[start:stop], expected[start:stop])


def test_cells_that_differ_are_not_taken_for_equal_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their bytes: all is loaded, as cells of words are. In their shape alone: refused."""
    monkeypatch.setattr(matlab, "LAZY_BYTES", 1)
    words = put_in_cells([np.array("ab"), np.array("cd"), np.array("ef")])
    uneven = put_in_cells([np.ones((100, 100)), np.ones((2, 2)), np.ones((8, 8))])
    for cells in (uneven, words, put_in_cells([np.ones((7, 7)), np.ones((9, 9))])):
        savemat(tmp_path / "x.mat", {"data": cells})
        assert isinstance(open_arrays(tmp_path / "x.mat")["data"], np.ndarray)
    savemat(tmp_path / "x.mat", {"data": put_in_cells([np.ones((6, 6)), np.ones((4, 9))])})
    rows = open_arrays(tmp_path / "x.mat")["data"]
    with pytest.raises(InputError, match=r"x\.mat.*cells that differ"):
        rows[0:2]
    path = tmp_path / "x.mat"
    savemat(path, {"data": put_in_cells([np.ones((7, 7))] * 3)})
    rows = open_arrays(path)["data"]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"x\.mat.*ends early"):
        rows[2:3]
    assert load_rows(rows[0:2]).shape == (2, 7, 7)


@pytest.mark.usefixtures("few_rows_at_once")
def test_people_in_another_order_take_no_more_passes(
    tmp_path: Path, squares: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of one file in the reverse order of another's: rows are kept as they will be asked."""
    monkeypatch.setattr(matlab_rows, "PANEL_BYTES", 2 * 86 * 86 * 8)
    passes: list[range] = []
    read = ColumnRows._read_panel
    monkeypatch.setattr(
        ColumnRows, "_read_panel", lambda rows, asked: passes.append(asked) or read(rows, asked)
    )
    cohort = np.concatenate([squares, squares + 1, squares + 2])
    names = np.array([f"s{k:02d}" for k in range(12)], dtype=object)
    savemat(tmp_path / "a.mat", {"data": cohort, "subjects": names})
    savemat(tmp_path / "b.mat", {
        "data": np.concatenate([cohort[::-1], cohort[:1]]),
        "subjects": np.array([*names[::-1], "absent"], dtype=object),
        "ismissing": np.array([0] * 12 + [1]),
    })  # fmt: skip

    rows = open_connectomes([f"{FC}={tmp_path / 'a.mat'}", f"{SC}={tmp_path / 'b.mat'}"]).rows
    blocks = [
        np.concatenate([rows[flavor].read(start, start + 3) for start in range(0, 12, 3)])
        for flavor in (FC, SC)
    ]

    np.testing.assert_array_equal(blocks[0], cohort[:, UPPER[0], UPPER[1]])
    np.testing.assert_array_equal(blocks[1], blocks[0])
    assert len(passes) <= 2 * 7


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    """When it is opened, or, if it changes later, when rows are read."""
    path = tmp_path / "x.mat"
    savemat(path, {"data": np.ones((9, 300, 300))})
    rows = open_arrays(path)["data"]
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(InputError, match=r"x\.mat"):
        load_rows(rows)
    with pytest.raises(InputError, match=r"x\.mat"):
        open_arrays(path)


@pytest.mark.parametrize("version", ["v7", "v7.3"])
def test_strings_as_matlab_writes_them_are_read(tmp_path: Path, version: str) -> None:
    """Which scipy does not: they lie in another part of the file, as UTF-16."""
    if find_spec("matio") is None:
        pytest.skip("mat-io, which writes them, is not installed")
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        WRITE_STRINGS,
        str(tmp_path / "x.mat"),
        version,
    ]
    subprocess.run(command, check=True)

    arrays = read_arrays(tmp_path / "x.mat")

    assert arrays["string_scalar"].tolist() == ["Hello"]
    assert arrays["string_array"].tolist() == [
        "Apple",
        "Date",
        "Banana",
        "Fig",
        "Cherry",
        "Grapes",
    ]
    assert arrays["string_empty"].tolist() == [""]


def make_element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def add_object(path: Path, name: str, kind: str) -> None:
    """Add an object whose content is lost, as a reader without MATLAB finds it."""
    numbers = np.array([0xDD000000, 2, 1, 1, 1, 1], np.uint32).tobytes()
    reference = (
        make_element(6, struct.pack("<II", 13, 0)) + make_element(5, struct.pack("<ii", 6, 1))
        + make_element(1, b"") + make_element(6, numbers)
    )  # fmt: skip
    words = b"".join(make_element(1, word.encode()) for word in (name, "MCOS", kind))
    flags = make_element(6, struct.pack("<II", 17, 0))
    element = make_element(14, flags + words + make_element(14, reference))
    path.write_bytes(path.read_bytes() + element)


@pytest.mark.parametrize("kind", ["string", "table", "categorical"])
def test_names_that_nobody_can_read_are_refused(
    tmp_path: Path, squares: np.ndarray, kind: str
) -> None:
    """Never are rows numbered in their place; an object that is no name is passed over."""
    path = tmp_path / "x.mat"
    for name in ("subjects", "ID", "participant_id"):
        savemat(path, {"data": squares})
        add_object(path, name, kind)
        with pytest.raises(InputError, match=rf"{name} of .*class {kind}.*cellstr\({name}\)"):
            read_connectomes([f"{SC}={path}"])
    savemat(path, {"data": squares, "subjects": np.array(NAMES, dtype=object)})
    add_object(path, "demographics", kind)
    add_object(path, "ids", kind)

    assert read_connectomes([f"{SC}={path}"]).subjects == tuple(NAMES)


def test_a_sparse_matrix_is_a_matrix(tmp_path: Path, squares: np.ndarray) -> None:
    """As MATLAB users keep counts of streamlines."""
    square = np.where(np.abs(squares[0]) > 1, squares[0], 0)
    savemat(tmp_path / "x.mat", {"SC": csc_array(square)})

    found = read_connectomes([f"{SC}={tmp_path / 'x.mat'}"])

    np.testing.assert_array_equal(found.edges[SC], square[UPPER][None])
