"""Paths that share what is computed of their source's latents."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.devices import Array

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class AlikePaths:
    """Paths that have their latent losses together: of one source, on the same subjects."""

    sources: Indices
    """Source of each group, ascending."""
    counts: Array
    """Paths in each."""
    present: NDArray[np.bool_] | None
    """``[n_groups, n]`` subjects that count; None where everybody does."""
    index: Indices
    """``[n_flavors, n_flavors]`` group of each path."""

    def add_up(self, values: Array) -> Array:
        """Sum over the paths of each source, of values of groups ``[n_groups, …]``."""
        weighed = values * self.counts.reshape(-1, *(1,) * (values.ndim - 1))
        if self.present is None:  # a group of each source
            return weighed
        starts = np.flatnonzero(np.diff(self.sources, prepend=-1))
        return np.add.reduceat(weighed, starts, axis=0)


def group_paths(paths: NDArray[np.bool_], has: NDArray[np.bool_]) -> AlikePaths:
    """Find the paths (source by target) that are alike, by who has what ``[n_flavors, n]``."""
    if has.all():
        flavors = np.arange(len(paths))
        counts = paths.sum(axis=1).astype(np.float32)
        return AlikePaths(flavors, counts, None, np.repeat(flavors[:, None], len(paths), axis=1))
    sources: list[int] = []
    counts, present = [], []
    index = np.zeros(paths.shape, np.intp)
    for source, mine in enumerate(paths):
        patterns, which, n_each = np.unique(
            has[source] & has[mine], axis=0, return_inverse=True, return_counts=True
        )
        index[source, mine] = len(sources) + which.reshape(-1)
        sources += [source] * len(patterns)
        present.append(patterns)
        counts.append(n_each)
    return AlikePaths(
        np.array(sources),
        np.concatenate(counts).astype(np.float32),
        np.concatenate(present),
        index,
    )
