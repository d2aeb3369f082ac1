"""The synthetic brain: tissues, cells and the regions of every parcellation, in MNI space.

An ellipsoid with a ventricle in its core, white matter around it and grey matter as its rim. Grey
matter is cut into small cells, which carry the simulated signals, and, independently of them, into
the regions of each parcellation: compact, of similar size, on the side that the region table says
and about where the region lies in humans, so that a label image can be told from another's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from kraken_bids.connectome.labels.region_places import load_centres
from kraken_bids.parcellations import Parcellation, load_parcellation

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

PARCELLATIONS = ("fs86", "shen268", "coco439")
N_CELLS = 500
FINE_MM = 2.5
"""Spacing of the grid that defines the brain; every second voxel is one of the BOLD grid."""
COARSE_MM = 5.0
CENTRE = np.array([0.0, -17.5, 7.5])
SEMI_AXES = np.array([66.0, 82.0, 62.0])
FINE_SHAPE = (59, 71, 55)
GREY, WHITE, CSF = 1, 2, 3
_MIDLINE_MM = 7.5


@dataclass(frozen=True)
class Brain:
    """The template brain on its fine grid, and what follows from it."""

    affine: FloatArray
    """Voxel to world (MNI, RAS mm) of the fine grid, [4, 4]."""
    tissue: IntArray
    """0 outside, ``GREY``, ``WHITE`` or ``CSF`` per fine voxel."""
    cells: IntArray
    """Cell 1 … ``N_CELLS`` of each grey voxel, else 0."""
    regions: dict[str, IntArray]
    """Per parcellation, region 1 … n_regions of each grey voxel in the table's order, else 0."""
    cell_centres: FloatArray
    """Centre of each cell, [n_cells, 3], mm. Cell ``c + n_cells / 2`` mirrors cell ``c``."""
    overlap: dict[str, FloatArray]
    """Per parcellation, how many fine voxels cells and regions share, [n_cells, n_regions]."""


