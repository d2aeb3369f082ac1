"""One synthetic participant of realistic size, as fMRIPrep and QSIRecon would leave it."""

import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.demo.fmriprep import TEMPLATE, compute_aparcaseg, write_fmriprep_root
from kraken_bids.demo.formats import (
    write_affine_transform,
    write_composite_transform,
    write_image,
    write_json,
    write_table,
)
from kraken_bids.demo.qsirecon import METHODS, write_qsirecon_root
from kraken_bids.demo.template_brain import (
    CENTRE,
    CSF,
    FINE_MM,
    GREY,
    N_CELLS,
    SEMI_AXES,
    WHITE,
    grid_affine,
    grid_points,
    load_brain,
    look_up,
)
from kraken_bids.demo.warps import Anatomy, draw_anatomy, invert

SUBJECT = "sub-01"
TR = 1.0
HEAD = 1.5
"""What is not zero in a BOLD image, in semi-axes of the brain: 57 % of the voxels."""
BLOCK = 20_000
_TISSUES = (("GM", GREY), ("WM", WHITE), ("CSF", CSF))

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How much there is of everything."""

    bold_shape: tuple[int, int, int] = (97, 115, 97)
    bold_mm: float = 2.0
    n_volumes: int = 300
    n_runs: int = 2
    n_streamlines: int = 500_000
    n_points: int = 50
    """Points of a streamline, on average."""
    t1w_shape: tuple[int, int, int] = (176, 240, 256)
    atlas_shape: tuple[int, int, int] = (182, 218, 182)
    field_shape: tuple[int, int, int] = (193, 229, 193)
    fine_mm: float = 1.0
    """Voxels of the T1w image, the atlases and the displacement fields."""


FULL = Size()
SMALL = Size(
    bold_shape=(49, 58, 49), bold_mm=4.0, n_volumes=120, n_streamlines=20_000,
    t1w_shape=(88, 120, 128), atlas_shape=(91, 109, 91), field_shape=(97, 115, 97), fine_mm=2.0,
)  # fmt: skip


def write_participant(folder: Path, size: Size) -> None:
    """Write a raw root with ``derivatives/{fmriprep,qsirecon,atlases}`` for one participant."""
    anatomy = draw_anatomy(1)
    write_json(
        folder / "dataset_description.json",
        {"Name": "benchmark", "BIDSVersion": "1.10.0", "DatasetType": "raw"},
    )
    (folder / SUBJECT).mkdir(exist_ok=True)
    derivatives = folder / "derivatives"
    write_fmriprep_root(derivatives / "fmriprep")
    write_qsirecon_root(derivatives / "qsirecon")
    _write_atlases(derivatives / "atlases", size)
    fmriprep = derivatives / "fmriprep" / SUBJECT
    _write_anat(fmriprep / "anat", anatomy, size)
    _write_transforms(fmriprep / "anat", anatomy, size)
    _write_func(fmriprep / "func", anatomy, size)
    _write_tracts(derivatives / "qsirecon" / SUBJECT, anatomy, size)


def list_bold(folder: Path) -> list[Path]:
    """BOLD files of the participant, all runs and spaces."""
    return sorted(folder.glob("derivatives/fmriprep/sub-*/func/*_bold.nii.gz"))


def list_tracks(folder: Path) -> list[Path]:
    """Tractograms of the participant."""
    return sorted(folder.glob("derivatives/qsirecon/sub-*/dwi/*.tck"))


def _write_atlases(root: Path, size: Size) -> None:
    write_json(
        root / "dataset_description.json",
        {
            "Name": "atlases",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "atlas"}],
        },
    )
    affine = grid_affine(size.fine_mm, size.atlas_shape)
    points = grid_points(affine, size.atlas_shape)
    for name in ("shen268", "coco439"):
        labels = look_up(load_brain().regions[name], points).astype(np.int16)
        path = (
            root / f"tpl-{TEMPLATE}" / "anat" / f"tpl-{TEMPLATE}_atlas-{name}_res-01_dseg.nii.gz"
        )
        write_image(path, labels, affine)


def _write_anat(folder: Path, anatomy: Anatomy, size: Size) -> None:
    affine = grid_affine(size.fine_mm, size.t1w_shape, flip_x=True)
    points = anatomy.to_template(grid_points(affine, size.t1w_shape))
    write_image(
        folder / f"{SUBJECT}_desc-aparcaseg_dseg.nii.gz", compute_aparcaseg(points), affine
    )
    _write_tissues(folder / SUBJECT, points, affine)
    affine = grid_affine(size.bold_mm, size.bold_shape)
    stem = folder / f"{SUBJECT}_space-{TEMPLATE}_res-2"
    _write_tissues(stem, grid_points(affine, size.bold_shape), affine)


def _write_tissues(stem: Path, points: FloatArray, affine: FloatArray) -> None:
    tissue = look_up(load_brain().tissue, points)
    rng = np.random.default_rng(3)
    for label, kind in _TISSUES:
        share = np.zeros(tissue.shape, np.float32)
        inside = tissue == kind
        # as segmentations do: never quite certain, so that the file does not shrink to nothing
        share[inside] = rng.uniform(0.7, 1.0, int(inside.sum()))
        write_image(stem.with_name(f"{stem.name}_label-{label}_probseg.nii.gz"), share, affine)
    mask = stem.with_name(f"{stem.name}_desc-brain_mask.nii.gz")
    write_image(mask, (tissue > 0).astype(np.uint8), affine)


def _write_transforms(folder: Path, anatomy: Anatomy, size: Size) -> None:
    affine = grid_affine(size.fine_mm, size.field_shape)
    points = grid_points(affine, size.field_shape)
    there = anatomy.displacement(points).astype(np.float32)
    path = folder / f"{SUBJECT}_from-{TEMPLATE}_to-T1w_mode-image_xfm.h5"
    write_composite_transform(path, [(anatomy.affine, None), (affine, there)])


def _write_func(folder: Path, anatomy: Anatomy, size: Size) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    template = grid_affine(size.bold_mm, size.bold_shape)
    native = grid_affine(size.bold_mm, size.bold_shape, flip_x=True)
    grids = {
        "T1w": (native, anatomy.to_template(grid_points(native, size.bold_shape))),
        f"{TEMPLATE}_res-2": (template, grid_points(template, size.bold_shape)),
    }
    jobs = []
    for run in range(1, size.n_runs + 1):
        name = f"{SUBJECT}_task-rest_run-{run:02d}"
        write_table(folder / f"{name}_desc-confounds_timeseries.tsv", draw_confounds(size, run))
        for space, (affine, points) in grids.items():
            stem = f"{name}_space-{space}_desc-"
            inside = look_up(load_brain().tissue, points) > 0
            write_image(folder / f"{stem}brain_mask.nii.gz", inside.astype(np.uint8), affine)
            sidecar = {"RepetitionTime": TR, "TaskName": "rest"}
            write_json(folder / f"{stem}preproc_bold.json", sidecar)
            jobs.append((folder / f"{stem}preproc_bold.nii.gz", points, affine))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: write_bold(*job, size=size), jobs))


def write_bold(path: Path, points: FloatArray, affine: FloatArray, *, size: Size) -> None:
    """Smooth anatomy, a course per cell, and noise: full-length floats, as after interpolation."""
    run = path.name[: path.name.index("_space-")]
    rng = np.random.default_rng(list(path.name.encode()))
    flat = points.transpose(2, 1, 0, 3).reshape(-1, 3)  # x fastest, as in the file
    inside = np.flatnonzero(np.linalg.norm((flat - CENTRE) / SEMI_AXES, axis=1) < HEAD)
    here = flat[inside]
    cells = look_up(load_brain().cells, here)
    base = (900 + 60 * np.sin(here / 25).sum(axis=1)).astype(np.float32)
    courses = _draw_courses(N_CELLS, size.n_volumes, np.random.default_rng(list(run.encode())))
    courses = np.concatenate([np.zeros((size.n_volumes, 1), np.float32), courses], axis=1)
    volume = np.zeros(len(flat), np.float32)
    noise = np.empty(len(here), np.float32)
    deflate = zlib.compressobj(1, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        file.write(deflate.compress(_make_header(size, affine)))
        for course in courses:
            rng.standard_normal(out=noise, dtype=np.float32)
            volume[inside] = base + 10 * noise + 8 * course[cells]
            file.write(deflate.compress(volume.tobytes()))
        file.write(deflate.flush())


def _make_header(size: Size, affine: FloatArray) -> bytes:
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_shape((*size.bold_shape, size.n_volumes))
    header.set_data_dtype(np.float32)
    header.set_sform(affine, 2)
    header.set_qform(affine, 2)
    header.set_xyzt_units("mm", "sec")
    header["pixdim"][4] = TR
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    return header.binaryblock + b"\0\0\0\0"


def _draw_courses(n: int, n_volumes: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Slow courses [n_volumes, n] that ten networks share in part."""
    shared = rng.standard_normal((n_volumes, 10)) @ rng.standard_normal((10, n)) / 3
    raw = shared + rng.standard_normal((n_volumes, n))
    smooth = raw.copy()
    for lag in (1, 2, 3):
        smooth[lag:] += raw[:-lag]
    return (smooth / smooth.std(axis=0)).astype(np.float32)


