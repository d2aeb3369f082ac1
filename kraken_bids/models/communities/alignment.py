"""Communities of several partitions: which is which, and how far they agree."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

Shares = NDArray[np.floating]
"""[n_regions, n_communities]"""


def match_communities(reference: Shares, other: Shares) -> NDArray[np.intp]:
    """Which community of another partition is which of the reference's.

    Parameters
    ----------
    reference, other : ndarray of shape (n_regions, n_communities)

    Returns
    -------
    ndarray of shape (n_communities,)
        ``other[:, result]`` is ordered as the reference is: the overlap summed over communities
        is the largest there is (Hungarian method).
    """
    return np.asarray(linear_sum_assignment(-(reference.T @ other))[1], np.intp)


def compare_partitions(partitions: Sequence[Shares]) -> float:
    """Mean adjusted Rand index between the hard labels of all pairs; 1 where there is no pair."""
    labels = [shares.argmax(axis=1) for shares in partitions]
    pairs = [(a, b) for k, a in enumerate(labels) for b in labels[:k]]
    return float(np.mean([adjusted_rand_score(a, b) for a, b in pairs])) if pairs else 1.0


def overlap_communities(partitions: Sequence[Shares]) -> NDArray[np.float64]:
    """Agreement of each community over aligned partitions, 0 to 1.

    Parameters
    ----------
    partitions : sequence of ndarray of shape (n_regions, n_communities)
        In one order.

    Returns
    -------
    ndarray of shape (n_communities,)
        Mean over pairs of partitions of the Dice coefficient of the regions whose largest share
        it is; NaN for a community that no region is in.
    """
    members = [np.eye(shares.shape[1])[shares.argmax(axis=1)] for shares in partitions]
    if len(members) == 1:
        members *= 2
    found = []
    for k, own in enumerate(members):
        for other in members[:k]:
            size = own.sum(axis=0) + other.sum(axis=0)
            shared = 2 * (own * other).sum(axis=0)
            found.append(np.where(size > 0, shared / np.maximum(size, 1), np.nan))
    counts = np.isfinite(found).sum(axis=0)
    return np.where(counts > 0, np.nansum(found, axis=0) / np.maximum(counts, 1), np.nan)
