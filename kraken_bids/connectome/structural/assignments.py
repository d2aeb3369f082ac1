"""Ways to tell a streamline's regions other than the radial search, as in tck2connectome."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.structural.lengths import list_steps, step_lengths
from kraken_bids.connectome.structural.nearest_labels import RegionSearch, find_voxel_coordinates


@dataclass(frozen=True)
class TouchedRegions:
    """Every region that each streamline touches, each once, in rising order."""

    owners: NDArray[np.intp]
    """[n_touched] Streamline."""
    regions: NDArray[np.int32]
    """[n_touched] Region number."""
    n_streamlines: int

    @property
    def n_regions(self) -> NDArray[np.intp]:
        """[n_streamlines] How many regions each streamline touches."""
        return np.bincount(self.owners, minlength=self.n_streamlines)

    def pairs(self) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
        """Pairs that a streamline joins: each of its regions with each, itself included.

        Returns
        -------
        owners : ndarray of int, shape (n_pairs,)
            Streamline, rising.
        pairs : ndarray of int32, shape (n_pairs, 2)
            (0, 0) for a streamline that touches no region and (0, region) for one that touches
            only one: as in tck2connectome, it then joins nothing.
        """
        n = self.n_regions
        first = np.cumsum(n) - n
        position = np.arange(len(self.owners)) - first[self.owners]
        n_partners = n[self.owners] - position
        left = np.repeat(np.arange(len(self.owners)), n_partners)
        right = list_steps(np.arange(len(self.owners)), n_partners)
        pairs = np.stack([self.regions[left], self.regions[right]], axis=1)
        owners = self.owners[left]
        pairs[n[owners] == 1, 0] = 0
        none = np.flatnonzero(n == 0)
        owners = np.concatenate([owners, none])
        pairs = np.concatenate([pairs, np.zeros((len(none), 2), np.int32)])
        order = np.argsort(owners, kind="stable")
        return owners[order], pairs[order]


def find_voxel_regions(search: RegionSearch, points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Label of the voxel that holds each point [..., 3]; ``-assignment_end_voxels``.

    0 outside the image and for NaN.
    """
    with np.errstate(invalid="ignore"):
        voxels = find_voxel_coordinates(search, points.reshape(-1, 3).astype(np.float64)).T
        whole = np.trunc(voxels)
        whole += np.copysign(np.abs(voxels - whole) >= 0.5, voxels)  # half goes away from zero
        inside = ((whole >= 0) & (whole < search.labels.shape)).all(axis=1)
    found = np.zeros(len(whole), np.int32)
    x, y, z = whole[inside].astype(np.int64).T
    found[inside] = search.labels[x, y, z]
    return found.reshape(points.shape[:-1])


def find_regions_inwards(
    search: RegionSearch,
    vertices: NDArray[np.floating],
    starts: NDArray[np.integer],
    stops: NDArray[np.integer],
    *,
    max_distance: float,
) -> NDArray[np.int32]:
    """First region from each end to the middle [n_tracks, 2]; ``-assignment_reverse_search``.

    Track i is ``vertices[starts[i]:stops[i]]``, RAS mm; ``max_distance`` is mm along it, 0 goes to
    its middle. 0 where no region was met.
    """
    labels = find_voxel_regions(search, vertices)
    n = stops - starts
    forth = _find_first(
        labels, step_lengths(vertices), starts, (n + 1) // 2, max_distance=max_distance
    )
    n_vertices = len(vertices)
    # the same from behind; the second end of a track with one vertex is not looked at
    n_back = np.maximum(n - n // 2 - 1, 0)
    back = _find_first(
        labels[::-1],
        step_lengths(vertices[::-1]),
        n_vertices - stops,
        n_back,
        max_distance=max_distance,
    )
    return np.stack([forth, back], axis=1)


def find_all_regions(
    search: RegionSearch,
    vertices: NDArray[np.floating],
    starts: NDArray[np.integer],
    stops: NDArray[np.integer],
) -> TouchedRegions:
    """Every region that holds a vertex of a streamline; ``-assignment_all_voxels``."""
    labels = find_voxel_regions(search, vertices)
    n = stops - starts
    owners = np.repeat(np.arange(len(starts)), n)
    regions = labels[list_steps(starts, n)]
    size = int(search.labels.max()) + 1
    touched = np.unique(owners[regions > 0] * size + regions[regions > 0])
    return TouchedRegions(touched // size, (touched % size).astype(np.int32), len(starts))


def _find_first(
    labels: NDArray[np.int32],
    steps: NDArray[np.float32],
    starts: NDArray[np.integer],
    n_looked_at: NDArray[np.integer],
    *,
    max_distance: float,
) -> NDArray[np.int32]:
    """First label among ``n_looked_at`` vertices from each start on, if not too far."""
    labelled = np.append(np.flatnonzero(labels), len(labels))
    first = labelled[np.searchsorted(labelled, starts)]
    hit = first < starts + n_looked_at
    found = np.zeros(len(starts), np.int32)
    found[hit] = labels[first[hit]]
    if max_distance:
        n_steps = np.where(hit, first - starts, 0)
        owners = np.repeat(np.arange(len(starts)), n_steps)
        # bincount adds one by one, in float64, as MRtrix does
        walked = np.bincount(owners, steps[list_steps(starts, n_steps)], minlength=len(starts))
        found[walked > max_distance] = 0
    return found