def draw_confounds(size: Size, run: int) -> dict[str, FloatArray]:
    """As many columns as fMRIPrep writes, under its names."""
    rng = np.random.default_rng([run, 5])
    n = size.n_volumes
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    columns = {}
    for name in [*names, "csf", "white_matter", "global_signal"]:
        course = np.cumsum(rng.standard_normal(n)) * (1e-4 if name.startswith("rot") else 5e-3)
        step = np.concatenate([[np.nan], np.diff(course)])
        columns |= {name: course, f"{name}_derivative1": step}
        columns |= {f"{name}_power2": course**2, f"{name}_derivative1_power2": step**2}
    for name in ("framewise_displacement", "std_dvars", "dvars", "rmsd"):
        columns[name] = np.concatenate([[np.nan], rng.uniform(0.05, 0.2, n - 1)])
    for prefix in "acw":
        for k in range(50):
            columns[f"{prefix}_comp_cor_{k:02d}"] = rng.standard_normal(n)
    time = (np.arange(n) + 0.5) / n
    for k in range(4):
        columns[f"cosine{k:02d}"] = np.cos(np.pi * (k + 1) * time)
    return columns


def _write_tracts(folder: Path, anatomy: Anatomy, size: Size) -> None:
    anat, dwi = folder / "anat", folder / "dwi"
    dwi.mkdir(parents=True, exist_ok=True)
    there, back = (f"{SUBJECT}_from-{a}_to-{b}_mode-image_xfm.txt"
                   for a, b in (("T1w", "ACPC"), ("ACPC", "T1w")))  # fmt: skip
    write_affine_transform(anat / there, invert(anatomy.acpc))
    write_affine_transform(anat / back, anatomy.acpc)
    for seed, (algorithm, method) in enumerate(METHODS.items()):
        rng = np.random.default_rng([seed, 7])
        stem = f"{SUBJECT}_space-ACPC_model-{algorithm}"
        with (dwi / f"{stem}_streamlines.tck").open("wb") as file:
            head = f"mrtrix tracks\ncount: {size.n_streamlines}\ndatatype: Float32LE\n"
            head += f"method: {method}\ntotal_count: {size.n_streamlines}\n"
            file.write(f"{head}file: . {len(head) + 18:05d}\nEND\n".encode())
            for block in _draw_streamlines(anatomy, size, rng):
                file.write(block.tobytes())
            file.write(np.full(3, np.inf, "<f4").tobytes())
        weights = " ".join(f"{w:.6g}" for w in rng.lognormal(0, 0.4, size.n_streamlines))
        (dwi / f"{stem}_desc-sift2_streamlineweights.csv").write_text(weights + "\n")
        (dwi / f"{stem}_desc-sift2_mu.txt").write_text("0.001\n")


