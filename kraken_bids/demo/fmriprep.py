"""``derivatives/fmriprep`` of the synthetic data set: anatomy, transforms, BOLD and confounds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.demo.formats import (
    write_affine_transform,
    write_composite_transform,
    write_derivatives_root,
    write_image,
    write_json,
    write_series,
    write_table,
)
from kraken_bids.demo.population import Subject
from kraken_bids.demo.signals import (
    N_DUMMIES,
    TR,
    RunSignals,
    compute_confounds,
    render_voxels,
    simulate_run,
)
from kraken_bids.demo.template_brain import (
    COARSE_MM,
    CSF,
    FINE_MM,
    GREY,
    WHITE,
    coarse_shape,
    grid_affine,
    grid_points,
    load_brain,
    look_up,
)
from kraken_bids.demo.warps import Anatomy, compute_fields, invert
from kraken_bids.parcellations import load_parcellation

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]
Step = tuple[FloatArray, NDArray[np.float32] | None]

TEMPLATE = "MNI152NLin6Asym"
RESOLUTION = "res-2"
N_RUNS = 2
T1W_SHAPE = tuple(2 * n + 7 for n in coarse_shape())
BOLD_T1W_SHAPE = tuple(n + 4 for n in coarse_shape())
CUT_BELOW_MM = -46.0
"""Of the subject whose field of view misses the lowest part of the brain (template z)."""
_ASEG = {(WHITE, "L"): 2, (WHITE, "R"): 41, (CSF, "L"): 4, (CSF, "R"): 43}
_T1W_INTENSITY = np.array([0.0, 600.0, 1000.0, 200.0], np.float32)


def write_fmriprep_root(root: Path) -> None:
    """Write what belongs to nobody: the description, ``.bidsignore``, the segmentation's names."""
    write_derivatives_root(
        root,
        "fMRIPrep - fMRI PREProcessing workflow (synthetic)",
        {
            "Name": "fMRIPrep",
            "Version": "25.2.0",
            "CodeURL": "https://github.com/nipreps/fmriprep",
        },
        ignored=["*_xfm.*", "*_boldref.nii.gz", "*_desc-aparcaseg_dseg.nii.gz", "*_timeseries.*"],
    )
    regions = load_parcellation("fs86")
    names = {0: "Unknown", 2: "Left-Cerebral-White-Matter", 4: "Left-Lateral-Ventricle"}
    names |= {41: "Right-Cerebral-White-Matter", 43: "Right-Lateral-Ventricle"}
    names |= dict(zip(regions.labels, regions.region_names, strict=True))
    numbers = sorted(names)
    table: dict[str, Sequence[object]] = {"index": numbers, "name": [names[i] for i in numbers]}
    write_table(root / "desc-aparcaseg_dseg.tsv", table)


def write_fmriprep(
    root: Path,
    sub: str,
    subject: Subject,
    anatomy: Anatomy,
    *,
    rng: np.random.Generator,
    odd: Sequence[str] = (),
) -> None:
    """Write one subject's ``anat`` and ``func``.

    Parameters
    ----------
    root : path
        ``derivatives/fmriprep``.
    sub : str
        Label with ``sub-``.
    rng : Generator
        Draws time courses and noise.
    odd : sequence of {"restless", "cut"}
        An episode of abrupt motion in run 1; a field of view that is cut at the bottom.
    """
    _write_anat(root / sub / "anat", sub, anatomy)
    _write_transforms(root / sub / "anat", sub, anatomy)
    for run in range(1, N_RUNS + 1):
        signals = simulate_run(subject, rng, restless="restless" in odd and run == 1)
        stem = root / sub / "func" / f"{sub}_task-rest_run-{run:02d}"
        _write_run(stem, signals, anatomy, rng=rng, cut="cut" in odd)


def compute_aparcaseg(points: FloatArray) -> NDArray[np.int16]:
    """FreeSurfer's number at template points [..., 3]: regions, white matter, ventricles."""
    brain = load_brain()
    labels = np.array([0, *load_parcellation("fs86").labels])
    found = labels[look_up(brain.regions["fs86"], points)]
    tissue = look_up(brain.tissue, points)
    for (kind, side), number in _ASEG.items():
        on_side = points[..., 0] < 0 if side == "L" else points[..., 0] >= 0
        found[(tissue == kind) & on_side] = number
    return found.astype(np.int16)


def describe_space(sub: str, *, in_template: bool) -> dict[str, str]:
    """Keys that BIDS wants in the sidecar of an image in another space than the raw one."""
    if in_template:
        return {"Resolution": "5 mm, which is coarse: the data are synthetic"}
    return {"SpatialReference": f"bids::{sub}/anat/{sub}_desc-preproc_T1w.nii.gz"}


