"""Layer-wise relevance of the slices' network, by the epsilon rule."""

from collections.abc import Callable

import torch
from torch import nn

from kraken_bids.models.volumes.architecture import LSTM_SIZE
from kraken_bids.models.volumes.network import SliceNetwork
from kraken_bids.models.volumes.padding import convolve_same
from kraken_bids.models.volumes.relevance_rules import RelevanceFlow, pass_epsilon

EPSILON = 1e-3
"""What steadies divisions, as in the release."""
SLICES_AT_ONCE = 16
Stabilize = Callable[[torch.Tensor], torch.Tensor]


def stabilize_signed(values: torch.Tensor) -> torch.Tensor:
    """Move values away from 0, each to its own side."""
    return values + torch.where(values < 0, -EPSILON, EPSILON)


def stabilize_original(values: torch.Tensor) -> torch.Tensor:
    """Add epsilon whatever the sign is, as the release does: near -epsilon relevance bursts."""
    return values + EPSILON


@torch.no_grad()
def explain_slices(
    network: SliceNetwork, volume: torch.Tensor, state: int, *, stabilize: Stabilize
) -> RelevanceFlow:
    """Lead the relevance of one state's logit back to the voxels.

    Parameters
    ----------
    volume : tensor of shape (x, y, z)
    stabilize : callable
        :func:`stabilize_signed` or :func:`stabilize_original`.

    Source: Bach et al. 2015 (epsilon rule); Arras et al. 2017 (gates are constants); the release.
    """
    slices = volume.permute(2, 1, 0).unsqueeze(1)
    features = torch.cat([network.read_slices(part) for part in _part(slices)])
    memory = [
        _Reading(network.lstm, features, direction=""),
        _Reading(network.lstm, features.flip(0), direction="_reverse"),
    ]
    last = torch.cat([one.states[-1] for one in memory])
    logits = network.output(last)
    start = torch.zeros_like(logits)
    start[state] = logits[state]
    flow = RelevanceFlow(float(logits[state]))
    relevance = last * (network.output.weight.T @ (start / stabilize(logits)))
    flow.pass_through("output", relevance)
    forward, backward = relevance.chunk(2)
    of_features = memory[0].lead_back(forward, stabilize)
    of_features = of_features + memory[1].lead_back(backward, stabilize).flip(0)
    flow.pass_through("lstm", of_features)
    parts = zip(_part(slices), _part(of_features), strict=True)
    maps = [_lead_slices_back(network, *part, stabilize=stabilize, flow=flow) for part in parts]
    flow.relevance = torch.cat(maps).squeeze(1).permute(2, 1, 0)
    return flow


def _part(values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return values.chunk(-(-len(values) // SLICES_AT_ONCE))


class _Reading:
    """One direction of the LSTM, step by step."""

    def __init__(self, lstm: nn.LSTM, features: torch.Tensor, *, direction: str) -> None:
        self._features = features
        self._of_input, self._of_state, bias_input, bias_state = (
            lstm.get_parameter(f"{name}_l0{direction}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        zero = features.new_zeros(LSTM_SIZE)
        self.states, self._cells = [zero], [zero]
        self._gates: list[tuple[torch.Tensor, ...]] = []
        # summed as the release sums: near -epsilon, its rule makes much of the last bits
        for step in features:
            given = self._of_input @ step + bias_input
            i, f, j, o = (given + (self._of_state @ self.states[-1] + bias_state)).chunk(4)
            cell = f.sigmoid() * self._cells[-1] + i.sigmoid() * j.tanh()
            self._gates.append((i.sigmoid(), f.sigmoid(), j))
            self._cells.append(cell)
            self.states.append(o.sigmoid() * cell.tanh())

    def lead_back(self, of_state: torch.Tensor, stabilize: Stabilize) -> torch.Tensor:
        """Share the relevance of the last state among the features of each step."""
        candidate = slice(2 * LSTM_SIZE, 3 * LSTM_SIZE)
        of_input, of_hidden = self._of_input[candidate], self._of_state[candidate]
        of_cell = torch.zeros_like(of_state)
        shares = torch.empty(len(self._features), LSTM_SIZE).to(self._features)
        for step in reversed(range(len(self._features))):
            i, f, j = self._gates[step]
            of_cell = of_cell + of_state
            share = of_cell / stabilize(self._cells[step + 1])
            of_cell = f * self._cells[step] * share
            shares[step] = i * j.tanh() * share / stabilize(j)
            of_state = self.states[step] * (of_hidden.T @ shares[step])
        return self._features * (shares @ of_input)


def _lead_slices_back(
    network: SliceNetwork,
    slices: torch.Tensor,
    relevance: torch.Tensor,
    *,
    stabilize: Stabilize,
    flow: RelevanceFlow,
) -> torch.Tensor:
    """Lead relevance of features [n, n_features] back to slices [n, 1, y, x]."""
    maps = [slices]
    for convolution in network.layers:
        maps.append(convolve_same(convolution, maps[-1]).relu_())
    n, n_channels, rows, columns = maps[-1].shape
    relevance = relevance.reshape(n, rows, columns, n_channels).permute(0, 3, 1, 2)
    for k in reversed(range(len(network.layers))):
        convolution, before = network.layers[k], maps[k]
        relevance = pass_epsilon(convolution, before, maps.pop(), relevance, stabilize=stabilize)
        flow.pass_through(f"convolution {k + 1}", relevance)
    return relevance
