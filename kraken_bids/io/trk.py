"""Track files of TrackVis (.trk, .trk.gz), read in blocks: memory does not grow with the file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

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
from kraken_bids.io.image_values import is_invertible
from kraken_bids.io.track_blocks import TrackBlock, Vertices

BLOCK_BYTES = 4 << 20
"""Bytes per read."""
MAX_TRACK_WORDS = 1 << 24
"""Numbers of one track, 64 MB: a thousand for each of 16,000 vertices."""
MAX_EMPTY = 1 << 20
"""Tracks without vertices; where more than half have none, zeros stand in the place of data."""
HEADER_BYTES = 1000
HEADER = np.dtype(
    [
        ("id", "S6"),
        ("dim", "<i2", 3),
        ("voxel_size", "<f4", 3),
        ("origin", "<f4", 3),
        ("n_scalars", "<i2"),
        ("scalar_names", "S20", 10),
        ("n_properties", "<i2"),
        ("property_names", "S20", 10),
        ("vox_to_ras", "<f4", (4, 4)),
        ("reserved", "S444"),
        ("voxel_order", "S4"),
        ("rest", "V36"),
        ("n_count", "<i4"),
        ("version", "<i4"),
        ("hdr_size", "<i4"),
    ]
)


@dataclass(frozen=True)
class TrkFile:
    """A track file of TrackVis; its header is read, its tracks are not."""

    path: Path
    header: Mapping[str, str]
    n_declared: int
    """Number of tracks that the header declares; 0 where it does not say."""
    n_scalars: int
    """Values per vertex beside its coordinates."""
    n_properties: int
    """Values per track."""
    word: np.dtype[np.signedinteger[Any]]
    """Four bytes in the file's order: a count of vertices, or a number."""
    affine: NDArray[np.float64]
    """[4, 4] From the file's millimetres, counted from the corner of the first voxel, to RAS."""

    def ends(self) -> Iterator[Vertices]:
        """First and last vertex of every track, in file order.

        Yields
        ------
        ndarray of shape (n_tracks, 2, 3)
            RAS mm, float64. NaN for a track without vertices.

        Raises
        ------
        InputError
            If the file ends inside a track, or before as many as it declares.
        """
        for block in self._read_blocks():
            yield self._to_ras(block.ends)

    def blocks(self) -> Iterator[TrackBlock]:
        """Whole tracks, for what needs more than their ends; raises as :meth:`ends`.

        Yields
        ------
        TrackBlock
            Vertices in RAS mm, float64.
        """
        for block in self._read_blocks():
            yield TrackBlock(self._to_ras(block.vertices), block.starts, block.stops)

    def _to_ras(self, vertices: Vertices) -> Vertices:
        moved: Vertices = vertices @ self.affine[:3, :3].T + self.affine[:3, 3]
        return moved

    def _read_blocks(self) -> Iterator[TrackBlock]:
        """Yield tracks in the file's own coordinates."""
        try:
            with open_stream(self.path) as stream:
                stream.seek(HEADER_BYTES)
                left = self.n_declared or np.iinfo(np.int64).max
                for words, heads in self._walk(stream, left):
                    yield self._pick_vertices(words, heads)
                    check_unpacked(stream, self.path)
                read_to_end(stream, self.path)
        except damage_errors() as error:
            if isinstance(error, InputError):
                raise
            raise InputError(explain_cut(self.path, error)) from error

    def _walk(
        self, stream: BinaryIO, left: int
    ) -> Iterator[tuple[NDArray[np.int32], NDArray[np.intp]]]:
        """Yield words of whole tracks and where in them each track's count stands."""
        kept, wanted, n_empty, n_tracks = b"", BLOCK_BYTES, 0, 0
        while left:
            read = stream.read(wanted)
            if not read:
                break
            content = kept + read
            words = np.frombuffer(content, self.word, len(content) // 4).astype(np.int32)
            heads, begin, missing = self._find_heads(words, left)
            left -= len(heads)
            kept, wanted = content[4 * begin :], max(BLOCK_BYTES, 4 * missing)
            places = np.array(heads, np.intp)
            n_tracks += len(heads)
            n_empty += int(np.count_nonzero(words[places] == 0))
            if n_empty > max(MAX_EMPTY, n_tracks // 2):
                raise ValueError(f"{n_empty:,} of {n_tracks:,} tracks have no vertices")
            if heads:
                yield words[:begin], places
        if left and (kept or self.n_declared):
            expected = f"{left} of {self.n_declared}" if self.n_declared else "vertices of one"
            raise EOFError(f"{expected} tracks are missing")

    def _find_heads(self, words: NDArray[np.int32], left: int) -> tuple[list[int], int, int]:
        """Where counts stand, where the next one does, and words that its track still lacks."""
        view, stride, n_words = words.data, 3 + self.n_scalars, len(words)
        heads: list[int] = []
        begin = 0
        while begin < n_words and len(heads) < left:
            n_vertices = view[begin]
            end = begin + 1 + n_vertices * stride + self.n_properties
            if not 0 <= n_vertices <= MAX_TRACK_VERTICES or end - begin > MAX_TRACK_WORDS:
                raise InputError(
                    f"expected a count of vertices in {self.path}; found {n_vertices}, with "
                    f"{stride} numbers each. The file is damaged: copy or write it again."
                )
            if end > n_words:
                return heads, begin, end - n_words
            heads.append(begin)
            begin = end
        return heads, begin, 0

    def _pick_vertices(self, words: NDArray[np.int32], heads: NDArray[np.intp]) -> TrackBlock:
        stride = 3 + self.n_scalars
        n_vertices = words[heads].astype(np.intp)
        is_vertex = np.ones(len(words), dtype=bool)
        is_vertex[heads] = False
        tails = heads + 1 + n_vertices * stride
        is_vertex[tails[:, None] + np.arange(self.n_properties)] = False
        vertices = words[is_vertex].view(np.float32).reshape(-1, stride)[:, :3]
        stops = np.cumsum(n_vertices)
        return TrackBlock(vertices, stops - n_vertices, stops)


def open_trk(path: Path) -> TrkFile:
    """Header of a track file of TrackVis.

    Parameters
    ----------
    path : path
        ``.trk`` or ``.trk.gz``.

    Raises
    ------
    InputError
        If it is missing, is something else, or does not say how its coordinates lie in the world.
    """
    path = Path(path)
    content = read_track_header(path, lambda stream: stream.read(HEADER_BYTES))
    if len(content) < HEADER_BYTES or not content.startswith(b"TRACK"):
        raise InputError(
            f"expected a track file of TrackVis at {path}: a header of {HEADER_BYTES} bytes that "
            f"begins with TRACK; found {len(content)} bytes, {content[:6]!r}. Check the path."
        )
    header = np.frombuffer(content, HEADER)[0]
    if header["hdr_size"] != HEADER_BYTES:
        header = np.frombuffer(content, HEADER.newbyteorder(">"))[0]
    _check_header(header, path)
    is_little = header.dtype["dim"].base.byteorder != ">"
    names = ("scalar_names", "property_names")
    return TrkFile(
        path=path,
        header={k: str(header[k]) for k in ("voxel_size", "dim", "voxel_order", *names)},
        n_declared=int(header["n_count"]),
        n_scalars=int(header["n_scalars"]),
        n_properties=int(header["n_properties"]),
        word=np.dtype("<i4" if is_little else ">i4"),
        affine=_find_affine(header, path),
    )


def _check_header(header: np.void, path: Path) -> None:
    numbers = [int(header[k]) for k in ("hdr_size", "n_scalars", "n_properties", "n_count")]
    if numbers[0] != HEADER_BYTES or min(numbers) < 0:
        raise InputError(
            f"expected a header of {HEADER_BYTES} bytes with counts in {path}; found hdr_size, "
            f"n_scalars, n_properties, n_count {numbers}. The file is damaged: write it again."
        )
    affine, sizes = header["vox_to_ras"].astype(np.float64), header["voxel_size"]
    known = affine[3, 3] == 1 and is_invertible(affine) and ((sizes > 1e-3) & (sizes < 1e3)).all()
    if header["version"] < 2 or not known:
        raise InputError(
            f"expected vox_to_ras and voxel_size in the header of {path}, without which nobody "
            f"knows where its tracks lie; found version {header['version']}, voxel_size "
            f"{sizes.tolist()}. Convert it to .tck with the image that it was made on."
        )


def _find_affine(header: np.void, path: Path) -> NDArray[np.float64]:
    """From the file's millimetres to RAS: shifted by half a voxel, axes as in ``voxel_order``."""
    from nibabel.orientations import (
        aff2axcodes,
        axcodes2ornt,
        inv_ornt_aff,
        ornt_transform,
    )

    to_ras = header["vox_to_ras"].astype(np.float64)
    # TrackVis itself takes LPS where the header does not say
    order = header["voxel_order"].decode("latin1").upper() or "LPS"
    try:
        axes = axcodes2ornt(order)  # type: ignore[no-untyped-call]
        turn = ornt_transform(axes, axcodes2ornt(aff2axcodes(to_ras)))  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise InputError(
            f"expected an order of axes such as LPS in the header of {path}; found {order!r}. "
            "The file is damaged: write it again."
        ) from error
    to_voxels = np.diag([*(1 / header["voxel_size"].astype(np.float64)), 1.0])
    to_voxels[:3, 3] = -0.5
    affine: NDArray[np.float64] = to_ras @ inv_ornt_aff(turn, header["dim"]) @ to_voxels  # type: ignore[no-untyped-call]
    return affine
