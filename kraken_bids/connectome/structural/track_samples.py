"""Mean of an image along streamlines, as ``tcksample -stat_tck mean`` takes it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.structural.lengths import step_lengths
from kraken_bids.io.track_blocks import TrackBlock

VERTICES_AT_ONCE = 1 << 18


class TrackSampler:
    """Samples an image, such as FA, along streamlines.

    Parameters
    ----------
    values : ndarray of shape (x, y, z)
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm.

    Notes
    -----
    Values are interpolated between the eight voxels around each vertex; a vertex counts by half
    of the steps beside it. A vertex outside the image has the value 0, and a streamline of one
    vertex too.

    Source
    ------
    MRtrix3 ``tcksample``, observed with 3.0.3: equal but for rounding in single precision.
    """

    def __init__(self, values: NDArray[Any], affine: NDArray[np.floating]) -> None:
        self._values = np.ascontiguousarray(values, np.float32)
        self._to_voxels = np.linalg.inv(np.asarray(affine, np.float64))
        self.n_tracks = self.n_outside = self.n_unknown = 0

    def add(self, block: TrackBlock) -> NDArray[np.float32]:
        """Mean [n_tracks] along each track of a block; tracks outside, or of NaN, are counted."""
        sampled, is_outside = self._sample(block.vertices)
        steps = step_lengths(block.vertices).astype(np.float64)
        # a vertex has the step before it and the one after, but none beyond the ends
        before, after = np.append(0.0, steps), np.append(steps, 0.0)
        has_vertices = block.stops > block.starts
        before[block.starts[has_vertices]] = after[block.stops[has_vertices] - 1] = 0.0
        share = 0.5 * (before + after)
        total, length = (_add_up(each, block) for each in (sampled * share, share))
        means = np.zeros(len(block))
        np.divide(total, length, out=means, where=length > 0)
        self.n_tracks += len(block)
        self.n_outside += int((_add_up(is_outside.astype(np.float64), block) > 0).sum())
        self.n_unknown += int((~np.isfinite(means)).sum())
        return means.astype(np.float32)

    def _sample(
        self, vertices: NDArray[np.floating[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        from scipy.ndimage import map_coordinates

        sampled = np.zeros(len(vertices))
        is_outside = np.zeros(len(vertices), np.bool_)
        last = np.array(self._values.shape)[:, None] - 1
        rows = self._to_voxels[:3]
        for first in range(0, len(vertices), VERTICES_AT_ONCE):
            part = slice(first, first + VERTICES_AT_ONCE)
            x, y, z = vertices[part].T.astype(np.float64)
            with np.errstate(invalid="ignore"):  # separators between tracks
                voxels = np.stack([r[0] * x + r[1] * y + r[2] * z + r[3] for r in rows])
                inside = ((voxels > -0.5) & (voxels < last + 0.5)).all(axis=0)
            places = np.clip(voxels[:, inside], 0, last)
            sampled[part][inside] = map_coordinates(self._values, places, order=1, mode="nearest")
            is_outside[part] = ~inside
        return sampled, is_outside


def _add_up(values: NDArray[np.float64], block: TrackBlock) -> NDArray[np.float64]:
    """Sum [n_tracks] over the vertices of each track; 0 for a track without any."""
    has_vertices = block.stops > block.starts
    sums = np.zeros(len(block))
    if has_vertices.any():
        # a value behind the last one, so that the last track may end there
        bounds = np.stack([block.starts, block.stops], axis=1)[has_vertices].ravel()
        sums[has_vertices] = np.add.reduceat(np.append(values, 0.0), bounds)[::2]
    return sums
