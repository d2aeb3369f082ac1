"""Track files of MRtrix (.tck, .tck.gz), read in blocks: memory does not grow with the file."""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kraken_bids.exceptions import InputError
from kraken_bids.io.byte_streams import (
    MAX_TRACK_VERTICES,
    check_unpacked,
    damage_errors,
    explain_cut,
    open_stream,
    read_to_end,
    read_track_header,
)
from kraken_bids.io.mif import read_mrtrix_header
from kraken_bids.io.track_blocks import TrackBlock, Vertices

BLOCK_VERTICES = 1 << 19
"""Vertices per read: 6 MB of float32."""
MAGIC = b"mrtrix tracks"
NUMBER = re.compile(r"[0-9]{1,18}")
DTYPES = {
    "Float32": "=f4",
    "Float32LE": "<f4",
    "Float32BE": ">f4",
    "Float64": "=f8",
    "Float64LE": "<f8",
    "Float64BE": ">f8",
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TckFile:
    """A track file of MRtrix; its header is read, its tracks are not."""

    path: Path
    header: Mapping[str, str]
    """Keys of the header; repeated ones (``command_history``) joined by line breaks."""
    dtype: np.dtype[np.floating[Any]]
    """Of the coordinates, byte order included."""
    data_path: Path
    """File that holds the coordinates: the track file itself, as a rule."""
    offset: int
    """Where they begin, bytes."""

    @property
    def n_declared(self) -> int:
        """Number of tracks that the header declares; 0 where it does not say."""
        return _parse_number(self.header.get("count", "")) or 0

    def ends(self) -> Iterator[Vertices]:
        """First and last vertex of every track, in file order.

        Follows MRtrix: a NaN in the first coordinate ends a track and an infinity ends the file,
        whatever their bits; what follows is not read. With a ``count`` above 0 in the header, only
        so many tracks are given. A track of one vertex has equal ends. A track without vertices
        has NaN ends, which belong to no region (MRtrix 3.0.3 repeats the track before, a fault
        mended in its pull request 3372).

        Yields
        ------
        ndarray of shape (n_tracks, 2, 3)
            RAS mm, type as stored. All blocks together give every track once.

        Raises
        ------
        InputError
            If the file ends without its end mark or inside a track: it was cut.
        """
        for block in self.blocks():
            yield block.ends

    def blocks(self) -> Iterator[TrackBlock]:
        """Whole tracks, for what needs more than their ends; the tracks are those of :meth:`ends`.

        Yields
        ------
        TrackBlock
            Vertices in RAS mm, type as stored; overwritten when the next block is asked for.

        Raises
        ------
        InputError
            As :meth:`ends`.
        """
        left = self.n_declared or np.iinfo(np.int64).max
        for block in self._read_blocks():
            if len(block) and left:
                yield block.take(left)
            left -= min(left, len(block))

    def _read_blocks(self) -> Iterator[TrackBlock]:
        try:
            with open_stream(self.data_path) as stream:
                stream.seek(self.offset)
                reader = _BlockReader(stream, self.dtype)
                while not reader.is_done:
                    yield reader.read()
                    check_unpacked(stream, self.data_path)
                read_to_end(stream, self.data_path)
        except damage_errors() as error:
            raise InputError(explain_cut(self.data_path, error)) from error


def open_tck(path: Path) -> TckFile:
    """Header of a track file of MRtrix.

    Parameters
    ----------
    path : path
        ``.tck`` or ``.tck.gz``.

    Raises
    ------
    InputError
        If it is missing, is something else, or its header is incomplete.
    """
    path = Path(path)
    keys = read_track_header(path, lambda stream: read_mrtrix_header(stream, MAGIC))
    header = {key: "\n".join(values) for key, values in keys.items()}
    name, _, place = header.get("file", "").strip().rpartition(" ")
    offset = _parse_number(place)
    if header.get("datatype") not in DTYPES or offset is None or "\0" in name:
        raise InputError(
            f"expected `datatype: Float32LE` (or BE, Float64) and `file: . OFFSET` in the header "
            f"of {path}; found datatype {header.get('datatype')!r}, file {header.get('file')!r}. "
            "Write it again with MRtrix (tckedit)."
        )
    return TckFile(
        path=path,
        header=header,
        dtype=np.dtype(DTYPES[header["datatype"]]),
        data_path=path if name.strip() in {"", "."} else path.parent / name.strip(),
        offset=offset,
    )


def _parse_number(text: str) -> int | None:
    """Count or offset; None where it is no number that a file can have."""
    return int(text) if NUMBER.fullmatch(text.strip()) else None


class _BlockReader:
    """Reads whole tracks into one buffer; bytes of a track still open move to its front."""

    def __init__(self, stream: BinaryIO, dtype: np.dtype[np.floating[Any]]) -> None:
        self.is_done = False
        self._stream = stream
        self._dtype = dtype
        self._n_bytes = 3 * dtype.itemsize
        self._buffer = np.empty(BLOCK_VERTICES * self._n_bytes, np.uint8)
        self._begin = self._end = 0

    def read(self) -> TrackBlock:
        """Return the tracks that stop within the next bytes."""
        self._make_room()
        space = self._buffer[self._end :].data
        n_read: int = self._stream.readinto(space)  # type: ignore[attr-defined]
        if not n_read:
            raise EOFError("the end mark is missing")
        self._end += n_read
        n_whole = (self._end - self._begin) // self._n_bytes * self._n_bytes
        vertices = self._buffer[self._begin : self._begin + n_whole].view(self._dtype)
        if not self._dtype.isnative:
            vertices = vertices.astype(self._dtype.newbyteorder("="))
        block = self._split(vertices.reshape(-1, 3))
        if len(block):
            self._begin += (int(block.stops[-1]) + 1) * self._n_bytes
        return block

    def _make_room(self) -> None:
        kept = self._buffer[self._begin : self._end].copy()
        if len(kept) > MAX_TRACK_VERTICES * self._n_bytes:
            raise ValueError(f"a track of more than {MAX_TRACK_VERTICES:,} vertices")
        if 2 * len(kept) > len(self._buffer):  # a track longer than half the buffer
            self._buffer = np.empty(2 * len(self._buffer), np.uint8)
        self._buffer[: len(kept)] = kept
        self._begin, self._end = 0, len(kept)

    def _split(self, vertices: Vertices) -> TrackBlock:
        """Find the NaN behind each track, and the end mark."""
        x = vertices[:, 0]
        stops = np.flatnonzero(~np.isfinite(x))
        file_ends = np.flatnonzero(np.isinf(x[stops]))
        if file_ends.size:
            self.is_done = True
            mark, stops = stops[file_ends[0]], stops[: file_ends[0]]
            if mark > (stops[-1] + 1 if len(stops) else 0):
                # As in MRtrix; it happens where writing was broken off between two flushes.
                logger.warning("vertices before the end mark that no NaN closes are no track")
        starts = np.concatenate([[0], stops[:-1] + 1])[: len(stops)]
        return TrackBlock(vertices, starts, stops)
