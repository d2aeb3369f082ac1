"""HDF5 files of this package, whose bytes it writes itself, as all other files.

A full disk, a quota or a limit of file sizes that the HDF5 library meets while it closes a file
can end the whole process. Here the library only ever writes into memory.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from kraken_bids.io.files import atomic_path

if TYPE_CHECKING:
    import h5py
    from h5py import h5p


@contextmanager
def write_hdf5(path: Path) -> Iterator["h5py.File"]:
    """Give an HDF5 file in memory that becomes ``path`` if the block ends well.

    Parameters
    ----------
    path : path
        The file to be; its folder is made.

    Yields
    ------
    h5py.File
        To be filled.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written to.
    """
    import h5py  # here and below: most commands write none

    with atomic_path(path) as temporary:
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            yield file
        temporary.write_bytes(content.getbuffer())


def lay_out_hdf5(
    stream: IO[bytes], shapes: Mapping[str, tuple[int, int]], labels: Mapping[str, list[str]]
) -> dict[str, int]:
    """Write everything of an HDF5 file but its float32 numbers, which are for the caller to write.

    Parameters
    ----------
    stream : binary file
        New and empty; open for writing.
    shapes : mapping of str to (int, int)
        Path inside the file and shape of every dataset of float32.
    labels : mapping of str to list of str
        Datasets of text, which are written here.

    Returns
    -------
    dict of str to int
        Where in the file each dataset's numbers begin: little-endian, row after row.
    """
    import h5py
    from h5py import h5d, h5s, h5t

    recorder = _Recorder()
    offsets = {}
    with h5py.File(recorder, "w") as file:
        for name, words in labels.items():
            file.create_dataset(name, data=words, dtype=h5py.string_dtype())
        for name, shape in shapes.items():
            folder, _, leaf = name.rpartition("/")
            group = file.require_group(folder) if folder else file
            space = h5s.create_simple(shape)
            made = h5d.create(group.id, leaf.encode(), h5t.IEEE_F32LE, space, _contiguous())
            offsets[name] = int(made.get_offset() or 0)
    for position, content in recorder.written.items():
        stream.seek(position)
        stream.write(content)
    stream.truncate(recorder.size)
    return offsets


def _contiguous() -> "h5p.PropDCID":
    """Numbers that have their place in the file at once, and are not filled with zeros."""
    from h5py import h5d, h5p

    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_layout(h5d.CONTIGUOUS)
    properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)  # the same content gives the same bytes
    return properties


class _Recorder(io.RawIOBase):
    """A file that keeps what is written and where; the gaps between take no memory."""

    def __init__(self) -> None:
        self.written: dict[int, bytes] = {}
        """Content by position; what comes later lies over what came before."""
        self.size = 0
        self._position = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Give back what was written there, zeros in the gaps."""
        start, end = self._position, min(self._position + len(buffer), self.size)
        found = np.zeros(max(0, end - start), np.uint8)
        for position, content in self.written.items():
            low, high = max(start, position), min(end, position + len(content))
            if low < high:
                part = content[low - position : high - position]
                found[low - start : high - start] = np.frombuffer(part, np.uint8)
        buffer[: len(found)] = found.tobytes()
        self._position += len(found)
        return len(found)

    def write(self, content: bytes | memoryview) -> int:  # type: ignore[override]
        kept = bytes(content)
        # a later write over the same place comes later in the order as well
        self.written.pop(self._position, None)
        self.written[self._position] = kept
        self._position += len(kept)
        self.size = max(self.size, self._position)
        return len(kept)

    def truncate(self, size: int | None = None) -> int:
        self.size = self._position if size is None else size
        return self.size