def _draw_streamlines(
    anatomy: Anatomy, size: Size, rng: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    """Blocks of vertices [m, 3] of arcs between grey voxels, NaN after each; 15 % go astray."""
    brain = load_brain()
    grey = np.argwhere(brain.cells > 0)
    for first in range(0, size.n_streamlines, BLOCK):
        n = min(BLOCK, size.n_streamlines - first)
        ends = brain.affine[:3, 3] + FINE_MM * grey[rng.integers(0, len(grey), (2, n))]
        ends += rng.uniform(-FINE_MM / 2, FINE_MM / 2, ends.shape)
        astray = rng.random(n) < 0.15
        ends[1, astray] = CENTRE + 0.4 * (ends[1, astray] - CENTRE)
        bend = 0.6 * ends.mean(axis=0) + 0.4 * CENTRE
        start, end, bend = anatomy.to_acpc(anatomy.from_template(np.stack([*ends, bend])))
        lengths = rng.integers(size.n_points - 30, size.n_points + 31, n)
        line = np.repeat(np.arange(n), lengths + 1)
        step = np.arange(len(line)) - np.repeat(np.cumsum(lengths + 1) - lengths - 1, lengths + 1)
        time = (step / (lengths[line] - 1))[:, None]
        arc = (1 - time) ** 2 * start[line] + 2 * time * (1 - time) * bend[line]
        arc += time**2 * end[line]
        arc[step == lengths[line]] = np.nan
        yield arc.astype("<f4")


def describe_size(folder: Path) -> str:
    """Sizes of what was written, in words."""
    bold = sum(path.stat().st_size for path in list_bold(folder)) / 1e9
    tracks = sum(path.stat().st_size for path in list_tracks(folder)) / 1e9
    return json.dumps({"BOLD files, GB": round(bold, 2), "tractograms, GB": round(tracks, 2)})
