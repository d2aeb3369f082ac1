"""Modularity and correlation of communities while they are present, and their gradients.

For each community the volumes of a scan are weighted by its presence, regions are correlated over
them, and the modularity of the pairs of regions in the community follows. Nothing but products of
regions by volumes is computed: every community of a scan in one multiplication, forwards and once
more backwards, and of the symmetric products the upper blocks alone.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from kraken_bids.models.communities.modularity import Sign

N_BLOCKS = 4
"""Parts of the regions; blocks below the diagonal are not computed."""


@dataclass(frozen=True)
class PresenceModularity:
    """Value and gradients of one scan."""

    value: Tensor
    """Sum over communities."""
    by_affiliation: Tensor
    """Gradient ``[n_regions, n_communities]``."""
    by_weights: Tensor
    """Gradient ``[n_communities, n_volumes]``."""


def measure_presence_modularity(
    series: Tensor,
    weights: Tensor,
    affiliation: Tensor,
    *,
    gamma: float,
    sign: Sign = "positive",
    keeps_diagonal: bool = False,
) -> PresenceModularity:
    """Sum over communities of the modularity over the volumes that each is present in.

    Parameters
    ----------
    series : Tensor of shape (n_regions, n_volumes)
    weights : Tensor of shape (n_communities, n_volumes)
        Presence; 0 where a volume does not count.
    affiliation : Tensor of shape (n_regions, n_communities)
    sign : str
        ``positive`` or ``signed``, as of
        :func:`~kraken_bids.models.communities.modularity.modularity_matrix`.
    keeps_diagonal : bool
        Whether the correlation of a region with itself counts in strengths and sums; in shared
        communities it never does.
    """
    total = weights.sum(1)
    means = weights @ series.T / total[:, None]
    weighted = weights[:, None] * series
    covariance = _multiply_symmetric(weighted, series)
    covariance -= total[:, None, None] * means[:, :, None] * means[:, None, :]
    spread = torch.sqrt(covariance.diagonal(0, 1, 2).clamp(min=torch.finfo(series.dtype).tiny))
    inverse = 1 / spread
    matrix = covariance.mul_(inverse[:, :, None]).mul_(inverse[:, None, :])
    matrix.diagonal(0, 1, 2).fill_(1.0 if keeps_diagonal else 0.0)
    shares = affiliation.T.contiguous()
    values, by_shares, by_matrix = _differentiate(matrix, shares, gamma=gamma, sign=sign)
    # a correlation is a covariance over two spreads, each of which is a covariance too
    by_matrix.diagonal(0, 1, 2).zero_()
    along = (by_matrix * matrix).sum(2)
    by_covariance = by_matrix.mul_(inverse[:, :, None]).mul_(inverse[:, None, :])
    by_covariance.diagonal(0, 1, 2).copy_(-along * inverse**2)
    crossed = (by_covariance @ means[:, :, None])[:, :, 0]
    # one volume adds (x - mean)(x - mean)' to the covariance
    by_weights = _sum_forms(by_covariance, series) - 2 * crossed @ series
    by_weights += (crossed * means).sum(1)[:, None]
    return PresenceModularity(values.sum(), by_shares.T, by_weights)


def _multiply_symmetric(weighted: Tensor, series: Tensor) -> Tensor:
    """``weighted @ series.T`` for each community, which is symmetric."""
    n_regions = len(series)
    found = series.new_empty(len(weighted), n_regions, n_regions)
    for start, stop in _cut(n_regions):
        found[:, start:stop, start:] = weighted[:, start:stop] @ series[start:].T
        found[:, stop:, start:stop] = found[:, start:stop, stop:].transpose(1, 2)
    return found


def _sum_forms(matrices: Tensor, series: Tensor) -> Tensor:
    """``x' M x`` of every volume, for symmetric matrices: ``[n_matrices, n_volumes]``."""
    found = series.new_zeros(len(matrices), series.shape[1])
    for start, stop in _cut(len(series)):
        own = matrices[:, start:stop, start:].clone()
        own[:, :, stop - start :] *= 2
        found += ((own @ series[start:]) * series[start:stop]).sum(1)
    return found


def _cut(n_regions: int) -> list[tuple[int, int]]:
    cuts = [round(k * n_regions / N_BLOCKS) for k in range(N_BLOCKS + 1)]
    return [(start, stop) for start, stop in pairwise(cuts) if stop > start]


def _differentiate(
    matrix: Tensor, shares: Tensor, *, gamma: float, sign: Sign
) -> tuple[Tensor, Tensor, Tensor]:
    """Give each community's modularity, and its gradients by shares and by correlations."""
    positive = _differentiate_part(matrix.clamp(min=0), shares, gamma)
    if sign == "positive":
        by_matrix = positive.by_weights.add_(positive.by_norm[:, None, None])
        return positive.value, positive.by_shares, by_matrix.mul_(matrix > 0)
    weights = matrix.clamp(max=0).neg_()
    both = positive.total + weights.sum((1, 2))
    negative = _differentiate_part(weights, shares, gamma, norm=both)
    of_positive = positive.by_weights.add_((positive.by_norm - negative.by_norm)[:, None, None])
    of_negative = negative.by_weights.add_(negative.by_norm[:, None, None])
    by_matrix = torch.where(matrix > 0, of_positive, of_negative).mul_(matrix != 0)
    return positive.value - negative.value, positive.by_shares - negative.by_shares, by_matrix


@dataclass(frozen=True)
class _Part:
    """Modularity of weights of one sign, and its gradients."""

    value: Tensor
    by_shares: Tensor
    by_weights: Tensor
    """What divides the whole being held."""
    by_norm: Tensor
    """By what divides the whole."""
    total: Tensor


def _differentiate_part(
    weights: Tensor, shares: Tensor, gamma: float, *, norm: Tensor | None = None
) -> _Part:
    """Differentiate weights of one sign, ``[n_communities, n_regions, n_regions]``, 0 or more."""
    strengths = weights.sum(2)
    total = strengths.sum(1)
    norm = total if norm is None else norm
    own = weights.diagonal(0, 1, 2)
    reached = (weights @ shares[:, :, None])[:, :, 0] - own * shares
    inside = (shares * reached).sum(1)
    held = (shares * strengths).sum(1)
    least = torch.finfo(weights.dtype).tiny
    rate = gamma / total.clamp(min=least)  # without any weight, nothing is expected
    expected = held**2 - (shares * strengths).pow(2).sum(1)
    value = (inside - rate * expected) / norm
    by_expected = shares * held[:, None] - shares**2 * strengths
    by_shares = reached - rate[:, None] * (strengths * held[:, None] - shares * strengths**2)
    by_total = rate * expected / total.clamp(min=least)
    half = (by_total[:, None] / 2 - rate[:, None] * by_expected) / norm[:, None]
    by_weights = (shares / norm[:, None])[:, :, None] * shares[:, None, :]
    by_weights.diagonal(0, 1, 2).zero_()
    by_weights += half[:, :, None]
    by_weights += half[:, None, :]
    return _Part(value, 2 * by_shares / norm[:, None], by_weights, -value / norm, total)


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
    ``1 - a`` of what it is in the volumes that have weight. A sum of correlations over pairs of
    regions is the squared sum of their series: no matrix of regions by regions is needed.

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
