"""Tractograms of the format TRX: zip files or folders, every number type, nothing trusted."""

import json
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io import trx
from kraken_bids.io.tractograms import open_tractogram, read_weights
from kraken_bids.io.trx import open_trx

KINDS = ("stored", "deflated", "folder")


def make_tracks(n: int, n_min: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.uniform(-80, 80, (rng.integers(n_min, 9), 3)) for _ in range(n)]


def make_files(
    tracks: list[np.ndarray],
    *,
    positions: str = "float32",
    offsets: str = "uint64",
    is_closed: bool = True,
) -> dict[str, bytes]:
    """Files of a TRX, by name; is_closed: the offsets end with the number of vertices."""
    vertices = np.concatenate([np.empty((0, 3)), *tracks])
    starts = np.cumsum([0, *(len(t) for t in tracks)])
    header = {
        "VOXEL_TO_RASMM": np.eye(4).tolist(),
        "DIMENSIONS": [10, 10, 10],
        "NB_STREAMLINES": len(tracks),
        "NB_VERTICES": len(vertices),
    }
    return {
        "header.json": json.dumps(header).encode(),
        f"positions.3.{positions}": vertices.astype(f"<{np.dtype(positions).str[1:]}").tobytes(),
        f"offsets.{offsets}": starts[: None if is_closed else -1].astype(offsets).tobytes(),
    }


def write(path: Path, files: Mapping[str, bytes], kind: str = "stored") -> Path:
    """Write the files as a folder or a zip file."""
    if kind == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        return path
    packing = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}[kind]
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def read(path: Path) -> np.ndarray:
    return np.concatenate([np.empty((0, 2, 3)), *open_tractogram(path).ends()])


def ends_of(tracks: list[np.ndarray]) -> np.ndarray:
    return np.array([[t[0], t[-1]] for t in tracks])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("positions", ["float16", "float32", "float64"])
@pytest.mark.parametrize("offsets", ["uint32", "uint64"])
def test_every_type(tmp_path: Path, kind: str, positions: str, offsets: str) -> None:
    """Ends are those written, to the precision of their type, from any package."""
    tracks = make_tracks(50)
    files = make_files(tracks, positions=positions, offsets=offsets)
    found = read(write(tmp_path / "t.trx", files, kind))
    np.testing.assert_array_equal(found, ends_of([t.astype(positions) for t in tracks]))
    assert open_tractogram(tmp_path / "t.trx").n_declared == 50


def test_float16_is_widened(tmp_path: Path) -> None:
    """Half-precision vertices come as float32, so that lengths do not lose digits."""
    path = write(tmp_path / "t.trx", make_files(make_tracks(3), positions="float16"))
    (block,) = open_tractogram(path).ends()
    assert block.dtype == np.float32


@pytest.mark.parametrize("is_closed", [True, False])
@pytest.mark.parametrize("block", [1, 3, 50])
def test_blocks_never_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, is_closed: bool
) -> None:
    """However much is read at once, with offsets of the older form too, each track comes once."""
    tracks = [np.ones((n, 3)) * n for n in (3, 0, 1, 7, 0, 2, 5, 0)]
    path = write(tmp_path / "t.trx", make_files(tracks, is_closed=is_closed))
    monkeypatch.setattr(trx, "BLOCK_VERTICES", block)
    monkeypatch.setattr(trx, "BLOCK_TRACKS", 2)
    blocks = list(open_tractogram(path).blocks())
    assert [int(n) for b in blocks for n in b.n_vertices] == [3, 0, 1, 7, 0, 2, 5, 0]
    found = read(path)
    for ends, track in zip(found, tracks, strict=True):
        np.testing.assert_array_equal(ends, ends_of([track])[0] if len(track) else np.nan)


@pytest.mark.parametrize("kind", KINDS)
def test_no_tracks(tmp_path: Path, kind: str) -> None:
    """A tractogram without tracks is read and gives none."""
    assert not len(read(write(tmp_path / "t.trx", make_files([]), kind)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name",
    ["weights.float32", "weights.1.float64", "sift2.float16", "sift2_weights.float32"],
)
def test_weights(tmp_path: Path, name: str, kind: str) -> None:
    """Weights are among the data per streamline, by several names."""
    weights = np.array([0.5, 2.0, 1.25])
    files = make_files(make_tracks(3))
    files[f"dps/{name}"] = weights.astype(name.rpartition(".")[2]).tobytes()
    files["dps/color.3.uint8"] = bytes(9)
    path = write(tmp_path / "t.trx", files, kind)
    found = read_weights(path)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, weights)


