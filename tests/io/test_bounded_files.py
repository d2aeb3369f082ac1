"""Files that declare or unpack to more than they can hold are refused before memory is taken."""

import gzip
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kraken_bids.bids.bold_series import open_bold
from kraken_bids.exceptions import InputError
from kraken_bids.io import bounds, tck, trk
from kraken_bids.io.images import read_header, read_image, read_labels
from kraken_bids.io.tractograms import open_tractogram

AFFINE = np.diag([2.0, 2, 2, 1])
HUGE = (2000, 2000, 2000)
KINDS = {
    "l.nii": nib.Nifti1Image,
    "l.nii.gz": nib.Nifti1Image,
    "two.nii.gz": nib.Nifti2Image,
    "l.mgz": nib.MGHImage,
    "l.mgh": nib.MGHImage,
}
NAN, INF = [[np.nan] * 3], [[np.inf] * 3]


def save_header(
    path: Path, shape: tuple[int, ...], affine: np.ndarray = AFFINE, rest: bytes = b""
) -> Path:
    """Write a header that declares a shape, and instead of values what is given."""
    name = path.name
    header = KINDS[name].header_class()
    if isinstance(header, nib.freesurfer.mghformat.MGHHeader):
        header["dims"] = (*shape, 1)[:4]
        header["Mdc"], header["Pxyz_c"] = affine[:3, :3].T, affine[:3, 3]
        header["type"] = 1
        content = header.binaryblock[:90].ljust(284, b"\0")
    else:
        header.set_data_shape(shape)
        header.set_data_dtype(np.int32)
        header.set_sform(affine, 1)
        header["vox_offset"] = len(header.binaryblock) + 4
        header["magic"] = header.single_magic
        content = header.binaryblock + bytes(4)
    content += rest
    path.write_bytes(content if name.endswith((".nii", ".mgh")) else gzip.compress(content))
    return path


def drain(path: Path) -> None:
    for _ in open_tractogram(path).blocks():
        pass


def drain_series(path: Path) -> None:
    for _ in open_bold(path, tr=2.0).volumes():
        pass


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("read", [read_labels, read_image])
def test_images_that_declare_gigabytes_in_a_few_bytes(
    tmp_path: Path, name: str, read: Callable
) -> None:
    """Of every kind: 32 GB in 400 bytes, or an axis as long as no scanner makes one."""
    path = save_header(tmp_path / name, HUGE)
    with pytest.raises(InputError, match=rf"{name}.*\[2000, 2000, 2000\], 8,000,000,000 voxels"):
        read(path)
    with pytest.raises(InputError, match=rf"{name}.*axes of \[5000, 2, 2\]"):
        read(save_header(tmp_path / name, (5000, 2, 2)))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shape", [(480, 576, 480), (256, 256, 256), (880, 880, 4)])
