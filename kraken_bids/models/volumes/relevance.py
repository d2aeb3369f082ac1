"""Layer-wise relevance of either network, for one state of one volume."""

from typing import Literal

import torch
from torch import nn

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.devices import full_precision
from kraken_bids.models.volumes.network import CubeNetwork, VolumeNetwork
from kraken_bids.models.volumes.padding import convolve_same
from kraken_bids.models.volumes.relevance_rules import (
    RelevanceFlow,
    pass_alpha_beta,
    pass_average,
    pass_flat,
    pass_normalization,
)
from kraken_bids.models.volumes.slice_relevance import (
    explain_slices,
    stabilize_original,
    stabilize_signed,
)

Rule = Literal["signed", "original"]
STABILIZERS = {"signed": stabilize_signed, "original": stabilize_original}


def check_rule(network: VolumeNetwork, rule: Rule) -> None:
    """Raise SettingsError if a network's relevance knows no such rule."""
    if rule != "signed" and isinstance(network, CubeNetwork):
        raise SettingsError(
            f"--lrp {rule}: expected a 2D decoder, whose divisions this steadies as published; "
            "found a 3D one. Its relevance has the release's rules anyway: alpha 2 and beta 1 in "
            "convolutions, flat in the first layer, and a rule of batch normalisation. Leave "
            "--lrp out."
        )


def explain_volume(
    network: VolumeNetwork, volume: torch.Tensor, state: int, *, rule: Rule = "signed"
) -> RelevanceFlow:
    """Lead the logit of a state back to the voxels of a volume.

    Parameters
    ----------
    network : VolumeNetwork
        In evaluation mode.
    volume : tensor of shape (x, y, z)
    state : int
        Number of the output.
    rule : {"signed", "original"}
        How the 2D network's divisions are steadied: away from 0, or as in the release.

    Raises
    ------
    SettingsError
        If the rule is not one of this network.
    """
    check_rule(network, rule)
    with full_precision():
        if isinstance(network, CubeNetwork):
            return _explain_cube(network, volume, state)
        return explain_slices(network, volume, state, stabilize=STABILIZERS[rule])


@torch.no_grad()
def _explain_cube(network: CubeNetwork, volume: torch.Tensor, state: int) -> RelevanceFlow:
    """Lead the relevance of one state's logit back to the voxels of a volume [x, y, z].

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
