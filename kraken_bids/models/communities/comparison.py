"""Communities of several connectomes of the same regions, compared with each other."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from kraken_bids.io.records import column
from kraken_bids.models.communities.alignment import match_communities
from kraken_bids.models.communities.modularity import modularity_matrix
from kraken_bids.models.communities.static_modularity import cluster_spectrally

Labels = NDArray[np.intp]
N_STARTS = 5


@dataclass(frozen=True)
class Agreement:
    """How far two partitions of the same regions agree."""

    one: str = column("what the first partition was found in")
    other: str = column("what the second was found in")
    mutual_information: float = column("adjusted mutual information; 0 by chance, 1 the same")
    rand_index: float = column("adjusted Rand index; 0 by chance, 1 the same")
    n_regions: int = column("regions that are in a community of both")


def partition_connectome(
    weights: NDArray[np.floating], *, gamma: float = 1.0, n_communities: int = 20, seed: int = 0
) -> Labels:
    """Hard communities of one connectome, those of the largest modularity among several starts.

    Parameters
    ----------
    weights : ndarray of shape (n_regions, n_regions)
        Symmetric; the diagonal does not count. Negative weights count against a community.
    gamma : float
        Resolution.
    n_communities : int
        Most communities.

    Returns
    -------
    ndarray of shape (n_regions,)
        -1 for a region without any connection.
    """
    square = np.nan_to_num(np.asarray(weights, np.float64))
    np.fill_diagonal(square, 0)
    connected = np.flatnonzero(square.any(axis=1))
    labels = np.full(len(square), -1)
    if len(connected) < 2:
        return labels
    inner = torch.as_tensor(square[np.ix_(connected, connected)])
    matrix = modularity_matrix(inner, gamma=gamma, sign="signed")
    found = []
    for number in range(N_STARTS):
        most = min(n_communities, len(connected))
        members = cluster_spectrally(matrix, most, seed + number)
        found.append((float((matrix @ members * members).sum()), members))
    labels[connected] = max(found, key=lambda one: one[0])[1].argmax(1).numpy()
    return labels


def compare_partitions_by_name(partitions: Mapping[str, Labels]) -> list[Agreement]:
    """Compare every pair of partitions over the regions that both have.

    Parameters
    ----------
    partitions : mapping of str to ndarray of shape (n_regions,)
        Negative labels: in no community.
    """
    names = list(partitions)
    found = []
    for k, one in enumerate(names):
        for other in names[k + 1 :]:
            both = (partitions[one] >= 0) & (partitions[other] >= 0)
            pair = partitions[one][both], partitions[other][both]
            found.append(
                Agreement(
                    one,
                    other,
                    float(adjusted_mutual_info_score(*pair)),
                    float(adjusted_rand_score(*pair)),
                    int(both.sum()),
                )
            )
    return found


def name_as(reference: Labels, labels: Labels) -> Labels:
    """Give communities the numbers of those of another partition that they overlap most.

    Parameters
    ----------
    reference, labels : ndarray of shape (n_regions,)
        Negative: in no community. Communities that have no counterpart get numbers after those of
        the reference.
    """
    n_names = int(max(reference.max(), labels.max())) + 1
    shares = [np.eye(n_names + 1)[np.where(one >= 0, one, n_names)] for one in (reference, labels)]
    order = match_communities(shares[0][:, :n_names], shares[1][:, :n_names])
    place = np.empty(n_names, np.intp)
    place[order] = np.arange(n_names)
    return np.where(labels >= 0, place[labels.clip(min=0)], -1)
