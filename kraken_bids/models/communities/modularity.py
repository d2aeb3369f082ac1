"""Weighted correlations and modularity, as one writes them: what faster code is held to."""

from typing import Literal

import torch
from torch import Tensor

Sign = Literal["positive", "signed"]


def weighted_covariance(series: Tensor, weights: Tensor) -> Tensor:
    """Covariance of regions over weighted volumes.

    Parameters
    ----------
    series : Tensor of shape (..., n_regions, n_volumes)
    weights : Tensor of shape (..., n_volumes)
        Reliability weights, 0 or more.

    Returns
    -------
    Tensor of shape (..., n_regions, n_regions)
        As ``numpy.cov(series, aweights=weights)``.
    """
    total = weights.sum(-1, keepdim=True)
    mean = (series * weights[..., None, :]).sum(-1) / total
    centered = series - mean[..., None]
    divisor = total - (weights**2).sum(-1, keepdim=True) / total
    return (centered * weights[..., None, :]) @ centered.transpose(-1, -2) / divisor[..., None]


def correlation(covariance: Tensor) -> Tensor:
    """Correlation matrix of a covariance matrix ``[..., n_regions, n_regions]``."""
    spread = torch.sqrt(torch.diagonal(covariance, dim1=-2, dim2=-1))
    epsilon = torch.finfo(covariance.dtype).eps
    return covariance / (spread[..., :, None] * spread[..., None, :] + epsilon)


def modularity_matrix(
    weights: Tensor, *, gamma: float = 1.0, sign: Sign = "positive", normalize: bool = False
) -> Tensor:
    """Weights of edges less what their regions' strengths make one expect.

    Parameters
    ----------
    weights : Tensor of shape (..., n_regions, n_regions)
        Symmetric. The diagonal counts: set it to 0 where edges alone are meant.
    gamma : float
        Resolution: the more, the smaller the communities.
    sign : str
        Which weights count: ``positive``, or ``signed``: positive weights, less negative ones with
        the smaller share that Rubinov and Sporns give them.
    normalize : bool
        Divide by the sum of the weights; ``signed`` always does.

    Source: Newman 2006, doi:10.1073/pnas.0601602103; the configuration null is the product of
    strengths over their sum. ``signed``: Rubinov and Sporns 2011,
    doi:10.1016/j.neuroimage.2011.03.069, Q*.
    """
    if sign == "signed":
        positive, negative = torch.relu(weights), torch.relu(-weights)
        both = (positive.sum((-1, -2)) + negative.sum((-1, -2)))[..., None, None]
        inner = modularity_matrix(positive, gamma=gamma, normalize=True)
        return inner - modularity_matrix(negative, gamma=gamma) / both
    weights = torch.relu(weights)
    into, out_of = weights.sum(-1), weights.sum(-2)
    total = weights.sum((-1, -2))[..., None, None]
    total = torch.where(total == 0, torch.ones_like(total), total)  # no weights of this sign
    matrix = weights - gamma * into[..., :, None] * out_of[..., None, :] / total
    return matrix / total if normalize else matrix


def coaffiliation(affiliation: Tensor) -> Tensor:
    """How far each pair of regions shares communities; a region's share with itself is 0.

    Parameters
    ----------
    affiliation : Tensor of shape (..., n_regions, n_communities)

    Returns
    -------
    Tensor of shape (..., n_regions, n_regions)
    """
    shared = affiliation @ affiliation.transpose(-1, -2)
    return shared - torch.diag_embed(shared.diagonal(0, -2, -1))
