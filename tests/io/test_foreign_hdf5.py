"""HDF5 files from elsewhere, listed and read."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.foreign_hdf5 import list_hdf5, load_stored, read_dataset, read_hdf5
from kraken_bids.io.foreign_kinds import Kind

KIND = Kind("HDF5", "Copy it again.")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "x.h5"
    with h5py.File(found, "w") as file:
        file.attrs["format"] = "mine"
        file.attrs["reference"] = file.ref
        file.attrs["numbers"] = np.arange(3)
        file["names"] = ["a", "bé"]
        file["word"] = "x"
        file["group/small"] = np.arange(6, dtype=">f8").reshape(2, 3)
        file["group/large"] = np.arange(300_000.0).reshape(3, -1)
        file["group/none"] = h5py.Empty("f4")
        file["alias"] = file["group/small"]
        file["link"] = h5py.SoftLink("/group/small")
        file["outside"] = h5py.ExternalLink("other.h5", "/x")
        file["group/loop"] = file["group"]
    return found


def test_everything_is_listed_once(path: Path) -> None:
    """Groups, datasets and attributes; loops end, and links lead nowhere."""
    found = list_hdf5(KIND, path)
    names = set(found)
    assert len(names & {"alias", "group/small"}) == 1
    assert names - {"alias", "group/small"} == {
        "", "names", "word", "group", "group/large", "group/none"
    }  # fmt: skip
    assert set(found[""].attributes) == {"format", "numbers"}
    assert found[""].shape is None
    assert list(found["names"].value) == ["a", "bé"]
    assert found["word"].value == "x"
    assert found["group/large"].shape == (3, 100_000)
    assert found["group/large"].value is None


def test_values_and_rows_are_those_of_the_file(path: Path) -> None:
    """Whole, rows of the first or last axis, in another type, with the list or after it."""
    large = np.arange(300_000.0).reshape(3, -1)
    listed = list_hdf5(KIND, path)["group/large"]
    np.testing.assert_array_equal(load_stored(KIND, path, "group/large", listed), large)
    np.testing.assert_array_equal(read_hdf5(KIND, path)["group/large"], large)
    rows = slice(1, 3)
    np.testing.assert_array_equal(read_dataset(KIND, path, "group/large", rows), large[rows])
    last = read_dataset(KIND, path, "group/large", rows, is_last=True, dtype=np.float32)
    np.testing.assert_array_equal(last, large[:, rows].astype(np.float32))
    assert last.dtype == np.float32
    assert read_dataset(KIND, path, "group/small").dtype == np.dtype(">f8")
    assert read_dataset(KIND, path, "names").tolist() == ["a", "bé"]
    assert read_dataset(KIND, path, "word").item() == "x"


def test_what_cannot_be_read_is_said(path: Path, tmp_path: Path) -> None:
    """Datasets that are not there or hold nothing, and files that are cut or none."""
    with pytest.raises(InputError, match=r"expected HDF5 in .*x\.h5; found: .*'nowhere'"):
        read_dataset(KIND, path, "nowhere")
    with pytest.raises(InputError, match=r"x\.h5"):
        read_dataset(KIND, path, "group/none")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"x\.h5; found: .*truncated"):
        list_hdf5(KIND, path)


def test_names_in_another_encoding_are_refused(path: Path) -> None:
    """What is no UTF-8 comes as bytes from h5py, and is no name of anything of ours."""
    with h5py.File(path, "a") as file:
        file["Jörg".encode("latin-1")] = 1.0
    with pytest.raises(InputError, match=r"x\.h5; found: the name .*no UTF-8"):
        list_hdf5(KIND, path)
