"""Tractograms of the format TRX, a zip file or a folder, read in blocks and never unpacked."""

import logging
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.byte_streams import MAX_TRACK_VERTICES, explain_cut
from kraken_bids.io.texts import parse_json
from kraken_bids.io.track_blocks import TrackBlock, Vertices
from kraken_bids.io.trx_members import list_members, open_member

BLOCK_VERTICES = 1 << 19
"""Vertices per read, about."""
BLOCK_TRACKS = 1 << 16
MAX_HEADER_BYTES = 1 << 20
POSITIONS = re.compile(r"positions\.3\.(float16|float32|float64)")
OFFSETS = re.compile(r"offsets\.(uint32|uint64|int32|int64)")
WEIGHTS = re.compile(
    r"dps/(?P<name>[^/]*(?:weight|sift2)[^/.]*)(?:\.1)?\.(?P<type>float(16|32|64))"
)
"""Data per streamline that are SIFT2 weights by their name."""
GROUPS = re.compile(r"groups/(?P<name>[^/]+)\.(?P<type>u?int(8|16|32|64))")
"""Numbers of the streamlines that belong together, from 0 on."""
BROKEN = (
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    zlib.error,
    zipfile.BadZipFile,
)
"""What reading a damaged, encrypted or oddly packed zip file raises."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrxFile:
    """A tractogram of the format TRX; its header is read, its tracks are not."""

    path: Path
    """A zip file, or a folder."""
    header: Mapping[str, str]
    n_declared: int
    """Number of tracks."""
    n_vertices: int
    """Vertices of all tracks."""
    members: Mapping[str, int]
    """Files in it, and their bytes."""

    @property
    def weights_name(self) -> str | None:
        """File of the SIFT2 weights in it, ``dps/weights.float32``; None where there is none."""
        found = {m["name"].lower(): m[0] for m in map(WEIGHTS.fullmatch, self.members) if m}
        if len(found) > 1 and "weights" not in found:
            logger.warning("%s: which of %s are the weights?", self.path, ", ".join(found))
            return None
        return found.get("weights", next(iter(found.values()), None))

    def read_weights(self) -> NDArray[np.float32]:
        """Weights of all tracks, from the data per streamline.

        Raises
        ------
        InputError
            If there are none, not as many as tracks, or the file is damaged.
        """
        name = self.weights_name
        if name is None:
            raise InputError(
                f"expected weights (dps/weights.float32) in {self.path}; found none. Give them as "
                "text with --tractogram-weights."
            )
        dtype = _dtype_of(name)
        self._check_size(name, self.n_declared * dtype.itemsize)
        try:
            with self._open(name) as stream:
                return _read(stream, self.n_declared, dtype).astype(np.float32)
        except BROKEN as error:
            raise InputError(explain_cut(self.path, error)) from error

    def read_groups(self) -> dict[str, NDArray[np.int64]]:
        """Numbers, from 0 on, of the streamlines of each group.

        Raises
        ------
        InputError
            If a group names a streamline that is not there, or the file is damaged.
        """
        groups = {}
        try:
            for match in filter(None, map(GROUPS.fullmatch, self.members)):
                dtype = _dtype_of(match[0])
                with self._open(match[0]) as stream:
                    n = self.members[match[0]] // dtype.itemsize
                    own = _read(stream, n, dtype).astype(np.int64)
                if len(own) and not 0 <= own.min() <= own.max() < self.n_declared:
                    raise ValueError(f"the group {match['name']} with a streamline too many")
                groups[match["name"]] = own
        except BROKEN as error:
            raise InputError(explain_cut(self.path, error)) from error
        return groups

    def ends(self) -> Iterator[Vertices]:
        """First and last vertex of every track, in file order.

        Yields
        ------
        ndarray of shape (n_tracks, 2, 3)
            RAS mm, float32 (of float16 too) or float64. NaN for a track without vertices.

        Raises
        ------
        InputError
            If the file was cut, or its tracks do not fit its vertices.
        """
        for block in self.blocks():
            yield block.ends

    def blocks(self) -> Iterator[TrackBlock]:
        """Whole tracks, for what needs more than their ends; raises as :meth:`ends`.

        Yields
        ------
        TrackBlock
            Vertices in RAS mm.
        """
        positions, offsets = _find_arrays(self.path, self.members)
        dtype = _dtype_of(positions)
        self._check_size(positions, self.n_vertices * 3 * dtype.itemsize)
        try:
            with self._open(positions) as vertices, self._open(offsets) as starts:
                for counts in self._read_counts(starts, offsets):
                    read = _read(vertices, 3 * int(counts.sum()), dtype).reshape(-1, 3)
                    stops = np.cumsum(counts)
                    yield TrackBlock(read, stops - counts, stops)
        except BROKEN as error:
            if isinstance(error, InputError):
                raise
            raise InputError(explain_cut(self.path, error)) from error

    def _read_counts(self, stream: BinaryIO, name: str) -> Iterator[NDArray[np.intp]]:
        """Yield vertices per track, for as many tracks as are read at once."""
        dtype = _dtype_of(name)
        # the last number, that of all vertices, was added to the format later
        is_closed = self.members[name] != self.n_declared * dtype.itemsize
        self._check_size(name, (self.n_declared + is_closed) * dtype.itemsize)
        last = int(_read(stream, 1, dtype)[0]) if self.n_declared else 0
        if last != 0:
            raise self._explain_offsets(f"the first track begins at vertex {last}")
        left = self.n_declared if is_closed else self.n_declared - 1
        while left > 0:
            read = _read(stream, min(left, BLOCK_TRACKS), dtype).astype(np.int64)
            left -= len(read)
            counts = np.diff(read, prepend=last)
            last = int(read[-1])
            yield from self._split(counts, last)
        if not is_closed and self.n_declared:
            yield from self._split(np.array([self.n_vertices - last]), self.n_vertices)
        elif last != self.n_vertices:
            raise self._explain_offsets(f"the last track ends at vertex {last}")

    def _split(self, counts: NDArray[np.int64], last: int) -> Iterator[NDArray[np.intp]]:
        worst = counts[np.argmax(np.abs(counts))]
        if counts.min() < 0 or worst > MAX_TRACK_VERTICES or last > self.n_vertices:
            raise self._explain_offsets(f"a track has {worst} vertices")
        parts = np.cumsum(counts) // BLOCK_VERTICES
        yield from np.split(counts.astype(np.intp), np.flatnonzero(np.diff(parts)) + 1)

    def _explain_offsets(self, found: str) -> InputError:
        return InputError(
            f"expected the offsets in {self.path} to run from 0 to {self.n_vertices}, the number "
            f"of vertices, without going back; but {found}. The file is damaged: write it again."
        )

    def _check_size(self, name: str, expected: int) -> None:
        if self.members[name] != expected:
            raise InputError(
                f"expected {expected} bytes of {name} in {self.path}, as its header says "
                f"({self.n_declared} streamlines, {self.n_vertices} vertices); found "
                f"{self.members[name]}. The file is cut or damaged: copy it again."
            )

    def _open(self, name: str) -> BinaryIO:
        # offsets that go wrong move every later track, and nobody edits them in place
        return open_member(self.path, name, may_be_edited=not OFFSETS.fullmatch(name))


def open_trx(path: Path) -> TrxFile:
    """Header of a tractogram of the format TRX.

    Parameters
    ----------
    path : path
        A zip file (stored or deflated), or a folder.

    Raises
    ------
    InputError
        If it is missing, damaged, incomplete, or holds files with unsafe names.

    Source
    ------
    TRX 1.0: ``header.json``; ``positions.3.<float>`` in RAS mm; ``offsets.<int>``, the first
    vertex of each track and (in newer files) the number of vertices; ``dps/<name>.<type>``.
    """
    path = Path(path)
    try:
        members = list_members(path)
        header = _read_header(path, members)
        n_tracks, n_vertices = int(header["NB_STREAMLINES"]), int(header["NB_VERTICES"])
    except InputError:
        raise
    except (*BROKEN, TypeError, LookupError, OverflowError) as error:
        raise InputError(
            f"expected a tractogram of the format TRX at {path}, with NB_STREAMLINES and "
            f"NB_VERTICES in its header.json; reading it gave: {error!r}. Check the path, or copy "
            "the file again."
        ) from error
    if n_tracks < 0 or n_vertices < 0:
        raise InputError(
            f"expected counts in the header of {path}; found {n_tracks} streamlines, {n_vertices} "
            "vertices. The file is damaged: write it again."
        )
    if n_tracks:
        _find_arrays(path, members)
    return TrxFile(path, {k: str(v) for k, v in header.items()}, n_tracks, n_vertices, members)


def _read_header(path: Path, members: Mapping[str, int]) -> Any:
    if not 0 < members.get("header.json", 0) <= MAX_HEADER_BYTES:
        raise InputError(
            f"expected header.json in {path}; found {', '.join(sorted(members)[:5])}. It is "
            "no tractogram of the format TRX."
        )
    with open_member(path, "header.json") as stream:
        return parse_json(stream.read(MAX_HEADER_BYTES))


def _find_arrays(path: Path, members: Mapping[str, int]) -> tuple[str, str]:
    """Names of the vertices and of the offsets."""
    positions = [name for name in members if POSITIONS.fullmatch(name)]
    offsets = [name for name in members if OFFSETS.fullmatch(name)]
    if len(positions) != 1 or len(offsets) != 1:
        raise InputError(
            f"expected one positions.3.float16, float32 or float64 and one offsets.uint32 or "
            f"uint64 in {path}; found {', '.join(positions + offsets) or 'neither'}. Write it "
            "again."
        )
    return positions[0], offsets[0]


def _dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(name.rpartition(".")[2]).newbyteorder("<")


def _read(stream: BinaryIO, n: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Numbers in this machine's byte order; float16 widened, since sums of it are coarse."""
    content = stream.read(n * dtype.itemsize)
    if len(content) != n * dtype.itemsize:
        raise EOFError(f"{n * dtype.itemsize - len(content)} bytes are missing")
    native = np.float32 if dtype.itemsize == 2 else dtype.newbyteorder("=")
    return np.frombuffer(content, dtype).astype(native, copy=False)
