"""Ends of streamlines follow MRtrix's reading of .tck, in every data type and block size."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kraken_bids.exceptions import InputError
from kraken_bids.io import tck
from kraken_bids.io.tractograms import open_tractogram

NAN, INF = [[np.nan] * 3], [[np.inf] * 3]
CODES = {"Float32LE": "<f4", "Float32BE": ">f4", "Float64LE": "<f8", "Float64BE": ">f8"}


def write(path: Path, vertices: object, *, datatype: str = "Float32LE", **keys: str) -> None:
    """Write vertices [n, 3], separators included, as they are."""
    lines = "".join(f"{k}: {v}\n" for k, v in {"datatype": datatype, **keys}.items())
    header = f"mrtrix tracks\n{lines}file: . 300\nEND\n".encode().ljust(300, b"\0")
    content = header + np.array(vertices, CODES[datatype]).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def read(path: Path) -> np.ndarray:
    blocks = list(open_tractogram(path).ends())
    return np.concatenate([np.empty((0, 2, 3)), *blocks])


def make_tracks(n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(rng.integers(1, 9), 3)).astype(np.float32) for _ in range(n)]


def join(tracks: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([part for t in tracks for part in (t, NAN)] + [INF])


def ends_of(tracks: list[np.ndarray]) -> np.ndarray:
    return np.array([[t[0], t[-1]] for t in tracks])


@pytest.mark.parametrize("extension", [".tck", ".tck.gz"])
@pytest.mark.parametrize("datatype", CODES)
def test_every_type(tmp_path: Path, datatype: str, extension: str) -> None:
    """Both precisions, both byte orders, compressed or not."""
    tracks = make_tracks(50)
    path = tmp_path / f"t{extension}"
    write(path, join(tracks), datatype=datatype, count="50")
    tractogram = open_tractogram(path)
    (block,) = tractogram.ends()
    assert block.dtype == np.dtype(CODES[datatype]).newbyteorder("=")
    np.testing.assert_array_equal(block, ends_of(tracks))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(0, 7), max_size=12),
    block=st.integers(1, 9),
    compressed=st.booleans(),
)
def test_blocks_never_matter(
    tmp_path: Path, lengths: list[int], block: int, compressed: bool
) -> None:
    """Wherever the blocks are cut, each track has its ends; without vertices they are NaN."""
    tracks = [np.random.default_rng(i).normal(size=(n, 3)) for i, n in enumerate(lengths)]
    path = tmp_path / ("t.tck.gz" if compressed else "t.tck")
    write(path, join(tracks), datatype="Float64LE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tck, "BLOCK_VERTICES", block)
        found = read(path)
    expected = [[t[0], t[-1]] if len(t) else np.full((2, 3), np.nan) for t in tracks]
    np.testing.assert_array_equal(found, np.array(expected).reshape(-1, 2, 3))


@pytest.mark.parametrize(
    ("count", "n_read"), [("1", 1), ("2", 2), ("0", 3), ("9", 3), ("", 3), ("0000000002", 2)]
)
def test_count_limits_only_from_above(tmp_path: Path, count: str, n_read: int) -> None:
    """As in MRtrix, a count above 0 is an upper limit; 0, none or too many change nothing."""
    path = tmp_path / "t.tck"
    write(path, join(make_tracks(3)), count=count)
    assert len(read(path)) == n_read


def test_count_holds_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit counts the tracks of the file, not of a block."""
    monkeypatch.setattr(tck, "BLOCK_VERTICES", 4)
    write(tmp_path / "t.tck", join(make_tracks(9)), count="7")
    np.testing.assert_array_equal(read(tmp_path / "t.tck"), ends_of(make_tracks(9)[:7]))


def test_any_nan_and_inf_bits_separate(tmp_path: Path) -> None:
    """Payload and sign of NaN, sign of infinity, and the other two coordinates do not matter."""
    path = tmp_path / "t.tck"
    write(path, [[1, 2, 3], [0, 5, 6], [4, 5, 6], [7, 8, 9], [0, 0, 0], [-np.inf, 0, 1]])
    content = bytearray(path.read_bytes())
    content[300 + 12 : 300 + 16] = (0xFFC12345).to_bytes(4, "little")
    content[300 + 48 : 300 + 52] = (0x7F800001).to_bytes(4, "little")
    path.write_bytes(content)
    np.testing.assert_array_equal(read(path), [[[1, 2, 3]] * 2, [[4, 5, 6], [7, 8, 9]]])


def test_nan_in_another_coordinate_is_no_separator(tmp_path: Path) -> None:
    """Only the first coordinate of a vertex is looked at."""
    path = tmp_path / "t.tck"
    write(path, [[1, np.nan, 3], [4, 5, np.inf], *NAN, *INF])
    np.testing.assert_array_equal(read(path), [[[1, np.nan, 3], [4, 5, np.inf]]])


