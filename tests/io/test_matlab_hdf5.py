"""MATLAB files of version 7.3, which are HDF5, give the same as those of earlier versions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.hdf5_rows import Hdf5Rows
from kraken_bids.io.matlab_hdf5 import CellRows
from kraken_bids.io.named_arrays import open_arrays, read_arrays
from kraken_bids.parcellations import load_parcellation

SC = parse_flavor("SCifod2act_fs86_volnorm")
UPPER = np.triu_indices(86, 1)
NAMES = ["b", "a", "d", "c"]


@pytest.fixture
def squares() -> np.ndarray:
    x = np.random.default_rng(2).normal(size=(4, 86, 86))
    return (x + x.swapaxes(1, 2)) / 2


class File73:
    """Writes as MATLAB does with -v7.3."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "File73":
        self._file = h5py.File(self._path, "w", userblock_size=512)
        self._refs = self._file.create_group("#refs#")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        with self._path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")

    def numbers(self, name: str, array: Any, kind: str = "double") -> h5py.Dataset:
        """Write an array of numbers, its axes from last to first."""
        return self._put(name, np.atleast_2d(array).T, kind)

    def words(self, name: str, text: str | list[str]) -> h5py.Dataset:
        """Write a character array, one word in each row."""
        rows = [text] if isinstance(text, str) else text
        codes = [[ord(letter) for letter in row] for row in rows]
        return self._put(name, np.array(codes, np.uint16).T, "char")

    def cells(self, name: str, values: list[Any]) -> None:
        """Write a cell array of words or arrays."""
        members = []
        for value in values:
            key = f"#refs#/{len(self._refs):03d}"
            one = self.words(key, value) if isinstance(value, str) else self.numbers(key, value)
            members.append(one.ref)
        dataset = self._file.create_dataset(name, (1, len(members)), h5py.ref_dtype)
        dataset[0] = members
        dataset.attrs["MATLAB_class"] = np.bytes_("cell")

    def struct(self, name: str) -> None:
        """Begin a struct; its fields are ``name/field``."""
        self._file.create_group(name).attrs["MATLAB_class"] = np.bytes_("struct")

    def structs(self, name: str, fields: dict[str, list[Any]]) -> None:
        """Write an array of structs: of each field a reference per struct."""
        self.struct(name)
        for field, values in fields.items():
            self.cells(f"{name}/{field}", values)
            del self._file[f"{name}/{field}"].attrs["MATLAB_class"]

    def _put(self, name: str, stored: np.ndarray, kind: str) -> h5py.Dataset:
        dataset = self._file.create_dataset(name, data=stored)
        dataset.attrs["MATLAB_class"] = np.bytes_(kind)
        return dataset


@pytest.mark.parametrize("layout", ["people first", "people last", "edges", "edges last", "cells"])
@pytest.mark.parametrize("names", ["cells", "characters", "numbers"])
def test_version_73_gives_the_same_edges(
    tmp_path: Path, squares: np.ndarray, layout: str, names: str
) -> None:
    """Its axes lie from last to first; which is that of the people is told by the sizes."""
    edges = squares[:, UPPER[0], UPPER[1]]
    with File73(tmp_path / "x.mat") as file:
        if layout == "cells":
            file.cells("SC", list(squares))
        else:
            file.numbers("SC", {
                "people first": squares, "people last": np.moveaxis(squares, 0, -1),
                "edges": edges, "edges last": edges.T,
            }[layout])  # fmt: skip
        if names == "cells":
            file.cells("subjects", NAMES)
        elif names == "characters":
            file.words("subjects", NAMES)
        else:
            file.numbers("subjects", np.arange(7, 11.0))
        file.numbers("ismissing", [0, 0, 1, 0], "logical")

    found = read_connectomes([f"{SC}={tmp_path / 'x.mat'}"])

    assert found.subjects == (("7", "8", "10") if names == "numbers" else ("b", "a", "c"))
    np.testing.assert_array_equal(found.edges[SC], edges[[0, 1, 3]])


def test_large_cells_stay_on_disk(tmp_path: Path) -> None:
    """One matrix each, of another type at the end: then all come into memory, as before."""
    squares = np.random.default_rng(3).normal(size=(80, 86, 86))
    squares += squares.swapaxes(1, 2)
    for last in (squares[-1], squares[-1].astype(np.float32)):
        with File73(tmp_path / "x.mat") as file:
            file.cells("SC", [*squares[:-1], last])
            file.words("subjects", [f"{k:02d}" for k in range(80)])
        rows = open_arrays(tmp_path / "x.mat")["SC"]
        assert isinstance(rows, CellRows) == (last.dtype == np.float64)
        assert rows.shape == squares.shape
        np.testing.assert_array_equal(rows[5:9], squares[5:9])
        assert rows[3:3].shape == (0, 86, 86)
        found = read_connectomes([f"{SC}={tmp_path / 'x.mat'}"])
        np.testing.assert_allclose(found.edges[SC], squares[:, UPPER[0], UPPER[1]], rtol=1e-6)


def test_cells_have_the_axes_of_matlab(tmp_path: Path) -> None:
    """Edges in columns, and matrices that are not symmetric."""
    values = np.random.default_rng(4).normal(size=(3, 500, 400))
    with File73(tmp_path / "x.mat") as file:
        file.cells("matrices", list(values))
        file.cells("columns", list(values.reshape(3, -1, 1)))
    arrays = open_arrays(tmp_path / "x.mat")
    assert isinstance(arrays["matrices"], CellRows)
    assert isinstance(arrays["columns"], CellRows)
    np.testing.assert_array_equal(arrays["matrices"][:], values)
    np.testing.assert_array_equal(arrays["columns"][1:], values.reshape(3, -1)[1:])


