"""Nearest region of a point: the radial search of tck2connectome, exactly, by KD-tree."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from kraken_bids.connectome.labels import check_labels
from kraken_bids.exceptions import ConnectomeError

POINTS_AT_ONCE = 100_000
NEAR_TIE_MM = 1e-5


@dataclass(frozen=True)
class RegionSearch:
    """A label image made ready for :func:`find_regions`; axes turned to near-RAS order."""

    labels: NDArray[np.int32]
    """[x, y, z], C order."""
    affine: NDArray[np.float64]
    """Voxel → RAS mm."""
    radius: float
    """mm, exclusive."""
    takes_own_voxel: bool
    """Whether a labelled voxel always wins for the points inside it."""
    tree: cKDTree
    tree_labels: NDArray[np.int32]

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def n_voxels(self, n_regions: int) -> NDArray[np.int64]:
        """Voxels of regions 1 … n_regions.

        Raises
        ------
        ConnectomeError
            If the image holds a larger label.
        """
        counts = np.bincount(self.labels.ravel(), minlength=n_regions + 1)
        if len(counts) > n_regions + 1:
            raise ConnectomeError(
                f"expected labels 0 … {n_regions}; found {len(counts) - 1} in the label image. "
                "Is it the image of another parcellation?"
            )
        return counts[1:]

    @cached_property
    def to_voxels(self) -> NDArray[np.float64]:
        """RAS mm → voxel."""
        return np.linalg.inv(self.affine).astype(np.float64)

    @cached_property
    def offsets(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Voxel offsets [n, 3] in MRtrix's order: by centre distance, then z, y, x; distances."""
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        reach = self.radius + 0.5 * float(np.linalg.norm(spacing))
        n = int(np.ceil(reach / spacing.min()))
        z, y, x = np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij")
        offsets = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
        squares = (offsets * spacing) ** 2
        distances = np.sqrt(squares[:, 2] + squares[:, 1] + squares[:, 0])
        order = np.argsort(distances, kind="stable")
        order = order[distances[order] < reach]
        return offsets[order].astype(np.int64), distances[order]


def build_region_search(
    labels: NDArray[np.generic], affine: NDArray[np.floating], *, radius: float
) -> RegionSearch:
    """Make a label image ready for :func:`find_regions`.

    Parameters
    ----------
    labels : ndarray of shape (x, y, z) or (x, y, z, 1)
        Region numbers, 0 outside; floats are fine when they are whole numbers.
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm; any orientation, anisotropy or obliqueness.
    radius : float
        mm; a point takes the label of the nearest voxel centre that is closer than this.

    Returns
    -------
    RegionSearch
        See there.

    Raises
    ------
    ConnectomeError
        If labels are negative or fractional, all zero, or the radius is not positive.
    """
    whole, turned = _turn_to_ras(check_labels(labels), np.asarray(affine, dtype=np.float64))
    if not whole.any() or radius <= 0:
        raise ConnectomeError(
            f"expected a label image with at least one region and a positive search radius; found "
            f"{int((whole > 0).sum())} labelled voxels and {radius:g} mm."
        )
    takes_own = _is_orthogonal(turned) and _half_diagonal(turned) < radius
    # Points of labelled voxels need no search then, and for all others the nearest labelled voxel
    # lies on the surface of the labels (the border of the image is surface, for points beyond it).
    sought = whole > 0
    if takes_own:
        sought &= ~binary_erosion(sought, structure=np.ones((3, 3, 3), dtype=bool))
    voxels = np.argwhere(sought)
    centres = voxels @ turned[:3, :3].T + turned[:3, 3]
    return RegionSearch(
        labels=whole,
        affine=turned,
        radius=float(radius),
        takes_own_voxel=takes_own,
        tree=cKDTree(centres, balanced_tree=False, compact_nodes=True),
        tree_labels=whole[tuple(voxels.T)],
    )


