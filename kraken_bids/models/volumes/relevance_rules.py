"""Rules by which relevance passes one layer backwards, and what of it is lost where.

A convolution is padded as in :mod:`kraken_bids.models.volumes.padding`. Where nothing has
contributed to an output (a sum of 0), none of its relevance passes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import nn
from torch.nn.grad import conv2d_input, conv3d_input

from kraken_bids.models.volumes.padding import Convolution, crop_same, pad_same

Tensor = torch.Tensor
ALPHA, BETA = 2.0, 1.0
"""Weights of what speaks for an output and against it; they differ by one."""
LEAST = 1e-7
"""What steadies the divisions of batch normalisation."""


def pass_epsilon(
    layer: Convolution, values: Tensor, activation: Tensor, relevance: Tensor,
    *, stabilize: Callable[[Tensor], Tensor],
) -> Tensor:  # fmt: skip
    """Share relevance by contributions to a stabilised activation; the bias keeps its part.

    Parameters
    ----------
    layer : Conv2d or Conv3d
    values : tensor of shape (n, n_in, …)
        What went into the layer.
    activation, relevance : tensor of shape (n, n_out, …)
        What came out after rectification, and its relevance.
    stabilize : callable
        Moves the activation away from 0.

    Source: Bach et al. 2015, equation 58.
    """
    shares = relevance / stabilize(activation)
    return values * _turn_back(layer, layer.weight, values, shares)


def pass_alpha_beta(layer: Convolution, values: Tensor, relevance: Tensor) -> Tensor:
    """Share relevance among contributions for (twice) and against (less once) an output.

    Positive contributions share by their sum and the positive bias, negative ones by theirs.

    Parameters
    ----------
    layer : Conv2d or Conv3d
    values : tensor of shape (n, n_in, …)
    relevance : tensor of shape (n, n_out, …)

    Source: Bach et al. 2015, equation 60, alpha 2 and beta 1. (The program that the release calls
    adds the whole bias to both sums, which can turn the sign of either.)
    """
    both = torch.cat([values.clamp(min=0), values.clamp(max=0)], 1)
    up, down = layer.weight.clamp(min=0), layer.weight.clamp(max=0)
    # of [positive | negative] inputs: contributions above 0, then those below
    weight = torch.cat([torch.cat([up, down], 1), torch.cat([down, up], 1)])
    bias = (
        None
        if layer.bias is None
        else torch.cat([layer.bias.clamp(min=0), layer.bias.clamp(max=0)])
    )
    sums = _convolve(layer, both, weight, bias)
    weighted = torch.cat([ALPHA * relevance, -BETA * relevance], 1)
    parts = both * _turn_back(layer, weight, both, _divide(weighted, sums))
    n_in = values.shape[1]
    return parts[:, :n_in] + parts[:, n_in:]


def pass_flat(layer: Convolution, values: Tensor, relevance: Tensor) -> Tensor:
    """Share relevance evenly among all voxels that a kernel sees.

    Parameters
    ----------
    layer : Conv2d or Conv3d
    values : tensor of shape (n, n_in, …)
        Only its shape counts.
    relevance : tensor of shape (n, n_out, …)

    Source: Lapuschkin et al. 2019 (flat rule for the first layer).
    """
    # all maps of the output share in the same way: their relevance is one map
    weight = torch.ones_like(layer.weight[:1])
    ones = torch.ones_like(values[:1])
    shares = relevance.sum(1, keepdim=True) / _convolve(layer, ones, weight, None)
    return _turn_back(layer, weight, values, shares)


def pass_normalization(norm: nn.BatchNorm3d, values: Tensor, relevance: Tensor) -> Tensor:
    """Pass relevance through batch normalisation: what its shift added is left behind.

    Parameters
    ----------
    norm : BatchNorm3d
        As it stands after training.
    values, relevance : tensor of shape (n, n_channels, …)
        What went in, and the relevance of what came out.

    Source: Hui and Binder 2019: x (y - beta) / ((x - mu) y).
    """
    shape = 1, -1, *[1] * (values.ndim - 2)
    mean, variance = cast("tuple[Tensor, Tensor]", (norm.running_mean, norm.running_var))
    scale = (norm.weight / (variance + norm.eps).sqrt()).reshape(shape)
    shift = norm.bias.reshape(shape)
    centred = values - mean.reshape(shape)
    scaled = centred * scale
    below = centred * (scaled + shift)
    below = below + torch.where(below < 0, -LEAST, LEAST)
    return values * scaled * relevance / below


def pass_average(values: Tensor, relevance: Tensor) -> Tensor:
    """Share relevance of means among the values of each map.

    Parameters
    ----------
    values : tensor of shape (n, n_channels, …)
    relevance : tensor of shape (n, n_channels)
    """
    sums = values.flatten(2).sum(2)
    shares = _divide(relevance, sums)
    return values * shares.reshape(*shares.shape, *[1] * (values.ndim - 2))


def _divide(relevance: Tensor, sums: Tensor) -> Tensor:
    return torch.where(sums == 0, 0.0, relevance / torch.where(sums == 0, 1.0, sums))


def _convolve(layer: Convolution, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return _function(layer)(_pad(layer, values), weight, bias, layer.stride)


def _turn_back(layer: Convolution, weight: Tensor, values: Tensor, shares: Tensor) -> Tensor:
    """Transpose of a convolution: shares of outputs, summed at the inputs they came from."""
    is_flat = isinstance(layer, nn.Conv2d)
    of_input = cast("Callable[..., Tensor]", conv2d_input if is_flat else conv3d_input)
    shape = _pad(layer, values[:1, :1]).shape[2:]
    back = of_input((len(shares), weight.shape[1], *shape), weight, shares, layer.stride)
    return (
        back if layer.kernel_size[0] == 1 else crop_same(back, values.shape[2:], layer.stride[0])
    )


def _pad(layer: Convolution, values: Tensor) -> Tensor:
    return values if layer.kernel_size[0] == 1 else pad_same(values, layer.stride[0])


def _function(layer: Convolution) -> Callable[..., Tensor]:
    return nn.functional.conv2d if isinstance(layer, nn.Conv2d) else nn.functional.conv3d


@dataclass
class RelevanceFlow:
    """Relevance of one volume."""

    logit: float
    """Output that is explained: all the relevance there is."""
    arrived: dict[str, float] = field(default_factory=dict)
    """Sum of relevance below each layer, from the output on."""
    relevance: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    """Of each voxel [x, y, z], in units of the logit."""

    def pass_through(self, layer: str, relevance: torch.Tensor) -> None:
        """Add what has arrived below a layer."""
        self.arrived[layer] = self.arrived.get(layer, 0.0) + float(
            relevance.sum(dtype=torch.float64)
        )

    @property
    def lost(self) -> dict[str, float]:
        """Share of the logit that each layer lost (or, if negative, made)."""
        before, lost = self.logit, {}
        for layer, here in self.arrived.items():
            lost[layer] = (before - here) / self.logit if self.logit else 0.0
            before = here
        return lost
