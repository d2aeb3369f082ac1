"""Layer-wise relevance of the cubes' network."""

import torch
from torch import nn

from kraken_bids.models.volumes.network import CubeNetwork
from kraken_bids.models.volumes.padding import convolve_same
from kraken_bids.models.volumes.relevance_rules import (
    RelevanceFlow,
    pass_alpha_beta,
    pass_average,
    pass_flat,
    pass_normalization,
)


@torch.no_grad()
def explain_cube(network: CubeNetwork, volume: torch.Tensor, state: int) -> RelevanceFlow:
    """Lead the relevance of one state's logit back to the voxels.

    Parameters
    ----------
    network : CubeNetwork
    volume : tensor of shape (x, y, z)
    state : int

    Source: the rules of Thomas et al., arXiv 2111.01562: alpha 2 and beta 1, flat in the first
    layer; :mod:`kraken_bids.models.volumes.relevance_rules`.
    """
    inputs, rectified = [volume[None, None]], []
    for convolution, norm in network.layers:
        rectified.append(convolve_same(convolution, inputs[-1]).relu_())
        inputs.append(_normalize(norm, rectified[-1]))
    last = network.output(inputs[-1]).relu_()
    logits = last.flatten(2).mean(2)
    flow = RelevanceFlow(float(logits[0, state]))
    relevance = torch.zeros_like(logits)
    relevance[0, state] = logits[0, state]
    relevance = pass_average(last, relevance)
    flow.pass_through("average", relevance)
    relevance = pass_alpha_beta(network.output, inputs.pop(), relevance)
    flow.pass_through("output", relevance)
    for k in reversed(range(len(network.layers))):
        convolution, norm = network.layers[k]
        relevance = pass_normalization(norm, rectified.pop(), relevance)
        flow.pass_through(f"normalization {k + 1}", relevance)
        if k:
            relevance = pass_alpha_beta(convolution, inputs.pop(), relevance)
        else:
            relevance = pass_flat(convolution, inputs.pop(), relevance)
        flow.pass_through(f"convolution {k + 1}", relevance)
    flow.relevance = relevance[0, 0]
    return flow


def _normalize(norm: nn.BatchNorm3d, values: torch.Tensor) -> torch.Tensor:
    """Normalise by what training has kept, whatever mode the network is in."""
    return nn.functional.batch_norm(
        values, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    )