def test_which_weights(tmp_path: Path) -> None:
    """`weights` wins; of two others it cannot be told; none is an error."""
    files = make_files(make_tracks(2))
    one = np.ones(2, "<f4").tobytes()
    with pytest.raises(InputError, match="expected weights"):
        read_weights(write(tmp_path / "a.trx", files))
    both = files | {"dps/sift2_a.float32": one, "dps/sift2_b.float32": one}
    assert open_trx(write(tmp_path / "b.trx", both)).weights_name is None
    named = both | {"dps/weights.float32": one}
    assert open_trx(write(tmp_path / "c.trx", named)).weights_name == "dps/weights.float32"


@pytest.mark.parametrize("n", [1, 3])
def test_weights_short_and_long(tmp_path: Path, n: int) -> None:
    """Weights that are not one per streamline are an error."""
    files = make_files(make_tracks(2)) | {"dps/weights.float32": bytes(4 * n)}
    with pytest.raises(InputError, match=r"expected 8 bytes of dps/weights\.float32"):
        read_weights(write(tmp_path / "t.trx", files))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["positions.3.float32", "offsets.uint64"])
def test_cut(tmp_path: Path, kind: str, name: str) -> None:
    """Fewer or more bytes than the header says are an error, not a smaller matrix."""
    for i, change in enumerate((lambda b: b[:-1], lambda b: b[:-24], lambda b: b + bytes(24))):
        files = make_files(make_tracks(20, n_min=2))
        files[name] = change(files[name])
        path = write(tmp_path / f"{i}.trx", files, kind)
        with pytest.raises(InputError, match="is cut or damaged"):
            read(path)


@pytest.mark.parametrize("kind", ["stored", "deflated"])
def test_cut_zip(tmp_path: Path, kind: str) -> None:
    """A zip file that was cut is an error."""
    path = write(tmp_path / "t.trx", make_files(make_tracks(500)), kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="expected a tractogram of the format TRX"):
        open_tractogram(path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("deflated", "positions.3.float32"),
        ("deflated", "offsets.uint64"),
        ("stored", "offsets.uint64"),
        ("stored", "header.json"),
    ],
)
def test_damaged_zip(tmp_path: Path, kind: str, name: str) -> None:
    """A changed byte of what is compressed, or of header and offsets, is an error."""
    path = write(tmp_path / "t.trx", make_files(make_tracks(500)), kind)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(name)
    changed = bytearray(path.read_bytes())
    changed[info.header_offset + 30 + len(name) + info.compress_size // 2] ^= 255
    path.write_bytes(changed)
    with pytest.raises(InputError, match=r"t\.trx"):
        read(path)


def test_arrays_edited_in_place_are_read_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """trx-python writes edits into the stored file and leaves its checksum old."""
    tracks = make_tracks(20)
    old = np.arange(20, dtype="<f4") + 1
    files = make_files(tracks) | {"dps/weights.float32": old.tobytes()}
    path = write(tmp_path / "t.trx", files)
    read(path)
    assert not caplog.messages
    moved = [track + 1 for track in tracks]
    content = path.read_bytes()
    for name, new in (
        ("positions.3.float32", make_files(moved)["positions.3.float32"]),
        ("dps/weights.float32", (old / 2).tobytes()),
    ):
        assert content.count(files[name]) == 1
        content = content.replace(files[name], new)
    path.write_bytes(content)
    np.testing.assert_array_equal(read(path), ends_of([t.astype("<f4") for t in moved]))
    np.testing.assert_array_equal(open_trx(path).read_weights(), old / 2)
    assert [("t.trx" in m, "edited in place" in m) for m in caplog.messages] == [(True, True)] * 2
    assert "positions.3.float32" in caplog.messages[0]
    assert "dps/weights.float32" in caplog.messages[1]


def test_what_the_header_of_a_stored_member_points_to_must_be_there(tmp_path: Path) -> None:
    """Where no file begins in the zip, it is damaged."""
    path = write(tmp_path / "t.trx", make_files(make_tracks(20)))
    with zipfile.ZipFile(path) as archive:
        first = archive.getinfo("positions.3.float32").header_offset
    content = bytearray(path.read_bytes())
    content[first] ^= 255
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"t\.trx.*no file header"):
        read(path)


