"""``derivatives/qsirecon`` of the synthetic data set: tractograms, weights, the way to AC-PC."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.demo.cohort import KEPT_STREAMLINES, N_STREAMLINES
from kraken_bids.demo.formats import (
    write_affine_transform,
    write_derivatives_root,
    write_image,
    write_json,
    write_tractogram,
)
from kraken_bids.demo.population import ALGORITHMS, Subject, compute_streamline_shares
from kraken_bids.demo.template_brain import (
    CENTRE,
    FINE_MM,
    N_CELLS,
    PARCELLATIONS,
    SEMI_AXES,
    coarse_shape,
    grid_affine,
    grid_points,
    load_brain,
    look_up,
)
from kraken_bids.demo.warps import Anatomy, invert

FloatArray = NDArray[np.float64]

METHODS = {"ifod2": "iFOD2", "sdstream": "SDStream"}
"""Spelling of MRtrix in the header of a tractogram."""
MAX_POINTS = 12
JITTER_MM = 0.5
"""SD, per axis, of the distance of a streamline's end from the centre of its grey-matter voxel."""
ACPC_SHAPE = tuple(2 * n + 15 for n in coarse_shape())


def write_qsirecon_root(root: Path) -> None:
    """Write the description and ``.bidsignore``."""
    write_derivatives_root(
        root,
        "QSIRecon (synthetic)",
        {
            "Name": "QSIRecon",
            "Version": "1.1.0",
            "CodeURL": "https://github.com/PennLINC/qsirecon",
        },
        ignored=[
            "*_xfm.*",
            "*_streamlines.tck.gz",
            "*_streamlineweights.csv",
            "*_mu.txt",
            "*_dseg.nii.gz",
        ],
    )


def write_qsirecon(
    root: Path,
    sub: str,
    subject: Subject,
    anatomy: Anatomy,
    *,
    rng: np.random.Generator,
    with_labels: bool,
) -> None:
    """Write one subject's ``anat`` and ``dwi``.

    Parameters
    ----------
    root : path
        ``derivatives/qsirecon``.
    sub : str
        Label with ``sub-``.
    rng : Generator
        Draws the streamlines.
    with_labels : bool
        Also write label images in AC-PC space. Without them labels must be carried there by the
        transforms.
    """
    anat, dwi = root / sub / "anat", root / sub / "dwi"
    write_affine_transform(
        anat / f"{sub}_from-T1w_to-ACPC_mode-image_xfm.txt", invert(anatomy.acpc)
    )
    write_affine_transform(anat / f"{sub}_from-ACPC_to-T1w_mode-image_xfm.txt", anatomy.acpc)
    _write_images(root / sub, sub, anatomy, with_labels=with_labels)
    for algorithm in ALGORITHMS:
        stem = f"{sub}_space-ACPC_model-{algorithm}"
        streamlines, lengths = draw_streamlines(subject, anatomy, algorithm, rng=rng)
        path = dwi / f"{stem}_streamlines.tck.gz"
        write_tractogram(path, streamlines, method=METHODS[algorithm], lengths=lengths)
        _write_weights(path, stem, len(streamlines), rng)


def _write_images(folder: Path, sub: str, anatomy: Anatomy, *, with_labels: bool) -> None:
    """Brain mask and, on demand, label images in AC-PC space."""
    affine = grid_affine(FINE_MM, ACPC_SHAPE)
    affine[:3, 3] += anatomy.to_acpc(CENTRE) - CENTRE
    native = grid_points(affine, ACPC_SHAPE) - anatomy.acpc[:3, 3]
    points = anatomy.to_template(native @ invert(anatomy.acpc)[:3, :3].T)
    mask = (look_up(load_brain().tissue, points) > 0).astype(np.uint8)
    stem = f"{sub}_space-ACPC"
    write_image(folder / "anat" / f"{stem}_desc-brain_mask.nii.gz", mask, affine)
    reference = f"bids::{sub}/anat/{stem}_desc-brain_mask.nii.gz"
    sidecar = {"Type": "Brain", "SpatialReference": reference}
    write_json(folder / "anat" / f"{stem}_desc-brain_mask.json", sidecar)
    for name in PARCELLATIONS if with_labels else ():
        labels = look_up(load_brain().regions[name], points).astype(np.int16)
        write_image(folder / "dwi" / f"{stem}_seg-{name}_dseg.nii.gz", labels, affine)


def draw_streamlines(
    subject: Subject, anatomy: Anatomy, algorithm: str, *, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Streamlines in AC-PC space that follow the subject's planted structure.

    Both ends lie within 1.5 mm of a grey-matter voxel of the two cells that were drawn; a share of
    streamlines ends in white matter instead.

    Returns
    -------
    streamlines : ndarray [n_streamlines, MAX_POINTS, 3]
        RAS mm.
    lengths : ndarray [n_streamlines]
        Number of points of each; the rest repeats the last one.
    """
    shares = compute_streamline_shares(subject, algorithm).ravel()
    pairs = rng.choice(len(shares), N_STREAMLINES, p=shares)
    start = _draw_ends(pairs // N_CELLS, rng)
    end = _draw_ends(pairs % N_CELLS, rng)
    astray = rng.random(N_STREAMLINES) > KEPT_STREAMLINES[algorithm]
    direction = rng.standard_normal((int(astray.sum()), 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    end[astray] = CENTRE + 0.4 * SEMI_AXES * direction
    distance = np.linalg.norm(end - start, axis=1)
    lengths = np.clip(6 + distance // 15, 6, MAX_POINTS).astype(np.int64)
    time = np.minimum(np.arange(MAX_POINTS) / (lengths[:, None] - 1), 1.0)[..., None]
    # the arc bends towards white matter
    middle = (start + end) / 2
    bend = (middle + 0.4 * (CENTRE - middle))[:, None]
    arc = (1 - time) ** 2 * start[:, None] + 2 * time * (1 - time) * bend + time**2 * end[:, None]
    return anatomy.to_acpc(anatomy.from_template(arc)).astype(np.float32), lengths


def _draw_ends(cells: NDArray[np.int64], rng: np.random.Generator) -> FloatArray:
    """Draw a random point near a random voxel of each cell, [n, 3], mm in the template."""
    brain = load_brain()
    grey = np.flatnonzero(brain.cells)
    of_cell = grey[np.argsort(brain.cells.ravel()[grey], kind="stable")]
    size = np.bincount(brain.cells.ravel())[1:]
    first = np.cumsum(size) - size
    picked = of_cell[first[cells] + rng.integers(0, size[cells])]
    voxels = np.stack(np.unravel_index(picked, brain.cells.shape), axis=1)
    jitter = np.clip(JITTER_MM * rng.standard_normal((len(cells), 3)), -0.85, 0.85)
    return np.asarray(brain.affine[:3, 3] + FINE_MM * voxels + jitter)


def _write_weights(tracks: Path, stem: str, n: int, rng: np.random.Generator) -> None:
    """SIFT2 weights of a tractogram and their mu, beside it."""
    weights = " ".join(f"{w:.6g}" for w in rng.lognormal(0.0, 0.4, n))
    text = f"# tcksift2 {tracks.name} wmfod.mif weights.csv  (synthetic)\n{weights}\n"
    tracks.with_name(f"{stem}_desc-sift2_streamlineweights.csv").write_text(text, encoding="utf-8")
    mu = f"{rng.uniform(0.8e-3, 1.2e-3):.8g}\n"
    tracks.with_name(f"{stem}_desc-sift2_mu.txt").write_text(mu, encoding="utf-8")
