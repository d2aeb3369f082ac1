"""Edges of regions, networks and the brain."""

import numpy as np

from kraken_bids.connectome.edge_groups import group_edges
from kraken_bids.parcellations import load_parcellation, make_parcellation


def test_means_are_those_of_edges_picked_one_by_one(rng: np.random.Generator) -> None:
    """Of the whole brain, of edges with an end in a network, and of edges of a region."""
    parcellation = load_parcellation("fs86")
    groups = group_edges(parcellation)
    edges = rng.standard_normal((3, parcellation.n_edges))
    found = groups.average(edges)
    pairs = [(i, j) for i in range(86) for j in range(i + 1, 86)]
    for k, (level, name) in enumerate(zip(groups.levels, groups.names, strict=True)):
        inside = {
            "brain": lambda _region: True,
            "network": lambda region, name=name: parcellation.groups[region] == name,
            "region": lambda region, name=name: parcellation.region_names[region] == name,
        }[level]
        own = [e for e, (i, j) in enumerate(pairs) if inside(i) or inside(j)]
        assert groups.n_edges[k] == len(own)
        np.testing.assert_allclose(found[:, k], edges[:, own].mean(axis=1), atol=1e-12)


def test_one_network_alone_is_the_brain() -> None:
    """Regions of an unknown atlas are all in one group, which is not named twice."""
    groups = group_edges(make_parcellation("mine", ["a", "b", "c"], description=""))
    assert groups.levels == ("brain", "region", "region", "region")
    np.testing.assert_array_equal(groups.n_edges, [3, 2, 2, 2])
