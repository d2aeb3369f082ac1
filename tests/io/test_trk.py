"""Tracks of TrackVis are read where nibabel reads them, whatever the header's axes and order."""

import gzip
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.streamlines import Tractogram, TrkFile

from kraken_bids.exceptions import InputError
from kraken_bids.io import trk
from kraken_bids.io.tractograms import open_tractogram

OBLIQUE = nibabel.affines.from_matvec(
    nibabel.eulerangles.euler2mat(0.3, -0.2, 0.4) @ np.diag([1.2, 2.0, 0.8]), [-40, 20, 7]
)
AFFINES = {
    "RAS": np.diag([2.0, 2.0, 2.0, 1.0]),
    "LPS": nibabel.affines.from_matvec(np.diag([-1.0, -1.5, 3.0]), [90, 120, -70]),
    "PIR": nibabel.affines.from_matvec(np.array([[0, 0, 2.0], [-1, 0, 0], [0, -1.5, 0]]), [1] * 3),
    "oblique": OBLIQUE,
}


def make_tracks(n: int, seed: int = 0, n_min: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(0, 50, (rng.integers(n_min, 9), 3)).astype("f4") for _ in range(n)]


def write(
    path: Path,
    tracks: list[np.ndarray],
    affine: np.ndarray = AFFINES["RAS"],
    *,
    order: str | None = None,
    extras: bool = False,
) -> None:
    """Write tracks (RAS mm) with nibabel; extras are values per vertex and per track."""
    header = TrkFile.create_empty_header()
    header["voxel_to_rasmm"] = affine
    header["voxel_sizes"] = nibabel.affines.voxel_sizes(affine)
    header["dimensions"] = (60, 50, 40)
    header["voxel_order"] = order or "".join(nibabel.aff2axcodes(affine))
    tractogram = Tractogram(tracks, affine_to_rasmm=np.eye(4))
    if extras:
        tractogram.data_per_point["fa"] = [np.ones((len(t), 2), "f4") for t in tracks]
        tractogram.data_per_streamline["bundle"] = np.full((len(tracks), 3), 7.0)
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    nibabel.streamlines.save(TrkFile(tractogram, header), plain)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))


def edit(path: Path, **fields: object) -> None:
    """Change fields of the header."""
    content = bytearray(path.read_bytes())
    header = np.frombuffer(content, trk.HEADER, 1)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(content)


def read(path: Path) -> np.ndarray:
    return np.concatenate([np.empty((0, 2, 3)), *open_tractogram(path).ends()])


def ends_in_nibabel(path: Path) -> np.ndarray:
    return np.array([[t[0], t[-1]] for t in nibabel.streamlines.load(path).streamlines])


def test_header_has_1000_bytes() -> None:
    """The layout of the header is that of the format."""
    assert trk.HEADER.itemsize == 1000


@pytest.mark.parametrize("extras", [False, True])
@pytest.mark.parametrize("extension", [".trk", ".trk.gz"])
@pytest.mark.parametrize("name", AFFINES)
def test_as_nibabel(tmp_path: Path, name: str, extension: str, extras: bool) -> None:
    """Ends are those of nibabel and those written, for every grid, with and without extras."""
    path = tmp_path / f"t{extension}"
    tracks = make_tracks(40)
    write(path, tracks, AFFINES[name], extras=extras)
    expected = np.array([[t[0], t[-1]] for t in tracks])
    np.testing.assert_allclose(read(path), expected, atol=2e-4)
    plain = tmp_path / "t.trk"
    np.testing.assert_allclose(read(path), ends_in_nibabel(plain), atol=2e-4)


@pytest.mark.parametrize("order", ["LPS", "RAS", "LAI", "SPR"])
def test_order_of_axes(tmp_path: Path, order: str) -> None:
    """Coordinates whose axes run otherwise than the image's are turned as nibabel turns them."""
    path = tmp_path / "t.trk"
    write(path, make_tracks(5), OBLIQUE)
    edit(path, voxel_order=order)
    np.testing.assert_allclose(read(path), ends_in_nibabel(path), atol=2e-4)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(0, 7), max_size=12),
    block=st.integers(1, 90),
    extras=st.booleans(),
)
def test_blocks_never_matter(tmp_path: Path, lengths: list[int], block: int, extras: bool) -> None:
    """Wherever reads are cut, blocks hold every track once; without vertices ends are NaN."""
    tracks = [np.random.default_rng(i).normal(size=(n, 3)) for i, n in enumerate(lengths)]
    stride, n_properties = (5, 3) if extras else (3, 0)
    words = [np.empty(0, "<f4")]
    for track in tracks:
        rows = np.hstack([track, np.zeros((len(track), stride - 3))])
        words += [np.array([len(track)], "<i4").view("<f4"), rows.astype("<f4").ravel()]
        words += [np.zeros(n_properties, "<f4")]
    write(tmp_path / "t.trk", make_tracks(1))
    edit(tmp_path / "t.trk", n_count=0, n_scalars=stride - 3, n_properties=n_properties)
    header = (tmp_path / "t.trk").read_bytes()[:1000]
    (tmp_path / "t.trk").write_bytes(header + np.concatenate(words).tobytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trk, "BLOCK_BYTES", block)
        found = read(tmp_path / "t.trk")
        blocks = list(open_tractogram(tmp_path / "t.trk").blocks())
    counts = [int(n) for b in blocks for n in b.n_vertices]
    assert counts == lengths
    expected = [[t[0], t[-1]] if len(t) else np.full((2, 3), np.nan) for t in tracks]
    # the grid is 2 mm, so its corner lies 1 mm before its first centre
    np.testing.assert_allclose(found, np.array(expected).reshape(-1, 2, 3) - 1, atol=1e-5)


