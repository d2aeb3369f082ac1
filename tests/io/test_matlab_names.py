"""Names and numbers as most MATLAB files have them are read here, as scipy reads them."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

from kraken_bids.exceptions import InputError
from kraken_bids.io import matlab
from kraken_bids.io.matlab import open_mat, stack_cells
from kraken_bids.io.matlab_bounds import list_variables
from kraken_bids.io.matlab_names import read_plain
from kraken_bids.io.named_arrays import open_arrays

NAMES = np.array(["b", "sub-01", "a a ", "0017"], dtype=object)
PLAIN = {
    "row": NAMES,
    "column": NAMES[:, None],
    "long": np.array(["x" * 5000, "y"], dtype=object),
    "two": NAMES[:2],
    "whole": np.arange(7),
    "real": np.arange(7.0)[:, None] / 3,
    "single": np.arange(6, dtype=np.float32).reshape(2, 3),
    "cube": np.arange(24.0).reshape(2, 3, 4),
    "alone": 3.5,
    "count": 100,
    "flags": np.array([True, False]),
}
OTHER = {
    "letters": np.array(["Müller", "b"], dtype=object),
    "breaks": np.array(["a\nb", "b"], dtype=object),
    "empty": np.array(["", "b"], dtype=object),
    "mixed": np.array(["a", 3.0], dtype=object),
    "nested": np.array([np.array(["a", "b"], dtype=object), "b"], dtype=object),
    "grid": np.array([["a", "b"], ["c", "d"]], dtype=object),
    "one": np.array(["a"], dtype=object),
    "matrix": np.array(["ab", "cd"]),
    "nothing": np.empty(0),
    "complex": np.array([1j, 2]),
    "sparse": csc_array(np.eye(3)),
    "struct": {"a": 1.0},
    "many": np.array(["x" * 9_000_000, "y"], dtype=object),
}


def read_by_scipy(path: Path, name: str) -> np.ndarray:
    return stack_cells(np.asarray(loadmat(path, simplify_cells=True)[name]))


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("is_packed", [True, False])
def test_plain_variables_are_as_scipy_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_packed: bool
) -> None:
    """And no other process is asked."""
    monkeypatch.delattr(matlab, "read_apart")
    path = tmp_path / "x.mat"
    savemat(path, {name: PLAIN[name], "other": np.eye(2)}, do_compression=is_packed)

    found, expected = np.asarray(open_mat(path)[name]), read_by_scipy(path, name)

    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("is_packed", [True, False])
def test_other_variables_are_left_to_scipy(tmp_path: Path, name: str, is_packed: bool) -> None:
    path = tmp_path / "x.mat"
    savemat(path, {"ids": NAMES, name: OTHER[name]}, do_compression=is_packed)

    assert read_plain(path, list_variables(path)) is None


def make_element(order: str, kind: int, data: bytes) -> bytes:
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def make_array(order: str, kind: int, lengths: tuple[int, int], *content: bytes) -> bytes:
    head = [struct.pack(f"{order}II", kind, 0), struct.pack(f"{order}ii", *lengths)]
    parts = [make_element(order, 6, head[0]), make_element(order, 5, head[1])]
    name = b"" if kind == 4 else b"ids"
    return make_element(order, 14, b"".join([*parts, make_element(order, 1, name), *content]))


def make_mat(order: str, stored: int, encoding: str) -> bytes:
    """Write names as MATLAB itself does, whose letters have two bytes."""
    cells = [
        make_array(order, 4, (1, len(one)), make_element(order, stored, one.encode(encoding)))
        for one in NAMES
    ]
    first = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}HH", 0x100, 0x4D49)
    return first + make_array(order, 1, (1, len(NAMES)), *cells)


@pytest.mark.parametrize(
    ("order", "stored", "encoding"),
    [("<", 4, "utf-16-le"), (">", 4, "utf-16-be"), (">", 16, "utf-8"), ("<", 17, "utf-16-le")],
)
def test_letters_of_both_orders_of_bytes_are_read(
    tmp_path: Path, order: str, stored: int, encoding: str
) -> None:
    path = tmp_path / "x.mat"
    path.write_bytes(make_mat(order, stored, encoding))

    found = read_plain(path, list_variables(path))

    assert found is not None
    np.testing.assert_array_equal(
        stack_cells(found["ids"]), read_by_scipy(path, "ids"), strict=True
    )


@pytest.mark.parametrize("is_packed", [True, False])
def test_names_are_never_lost_where_a_file_is_cut(tmp_path: Path, is_packed: bool) -> None:
    path = tmp_path / "x.mat"
    savemat(path, {"data": np.eye(2)}, do_compression=is_packed)
    n_before = path.stat().st_size
    savemat(path, {"data": np.eye(2), "ids": NAMES}, do_compression=is_packed)
    whole = path.read_bytes()

    for n_bytes in {*range(n_before + 1, n_before + 9), n_before + 60, len(whole) - 1}:
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(InputError, match=r"x\.mat"):
            open_arrays(path)


def test_a_bit_that_flipped_in_packed_names_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    savemat(path, {"ids": NAMES}, do_compression=True)
    whole = path.read_bytes()

    for place in range(128 + 8, len(whole)):
        path.write_bytes(flip(whole, place))
        assert read_or_nothing(path) is None


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def read_or_nothing(path: Path) -> Any:
    try:
        return read_plain(path, list_variables(path))
    except matlab.BROKEN:
        return None


def test_a_bit_that_flipped_in_the_frame_of_names_changes_none(tmp_path: Path) -> None:
    """Lengths, types and shapes must agree with each other; letters have no checksum."""
    path = tmp_path / "x.mat"
    path.write_bytes(whole := make_mat("<", 4, "utf-16-le"))

    for place in range(128, len(whole), 3):
        path.write_bytes(flip(whole, place))
        found = read_or_nothing(path)
        assert found is None or [len(one) for one in found.get("ids", NAMES)] == [
            len(one) for one in NAMES
        ]


def test_one_endless_name_takes_no_memory_for_all(tmp_path: Path) -> None:
    """As an array of words, each in the length of the longest, they would fill the memory."""
    names = np.array(["x" * 300_000, *"y" * 400], dtype=object)
    savemat(tmp_path / "x.mat", {"ids": names}, do_compression=True)

    with pytest.raises(InputError, match="declares 481,200,000 bytes"):
        open_arrays(tmp_path / "x.mat")


def test_what_is_no_variable_is_refused(tmp_path: Path) -> None:
    """It may have been the one of the names."""
    path = tmp_path / "x.mat"
    savemat(path, {"data": np.eye(2)})
    path.write_bytes(path.read_bytes() + make_element("<", 9, bytes(8)))

    with pytest.raises(InputError, match="type 9"):
        open_arrays(path)


def test_two_variables_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    savemat(path, {"ids": NAMES})
    path.write_bytes(path.read_bytes() + path.read_bytes()[128:])

    with pytest.raises(InputError, match="Duplicate"):
        open_arrays(path)
