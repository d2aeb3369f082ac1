"""HDF5 files: written as they should be, and no crash where they cannot be."""

import io
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.hdf5 import lay_out_hdf5, write_hdf5

RNG = np.random.default_rng(5)
LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from kraken_bids.io.hdf5 import write_hdf5
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with write_hdf5(Path(sys.argv[1])) as file:
    file.create_dataset("numbers", data=np.random.default_rng(0).random((100, 1000)))
"""


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Groups, attributes and compressed data, in a folder that is made; nothing is left beside."""
    path, numbers = tmp_path / "new" / "a.h5", RNG.normal(size=(30, 40))
    with write_hdf5(path) as file:
        file.create_dataset("x/y", data=numbers, compression="gzip", shuffle=True)
        file.attrs["format"] = "1"

    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["x/y"][:], numbers)
        assert file.attrs["format"] == "1"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """Nothing is written before all is there."""
    path = tmp_path / "a.h5"
    path.write_text("old")
    with pytest.raises(TypeError), write_hdf5(path) as file:
        file["x"] = object()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_takes_no_more_is_an_error_and_no_crash(tmp_path: Path) -> None:
    """A limit of file sizes stands for a full disk; the library itself would end the process."""
    path = tmp_path / "a.h5"
    command = [sys.executable, "-c", LIMITED, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1, done
    assert InputError.__name__ in done.stderr
    assert str(path) in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_are_written_in_place_are_read_as_datasets() -> None:
    """Written in any order and by blocks; labels beside them; an empty one too."""
    shapes = {"a/x": (70, 50), "a/y": (3, 2000), "b/z": (0, 5), "top": (1, 1)}
    arrays = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    stream = io.BytesIO()
    places = lay_out_hdf5(stream, shapes, {"subjects": ["01", "ä2"]})
    for name in reversed(arrays):
        for start in range(0, len(arrays[name]), 7):
            block = arrays[name][start : start + 7]
            stream.seek(places[name] + start * arrays[name].strides[0])
            stream.write(block.tobytes())

    stream.seek(0)
    with h5py.File(stream) as file:
        assert [word.decode() for word in file["subjects"][:]] == ["01", "ä2"]
        for name, numbers in arrays.items():
            assert file[name].dtype == np.float32
            np.testing.assert_array_equal(file[name][:], numbers)


def test_many_datasets_are_laid_out_too() -> None:
    """So many that the library moves its tables of names while it writes."""
    shapes = {f"source{k % 9}/target{k}": (2, k + 1) for k in range(400)}
    stream = io.BytesIO()
    places = lay_out_hdf5(stream, shapes, {})
    for name, shape in shapes.items():
        stream.seek(places[name])
        stream.write(np.full(shape, shape[1], "<f4").tobytes())

    stream.seek(0)
    with h5py.File(stream) as file:
        for name, shape in shapes.items():
            np.testing.assert_array_equal(file[name][:], np.full(shape, shape[1]))
