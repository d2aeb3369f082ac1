"""One bit that flipped in a compressed file is found, and the message names the file."""

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.streamlines import Tractogram, TrkFile

from kraken_bids.bids.bold_series import open_bold
from kraken_bids.exceptions import InputError
from kraken_bids.io.images import read_image, read_labels
from kraken_bids.io.tractograms import open_tractogram

RNG = np.random.default_rng(5)
AFFINE = np.diag([2.0, 2, 2, 1])
N_FLIPS = 60


def write_labels(path: Path) -> None:
    """Write labels in blocks, as a parcellation has them."""
    labels = np.kron(RNG.integers(0, 90, (6, 6, 6)), np.ones((3, 3, 3))).astype(np.int32)
    is_mgz = path.name.endswith(".mgz")
    nib.save((nib.MGHImage if is_mgz else nib.Nifti1Image)(labels, AFFINE), path)


def write_scaled(path: Path) -> None:
    """Write probabilities as most tools do: bytes and a slope."""
    image = nib.Nifti1Image(RNG.random((12, 12, 12)), AFFINE)
    image.set_data_dtype(np.uint8)
    nib.save(image, path)


def write_mask(path: Path) -> None:
    """Write a ball, without an sform: nibabel reads it."""
    index = np.indices((30, 30, 30)) - 15
    image = nib.Nifti1Image((np.linalg.norm(index, axis=0) < 9).astype(np.uint8), AFFINE)
    image.set_sform(None, 0)
    image.set_qform(AFFINE, 1)
    nib.save(image, path)


def write_series(path: Path) -> None:
    nib.save(nib.Nifti1Image(RNG.normal(size=(8, 8, 8, 6)).astype("f4"), AFFINE), path)


def write_tck(path: Path) -> None:
    points = RNG.normal(size=(2000, 3))
    points[9::10] = np.nan
    header = b"mrtrix tracks\ndatatype: Float32LE\nfile: . 100\nEND\n".ljust(100, b"\0")
    content = header + np.r_[points, [[np.inf] * 3]].astype("<f4").tobytes()
    path.write_bytes(gzip.compress(content))


def write_trk(path: Path) -> None:
    header = TrkFile.create_empty_header()
    header["voxel_to_rasmm"], header["voxel_sizes"] = AFFINE, (2, 2, 2)
    header["dimensions"], header["voxel_order"] = (50, 50, 50), "RAS"
    tracks = Tractogram(list(RNG.uniform(0, 90, (200, 10, 3)).astype("f4")))
    tracks.affine_to_rasmm = np.eye(4)
    nib.streamlines.save(TrkFile(tracks, header), path.with_suffix(""))
    path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))


def read_series(path: Path) -> None:
    for _ in open_bold(path, tr=2.0).volumes():
        pass


def read_tracks(path: Path) -> None:
    for _ in open_tractogram(path).blocks():
        pass


@pytest.mark.parametrize(
    ("name", "write", "read"),
    [
        ("labels.nii.gz", write_labels, read_labels),
        ("aparc+aseg.mgz", write_labels, read_labels),
        ("probseg.nii.gz", write_scaled, read_image),
        ("mask.nii.gz", write_mask, read_image),
        ("bold.nii.gz", write_series, read_series),
        ("t.tck.gz", write_tck, read_tracks),
        ("t.trk.gz", write_trk, read_tracks),
    ],
)
def test_a_flipped_bit_is_found(
    tmp_path: Path, name: str, write: Callable[[Path], None], read: Callable[[Path], object]
) -> None:
    """Whether it lies in the compressed values or in the checksum behind them."""
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    read(path)
    # behind the ten bytes of the stream's own header, whose time and name carry no values
    begin = 10 + len(path.name)
    places = np.linspace(8 * begin, 8 * len(whole) - 33, N_FLIPS).astype(int)
    for place in [*places, *range(8 * len(whole) - 64, 8 * len(whole), 7)]:
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        if not is_found_by_gzip(bytes(damaged)):
            continue
        with pytest.raises(InputError, match=name.replace(".", r"\.").replace("+", r"\+")):
            read(path)


def is_found_by_gzip(content: bytes) -> bool:
    """Whether Python's own gzip refuses it: a few bits, of padding, mean nothing."""
    try:
        gzip.decompress(content)
    except Exception:  # noqa: BLE001 - whatever it is
        return True
    return False
