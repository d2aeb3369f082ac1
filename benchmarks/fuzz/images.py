"""Readers of images: labels, masks, maps, BOLD; NIfTI, FreeSurfer's, MRtrix's."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fuzz.arrays import AFFINE, pack_gzip, rng
from fuzz.cases import Reader, Seed, require

SHAPE = (4, 3, 2)


def list_readers() -> list[Reader]:
    """All readers of images."""
    return [
        Reader("labels", _list_labels, _read_labels),
        Reader("mask", _list_masks, _read_mask),
        Reader("BOLD", _list_bold, _read_bold),
        Reader("FSL field", _list_fields, _read_field),
    ]


def _labels() -> NDArray[np.int16]:
    return (np.arange(np.prod(SHAPE)) % 7).reshape(SHAPE).astype(np.int16)


def _pack_nifti(
    values: NDArray[Any], change: Callable[[Any], object] = bool, *, kind: str = "1"
) -> bytes:
    import nibabel as nib

    classes: Mapping[str, Any] = {"1": nib.Nifti1Image, "2": nib.Nifti2Image}
    image = classes[kind](values, AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    change(image.header)
    return bytes(image.to_bytes())


def _pack_mgh(values: NDArray[Any]) -> bytes:
    import nibabel as nib

    return bytes(nib.MGHImage(values, AFFINE).to_bytes())


def _pack_mif(values: NDArray[Any], code: str) -> bytes:
    transform = "".join(
        f"transform: {','.join(map(str, row))}\n" for row in (np.eye(4) + 0.0)[:3].tolist()
    )
    lines = (
        f"mrtrix image\ndim: {','.join(map(str, values.shape))}\nvox: 2,2,2\n"
        f"layout: -0,+1,+2\ndatatype: {code}\n{transform}"
    )
    offset = len(lines) + len("file: . 0000\nEND\n")
    head = f"{lines}file: . {offset:04d}\nEND\n".encode()
    return head + values.tobytes(order="F")


def _big_endian(values: NDArray[Any]) -> bytes:
    import nibabel as nib

    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    image = nib.Nifti1Image(values.astype(">i2"), AFFINE, header)
    return bytes(image.to_bytes())


def _scale(header: Any) -> None:
    header["scl_slope"], header["scl_inter"] = 2.0, 0.0


def _list_images(values: NDArray[Any]) -> Sequence[Seed]:
    plain = _pack_nifti(values)
    as_float = values.astype(np.float32)
    return [
        Seed("a_dseg.nii", plain),
        Seed("a_dseg.nii.gz", pack_gzip(plain)),
        Seed("a_dseg.nii.gz", pack_gzip(_pack_nifti(as_float))),
        Seed("a_dseg.nii.gz", pack_gzip(_pack_nifti(values[..., None], kind="2"))),
        Seed("a_dseg.nii", _pack_nifti(values, kind="2")),
        Seed("a_dseg.nii.gz", pack_gzip(_big_endian(values))),
        Seed("a_dseg.nii.gz", pack_gzip(_set_slope(plain))),
        Seed("a_dseg.mgz", pack_gzip(_pack_mgh(values.astype(np.int32)))),
        Seed("a_dseg.mgh", _pack_mgh(as_float)),
        Seed("a_dseg.mif", _pack_mif(values.astype("<u4"), "UInt32LE")),
        Seed("a_dseg.mif.gz", pack_gzip(_pack_mif(as_float, "Float32LE"))),
    ]


def _set_slope(content: bytes) -> bytes:
    """Write a slope into a header: nibabel would divide the values by it."""
    return content[:112] + np.array([1.0, 0.0], "<f4").tobytes() + content[120:]


def _list_labels() -> Sequence[Seed]:
    return _list_images(_labels())


def _read_labels(path: Path) -> None:
    from kraken_bids.io.images import read_labels

    labels, affine = read_labels(path, as_mrtrix=path.stat().st_size % 2 == 0)
    require(labels.ndim == 3 and labels.dtype == np.int32, "labels of another kind")
    require(labels.min(initial=0) >= 0, "negative labels")
    _check_affine(affine)


def _list_masks() -> Sequence[Seed]:
    return _list_images((_labels() > 3).astype(np.int16))


def _read_mask(path: Path) -> None:
    from kraken_bids.bids.bold_series import Bold
    from kraken_bids.pipeline.measure.bold_grids import mask_on_grid

    bold = Bold(
        path=path, shape=(*SHAPE, 3), affine=AFFINE, tr=2.0, slope=1.0, inter=0.0,
        dtype=np.dtype("<i2"), offset=352,
    )  # fmt: skip
    inside = mask_on_grid(path, bold)
    require(inside.shape == SHAPE and inside.dtype == np.int32, "another grid")
    require(set(np.unique(inside)) <= {0, 1}, "neither inside nor outside")


def _list_bold() -> Sequence[Seed]:
    values = rng().integers(50, 100, (*SHAPE, 5)).astype(np.int16)

    def set_tr(header: Any) -> None:
        header["pixdim"][4] = 2.0

    plain = _pack_nifti(values, set_tr)
    name = "sub-01_task-rest_bold"
    return [
        Seed(f"{name}.nii", plain),
        Seed(f"{name}.nii.gz", pack_gzip(plain)),
        Seed(f"{name}.nii.gz", pack_gzip(_set_slope(plain))),
        Seed(f"{name}.nii.gz", pack_gzip(_pack_nifti(values.astype(np.float32), set_tr))),
        Seed(f"{name}.nii.gz", pack_gzip(_pack_nifti(values, set_tr, kind="2"))),
        Seed(f"{name}.nii", _pack_nifti(values.astype(np.float64), set_tr, kind="2")),
    ]


def _read_bold(path: Path) -> None:
    from kraken_bids.bids.bold_series import open_bold

    bold = open_bold(path, tr=None)
    _check_affine(bold.affine)
    require(len(bold.shape) == 4 and min(bold.shape) > 0, "another shape")
    require(0 < bold.tr < 1000, "an odd repetition time")
    n_volumes = 0
    for volume in bold.volumes():
        require(volume.shape == (bold.n_voxels,), "a volume of another size")
        n_volumes += 1
    require(n_volumes == bold.shape[3], "another number of volumes")


def _check_affine(affine: NDArray[np.float64]) -> None:
    require(affine.shape == (4, 4) and np.isfinite(affine).all(), "an affine that is not finite")
    require(np.linalg.matrix_rank(affine[:3, :3]) == 3, "an affine without an inverse")


def _list_fields() -> Sequence[Seed]:
    """Displacements, small beside coordinates."""
    values = rng().normal(size=(*SHAPE, 3)).astype(np.float32)

    def set_intent(header: Any) -> None:
        header["intent_code"] = 2006

    return [
        Seed("a_warp.nii", _pack_nifti(values)),
        Seed("a_warp.nii.gz", pack_gzip(_pack_nifti(values, set_intent))),
    ]


def _read_field(path: Path) -> None:
    from kraken_bids.connectome.resample import apply_steps
    from kraken_bids.io.fsl_transforms import read_field

    steps = read_field(path, None)
    require(steps[1][1] is not None and steps[1][1].shape[-1] == 3, "no field")
    require(apply_steps(np.zeros((2, 3)), steps).shape == (2, 3), "points lost")