def test_data_after_the_end_mark(tmp_path: Path) -> None:
    """What follows the end mark is not read."""
    path = tmp_path / "t.tck"
    write(path, np.concatenate([join(make_tracks(2)), join(make_tracks(3))]))
    assert len(read(path)) == 2


def test_track_open_at_the_end_mark(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Vertices that no NaN closes before the end mark are no track, as in MRtrix; this is said."""
    path = tmp_path / "t.tck"
    write(path, [[1, 2, 3], *NAN, [4, 5, 6], *INF])
    assert len(read(path)) == 1
    assert "no track" in caplog.text


@pytest.mark.parametrize("extension", [".tck", ".tck.gz"])
@pytest.mark.parametrize("n_cut", [1, 12, 20, 500])
def test_cut(tmp_path: Path, n_cut: int, extension: str) -> None:
    """Without its end mark a file was cut: the message gives its size, whatever the count says."""
    path = tmp_path / f"t{extension}"
    write(path, join(make_tracks(60)), count="60")
    path.write_bytes(path.read_bytes()[:-n_cut])
    with pytest.raises(InputError, match=f"cut in the middle: {path.stat().st_size} bytes"):
        read(path)


def test_header(tmp_path: Path) -> None:
    """Keys are kept, repeated ones are joined, data may lie in another file."""
    path = tmp_path / "t.tck"
    data = join(make_tracks(4)).astype("<f4").tobytes()
    (tmp_path / "t.dat").write_bytes(data)
    path.write_text(
        "mrtrix tracks    \nmethod: iFOD2\ncommand_history: tckgen a: b\n"
        "command_history: tckedit\ndatatype: Float32LE\ncount: 4\nfile: t.dat 0\nEND\n"
    )
    tractogram = open_tractogram(path)
    assert tractogram.header["method"] == "iFOD2"
    assert tractogram.header["command_history"] == "tckgen a: b\ntckedit"
    assert tractogram.n_declared == 4
    np.testing.assert_array_equal(read(path), ends_of(make_tracks(4)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not begin with `mrtrix tracks`"),
        (b"TRACK\0", "not begin with `mrtrix tracks`"),
        (b"mrtrix tracks\ndatatype: Float32LE\n", "no END"),
        (b"mrtrix tracks\ndatatype: Int16\nfile: . 9\nEND\n", "found datatype 'Int16'"),
        (b"mrtrix tracks\ndatatype: Float32LE\nEND\n", "file None"),
        (b"mrtrix tracks\ndatatype: Float32LE\nfile: . x\nEND\n", "OFFSET"),
    ],
)
def test_broken_headers(tmp_path: Path, content: bytes, message: str) -> None:
    """Foreign and incomplete headers are explained."""
    path = tmp_path / "t.tck"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_tractogram(path)


def test_other_formats_and_missing_files(tmp_path: Path) -> None:
    """Formats that are not read are refused in one sentence; a missing file is said."""
    for name in ("a.vtk", "a.fib", "a.tt.gz"):
        with pytest.raises(InputError, match=r"one of the formats \.tck"):
            open_tractogram(tmp_path / name)
    with pytest.raises(InputError, match=r"no\.tck"):
        open_tractogram(tmp_path / "no.tck")
    (tmp_path / "b.tck.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match=r"b\.tck\.gz"):
        open_tractogram(tmp_path / "b.tck.gz")


def test_memory_is_flat(tmp_path: Path) -> None:
    """Blocks of a 60 MB file need little more than one block."""
    path = tmp_path / "t.tck"
    track = np.concatenate([np.zeros((99, 3)), NAN])
    write(path, np.concatenate([np.tile(track, (50_000, 1)), INF]))
    tracemalloc.start()
    n_tracks = sum(len(block) for block in open_tractogram(path).ends())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_tracks == 50_000
    assert peak < 20e6


def test_phantom_of_mrtrix() -> None:
    """MRtrix's own test tractogram has 5000 tracks."""
    path = Path(__file__).resolve().parents[2].parent / "shared/mrtrix/tracks.tck"
    if not path.is_file():
        pytest.skip("the shared folder with MRtrix's test data is not here")
    assert len(read(path)) == 5000


def test_blocks_hold_whole_tracks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of any size give every vertex of every track once, longer tracks than blocks too."""
    rng = np.random.default_rng(2)
    tracks = [rng.normal(size=(n, 3)).astype(np.float32) for n in (3, 0, 40, 1, 7, 0, 25)]
    path = tmp_path / "t.tck"
    write(path, join(tracks), datatype="Float32BE", count="6")
    for size in (4, 9, 1000):
        monkeypatch.setattr(tck, "BLOCK_VERTICES", size)
        found = [
            block.vertices[start:stop].copy()
            for block in open_tractogram(path).blocks()
            for start, stop in zip(block.starts, block.stops, strict=True)
        ]
        assert len(found) == 6
        for ours, track in zip(found, tracks, strict=False):
            np.testing.assert_array_equal(ours, track)