@cache
def load_brain() -> Brain:
    """Build the synthetic brain (the same one every time; about a second)."""
    affine = grid_affine(FINE_MM, FINE_SHAPE)
    axes = [affine[i, 3] + FINE_MM * np.arange(n) for i, n in enumerate(FINE_SHAPE)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    radius = np.linalg.norm((points - CENTRE) / SEMI_AXES, axis=-1)
    tissue = np.select([radius < 0.3, radius < 0.62, radius < 1.0], [CSF, WHITE, GREY], 0)
    is_grey = tissue == GREY
    grey = points[is_grey]
    cell = _make_cells(grey)
    centres = _find_centres(grey, cell)
    regions, overlap = {}, {}
    for turn, name in enumerate(PARCELLATIONS):
        parcellation = load_parcellation(name)
        region = _make_regions(grey, parcellation, turn)
        regions[name] = _fill(is_grey, region + 1)
        pair = np.bincount(
            cell * parcellation.n_regions + region, minlength=N_CELLS * parcellation.n_regions
        )
        overlap[name] = pair.reshape(N_CELLS, -1).astype(np.float64)
    return Brain(
        affine, tissue.astype(np.int32), _fill(is_grey, cell + 1), regions, centres, overlap
    )


def grid_affine(spacing: float, shape: Sequence[int], *, flip_x: bool = False) -> FloatArray:
    """Voxel-to-world matrix [4, 4] of a grid centred on the brain; flipped, x runs to the left."""
    affine = np.diag([-spacing if flip_x else spacing, spacing, spacing, 1.0])
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def look_up(image: IntArray, points: FloatArray) -> IntArray:
    """Values of an image on the fine grid at world points [..., 3] (nearest voxel, 0 outside)."""
    brain = load_brain()
    voxel = np.rint((points - brain.affine[:3, 3]) / FINE_MM).astype(np.int64)
    inside = np.all((voxel >= 0) & (voxel < np.array(FINE_SHAPE)), axis=-1)
    x, y, z = np.moveaxis(np.where(inside[..., None], voxel, 0), -1, 0)
    return np.where(inside, image[x, y, z], 0).astype(np.int32)


def grid_points(affine: FloatArray, shape: Sequence[int]) -> FloatArray:
    """World coordinates [x, y, z, 3] of the voxel centres of a grid."""
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return np.asarray(voxels @ affine[:3, :3].T + affine[:3, 3])


def coarse_shape() -> tuple[int, int, int]:
    """Shape of the BOLD grid: every second voxel of the fine one."""
    x, y, z = ((n + 1) // 2 for n in FINE_SHAPE)
    return x, y, z


def split_evenly(points: FloatArray, n_parts: int) -> IntArray:
    """Cut points [n, 3] into compact parts of equal size; the part 0 … n_parts - 1 of each.

    Repeated bisection across the longest extent: balanced, unlike seeds and nearest neighbours.
    """
    part = np.zeros(len(points), np.int32)
    pending = [(np.arange(len(points)), 0, n_parts)]
    while pending:
        members, first, count = pending.pop()
        if count == 1:
            part[members] = first
            continue
        here = points[members]
        axis = int(np.argmax(np.ptp(here, axis=0)))
        # points on a grid tie along an axis: the other axes break the tie
        order = np.lexsort((here[:, axis - 2], here[:, axis - 1], here[:, axis].round(6)))
        low = count // 2
        cut = round(len(members) * low / count)
        pending.append((members[order[:cut]], first, low))
        pending.append((members[order[cut:]], first + low, count - low))
    return part


def _make_cells(grey: FloatArray) -> IntArray:
    right = grey[grey[:, 0] > 0]
    part = split_evenly(right, N_CELLS // 2)
    folded = np.abs(grey * [1, 0, 0]) + grey * [0, 1, 1]
    nearest = part[cKDTree(right).query(folded)[1]]
    mirrored = np.where(grey[:, 0] < 0, nearest + N_CELLS // 2, nearest)
    return np.asarray(mirrored, dtype=np.int32)


def _make_regions(grey: FloatArray, parcellation: Parcellation, turn: int) -> IntArray:
    """Region (from 0) of each grey point: every side is cut by itself, then parts get names."""
    side = _find_sides(grey, parcellation)
    # each parcellation cuts along axes of its own, else borders of all would coincide
    angle = np.deg2rad(25 * turn)
    turned = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    region = np.zeros(len(grey), np.int32)
    for hemisphere in sorted(set(parcellation.hemispheres)):
        members = np.flatnonzero(side == hemisphere)
        here = (grey[members] - CENTRE) / SEMI_AXES
        here[:, 0] = np.abs(here[:, 0])
        indices = np.array([i for i, h in enumerate(parcellation.hemispheres) if h == hemisphere])
        part = split_evenly(here @ turned.T, len(indices))
        places = (load_centres(parcellation.name)[indices] - CENTRE) / SEMI_AXES
        places[:, 0] = np.abs(places[:, 0])
        region[members] = indices[_name_parts(here, part, places)[part]]
    return region


def _find_sides(grey: FloatArray, parcellation: Parcellation) -> NDArray[np.str_]:
    side = np.where(grey[:, 0] < 0, "L", "R")
    n_midline = parcellation.hemispheres.count("M")
    if n_midline:
        middle = np.flatnonzero(np.abs(grey[:, 0]) <= _MIDLINE_MM)
        low = (grey[middle] - CENTRE) / SEMI_AXES - np.array([0.0, -0.5, -0.8])
        order = np.argsort(np.linalg.norm(low[:, 1:], axis=1), kind="stable")
        side[middle[order[: len(grey) * n_midline // parcellation.n_regions]]] = "M"
    return side


def _name_parts(points: FloatArray, part: IntArray, places: FloatArray) -> IntArray:
    """Row of ``places`` [n_parts, 3] for each part, such that parts lie near their places."""
    centres = _find_centres(points, part)
    cost = ((centres[:, None] - places[None]) ** 2).sum(-1)
    rows, columns = linear_sum_assignment(cost)
    named = np.zeros(len(places), np.int32)
    named[rows] = columns
    return named


def _find_centres(points: FloatArray, part: IntArray) -> FloatArray:
    """Mean of the points of each part, [n_parts, 3]."""
    size = np.bincount(part)
    sums = [np.bincount(part, points[:, k]) for k in range(3)]
    return np.asarray(np.stack(sums, axis=1) / size[:, None])


def _fill(where: NDArray[np.bool_], values: IntArray) -> IntArray:
    image = np.zeros(where.shape, np.int32)
    image[where] = values
    return image
