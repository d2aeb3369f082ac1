"""Chunks of HDF5 datasets, unpacked without HDF5."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.foreign_kinds import Kind
from kraken_bids.io.hdf5_chunks import find_chunks
from kraken_bids.io.hdf5_rows import Hdf5Rows

KIND = Kind("HDF5", "Copy it again.")
VALUES = np.random.default_rng(0).normal(size=(7, 9, 5))


def write(folder: Path, dtype: str = "f4", **options: Any) -> Path:
    path = folder / "x.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("data", data=VALUES.astype(dtype), **options)
    return path


@pytest.mark.parametrize("dtype", ["f4", "<f8", ">f8", "i2"])
def test_numbers_are_those_that_hdf5_reads(tmp_path: Path, dtype: str) -> None:
    """Chunks that reach beyond the ends, a file that begins with something else."""
    path = write(tmp_path, dtype, chunks=(2, 4, 5), compression=3)
    chunks = find_chunks(KIND, path, "data")
    if chunks is None:
        assert h5py.version.hdf5_version_tuple < (1, 14, 4)
        pytest.skip("this HDF5 counts places from behind what a file begins with: it reads itself")
    np.testing.assert_array_equal(chunks.read(0, 7), VALUES.astype(dtype))
    np.testing.assert_array_equal(chunks.read(4, 6), VALUES.astype(dtype)[4:6])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (2, 4, 5)},
        {"chunks": (2, 4, 5), "compression": "lzf"},
        {"chunks": (2, 4, 5), "compression": 3, "shuffle": True},
        {"chunks": (2, 4, 5), "compression": 3, "fletcher32": True},
    ],
)
def test_what_is_packed_otherwise_is_left_to_hdf5(tmp_path: Path, options: dict[str, Any]) -> None:
    """No chunks, other filters; cells are the same."""
    path = write(tmp_path, **options)
    assert find_chunks(KIND, path, "data") is None
    rows = Hdf5Rows(path, "data", VALUES.shape, np.dtype("f4"), axis=-1, n_chunked=2)
    cells = np.concatenate(list(rows.read_cells()))
    np.testing.assert_array_equal(cells, VALUES.astype("f4").reshape(-1, 5))


def test_chunks_that_nobody_wrote_are_left_to_hdf5(tmp_path: Path) -> None:
    """It knows what stands in their place."""
    path = tmp_path / "x.mat"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", (7, 9), "f4", chunks=(2, 4), compression=3, fillvalue=3)
        data[:2] = 1
    assert find_chunks(KIND, path, "data") is None


@pytest.mark.parametrize("what", ["a byte", "a checksum", "a cut", "a larger one"])
def test_a_damaged_chunk_is_refused(tmp_path: Path, what: str) -> None:
    """Never numbers that were not written."""
    import zlib

    path = write(tmp_path, chunks=(2, 4, 5), compression=3)
    rows = Hdf5Rows(path, "data", VALUES.shape, np.dtype("f4"), axis=-1, n_chunked=2)
    with h5py.File(path) as file:
        last = file["data"].id.get_chunk_info(5)
    content = bytearray(path.read_bytes())
    end = last.byte_offset + last.size
    if what == "a byte":
        content[last.byte_offset + last.size // 2] ^= 255
    elif what == "a checksum":
        content[end - 1] ^= 255
    elif what == "a cut":
        content[end - 9 : end] = bytes(9)
    else:
        content[last.byte_offset : end] = zlib.compress(bytes(161), 0)[: last.size].ljust(
            last.size
        )
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.mat"):
        list(rows.read_cells())
