"""A tractogram and three label images of realistic size, as plain files.

A folded cortical ribbon, 3 mm thick, in an oblique 1 mm image. Streamlines are arcs between points
scattered about its inner surface, 30 % of them in deep white matter: about half of the streamlines
join two regions, as in the model's training data (2.4 to 2.7 of 5 million).
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

SHAPE = (182, 218, 182)
SEMI_AXES = np.array([62.0, 80.0, 58.0])
N_REGIONS = {"small": 86, "middle": 268, "large": 439}
THICKNESS_MM = 3.0
SCATTER_MM = 1.2
DEEP_SHARE = 0.3
N_POINTS = 50
"""Vertices of a streamline, on average."""
BLOCK = 20_000


def write_label_images(folder: Path) -> dict[str, Path]:
    """Write ``small``, ``middle`` and ``large``: 86, 268 and 439 regions of one ribbon."""
    return write_ribbons(folder, {name: (n, n) for name, n in N_REGIONS.items()})


def write_many_label_images(folder: Path) -> dict[str, Path]:
    """Write 92 images of 100 to 1000 regions, each of other places."""
    sizes = np.linspace(100, 1000, 92).astype(int).tolist()
    return write_ribbons(folder, {f"a{k}": (n, k) for k, n in enumerate(sizes)})


def write_scalar_images(folder: Path) -> dict[str, Path]:
    """Write ``FA`` and ``MD``: smooth numbers of a diffusion image of 2 mm."""
    import nibabel
    from scipy.ndimage import gaussian_filter

    affine = make_affine()
    affine[:3, :3] *= 2
    paths = {}
    for seed, name in enumerate(("FA", "MD")):
        values = np.random.default_rng(seed).random([n // 2 for n in SHAPE])
        values = gaussian_filter(values, 2).astype(np.float32)
        paths[name] = folder / f"{name}.nii"
        nibabel.save(nibabel.Nifti1Image(values, affine), paths[name])
    return paths


def write_ribbons(folder: Path, wanted: dict[str, tuple[int, int]]) -> dict[str, Path]:
    """Write label images of one ribbon: by name, how many regions and what they are drawn with."""
    import nibabel

    affine = make_affine()
    shell = np.argwhere(_in_ribbon(_grid_points(affine)).reshape(SHAPE))
    points = shell @ affine[:3, :3].T + affine[:3, 3]
    paths = {}
    for name, (n_regions, seed) in wanted.items():
        rng = np.random.default_rng(seed)
        seeds = points[rng.choice(len(points), n_regions, replace=False)]
        labels = np.zeros(SHAPE, np.int16)
        labels[tuple(shell.T)] = cKDTree(seeds).query(points)[1] + 1
        paths[name] = folder / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(labels, affine), paths[name])
    return paths


def write_tracks(path: Path, n_streamlines: int) -> None:
    """Write a .tck of arcs, and beside it ``weights.csv`` with a weight for each."""
    rng = np.random.default_rng(3)
    with path.open("wb") as file:
        head = f"mrtrix tracks\ncount: {n_streamlines}\ndatatype: Float32LE\n"
        file.write(f"{head}file: . {len(head) + 18:05d}\nEND\n".encode())
        for first in range(0, n_streamlines, BLOCK):
            file.write(_draw_arcs(min(BLOCK, n_streamlines - first), rng).tobytes())
        file.write(np.full(3, np.inf, "<f4").tobytes())
    weights = rng.lognormal(0, 0.4, n_streamlines)
    text = " ".join(f"{weight:.6g}" for weight in weights)
    path.with_name("weights.csv").write_text(text + "\n")


def make_affine() -> NDArray[np.float64]:
    """Voxel to RAS mm [4, 4]: 1 mm, turned by a few degrees, x running to the left."""
    turn = np.eye(3)
    for axis, angle in enumerate((0.05, -0.03, 0.08)):
        step = np.eye(3)
        i, j = [k for k in range(3) if k != axis]
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        turn = step @ turn
    affine = np.eye(4)
    affine[:3, :3] = turn * [-1, 1, 1]
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return affine.astype(np.float32).astype(np.float64)


def _grid_points(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    grid = np.indices(SHAPE, dtype=np.float64).reshape(3, -1).T
    return np.asarray(grid @ affine[:3, :3].T + affine[:3, 3])


def _inner_radius(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the centre to the inner surface, mm: an ellipsoid with folds of 5 mm."""
    ellipsoid = 1 / np.linalg.norm(directions / SEMI_AXES, axis=-1)
    x, y, z = np.moveaxis(directions, -1, 0)
    folds = np.sin(14 * x + 3 * z) * np.sin(12 * y + 2 * x) + np.sin(13 * z - 4 * y)
    return np.asarray(ellipsoid + 2.5 * folds)


def _in_ribbon(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    radius = np.maximum(np.linalg.norm(points, axis=1), 1e-9)
    depth = radius - _inner_radius(points / radius[:, None])
    return (depth >= 0) & (depth < THICKNESS_MM)


def _draw_ends(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    directions = rng.standard_normal((n, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    ends = directions * (_inner_radius(directions) + rng.normal(0, SCATTER_MM, n))[:, None]
    deep = rng.random(n) < DEEP_SHARE
    ends[deep] *= rng.uniform(0.3, 0.9, (n, 1))[deep]
    return ends


def _draw_arcs(n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Vertices [m, 3] of arcs, NaN after each."""
    start, end = _draw_ends(n, rng), _draw_ends(n, rng)
    bend = 0.3 * (start + end)
    lengths = rng.integers(N_POINTS - 30, N_POINTS + 31, n)
    line = np.repeat(np.arange(n), lengths + 1)
    step = np.arange(len(line)) - np.repeat(np.cumsum(lengths + 1) - lengths - 1, lengths + 1)
    time = (step / (lengths[line] - 1))[:, None]
    arc = (1 - time) ** 2 * start[line] + 2 * time * (1 - time) * bend[line] + time**2 * end[line]
    arc[step == lengths[line]] = np.nan
    return arc.astype("<f4")