def _write_anat(folder: Path, sub: str, anatomy: Anatomy) -> None:
    affine = grid_affine(FINE_MM, T1W_SHAPE, flip_x=True)
    points = anatomy.to_template(grid_points(affine, T1W_SHAPE))
    tissue = look_up(load_brain().tissue, points)
    _write_tissues(folder / sub, tissue, affine, sidecar={})
    write_image(folder / f"{sub}_desc-preproc_T1w.nii.gz", _T1W_INTENSITY[tissue], affine)
    write_json(folder / f"{sub}_desc-preproc_T1w.json", {"SkullStripped": False})
    write_image(folder / f"{sub}_dseg.nii.gz", tissue.astype(np.uint8), affine)
    write_image(folder / f"{sub}_desc-aparcaseg_dseg.nii.gz", compute_aparcaseg(points), affine)
    affine = grid_affine(COARSE_MM, coarse_shape())
    tissue = look_up(load_brain().tissue, grid_points(affine, coarse_shape()))
    stem = folder / f"{sub}_space-{TEMPLATE}_{RESOLUTION}"
    _write_tissues(stem, tissue, affine, sidecar=describe_space(sub, in_template=True))


def _write_tissues(
    stem: Path, tissue: IntArray, affine: FloatArray, *, sidecar: dict[str, str]
) -> None:
    mask = (tissue > 0).astype(np.uint8)
    write_image(_extend(stem, "_desc-brain_mask.nii.gz"), mask, affine)
    write_json(_extend(stem, "_desc-brain_mask.json"), {"Type": "Brain"} | sidecar)
    for label, kind in (("GM", GREY), ("WM", WHITE), ("CSF", CSF)):
        share = (tissue == kind).astype(np.float32)
        write_image(_extend(stem, f"_label-{label}_probseg.nii.gz"), share, affine)
        if sidecar:
            write_json(_extend(stem, f"_label-{label}_probseg.json"), sidecar)


def _extend(stem: Path, end: str) -> Path:
    return stem.with_name(stem.name + end)


def _write_transforms(folder: Path, sub: str, anatomy: Anatomy) -> None:
    """Write transforms as ITK means them: one carries images A to B, and points B to A."""
    field, there, back = compute_fields(anatomy)
    to_t1w: list[Step] = [(anatomy.affine, None), (field, there)]
    to_template: list[Step] = [(field, back), (invert(anatomy.affine), None)]
    write_composite_transform(folder / f"{sub}_from-{TEMPLATE}_to-T1w_mode-image_xfm.h5", to_t1w)
    write_composite_transform(
        folder / f"{sub}_from-T1w_to-{TEMPLATE}_mode-image_xfm.h5", to_template
    )
    write_affine_transform(folder / f"{sub}_from-fsnative_to-T1w_mode-image_xfm.txt", np.eye(4))
    write_affine_transform(folder / f"{sub}_from-T1w_to-fsnative_mode-image_xfm.txt", np.eye(4))


def _write_run(
    stem: Path, signals: RunSignals, anatomy: Anatomy, *, rng: np.random.Generator, cut: bool
) -> None:
    """One run in both spaces, and the confounds, which are computed from the T1w one."""
    sub = stem.name.partition("_")[0]
    t1w = grid_affine(COARSE_MM, BOLD_T1W_SHAPE, flip_x=True)
    places = {
        "space-T1w": (t1w, anatomy.to_template(grid_points(t1w, BOLD_T1W_SHAPE))),
        f"space-{TEMPLATE}_{RESOLUTION}": _template_grid(),
    }
    for space, (affine, points) in places.items():
        tissue = look_up(load_brain().tissue, points)
        if cut:
            tissue[points[..., 2] < CUT_BELOW_MM] = 0
        inside = tissue > 0
        cells = look_up(load_brain().cells, points)[inside]
        series = render_voxels(
            signals, points=points[inside], tissue=tissue[inside], cells=cells, rng=rng
        )
        sidecar = describe_space(sub, in_template=space != "space-T1w")
        _write_bold(_extend(stem, f"_{space}"), series, inside, affine, sidecar=sidecar)
        if space == "space-T1w":
            columns, entries = compute_confounds(series, tissue, signals.motion)
            write_table(_extend(stem, "_desc-confounds_timeseries.tsv"), columns)
            write_json(_extend(stem, "_desc-confounds_timeseries.json"), entries)


def _template_grid() -> tuple[FloatArray, FloatArray]:
    affine = grid_affine(COARSE_MM, coarse_shape())
    return affine, grid_points(affine, coarse_shape())


def _write_bold(
    stem: Path,
    series: NDArray[np.float32],
    inside: NDArray[np.bool_],
    affine: FloatArray,
    *,
    sidecar: dict[str, str],
) -> None:
    image = np.zeros((*inside.shape, series.shape[1]), np.float32)
    image[inside] = series
    write_series(_extend(stem, "_desc-preproc_bold.nii.gz"), image, affine, tr=TR)
    acquired = {
        "RepetitionTime": TR,
        "TaskName": "rest",
        "SkullStripped": False,
        "SliceTimingCorrected": True,
        "StartTime": TR / 2,
    }
    write_json(_extend(stem, "_desc-preproc_bold.json"), acquired | sidecar)
    reference = image[..., N_DUMMIES : N_DUMMIES + 10].mean(axis=-1)
    write_image(_extend(stem, "_boldref.nii.gz"), reference, affine)
    write_image(_extend(stem, "_desc-brain_mask.nii.gz"), inside.astype(np.uint8), affine)
    write_json(_extend(stem, "_desc-brain_mask.json"), {"Type": "Brain"} | sidecar)
