"""Relevance of a volume, and two checks of it: random weights, and deletion of voxels."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from kraken_bids.models.volumes.decoding import decode_volumes
from kraken_bids.models.volumes.network import VolumeNetwork
from kraken_bids.models.volumes.relevance import explain_volume
from kraken_bids.models.volumes.training import make_decoder

Floats = NDArray[np.float64]

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Of the voxels of the brain, of those that are set to 0."""


@dataclass(frozen=True)
class CheckedRelevance:
    """Relevance of one volume for one state."""

    relevance: NDArray[np.float32]
    """[x, y, z], in units of the logit."""
    logit: float
    correlation: float
    """Rank correlation, over the brain, of the sizes of relevance with those by random weights;
    NaN where either is the same everywhere."""
    deleted: Floats
    """Probability of the state with each of :data:`SHARES` of the voxels set to 0 [2, n_shares]:
    the most relevant first, and as many drawn by chance."""


def randomise_decoder(network: VolumeNetwork, *, seed: int) -> VolumeNetwork:
    """Make the same network with initial weights, on the same device, in evaluation mode.

    Source: Adebayo et al. 2018, whose check this is: a map of what was learned changes.
    """
    fresh = make_decoder(network.architecture, seed=seed)
    return fresh.to(next(network.parameters()).device).eval()


def check_relevance(  # noqa: PLR0913 - a volume, two networks, and what is deleted how
    network: VolumeNetwork,
    random_network: VolumeNetwork,
    volume: NDArray[np.float32],
    state: int,
    *,
    mask: NDArray[np.bool_],
    rng: np.random.Generator,
    n_threads: int = 1,
) -> CheckedRelevance:
    """Explain a volume, compare with random weights, and delete voxels.

    Parameters
    ----------
    network, random_network : VolumeNetwork
        On one device, in evaluation mode.
    volume : array of shape (x, y, z)
    state : int
        Number of the output that is explained.
    mask : bool array of shape (x, y, z)
        Voxels of the brain.
    rng : Generator
        Of voxels that are deleted by chance.
    """
    device = next(network.parameters()).device
    shown = torch.from_numpy(volume).to(device)
    flow = explain_volume(network, shown, state)
    relevance = np.asarray(flow.relevance.cpu().numpy(), np.float32)
    other = explain_volume(random_network, shown, state).relevance.cpu().numpy()
    orders = (np.argsort(-relevance[mask], kind="stable"), rng.permutation(int(mask.sum())))
    places = np.flatnonzero(mask)
    deleted = [(places[order], share) for order in orders for share in SHARES]

    def read(k: int) -> NDArray[np.float32]:
        order, share = deleted[k]
        changed = volume.copy()
        changed.flat[order[: round(share * len(order))]] = 0
        return changed

    rows = decode_volumes(network, read, len(deleted), n_threads=n_threads, device=device)
    probabilities = np.array([row[state] for row in rows]).reshape(2, len(SHARES))
    return CheckedRelevance(
        relevance, flow.logit, _correlate(relevance[mask], other[mask]), probabilities
    )


def _correlate(one: NDArray[np.floating], two: NDArray[np.floating]) -> float:
    sizes = np.abs(one), np.abs(two)
    if any(size.min() == size.max() for size in sizes):
        return float("nan")
    return float(spearmanr(*sizes).statistic)
