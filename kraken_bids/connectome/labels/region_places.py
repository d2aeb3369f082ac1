"""Where regions lie in a brain: what is known of parcellations, what a label image says."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kraken_bids.parcellations import (
    Parcellation,
    list_parcellations,
    load_parcellation,
    read_table,
)

LOOKED_AT = 2_000_000
"""Voxels that centres are taken from: every second or third of larger images."""
MIN_REGIONS = 12
"""Fewer regions cannot be compared with their places: an affine map has twelve numbers."""

FAR_APART_MM = 60.0
"""Two regions that lie so far from their places together, in a brain that fits otherwise, are not
displaced but exchanged."""
MIN_OF_A_SIDE = 3
"""Fewer left or right regions say nothing about sides."""
LEFT = re.compile(r"(^|[-_. ])(left|lh|l)([-_. ]|$)", re.IGNORECASE)
RIGHT = re.compile(r"(^|[-_. ])(right|rh|r)([-_. ]|$)", re.IGNORECASE)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Centres:
    """The labels of an image and the middle of each."""

    labels: NDArray[np.int64]
    """[n_labels], ascending, without 0."""
    points: Floats
    """[n_labels, 3], RAS mm."""

    def of(self, labels: NDArray[np.integer]) -> Floats:
        """Centre of each of these labels, [n, 3]; NaN where the image does not hold it."""
        if not len(self.labels):
            return np.full((len(labels), 3), np.nan)
        at = np.minimum(np.searchsorted(self.labels, labels), len(self.labels) - 1)
        return np.where((self.labels[at] == labels)[:, None], self.points[at], np.nan)


@dataclass(frozen=True)
class PlaceFit:
    """How well the regions of an image lie where they are known to lie."""

    explained: float
    """Share of the variance of the known places that an affine map of the image's centres
    predicts for each region from the others: near 1 for the right regions, near 0 or below for
    wrong ones. NaN where there are too few regions."""
    is_mirrored: bool
    """Whether that map exchanges left and right."""
    n_regions: int
    """Regions that are known and in the image."""


@cache
def load_centres(name: str) -> Floats:
    """Centre of each region of a parcellation in MNI152NLin6Asym, mm, [n_regions, 3]; read only.

    Empty, [0, 3], where the package knows none.

    Source: the published label images; of fs86 and coco439 the mode over 420 subjects
    (``scripts/write_centroids.py``).
    """
    rows = [row for row in read_table("centroids.tsv") if row["parcellation"] == name]
    centres = np.array([[row[axis] for axis in "xyz"] for row in rows], np.float64).reshape(-1, 3)
    centres.flags.writeable = False
    return centres


def find_known_centres(parcellation: Parcellation) -> Floats:
    """Centres [n_regions, 3] of a parcellation, else of regions of the same name; NaN: unknown."""
    known = load_centres(parcellation.name)
    if len(known) == parcellation.n_regions:
        return known
    places = _load_named_places()
    unknown = (np.nan, np.nan, np.nan)
    return np.array([places.get(name, unknown) for name in parcellation.region_names])


def measure_centres(labels: NDArray[np.integer], affine: NDArray[np.floating]) -> Centres:
    """Labels of an image and the middle of each; of large images every k-th voxel is looked at.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
        Label image, 0 outside.
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm.
    """
    step = max(1, int(np.ceil((labels.size / LOOKED_AT) ** (1 / 3))))
    thin = labels[::step, ::step, ::step]
    voxels = np.nonzero(thin)
    found, numbers = np.unique(thin[voxels], return_inverse=True)
    counts = np.bincount(numbers, minlength=len(found))
    sums = [np.bincount(numbers, axis, len(found)) for axis in voxels]
    middle = np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None] * step
    points = middle @ np.asarray(affine)[:3, :3].T + np.asarray(affine)[:3, 3]
    return Centres(found.astype(np.int64), points)


def fit_places(found: Floats, known: Floats) -> PlaceFit:
    """Compare centres of an image with known places [n_regions, 3], RAS mm; NaN: unknown.

    An affine map is fitted by least squares, and every region is predicted from the others, so
    that chance explains nothing, however few there are. It is the same for every space, and
    atrophy, growth and partial coverage leave it near 1.
    """
    both = np.isfinite(found).all(axis=1) & np.isfinite(known).all(axis=1)
    x, y, n = found[both], known[both], int(both.sum())
    if n < MIN_REGIONS:
        return PlaceFit(float("nan"), is_mirrored=False, n_regions=n)
    design = np.column_stack([np.ones(n), x - x.mean(axis=0)])
    basis, sizes, _ = np.linalg.svd(design, full_matrices=False)
    basis = basis[:, sizes > 1e-6 * sizes[0]]
    left_out = np.clip(1 - (basis**2).sum(axis=1), 1e-9, None)[:, None]
    errors = ((y - basis @ (basis.T @ y)) / left_out) ** 2
    spread = ((y - y.mean(axis=0)) * n / (n - 1)) ** 2
    explained = 1 - errors.sum() / max(spread.sum(), 1e-9)
    # of a thin slab from front to back one cannot tell which side is which
    has_sides = errors[:, 0].sum() < 0.5 * spread[:, 0].sum()
    turn = float(np.linalg.det(np.linalg.lstsq(design, y, rcond=None)[0][1:]))
    return PlaceFit(float(explained), is_mirrored=bool(has_sides and turn < 0), n_regions=n)


def find_exchanged(found: Floats, known: Floats) -> list[tuple[int, int]]:
    """Pairs of rows of regions that lie where the other one should, in an image that fits.

    They are at least :data:`FAR_APART_MM` off together, and at most half as far if they changed
    places; each region once.
    """
    rows = np.flatnonzero(np.isfinite(found).all(axis=1) & np.isfinite(known).all(axis=1))
    design = np.column_stack([np.ones(len(rows)), found[rows]])
    fitted = design @ np.linalg.lstsq(design, known[rows], rcond=None)[0]
    gaps = np.linalg.norm(fitted[:, None] - known[rows], axis=2)
    own = np.diag(gaps)
    now, changed = own[:, None] + own, gaps + gaps.T
    gain = np.where((now > FAR_APART_MM) & (changed < 0.5 * now), now - changed, 0)
    pairs = []
    while gain.size and gain.max() > 0:
        i, j = sorted(int(k) for k in np.unravel_index(gain.argmax(), gain.shape))
        pairs.append((int(rows[i]), int(rows[j])))
        gain[[i, j]] = gain[:, [i, j]] = 0
    return sorted(pairs)


def find_sides(parcellation: Parcellation) -> tuple[str, ...]:
    """Side of each region, ``L``, ``R`` or ``M``: from the table, else from the names."""
    if {"L", "R"} <= set(parcellation.hemispheres):
        return parcellation.hemispheres
    return tuple(
        {(True, False): "L", (False, True): "R"}.get(
            (bool(LEFT.search(name)), bool(RIGHT.search(name))), "M"
        )
        for name in parcellation.region_names
    )


def measure_sides(found: NDArray[np.float64], hemispheres: Sequence[str]) -> float:
    """Share of pairs of a left and a right region whose left one lies further left.

    1 where there are fewer than three regions of a side.
    """
    sides, x = np.array(hemispheres), found[:, 0]
    left, right = (x[(sides == side) & np.isfinite(x)] for side in "LR")
    if min(len(left), len(right)) < MIN_OF_A_SIDE:
        return 1.0
    return float((left[:, None] < right).mean())


@cache
def _load_named_places() -> dict[str, tuple[float, ...]]:
    """Centre of every region whose name is one of a kind among the known parcellations."""
    places: dict[str, tuple[float, ...]] = {}
    for name in list_parcellations():
        centres = load_centres(name)
        if len(centres):
            names = load_parcellation(name).region_names
            places |= dict(zip(names, map(tuple, centres.tolist()), strict=True))
    return places
