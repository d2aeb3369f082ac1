"""Files of the synthetic data set: NIfTI, JSON, tables, ITK transforms, MRtrix tractograms."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LPS = np.diag([-1.0, -1.0, 1.0])
"""ITK counts x and y the other way than NIfTI and MRtrix."""
_SLOPE = slice(112, 120)
"""Bytes of ``scl_slope`` and ``scl_inter`` in a NIfTI-1 header."""


def write_image(
    path: Path,
    data: NDArray[Any],
    affine: FloatArray,
    *,
    tr: float | None = None,
    slope: float | None = None,
) -> None:
    """Write a ``.nii.gz``.

    Parameters
    ----------
    data : ndarray [x, y, z] or [x, y, z, t]
        Stored as it is, in its own type.
    affine : ndarray [4, 4]
        Voxel to world, RAS mm.
    tr : float, optional
        Seconds between volumes.
    slope : float, optional
        What a reader multiplies the stored integers with (``scl_slope``).
    """
    image: Any = nib.Nifti1Image(data, affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm", "sec")
    image.header["sform_code"] = image.header["qform_code"] = 2
    if tr is not None:
        image.header["pixdim"][4] = tr
    content = bytearray(image.to_bytes())
    if slope is not None:
        # nibabel would rescale the data: the header of the finished file is changed instead
        content[_SLOPE] = np.array([slope, 0.0], "<f4").tobytes()
    _write_compressed(path, bytes(content))


def write_series(path: Path, data: NDArray[np.float32], affine: FloatArray, *, tr: float) -> None:
    """Write a BOLD series [x, y, z, t] as int16 with a slope, as fMRIPrep does for int16 input.

    ``tr`` is in seconds.
    """
    slope = float(np.float32(data.max() / 30_000))
    write_image(path, np.rint(data / slope).astype(np.int16), affine, tr=tr, slope=slope)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a sidecar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_derivatives_root(
    root: Path, name: str, generator: Mapping[str, str], *, ignored: Sequence[str]
) -> None:
    """Write the description of a derivative dataset of some software, and its ``.bidsignore``."""
    content = {"Name": name, "BIDSVersion": "1.9.0", "DatasetType": "derivative"}
    write_json(root / "dataset_description.json", {**content, "GeneratedBy": [dict(generator)]})
    (root / ".bidsignore").write_text("\n".join(ignored) + "\n", encoding="utf-8")


def write_table(path: Path, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
    """Write a tab-separated table; NaN becomes ``n/a``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = zip(*([_format_value(v) for v in column] for column in columns.values()), strict=True)
    lines = ["\t".join(columns), *("\t".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_affine_transform(path: Path, affine: FloatArray) -> None:
    """Write an ITK text transform of points; ``affine`` [4, 4] is in RAS mm."""
    parameters = " ".join(f"{v:.10g}" for v in _lps_parameters(affine))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {parameters}\nFixedParameters: 0 0 0\n",
        encoding="utf-8",
    )


def write_composite_transform(
    path: Path, steps: Sequence[tuple[FloatArray, NDArray[np.float32] | None]]
) -> None:
    """Write an ITK composite transform (``.h5``), as ANTs and fMRIPrep do.

    Parameters
    ----------
    steps : sequence of (affine, displacement)
        In the order in which a point passes through them. Without displacement, ``affine``
        [4, 4] moves the point (RAS mm). With one, [x, y, z, 3] RAS mm, ``affine`` is the
        voxel-to-world matrix of its grid.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, value in (
            ("HDFVersion", "1.12.1"),
            ("ITKVersion", "5.3.0"),
            ("OSName", "Linux"),
        ):
            file.create_dataset(name, data=[value], dtype=h5py.string_dtype())
        group = file.create_group("TransformGroup")
        _write_step(group, "CompositeTransform_double_3_3")
        # the last one stored is applied first
        for affine, displacement in reversed(steps):
            if displacement is None:
                parameters, fixed = _lps_parameters(affine), np.zeros(3)
                _write_step(group, "AffineTransform_double_3_3", parameters, fixed)
            else:
                field = _lps_field(affine, displacement)
                _write_step(group, "DisplacementFieldTransform_float_3_3", *field)


def write_tractogram(
    path: Path,
    streamlines: NDArray[np.float32],
    *,
    method: str,
    lengths: NDArray[np.int64] | None = None,
) -> None:
    """Write an MRtrix ``.tck.gz``, float32 little-endian.

    ``streamlines`` [n, n_points, 3] are in RAS mm; ``lengths`` [n] cuts them short: only that many
    first points of each are written.
    """
    n, n_points = streamlines.shape[:2]
    stops = np.full((n, 1, 3), np.nan, np.float32)
    points = np.concatenate([streamlines, stops], axis=1)
    keep = np.ones((n, n_points + 1), bool)
    if lengths is not None:
        keep[:, :n_points] = np.arange(n_points) < lengths[:, None]
    body = np.concatenate([points[keep], np.full((1, 3), np.inf, np.float32)]).astype("<f4")
    head = f"mrtrix tracks\ncount: {n}\ndatatype: Float32LE\nmethod: {method}\ntotal_count: {n}\n"
    offset = len(head) + len("file: . 00000\nEND\n")
    header = f"{head}file: . {offset:05d}\nEND\n".encode("ascii")
    _write_compressed(path, header + body.tobytes())


def _write_compressed(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # no file name and no time in the header: the same seed gives the same bytes
    path.write_bytes(gzip.compress(content, 1, mtime=0))


def _format_value(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "n/a" if np.isnan(value) else f"{value:.8g}"
    return str(value)


def _lps_parameters(affine: FloatArray) -> FloatArray:
    return np.concatenate([(LPS @ affine[:3, :3] @ LPS).ravel(), LPS @ affine[:3, 3]])


def _lps_field(
    affine: FloatArray, displacement: NDArray[np.float32]
) -> tuple[NDArray[np.float32], FloatArray]:
    """Parameters and fixed parameters of a displacement field."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    direction = LPS @ affine[:3, :3] / spacing
    size = np.array(displacement.shape[:3], np.float64)
    fixed = np.concatenate([size, LPS @ affine[:3, 3], spacing, direction.ravel()])
    # x runs fastest in the file, after the vector's components
    field = (displacement * np.diag(LPS)).transpose(2, 1, 0, 3)
    return field.astype(np.float32).ravel(), fixed


def _write_step(
    group: Any,
    kind: str,
    parameters: NDArray[Any] | None = None,
    fixed: NDArray[Any] | None = None,
) -> None:
    step = group.create_group(str(len(group)))
    step.create_dataset("TransformType", data=[kind], dtype=h5py.string_dtype())
    if parameters is not None:
        step.create_dataset("TransformParameters", data=parameters)
        step.create_dataset("TransformFixedParameters", data=fixed)
