"""Layer-wise relevance of either network, for one state of one volume."""

from typing import Literal

import torch

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.devices import full_precision
from kraken_bids.models.volumes.cube_relevance import explain_cube
from kraken_bids.models.volumes.network import CubeNetwork, VolumeNetwork
from kraken_bids.models.volumes.relevance_rules import RelevanceFlow
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
            return explain_cube(network, volume, state)
        return explain_slices(network, volume, state, stabilize=STABILIZERS[rule])