def test_big_endian(tmp_path: Path) -> None:
    """Files of the other byte order give the same."""
    path = tmp_path / "t.trk"
    write(path, make_tracks(9), OBLIQUE)
    expected = read(path)
    content = path.read_bytes()
    header = np.frombuffer(content, trk.HEADER, 1).astype(trk.HEADER.newbyteorder(">"))
    # numpy leaves the opaque rest as it is: nothing in it is read
    path.write_bytes(header.tobytes() + np.frombuffer(content[1000:], "<i4").byteswap().tobytes())
    np.testing.assert_array_equal(read(path), expected)


def test_count(tmp_path: Path) -> None:
    """A count above 0 limits reading, 0 reads all; too high a count means a cut file."""
    path = tmp_path / "t.trk"
    write(path, make_tracks(6))
    for count, n_read in ((0, 6), (4, 4), (6, 6)):
        edit(path, n_count=count)
        assert len(read(path)) == n_read
    edit(path, n_count=8)
    with pytest.raises(InputError, match="2 of 8 tracks are missing"):
        read(path)


@pytest.mark.parametrize("count", [0, 30])
@pytest.mark.parametrize("extension", [".trk", ".trk.gz"])
@pytest.mark.parametrize("n_cut", [1, 4, 30])
def test_cut(tmp_path: Path, n_cut: int, extension: str, count: int) -> None:
    """A file cut within a track is an error, whether or not it says how many it holds."""
    path = tmp_path / f"t{extension}"
    write(path, make_tracks(30, n_min=3))
    edit(tmp_path / "t.trk", n_count=count)
    if extension == ".trk.gz":
        path.write_bytes(gzip.compress((tmp_path / "t.trk").read_bytes()))
    path.write_bytes(path.read_bytes()[:-n_cut])
    with pytest.raises(InputError, match=f"cut in the middle: {path.stat().st_size} bytes"):
        read(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vox_to_ras": np.zeros((4, 4))}, "expected vox_to_ras"),
        ({"vox_to_ras": np.diag([1, 1, 0, 1])}, "expected vox_to_ras"),
        ({"voxel_size": [1, 0, 1]}, "expected vox_to_ras"),
        ({"version": 1}, "found version 1"),
        ({"voxel_order": b"LLS"}, "order of axes"),
        ({"voxel_order": b"XYZ"}, "order of axes"),
        ({"voxel_order": b"LP"}, "order of axes"),
        ({"n_scalars": -1}, "header of 1000 bytes"),
        ({"hdr_size": 999}, "header of 1000 bytes"),
        ({"id": b"TRICK"}, "begins with TRACK"),
    ],
)
def test_broken_headers(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    """A header without a place in the world, or with nonsense, is explained."""
    path = tmp_path / "t.trk"
    write(path, make_tracks(2))
    edit(path, **fields)
    with pytest.raises(InputError, match=message):
        open_tractogram(path)


@pytest.mark.parametrize("n_vertices", [-1, 1 << 30])
def test_damaged_counts(tmp_path: Path, n_vertices: int) -> None:
    """A count of vertices that cannot be is an error, before memory is asked for."""
    path = tmp_path / "t.trk"
    write(path, make_tracks(2))
    content = bytearray(path.read_bytes())
    content[1000:1004] = np.array([n_vertices], "<i4").tobytes()
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"found {n_vertices}"):
        read(path)


def test_missing_short_and_foreign_files(tmp_path: Path) -> None:
    """A path without file, an empty file and no gzip file are said."""
    with pytest.raises(InputError, match=r"no\.trk"):
        open_tractogram(tmp_path / "no.trk")
    (tmp_path / "a.trk").write_bytes(b"")
    with pytest.raises(InputError, match="found 0 bytes"):
        open_tractogram(tmp_path / "a.trk")
    (tmp_path / "a.trk.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match=r"a\.trk\.gz"):
        open_tractogram(tmp_path / "a.trk.gz")


def test_memory_is_flat(tmp_path: Path) -> None:
    """Blocks of a 60 MB file need little more than a few blocks."""
    path = tmp_path / "t.trk"
    write(path, make_tracks(1))
    edit(path, n_count=50_000)
    track = np.concatenate([np.array([99], "<i4").view("<f4"), np.zeros(297, "<f4")])
    path.write_bytes(path.read_bytes()[:1000] + np.tile(track, 50_000).tobytes())
    tracemalloc.start()
    n_tracks = sum(len(block) for block in open_tractogram(path).blocks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_tracks == 50_000
    assert peak < 60e6
