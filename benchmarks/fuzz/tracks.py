"""Readers of tractograms: MRtrix's, TrackVis's, TRX; and the weights in the last."""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fuzz.arrays import AFFINE, pack_gzip, pack_npy, pack_zip, rng
from fuzz.cases import Reader, Seed, require

N_TRACKS = 6


def list_readers() -> list[Reader]:
    """All readers of tractograms."""
    return [
        Reader("tck", _list_tck, _read_tracks),
        Reader("trk", _list_trk, _read_tracks),
        Reader("trx", _list_trx, _read_trx),
        Reader("trx folder", _list_trx_folders, _read_trx_folder),
        Reader("ends npy", _list_ends, _read_ends),
    ]


def _tracks() -> list[NDArray[np.float32]]:
    random = rng()
    return [random.random((2 + k, 3)).astype(np.float32) * 9 for k in range(N_TRACKS)]


def _pack_tck(dtype: str, code: str, *, n_declared: int = N_TRACKS, place: str = ".") -> bytes:
    stop = np.full((1, 3), np.nan, np.float32)
    rows = np.concatenate([part for track in _tracks() for part in (track, stop)])
    body = np.concatenate([rows, np.full((1, 3), np.inf, np.float32)]).astype(dtype).tobytes()
    lines = f"mrtrix tracks\ncount: {n_declared}\ndatatype: {code}\nmethod: iFOD2\n"
    offset = len(lines) + len(f"file: {place} 000\nEND\n")
    return f"{lines}file: {place} {offset:03d}\nEND\n".encode() + body


def _list_tck() -> Sequence[Seed]:
    plain = _pack_tck("<f4", "Float32LE")
    return [
        Seed("a.tck", plain),
        Seed("a.tck.gz", pack_gzip(plain)),
        Seed("a.tck", _pack_tck(">f4", "Float32BE", n_declared=0)),
        Seed("a.tck", _pack_tck("<f8", "Float64LE")),
        Seed("a.tck", _pack_tck("<f4", "Float32LE", place="a.tck")),
    ]


def _read_tracks(path: Path) -> None:
    from kraken_bids.io.tractograms import open_tractogram

    tracks = open_tractogram(path)
    n_tracks = 0
    for block in tracks.blocks():
        require(block.vertices.ndim == 2 and block.vertices.shape[1] == 3, "no vertices")
        require((block.stops >= block.starts).all(), "a track that ends before it begins")
        require(block.stops.max(initial=0) <= len(block.vertices), "a track without its vertices")
        n_tracks += len(block)
    n_ends = 0
    for ends in tracks.ends():
        require(ends.shape[1:] == (2, 3), "ends of another shape")
        n_ends += len(ends)
    require(n_ends == n_tracks, "as many ends as tracks")
    declared = tracks.n_declared
    require(not declared or n_tracks <= declared, "more tracks than are declared")


def _list_trk() -> Sequence[Seed]:
    from kraken_bids.io.trk import HEADER

    def pack(n_scalars: int = 0, n_properties: int = 0, order: str = "<", count: int = 6) -> bytes:
        header = np.zeros((), HEADER.newbyteorder(order))
        header["id"], header["dim"], header["voxel_size"] = b"TRACK", (5, 5, 5), (2, 2, 2)
        header["vox_to_ras"], header["voxel_order"] = AFFINE, b"RAS"
        header["n_scalars"], header["n_properties"] = n_scalars, n_properties
        header["n_count"], header["version"], header["hdr_size"] = count, 2, 1000
        parts = [header.tobytes()]
        for track in _tracks():
            parts.append(np.array(len(track), f"{order}i4").tobytes())
            values = np.hstack([track, np.ones((len(track), n_scalars), np.float32)])
            parts.append(values.astype(f"{order}f4").tobytes())
            parts.append(np.zeros(n_properties, f"{order}f4").tobytes())
        return b"".join(parts)

    return [
        Seed("a.trk", pack()),
        Seed("a.trk.gz", pack_gzip(pack())),
        Seed("a.trk", pack(n_scalars=2, n_properties=1)),
        Seed("a.trk.gz", pack_gzip(pack(order=">", count=0))),
    ]


def _pack_trx(positions: str, offsets: str, *, closed: bool, kind: int) -> bytes:
    tracks = _tracks()
    starts = np.cumsum([0, *map(len, tracks)])[: None if closed else -1]
    header = {
        "DIMENSIONS": [5, 5, 5],
        "VOXEL_TO_RASMM": AFFINE.tolist(),
        "NB_STREAMLINES": len(tracks),
        "NB_VERTICES": sum(map(len, tracks)),
    }
    return pack_zip(
        {
            "header.json": json.dumps(header).encode(),
            f"positions.3.{positions}": np.concatenate(tracks).astype(positions).tobytes(),
            f"offsets.{offsets}": starts.astype(offsets).tobytes(),
            "dps/weights.float32": np.ones(len(tracks), np.float32).tobytes(),
        },
        kind,
    )


def _list_trx() -> Sequence[Seed]:
    stored, packed = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    return [
        Seed("a.trx", _pack_trx("float32", "uint64", closed=True, kind=stored)),
        Seed("a.trx", _pack_trx("float16", "uint32", closed=False, kind=packed)),
        Seed("a.trx", _pack_trx("float64", "int64", closed=True, kind=packed)),
    ]


def _list_trx_folders() -> Sequence[Seed]:
    with zipfile.ZipFile(io.BytesIO(_list_trx()[0].content)) as archive:
        members = {f"a.trx/{name}": archive.read(name) for name in archive.namelist()}
    return [
        Seed(name, content, {n: c for n, c in members.items() if n != name})
        for name, content in members.items()
    ]


def _read_trx_folder(path: Path) -> None:
    _read_trx(next(folder for folder in path.parents if folder.name == "a.trx"))


def _read_trx(path: Path) -> None:
    from kraken_bids.exceptions import InputError
    from kraken_bids.io.tractograms import open_tractogram, read_weights

    try:
        weights = read_weights(path)
    except InputError:
        weights = None
    _read_tracks(path)
    n_declared = open_tractogram(path).n_declared
    require(weights is None or weights.shape == (n_declared,), "as many weights as tracks")


def _list_ends() -> Sequence[Seed]:
    ends = rng().random((N_TRACKS, 2, 3)) * 9
    arrays = (ends.astype(np.float16), ends.astype(">f4").reshape(N_TRACKS, 6))
    return [Seed("a.npy", pack_npy(array)) for array in (*arrays, np.asfortranarray(ends))]


def _read_ends(path: Path) -> None:
    from kraken_bids.io.tractograms import open_tractogram

    tracks = open_tractogram(path)
    blocks = list(tracks.ends())
    require(all(block.shape[1:] == (2, 3) for block in blocks), "no ends")
    require(sum(map(len, blocks)) == tracks.n_declared, "another number of tracks")
