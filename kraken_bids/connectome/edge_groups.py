"""Which edges a region, a network and the whole brain have, and means over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kraken_bids.parcellations import Parcellation

Level = Literal["brain", "network", "region"]
BRAIN = "brain"
"""Name of the group that holds every edge."""


@dataclass(frozen=True)
class EdgeGroups:
    """Groups of edges: all of them, those of each network, those of each region.

    The edges of a network are those with at least one end in it, each counted once.
    """

    levels: tuple[Level, ...]
    """``brain``, ``network`` or ``region`` of each group [n_groups]."""
    names: tuple[str, ...]
    """Name of each group, as in the table of regions [n_groups]."""
    members: NDArray[np.bool_]
    """Regions of each group [n_groups, n_regions]."""

    @cached_property
    def _sums(self) -> Any:
        """Sparse [n_groups, n_edges]: 1 where an edge belongs to a group."""
        from scipy.sparse import csr_array

        first, second = np.triu_indices(self.members.shape[1], 1)
        return csr_array(self.members[:, first] | self.members[:, second], dtype=np.float64)

    @cached_property
    def n_edges(self) -> NDArray[np.int64]:
        """Edges of each group [n_groups]."""
        n_regions, inside = self.members.shape[1], self.members.sum(axis=1)
        outside = n_regions - inside
        return np.asarray(n_regions * (n_regions - 1) // 2 - outside * (outside - 1) // 2)

    def average(self, edges: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mean over the edges of each group.

        Parameters
        ----------
        edges : ndarray of shape (n_rows, n_edges)

        Returns
        -------
        ndarray of shape (n_rows, n_groups)
        """
        sums = self._sums @ np.asarray(edges, np.float64).T
        return np.asarray((sums / self.n_edges[:, None]).T)


def group_edges(parcellation: Parcellation) -> EdgeGroups:
    """Group the edges of a parcellation: the brain, its networks (if there are several), regions.

    Networks are the groups of the table of regions: lobes, networks or structures.
    """
    networks = _list_networks(parcellation.groups)
    own = np.array(parcellation.groups)
    n_regions = parcellation.n_regions
    members = [
        np.ones((1, n_regions), bool),
        *((own == name)[None] for name in networks),
        np.eye(n_regions, dtype=bool),
    ]
    levels: list[Level] = ["brain"]
    levels += ["network"] * len(networks)
    levels += ["region"] * n_regions
    return EdgeGroups(
        tuple(levels),
        (BRAIN, *networks, *parcellation.region_names),
        np.concatenate(members),
    )


def _list_networks(groups: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(groups))
    return names if len(names) > 1 else ()
