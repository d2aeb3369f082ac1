"""Nearest region of a point: the radial search of tck2connectome, exactly."""

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.labels.label_numbers import check_labels, count_labels
from kraken_bids.connectome.structural.nearest_label_cache import NearestLabelCache, find_box
from kraken_bids.connectome.structural.search_offsets import is_small
from kraken_bids.exceptions import ConnectomeError

POINTS_AT_ONCE = 100_000
NEAR_TIE_MM = 1e-8
"""Distances so alike are looked at again in MRtrix's order; rounding is far below."""
OFFSETS_AT_ONCE = 32


@dataclass(frozen=True)
class RegionSearch:
    """A label image made ready for :func:`find_regions`; axes turned to near-RAS order."""

    labels: NDArray[np.int32]
    """[x, y, z]"""
    affine: NDArray[np.float64]
    """Voxel → RAS mm."""
    radius: float
    """mm, exclusive."""
    takes_own_voxel: bool
    """Whether a labelled voxel always wins for the points inside it."""

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
        last = int(self.labels.max(initial=0))
        if last > n_regions:
            raise ConnectomeError(
                f"expected labels 0 … {n_regions}; found {last} in the label image. "
                "Is it the image of another parcellation?"
            )
        return count_labels(self.labels[self.box], n_regions)

    @cached_property
    def box(self) -> tuple[slice, slice, slice]:
        """Part of the image that holds every label."""
        return find_box(self.labels)

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """[3] Mean of the labelled voxels' centres, RAS mm."""
        labelled = self.labels[self.box] > 0
        means = []
        for axis, cut in enumerate(self.box):
            others = tuple(k for k in range(3) if k != axis)
            counts = np.count_nonzero(labelled, axis=others)
            means.append(np.average(np.arange(cut.start, cut.stop), weights=counts))
        return np.asarray(self.affine[:3, :3] @ means + self.affine[:3, 3])

    @cached_property
    def spacing(self) -> NDArray[np.float64]:
        """[3] Voxel size, mm."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @cached_property
    def nearest_labels(self) -> NearestLabelCache:
        """Nearest labels by voxel, where a labelled voxel wins for the points inside it."""
        return NearestLabelCache(
            self.labels, self.box, self.affine[:3, :3], radius=self.radius, tolerance=NEAR_TIE_MM
        )

    @cached_property
    def tree(self) -> Any:
        """KD-tree of all labelled voxels' centres, for the images that this does not suit."""
        from scipy.spatial import cKDTree

        return cKDTree(_centres_of(self.affine, np.argwhere(self.labels > 0)))

    @cached_property
    def tree_labels(self) -> NDArray[np.int32]:
        """Label of each centre."""
        return self.labels[self.labels > 0]

    @cached_property
    def to_voxels(self) -> NDArray[np.float64]:
        """RAS mm → voxel."""
        return np.linalg.inv(self.affine).astype(np.float64)

    @cached_property
    def offsets(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Voxel offsets [n, 3] in MRtrix's order: by centre distance, then z, y, x; distances."""
        spacing = self.spacing
        farthest = self.radius + 0.5 * float(np.linalg.norm(spacing))
        n = int(np.ceil(farthest / spacing.min()))
        z, y, x = np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij")
        offsets = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
        squares = (offsets * spacing) ** 2
        distances = np.sqrt(squares[:, 2] + squares[:, 1] + squares[:, 0])
        order = np.argsort(distances, kind="stable")
        order = order[distances[order] < farthest]
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
    return RegionSearch(whole, turned, float(radius), takes_own)


def find_regions(search: RegionSearch, points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Region of each point [..., 3], RAS mm: the nearest labelled voxel centre within the radius.

    Equal to ``tck2connectome -assignment_radial_search``: distances in float64, strictly below the
    radius; points outside the image may still be assigned; NaN or infinite points are not. Points
    nearly half-way between labels (within 1e-8 mm) take the first voxel in MRtrix's order: nearest
    own-voxel offset, then z, y, x on the near-RAS grid. 0 where none is near enough.
    """
    flat = points.reshape(-1, 3)
    found = np.zeros(len(flat), dtype=np.int32)
    for first in range(0, len(flat), POINTS_AT_ONCE):
        block = flat[first : first + POINTS_AT_ONCE].astype(np.float64)
        is_finite = np.isfinite(block)
        if is_finite.all():
            found[first : first + POINTS_AT_ONCE] = _find(search, block)
        else:
            finite = is_finite.all(axis=1)
            found[first : first + POINTS_AT_ONCE][finite] = _find(search, block[finite])
    return found.reshape(points.shape[:-1])


def find_voxel_coordinates(
    search: RegionSearch, points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Voxel coordinates [3, n] of points [n, 3], RAS mm, on the near-RAS grid."""
    x, y, z = np.ascontiguousarray(points.T)
    # spelled out, which for so narrow a matrix is faster than a product
    rows = search.to_voxels[:3]
    return np.stack([row[0] * x + row[1] * y + row[2] * z + row[3] for row in rows])


def is_inside(search: RegionSearch, points: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether each point [..., 3] (RAS mm) lies in the box of the label image."""
    voxels = points @ search.to_voxels[:3, :3].T + search.to_voxels[:3, 3]
    inside = (voxels >= -0.5) & (voxels < np.array(search.labels.shape) - 0.5)
    return np.asarray(inside.all(axis=-1))


def _find(search: RegionSearch, points: NDArray[np.float64]) -> NDArray[np.int32]:
    if search.takes_own_voxel and is_small(search.affine[:3, :3], search.radius):
        found, unsure = search.nearest_labels.find(find_voxel_coordinates(search, points))
    else:
        found, unsure = _find_in_tree(search, points)
    if unsure.any():
        found[unsure] = _find_in_order(search, points[unsure])
    return found


def _find_in_tree(
    search: RegionSearch, points: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    distances, nodes = search.tree.query(
        points, k=2, distance_upper_bound=search.radius + NEAR_TIE_MM
    )
    near = distances[:, 0] < search.radius
    found = np.zeros(len(points), dtype=np.int32)
    found[near] = search.tree_labels[nodes[near, 0]]
    tied = distances[:, 1] < distances[:, 0] + NEAR_TIE_MM
    at_rim = np.abs(distances[:, 0] - search.radius) < NEAR_TIE_MM
    return found, tied | at_rim


def _find_in_order(search: RegionSearch, points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Visit voxels in MRtrix's order; the first of equally near ones wins."""
    voxels = find_voxel_coordinates(search, points).T
    centres = np.trunc(voxels + np.copysign(0.5, voxels)).astype(np.int64)
    best = np.full(len(points), search.radius)
    found = np.zeros(len(points), dtype=np.int32)
    # A voxel at an offset lies at least this near; on oblique axes the offsets say less.
    offsets, distances = search.offsets
    least = distances - _half_diagonal(search.affine) - NEAR_TIE_MM
    rows = np.arange(len(points))
    for first in range(0, len(offsets), OFFSETS_AT_ONCE):
        if search.takes_own_voxel and least[first] >= best.max():
            break
        ring = offsets[first : first + OFFSETS_AT_ONCE]
        visited = (centres[:, None] + ring).reshape(-1, 3)
        gaps = _centres_of(search.affine, visited).reshape(len(points), len(ring), 3)
        gaps = np.linalg.norm(points[:, None] - gaps, axis=2)
        labels = _labels_at(search, visited).reshape(gaps.shape)
        gaps[labels == 0] = np.inf
        nearest = gaps.argmin(axis=1)  # the first of equal ones
        nearer = gaps[rows, nearest] < best
        found[nearer] = labels[nearer, nearest[nearer]]
        best[nearer] = gaps[nearer, nearest[nearer]]
    return found


def _centres_of(affine: NDArray[np.float64], voxels: NDArray[np.int64]) -> NDArray[np.float64]:
    x, y, z = voxels.T.astype(np.float64)
    # spelled out, since a matrix product may add in another order and break exact ties
    return np.stack([row[0] * x + row[1] * y + row[2] * z + row[3] for row in affine[:3]], axis=1)


def _labels_at(search: RegionSearch, voxels: NDArray[np.int64]) -> NDArray[np.int32]:
    within = (voxels >= 0) & (voxels < np.array(search.labels.shape))
    inside: NDArray[np.bool_] = np.logical_and.reduce(within, axis=1)
    x, y, z = np.where(inside[:, None], voxels, 0).T
    return np.where(inside, search.labels[x, y, z], 0).astype(np.int32)


def _turn_to_ras(
    labels: NDArray[np.int32], affine: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Permute and flip axes so that they run nearest to R, A, S; world coordinates stay."""
    cosines = np.abs(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    axes = max(permutations(range(3)), key=lambda axes: cosines[range(3), axes].sum())
    turned = affine[:, [*axes, 3]].copy()
    labels = labels.transpose(axes)
    for axis in range(3):
        if turned[axis, axis] < 0:
            turned[:3, 3] += turned[:3, axis] * (labels.shape[axis] - 1)
            turned[:3, axis] *= -1
            labels = np.flip(labels, axis)
    return labels, turned


def _is_orthogonal(affine: NDArray[np.float64]) -> bool:
    unit = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(unit.T @ unit - np.eye(3)).max() < 1e-6)


def _half_diagonal(affine: NDArray[np.float64]) -> float:
    return 0.5 * float(np.sqrt((affine[:3, :3] ** 2).sum()))
