"""Chunks of an HDF5 dataset: found by the process for foreign files, unpacked in this one.

HDF5 unpacks with zlib, and what it reads comes through a pipe; isal takes half of that time.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.byte_streams import damage_errors
from kraken_bids.io.foreign import read_apart
from kraken_bids.io.foreign_hdf5 import check_hdf5
from kraken_bids.io.foreign_kinds import Kind

DEFLATE = 1
"""Number of the filter."""


@dataclass(frozen=True)
class Chunks:
    """A dataset of which every chunk is there, packed by deflate and nothing else."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    lengths: tuple[int, ...]
    """Of a chunk."""
    table: NDArray[np.int64]
    """Place on each axis, first byte in the file, and number of bytes, a row per chunk."""

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read what lies from start to stop, multiples of a chunk's length, on the first axis.

        Raises
        ------
        ValueError
            If a chunk is damaged.
        """
        values = np.empty((stop - start, *self.shape[1:]), self.dtype)
        is_asked = (self.table[:, 0] >= start) & (self.table[:, 0] < stop)
        with self.path.open("rb") as file:
            for *place, first, n_bytes in self.table[is_asked].tolist():
                file.seek(first)
                chunk = self._unpack(file.read(n_bytes))
                place[0] -= start
                room = values[
                    tuple(slice(at, at + n) for at, n in zip(place, self.lengths, strict=True))
                ]
                room[...] = chunk[tuple(map(slice, room.shape))]  # the last ones reach beyond
        return values

    def _unpack(self, packed: bytes) -> NDArray[Any]:
        from isal import isal_zlib

        n_bytes = int(np.prod(self.lengths)) * self.dtype.itemsize
        unpacker = isal_zlib.decompressobj()
        try:
            # one more than there should be: the checksum behind them is looked at, too
            content = unpacker.decompress(packed, n_bytes + 1)
        except damage_errors() as error:
            raise ValueError(str(error)) from error
        if len(content) != n_bytes or not unpacker.eof:
            raise ValueError(f"a chunk that does not hold {n_bytes} bytes")
        return np.frombuffer(content, self.dtype).reshape(self.lengths)


def find_chunks(kind: Kind, path: Path, name: str) -> Chunks | None:
    """Find the chunks of a dataset; None where only HDF5 reads it.

    Parameters
    ----------
    kind : Kind
        For the message.
    name : str
        Its path inside.

    Raises
    ------
    KrakenBidsError
        As of :func:`~kraken_bids.io.foreign_hdf5.list_hdf5`.
    """
    found = read_apart(kind, _find, path, name)
    return None if found is None else Chunks(path, *found)


def _find(path: Path, name: str) -> tuple[Any, ...] | None:
    import h5py

    with h5py.File(path, "r") as file:
        node = file[name]
        check_hdf5(node)
        filters = node.id.get_create_plist()
        is_packed = filters.get_nfilters() == 1 and filters.get_filter(0)[0] == DEFLATE
        if not node.chunks or not is_packed or node.dtype.kind not in "fiu":
            return None
        chunks = _list_chunks(node.id)
        n_whole = np.prod([-(-n // of) for n, of in zip(node.shape, node.chunks, strict=True)])
        if len(chunks) != n_whole or any(one.filter_mask for one in chunks):
            return None
        # where a file begins with a part for others, libraries differ in where they count from
        with path.open("rb") as raw:
            raw.seek(chunks[0].byte_offset)
            if raw.read(chunks[0].size) != node.id.read_direct_chunk(chunks[0].chunk_offset)[1]:
                return None
        table = np.array([[*one.chunk_offset, one.byte_offset, one.size] for one in chunks])
        return node.shape, node.dtype, node.chunks, table


def _list_chunks(dataset: Any) -> list[Any]:
    """List where chunks lie, in one pass; libraries before HDF5 1.12.3 begin anew for each."""
    chunks: list[Any] = []
    if hasattr(dataset, "chunk_iter"):
        dataset.chunk_iter(chunks.append)
        return chunks
    return [dataset.get_chunk_info(k) for k in range(dataset.get_num_chunks())]