def find_regions(search: RegionSearch, points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Region of each point: the label of the nearest labelled voxel centre within the radius.

    Equal to ``tck2connectome -assignment_radial_search``: distances in float64, strictly below the
    radius; points outside the image may still be assigned; NaN or infinite points are not. Points
    nearly half-way between labels (within 1e-5 mm) take the first voxel in MRtrix's order: nearest
    own-voxel offset, then z, y, x on the near-RAS grid.

    Parameters
    ----------
    search : RegionSearch
        From :func:`build_region_search`.
    points : ndarray of shape (..., 3)
        RAS mm.

    Returns
    -------
    ndarray of int32, shape (...)
        Region number; 0 where none is near enough.
    """
    flat = points.reshape(-1, 3)
    found = np.zeros(len(flat), dtype=np.int32)
    for first in range(0, len(flat), POINTS_AT_ONCE):
        block = flat[first : first + POINTS_AT_ONCE].astype(np.float64)
        finite = np.isfinite(block).all(axis=1)
        if finite.all():
            found[first : first + POINTS_AT_ONCE] = _find(search, block)
        else:
            found[first : first + POINTS_AT_ONCE][finite] = _find(search, block[finite])
    return found.reshape(points.shape[:-1])


def is_inside(search: RegionSearch, points: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether each point [..., 3] (RAS mm) lies in the box of the label image."""
    voxels = points @ search.to_voxels[:3, :3].T + search.to_voxels[:3, 3]
    inside = (voxels >= -0.5) & (voxels < np.array(search.labels.shape) - 0.5)
    return np.asarray(inside.all(axis=-1))


def _find(search: RegionSearch, points: NDArray[np.float64]) -> NDArray[np.int32]:
    voxels = points @ search.to_voxels[:3, :3].T + search.to_voxels[:3, 3]
    nearest = np.floor(voxels + 0.5)
    if search.takes_own_voxel:
        found = _labels_at(search, nearest.astype(np.int64))
        spacing = np.linalg.norm(search.affine[:3, :3], axis=0)
        to_face = (0.5 - np.abs(voxels - nearest)) * spacing
        unsure = (found > 0) & (to_face.min(axis=1) < NEAR_TIE_MM)
    else:
        found = np.zeros(len(points), dtype=np.int32)
        unsure = np.zeros(len(points), dtype=bool)
    sought = np.flatnonzero(found == 0)
    distances, nodes = search.tree.query(
        points[sought], k=2, distance_upper_bound=search.radius + NEAR_TIE_MM
    )
    near = distances[:, 0] < search.radius
    found[sought[near]] = search.tree_labels[nodes[near, 0]]
    tied = distances[:, 1] < distances[:, 0] + NEAR_TIE_MM
    at_rim = np.abs(distances[:, 0] - search.radius) < NEAR_TIE_MM
    unsure[sought[tied | at_rim]] = True
    if unsure.any():
        found[unsure] = _find_in_order(search, points[unsure])
    return found


def _find_in_order(search: RegionSearch, points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Visit voxels in MRtrix's order; the first of equally near ones wins."""
    linear, shift = search.to_voxels[:3, :3], search.to_voxels[:3, 3]
    voxels = points @ linear.T + shift
    centre = np.trunc(voxels + np.copysign(0.5, voxels)).astype(np.int64)
    best = np.full(len(points), search.radius)
    found = np.zeros(len(points), dtype=np.int32)
    # A voxel at an offset lies at least this near; on oblique axes the offsets say less.
    offsets, distances = search.offsets
    least = distances - _half_diagonal(search.affine) - NEAR_TIE_MM
    for offset, nearest in zip(offsets, least, strict=True):
        if search.takes_own_voxel and nearest >= best.max():
            break
        voxel = centre + offset
        distance = np.linalg.norm(points - _centres_of(search.affine, voxel), axis=1)
        candidates = np.flatnonzero(distance < best)
        labels = _labels_at(search, voxel[candidates])
        hits = candidates[labels > 0]
        found[hits] = labels[labels > 0]
        best[hits] = distance[hits]
    return found


def _centres_of(affine: NDArray[np.float64], voxels: NDArray[np.int64]) -> NDArray[np.float64]:
    x, y, z = voxels.T.astype(np.float64)
    # spelled out, since a matrix product may add in another order and break exact ties
    return np.stack([row[0] * x + row[1] * y + row[2] * z + row[3] for row in affine[:3]], axis=1)


def _labels_at(search: RegionSearch, voxels: NDArray[np.int64]) -> NDArray[np.int32]:
    shape = np.array(search.labels.shape)
    inside = ((voxels >= 0) & (voxels < shape)).all(axis=1)
    flat = (voxels[:, 0] * shape[1] + voxels[:, 1]) * shape[2] + voxels[:, 2]
    labels = search.labels.ravel()[np.where(inside, flat, 0)]
    labels[~inside] = 0
    return labels


def _turn_to_ras(
    labels: NDArray[np.int32], affine: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Permute and flip axes so that they run nearest to R, A, S; world coordinates stay."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    _, axes = linear_sum_assignment(-np.abs(cosines))
    turned = affine[:, [*axes, 3]].copy()
    labels = labels.transpose(axes)
    for axis in range(3):
        if turned[axis, axis] < 0:
            turned[:3, 3] += turned[:3, axis] * (labels.shape[axis] - 1)
            turned[:3, axis] *= -1
            labels = np.flip(labels, axis)
    return np.ascontiguousarray(labels), turned


def _is_orthogonal(affine: NDArray[np.float64]) -> bool:
    unit = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(unit.T @ unit - np.eye(3)).max() < 1e-6)


def _half_diagonal(affine: NDArray[np.float64]) -> float:
    return 0.5 * float(np.sqrt((affine[:3, :3] ** 2).sum()))