@pytest.mark.parametrize(
    "starts",
    [
        [0, 4, 2, 6],
        [1, 2, 4, 6],
        [0, 2, 9, 6],
        [0, 2, 4, 5],
        [0, 2, 2**63, 6],
        [0, 2, 2**64 - 1, 6],
    ],
)
def test_impossible_offsets(tmp_path: Path, starts: list[int]) -> None:
    """Offsets that go back, beyond, or leave vertices over are an error."""
    files = make_files([np.ones((2, 3))] * 3)
    files["offsets.uint64"] = np.array(starts, "<u8").tobytes()
    with pytest.raises(InputError, match="expected the offsets in"):
        read(write(tmp_path / "t.trx", files))


@pytest.mark.parametrize(
    "header",
    [
        {"NB_STREAMLINES": 10**15, "NB_VERTICES": 6},
        {"NB_STREAMLINES": 2, "NB_VERTICES": 10**15},
    ],
)
def test_absurd_sizes(tmp_path: Path, header: dict[str, int]) -> None:
    """Sizes that the files do not have are refused before memory is asked for."""
    files = make_files([np.ones((3, 3))] * 2) | {"header.json": json.dumps(header).encode()}
    with pytest.raises(InputError, match="is cut or damaged"):
        read(write(tmp_path / "t.trx", files))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "expected header.json"),
        (b"{", "reading it gave: JSONDecodeError"),
        (b"[1]", "reading it gave: TypeError"),
        (b"{}", "NB_STREAMLINES"),
        (b'{"NB_STREAMLINES": Infinity, "NB_VERTICES": 1}', "reading it gave: OverflowError"),
        (b'{"NB_STREAMLINES": -1, "NB_VERTICES": 1}', "expected counts"),
        (b"[" * 100_000, "without end"),
    ],
)
def test_broken_headers(tmp_path: Path, header: bytes, message: str) -> None:
    """Headers that are empty, no JSON, or say nonsense are explained."""
    files = make_files(make_tracks(2)) | {"header.json": header}
    with pytest.raises(InputError, match=message):
        open_tractogram(write(tmp_path / "t.trx", files))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:\\evil"])
def test_names_that_point_out(tmp_path: Path, name: str) -> None:
    """A member whose name points out of the file makes the file untrusted."""
    files = make_files(make_tracks(2)) | {name: b"x"}
    with pytest.raises(
        InputError, match=r"t\.trx; found an archive with a path that leads out of it"
    ):
        open_tractogram(write(tmp_path / "t.trx", files))
    assert not (tmp_path.parent / "evil").exists()


def test_missing_arrays(tmp_path: Path) -> None:
    """No vertices, two kinds of them, an unknown type, no file and no zip file are said."""
    files = make_files(make_tracks(2))
    twice = files | {"positions.3.float64": b""}
    foreign = {k.replace("float32", "int8"): v for k, v in files.items()}
    for i, broken in enumerate((twice, foreign)):
        with pytest.raises(InputError, match="expected one positions"):
            open_tractogram(write(tmp_path / f"{i}.trx", broken))
    with pytest.raises(InputError, match=r"no\.trx"):
        open_tractogram(tmp_path / "no.trx")
    (tmp_path / "text.trx").write_text("text")
    with pytest.raises(InputError, match="not a zip file"):
        open_tractogram(tmp_path / "text.trx")


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_flat(tmp_path: Path, kind: str) -> None:
    """A file of 60 MB is read with a few blocks of memory."""
    path = write(tmp_path / "t.trx", make_files([np.zeros((100, 3))] * 50_000), kind)
    tracemalloc.start()
    n_tracks = sum(len(block) for block in open_tractogram(path).blocks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_tracks == 50_000
    assert peak < 60e6