def test_images_as_large_as_scanners_make_them(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    """Labels of 0.5 mm pack to next to nothing: no ratio tells them from a hostile file."""
    path = save_header(tmp_path / name, shape)
    with gzip.open(path) if name.endswith("z") else path.open("rb") as stream:
        assert read_header(stream, path).shape == shape


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("read", [read_labels, read_image])
@pytest.mark.parametrize("change", [0.0, np.nan, np.inf, 1e30])
def test_an_affine_without_an_inverse(
    tmp_path: Path, name: str, read: Callable, change: float
) -> None:
    """Voxels that have no place, or one beyond a kilometre, are refused where they are read."""
    affine = AFFINE.copy()
    affine[2, 2] = change
    path = save_header(tmp_path / name, (2, 2, 2), affine, bytes(32))
    with np.errstate(all="ignore"), pytest.raises(InputError, match=rf"{name}.*(place|valid)"):
        read(path)


@pytest.mark.parametrize("name", [name for name in KINDS if name.endswith("z")])
def test_what_follows_an_image_is_bounded(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A footer is read to find the checksum; a rest that goes on and on is none."""
    monkeypatch.setattr(bounds, "FREE_BYTES", 10_000)
    read_labels(save_header(tmp_path / name, (2, 2, 2), rest=bytes(5_000)))
    path = save_header(tmp_path / name, (2, 2, 2), rest=bytes(300_000))
    with pytest.raises(InputError, match=rf"{name}.*a rest behind its values"):
        read_labels(path)


@pytest.mark.parametrize("name", ["l.nii", "l.nii.gz"])
def test_series_larger_than_their_file(tmp_path: Path, name: str) -> None:
    """One volume of 32 GB, and as many small ones."""
    for shape in ((*HUGE, 2), (100, 100, 100, 8000)):
        with pytest.raises(InputError, match=rf"{name}.*declare"):
            open_bold(save_header(tmp_path / name, shape), tr=2.0)


def test_damage_behind_what_is_read_is_found(tmp_path: Path) -> None:
    """The checksum counts also where a header asks for less than the file holds."""
    points = np.concatenate([np.ones((2, 3)), NAN, INF, np.ones((99, 3))]).astype("<f4").tobytes()
    header = b"mrtrix tracks\ndatatype: Float32LE\nfile: . 100\nEND\n".ljust(100, b"\0")
    (tmp_path / "t.tck.gz").write_bytes(gzip.compress(header + points))
    track = np.array([1], "<i4").tobytes() + bytes(12)
    (tmp_path / "t.trk.gz").write_bytes(gzip.compress(make_trk_header(n_count=2) + 9 * track))
    save_header(tmp_path / "l.nii.gz", (2, 2, 2, 2), rest=bytes(999))
    for name, read in (("t.tck.gz", drain), ("t.trk.gz", drain), ("l.nii.gz", drain_series)):
        path = tmp_path / name
        read(path)
        content = bytearray(path.read_bytes())
        content[-6] ^= 1
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}.*CRC"):
            read(path)


def make_trk_header(**fields: object) -> bytes:
    """Header of tracks in 2 mm voxels."""
    header = np.zeros(1, trk.HEADER)
    known = {
        "id": b"TRACK",
        "dim": 50,
        "voxel_size": 2,
        "vox_to_ras": AFFINE,
        "voxel_order": b"RAS",
        "version": 2,
        "hdr_size": 1000,
    }
    for name, value in (known | fields).items():
        header[name] = value
    return header.tobytes()


def make_tck(**keys: str) -> bytes:
    lines = {"datatype": "Float32LE", "file": ". 200"} | keys
    text = "mrtrix tracks\n" + "".join(f"{k}: {v}\n" for k, v in lines.items()) + "END\n"
    return text.encode().ljust(200, b"\0")


def test_a_track_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no separator comes, reading stops; a track of that length is still one."""
    monkeypatch.setattr(tck, "BLOCK_VERTICES", 16)
    monkeypatch.setattr(tck, "MAX_TRACK_VERTICES", 100)
    path = tmp_path / "t.tck.gz"
    for n, is_read in ((99, True), (500, False)):
        points = np.concatenate([np.zeros((n, 3)), NAN, INF]).astype("<f4")
        path.write_bytes(gzip.compress(make_tck() + points.tobytes()))
        if is_read:
            drain(path)
        else:
            with pytest.raises(InputError, match=r"t\.tck\.gz.*more than 100 vertices"):
                drain(path)


@pytest.mark.parametrize("name", ["t.tck.gz", "t.trk.gz"])
def test_tracks_that_pack_to_nothing(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured coordinates do not: such a file would be unpacked for a long time."""
    monkeypatch.setattr(bounds, "FREE_BYTES", 10_000)
    monkeypatch.setattr(tck, "BLOCK_VERTICES", 500)
    monkeypatch.setattr(trk, "BLOCK_BYTES", 5_000)
    points = np.concatenate([np.zeros((9, 3)), NAN]).astype("<f4").tobytes()
    tracks = {
        "t.tck.gz": make_tck() + 1_000 * points,
        "t.trk.gz": make_trk_header() + 1_000 * (np.array([9], "<i4").tobytes() + bytes(108)),
    }
    (tmp_path / name).write_bytes(gzip.compress(tracks[name]))
    with pytest.raises(InputError, match=rf"{name}.*a track file that declares"):
        drain(tmp_path / name)


def test_thousands_of_numbers_for_each_vertex(tmp_path: Path) -> None:
    """A count that is possible by itself may be none with so many scalars."""
    content = make_trk_header(n_scalars=32_000) + np.array([1 << 20], "<i4").tobytes()
    (tmp_path / "t.trk").write_bytes(content)
    with pytest.raises(InputError, match=r"t\.trk; found 1048576, with 32003 numbers each"):
        drain(tmp_path / "t.trk")


def test_zeros_in_place_of_tracks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some tracks without vertices are read; a file of them is zeros instead of data."""
    monkeypatch.setattr(trk, "MAX_EMPTY", 100)
    track = np.array([1], "<i4").tobytes() + bytes(12)
    (tmp_path / "t.trk").write_bytes(make_trk_header() + 150 * (track + bytes(4)))
    drain(tmp_path / "t.trk")
    (tmp_path / "t.trk").write_bytes(make_trk_header() + track + 150 * bytes(4))
    with pytest.raises(InputError, match=r"t\.trk.*150 of 151 tracks have no vertices"):
        drain(tmp_path / "t.trk")


@pytest.mark.parametrize(
    "keys",
    [
        {"file": ". \u0663\u0663"},
        {"file": ". \u00b2"},
        {"file": f". {'9' * 5000}"},
        {"file": ". 99999999999999999999"},
        {"file": "a\0b 200"},
    ],
)
def test_offsets_that_are_none(tmp_path: Path, keys: dict[str, str]) -> None:
    """Digits of other scripts, numbers beyond every file, and names that no file has."""
    (tmp_path / "t.tck").write_bytes(make_tck(**keys) + np.array(INF, "<f4").tobytes())
    with pytest.raises(InputError, match=r"t\.tck"):
        drain(tmp_path / "t.tck")


@pytest.mark.parametrize("count", ["\u0663", "\u00b2", "9" * 5000, "-1", "1e3"])
def test_counts_that_are_none(tmp_path: Path, count: str) -> None:
    """They say nothing: all tracks are read."""
    header = make_tck(count=count, file=". 6000").ljust(6000, b"\0")
    points = np.concatenate([np.ones((2, 3)), NAN, INF]).astype("<f4").tobytes()
    (tmp_path / "t.tck").write_bytes(header + points)
    tractogram = open_tractogram(tmp_path / "t.tck")
    assert tractogram.n_declared == 0
    assert sum(len(block) for block in tractogram.blocks()) == 1


def write_trx(path: Path, n: int, packing: int) -> None:
    with zipfile.ZipFile(path, "w", packing) as archive:
        header = {"NB_VERTICES": n, "NB_STREAMLINES": 1}
        archive.writestr("header.json", json.dumps(header))
        archive.writestr("positions.3.float32", bytes(12 * n))
        archive.writestr("offsets.uint64", np.array([0, n], "<u8").tobytes())


def test_a_trx_that_unpacks_to_more_than_tracks_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused by what it declares; so is one packed in a way that declares nothing."""
    write_trx(tmp_path / "t.trx", 10_000, zipfile.ZIP_DEFLATED)
    drain(tmp_path / "t.trx")
    monkeypatch.setattr(bounds, "FREE_BYTES", 10_000)
    with pytest.raises(InputError, match=r"t\.trx; found an archive that declares 120"):
        drain(tmp_path / "t.trx")
    write_trx(tmp_path / "t.trx", 100, zipfile.ZIP_LZMA)
    with pytest.raises(InputError, match=r"t\.trx; found an archive.*unusual"):
        drain(tmp_path / "t.trx")


def test_a_stored_member_of_a_trx_with_two_sizes(tmp_path: Path) -> None:
    """What lies behind it in the archive is not read in its place."""
    write_trx(tmp_path / "t.trx", 100, zipfile.ZIP_STORED)
    content = bytearray(tmp_path.joinpath("t.trx").read_bytes())
    # in the central directory, packed and unpacked size stand one behind the other
    place = content.index(struct.pack("<2L", 1200, 1200), content.index(b"PK\1\2"))
    content[place : place + 4] = struct.pack("<L", 1100)
    (tmp_path / "t.trx").write_bytes(content)
    with pytest.raises(InputError, match=r"t\.trx.*two sizes of 'positions\.3\.float32'"):
        drain(tmp_path / "t.trx")


def test_voxel_sizes_that_are_no_numbers_leave_the_sform(tmp_path: Path) -> None:
    """MRtrix's digits are taken from pixdim only where both agree."""
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.int16), AFFINE), tmp_path / "l.nii")
    content = bytearray((tmp_path / "l.nii").read_bytes())
    content[80:84] = struct.pack("<f", np.nan)
    (tmp_path / "l.nii").write_bytes(content)
    np.testing.assert_array_equal(read_labels(tmp_path / "l.nii", as_mrtrix=True)[1], AFFINE)
