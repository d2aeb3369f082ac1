"""Correlation within communities over the volumes in which each is present, and its gradient.

A sum of correlations over pairs of regions is the squared sum of their series, so that no matrix
of regions by regions is needed: the whole is a few products of communities, regions and volumes.
"""

import torch
from torch import Tensor

from kraken_bids.models.communities.presence_modularity import PresenceModularity


def measure_present_correlation(
    series: Tensor,
    squares: Tensor,
    weights: Tensor,
    affiliation: Tensor,
    *,
    share_power: float,
) -> PresenceModularity:
    """Sum over communities of the correlations within each while it is present.

    Of a community ``k`` with shares ``c`` and presence ``w`` it is ``p^a sum_ij c_i c_j r_ij(w)``
    over pairs of different regions, with ``r(w)`` the correlation over volumes weighted by ``w``
    and ``p`` the mean of ``w``. A volume is worth its weight where the correlation in it is above
    ``1 - a`` of what it is in the volumes that have weight.

    Parameters
    ----------
    series : Tensor of shape (n_regions, n_volumes)
    squares : Tensor of shape (n_regions, n_volumes)
        Of the series.
    weights : Tensor of shape (n_communities, n_volumes)
        Presence; 0 where a volume does not count.
    affiliation : Tensor of shape (n_regions, n_communities)
    share_power : float
        The ``a`` above; 0 to 1.
    """
    least = torch.finfo(series.dtype).tiny
    total = weights.sum(1, keepdim=True).clamp(min=least)
    means = weights @ series.T / total
    variance = (weights @ squares.T - total * means**2).clamp(min=least)
    inverse = variance.rsqrt()
    shares = affiliation.T
    scaled = shares * inverse
    course = scaled @ series - (scaled * means).sum(1, keepdim=True)
    reached = (weights * course) @ series.T - (weights * course).sum(1, keepdim=True) * means
    others = reached * inverse - shares
    inside = (shares * others).sum(1, keepdim=True)
    mean = total / series.shape[1]
    factor = mean**share_power
    own = (shares**2 + shares * others) * inverse**2
    by_weights = course**2 - own @ squares + 2 * (own * means) @ series
    by_weights -= (own * means**2).sum(1, keepdim=True)
    by_weights = factor * (by_weights + share_power * inside / total)
    return PresenceModularity((factor * inside).sum(), (2 * factor * others).T, by_weights)
