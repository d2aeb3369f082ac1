"""Modularity of whole scans: what affiliations maximise, and where they begin."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from torch import Tensor

from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.models.communities.modularity import (
    correlation,
    modularity_matrix,
    weighted_covariance,
)


@dataclass(frozen=True)
class Scan:
    """One scan on a device."""

    series: Tensor
    """[n_regions, n_volumes], standardised over the volumes that count."""
    counts: Tensor
    """Whether each volume counts: 1 or 0 [n_volumes]."""
    squares: Tensor
    """Of the series."""


def cluster_spectrally(matrix: Tensor, n_communities: int, seed: int) -> Tensor:
    """Communities of a modularity matrix by its leading eigenvectors, as 0 and 1.

    Source: Newman 2006, doi:10.1103/PhysRevE.74.036104, with k-means in place of his vector
    partitioning; then whole communities are merged and single regions moved while that raises
    modularity, as Louvain and its followers do.
    """
    symmetric = (matrix + matrix.T).double().cpu().numpy()
    with threadpool_limits(1), warnings.catch_warnings():  # the number of threads changes no bit
        values, vectors = np.linalg.eigh(symmetric)
        leading = vectors[:, -n_communities:] * np.sqrt(values[-n_communities:].clip(min=0))
        # of regions that are alike there are fewer clusters
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = KMeans(n_communities, n_init=1, random_state=seed).fit_predict(leading)
        np.fill_diagonal(symmetric, 0)
        members = _improve(symmetric, np.eye(n_communities)[labels])
    return torch.as_tensor(members).to(matrix)


def _improve(matrix: NDArray[np.float64], members: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move regions and merge communities while the sum within communities grows."""
    while True:
        before = float((matrix @ members * members).sum())
        for region in range(len(matrix)):
            gains = matrix[region] @ members
            best = int(gains.argmax())
            if gains[best] > gains @ members[region]:
                members[region] = 0
                members[region, best] = 1
        while True:
            between = members.T @ matrix @ members
            np.fill_diagonal(between, 0)
            one, other = np.unravel_index(int(between.argmax()), between.shape)
            if between[one, other] <= 0:
                break
            members[:, one] += members[:, other]
            members[:, other] = 0
        after = float((matrix @ members * members).sum())
        if after <= before + 1e-9 * abs(before):
            return members


def average_modularity(
    scans: Sequence[Scan], settings: CommunitySettings
) -> tuple[Tensor, list[float]]:
    """Mean over scans of the modularity matrix, and each one's sum of absolute correlations."""
    matrices, strengths = [], []
    for scan in scans:
        weights = correlation(weighted_covariance(scan.series, scan.counts))
        if not settings.keeps_diagonal:
            weights = weights - torch.diag_embed(weights.diagonal())
        strengths.append(float(weights.abs().sum()))
        matrices.append(
            modularity_matrix(weights, gamma=settings.gamma, sign=settings.sign, normalize=True)
        )
    return sum(matrices[1:], matrices[0]) / len(scans), strengths