def test_one_person_in_version_73(tmp_path: Path, squares: np.ndarray) -> None:
    """A square, and edges as a row or a column."""
    edges = squares[0][UPPER]
    for array in (squares[0], edges[None], edges[:, None]):
        with File73(tmp_path / "sub-01.mat") as file:
            file.numbers("data", array)

        found = read_connectomes([f"{SC}={tmp_path / 'sub-01.mat'}"])

        assert found.subjects == ("01",)
        np.testing.assert_array_equal(found.edges[SC], edges[None])


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 4), (1, 3, 4)])
def test_axes_of_version_73_are_those_of_matlab(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """What is not symmetric is not turned round, read whole or by rows."""
    array = np.arange(np.prod(shape)).reshape(shape)
    with File73(tmp_path / "x.mat") as file:
        file.numbers("x", array, "int64")

    np.testing.assert_array_equal(read_arrays(tmp_path / "x.mat")["x"], array.squeeze())
    rows = open_arrays(tmp_path / "x.mat")["x"]
    if isinstance(rows, Hdf5Rows):
        by_first, by_last = replace(rows, axis=-1), rows
        np.testing.assert_array_equal(by_first[1:3], array[1:3])
        np.testing.assert_array_equal(by_last[1:3], np.moveaxis(array, -1, 0)[1:3])


@pytest.mark.parametrize("n_people", [86, 3655])
def test_sizes_that_do_not_tell_people_from_regions_are_refused(
    tmp_path: Path, n_people: int
) -> None:
    """As many people as regions, or as edges, in a file whose axes may be either way round."""
    shape = (86, 86, 86) if n_people == 86 else (3655, 3655)
    with File73(tmp_path / "x.mat") as file:
        file._put("SC", np.broadcast_to(np.float32(0), shape), "single")

    with pytest.raises(ConnectomeError, match="tell subjects from regions"):
        read_connectomes([f"{SC}={tmp_path / 'x.mat'}"])


def test_an_own_parcellation_in_version_73_is_told_by_its_number_of_edges(tmp_path: Path) -> None:
    """28 edges of 8 regions, not 5 people; 6 and 10 may both be edges."""
    edges = np.random.default_rng(0).normal(size=(5, 28))
    for array in (edges, edges.T):
        with File73(tmp_path / "x.mat") as file:
            file.numbers("data", array)
        found = read_connectomes([f"SCx_mine_count={tmp_path / 'x.mat'}"])
        np.testing.assert_array_equal(found.edges["SCx_mine_count"], edges)
    with File73(tmp_path / "x.mat") as file:
        file.numbers("data", edges[:, :10].repeat(2, axis=0)[:6])
    with pytest.raises(ConnectomeError, match="either way round"):
        read_connectomes([f"SCx_mine_count={tmp_path / 'x.mat'}"])


@pytest.mark.parametrize("link", [h5py.ExternalLink("other.h5", "/x"), h5py.SoftLink("/y")])
def test_version_73_with_links_elsewhere_is_refused(tmp_path: Path, link: object) -> None:
    """Values must lie in the file itself."""
    with File73(tmp_path / "x.mat") as file:
        file._file["data"] = link

    with pytest.raises(InputError, match="a link 'data'"):
        open_arrays(tmp_path / "x.mat")


def test_structs_are_looked_into(tmp_path: Path, squares: np.ndarray) -> None:
    """Names beside a matrix in one struct, which stays on disk; and one struct per subject."""
    names, order = list(load_parcellation("fs86").region_names), np.arange(86)[::-1]
    with File73(tmp_path / "one.mat") as file:
        for group in ("conn", "conn/inner"):
            file.struct(group)
        file.numbers("conn/inner/matrix", squares[0][np.ix_(order, order)])
        file.cells("conn/inner/names", [names[k] for k in order])
        file.words("conn/note", "made by hand")
    arrays = open_arrays(tmp_path / "one.mat")
    assert isinstance(arrays["conn.inner.matrix"], Hdf5Rows)
    found = read_connectomes([f"{SC}={tmp_path / 'one.mat'}"])
    np.testing.assert_array_equal(found.edges[SC][0], squares[0][UPPER])

    with File73(tmp_path / "many.mat") as file:
        file.structs("S", {"id": ["u", "v"], "SC": [squares[0], 3 * squares[1]]})
    found = read_connectomes([f"{SC}={tmp_path / 'many.mat'}"])
    assert found.subjects == ("u", "v")
    np.testing.assert_array_equal(found.edges[SC][1], 3 * squares[1][UPPER])


def test_one_array_in_many_fields_is_refused(tmp_path: Path) -> None:
    """Hundreds of references to one array declare more than the file stores."""
    with File73(tmp_path / "x.mat") as file:
        file.struct("S")
        file.numbers("S/a000", np.zeros((1, 1_000_000)))
        for number in range(1, 600):
            file._file[f"S/a{number:03d}"] = file._file["S/a000"]
    with pytest.raises(InputError, match="structs that declares"):
        open_arrays(tmp_path / "x.mat")


def test_a_struct_is_no_connectome(tmp_path: Path, squares: np.ndarray) -> None:
    """Refused with a message, in either version."""
    savemat(tmp_path / "old.mat", {"data": {"SC": squares}})
    with File73(tmp_path / "new.mat") as file:
        group = file._file.create_group("data")
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        group["SC"] = squares

    for name in ("old", "new"):
        for flavor in (SC, "SCx_mine_volnorm"):
            with pytest.raises(ConnectomeError, match=name):
                read_connectomes([f"{flavor}={tmp_path / name}.mat"])
