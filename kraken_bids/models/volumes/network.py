"""The two networks: slices with an LSTM over them, and cubes."""

from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from kraken_bids.models.volumes.architecture import LSTM_SIZE, VolumeArchitecture
from kraken_bids.models.volumes.padding import KERNEL, convolve_same

DROPPED_2D = (0.0, 0.0, 0.0, 0.0, 0.2, 0.2, 0.2, 0.2, 0.4, 0.4, 0.4, 0.4)
DROPPED_LSTM, DROPPED_3D = 0.5, 0.2
"""Shares that dropout leaves out in training: of channels, of the LSTM's output, of channels."""
NORM_EPSILON, NORM_MOMENTUM = 1e-3, 0.01
"""Of batch normalisation, as Keras has them: torch's momentum is 1 less Keras'."""


class SliceNetwork(nn.Module):
    """Decode a volume from features of its axial slices, which an LSTM reads up and down.

    Parameters
    ----------
    architecture : VolumeArchitecture
        Of kind ``2d``.

    Source: Thomas et al., arXiv 2111.01562; shapes of the release.
    """

    def __init__(self, architecture: VolumeArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.convolutions = _stack(nn.Conv2d, architecture)
        x, y, _ = architecture.grid
        rows, columns = architecture.shrink((y, x))
        self.lstm = nn.LSTM(
            rows * columns * architecture.channels[-1],
            LSTM_SIZE,
            batch_first=True,
            bidirectional=True,
        )
        self.output = nn.Linear(2 * LSTM_SIZE, architecture.n_states)
        _start_like_glorot(self)
        with torch.no_grad():  # the release adds 1 to the forget gate: so does this bias
            for name in ("bias_ih_l0", "bias_ih_l0_reverse"):
                self.lstm.get_parameter(name)[LSTM_SIZE : 2 * LSTM_SIZE] = 1.0

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Logits [n, n_states] of volumes [n, x, y, z]."""
        n, _, _, n_slices = volumes.shape
        features = self.read_slices(volumes.permute(0, 3, 2, 1).flatten(0, 1).unsqueeze(1))
        return self.read_features(features.reshape(n, n_slices, -1))

    @property
    def layers(self) -> list[nn.Conv2d]:
        """Convolutions, the first one first."""
        return cast("list[nn.Conv2d]", list(self.convolutions))

    def read_slices(self, slices: torch.Tensor) -> torch.Tensor:
        """Features [n, n_features] of slices [n, 1, y, x]; flattened by y, x and channel."""
        for dropped, convolution in zip(self._dropped(), self.layers, strict=True):
            slices = convolve_same(convolution, slices).relu_()
            slices = nn.functional.dropout2d(slices, dropped, self.training)
        return slices.permute(0, 2, 3, 1).flatten(1)

    def read_features(self, features: torch.Tensor) -> torch.Tensor:
        """Logits [n, n_states] of the features of slices [n, n_slices, n_features], upwards."""
        states, _ = self.lstm(features)
        last = torch.cat([states[:, -1, :LSTM_SIZE], states[:, 0, LSTM_SIZE:]], 1)
        logits: torch.Tensor = self.output(
            nn.functional.dropout(last, DROPPED_LSTM, self.training)
        )
        return logits

    def _dropped(self) -> list[float]:
        n = len(self.convolutions)
        return [DROPPED_2D[k * len(DROPPED_2D) // n] for k in range(n)]


class CubeNetwork(nn.Module):
    """Decode a volume by convolutions over all three axes.

    Parameters
    ----------
    architecture : VolumeArchitecture
        Of kind ``3d``.

    Source: Thomas et al., arXiv 2111.01562; shapes of the release.
    """

    def __init__(self, architecture: VolumeArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.convolutions = _stack(nn.Conv3d, architecture)
        self.norms = nn.ModuleList(
            nn.BatchNorm3d(n, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)
            for n in architecture.channels
        )
        self.output = nn.Conv3d(architecture.channels[-1], architecture.n_states, 1)
        _start_like_glorot(self)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Logits [n, n_states], none negative, of volumes [n, x, y, z]."""
        maps = volumes.unsqueeze(1)
        for convolution, norm in self.layers:
            maps = convolve_same(convolution, maps).relu_()
            maps = norm(nn.functional.dropout3d(maps, DROPPED_3D, self.training))
        maps = nn.functional.dropout3d(self.output(maps).relu_(), DROPPED_3D, self.training)
        return maps.flatten(2).mean(2)

    @property
    def layers(self) -> list[tuple[nn.Conv3d, nn.BatchNorm3d]]:
        """Convolutions and what normalises them, the first one first."""
        pairs = zip(self.convolutions, self.norms, strict=True)
        return cast("list[tuple[nn.Conv3d, nn.BatchNorm3d]]", list(pairs))


VolumeNetwork = SliceNetwork | CubeNetwork
NETWORKS: dict[str, Callable[[VolumeArchitecture], VolumeNetwork]] = {
    "2d": SliceNetwork,
    "3d": CubeNetwork,
}


def build_network(architecture: VolumeArchitecture) -> VolumeNetwork:
    """Make a network with random weights, from torch's generator."""
    return NETWORKS[architecture.kind](architecture)


def _stack(
    convolution: Callable[[int, int, int, int], nn.Module], architecture: VolumeArchitecture
) -> nn.ModuleList:
    """Make the convolutions of an architecture, of a single channel at first."""
    n_in = (1, *architecture.channels[:-1])
    sizes = zip(n_in, architecture.channels, architecture.strides, strict=True)
    return nn.ModuleList(convolution(n, n_out, KERNEL, stride) for n, n_out, stride in sizes)


def _start_like_glorot(network: nn.Module) -> None:
    """Draw weights as the release does: Glorot and Bengio 2010; biases begin at 0."""
    for name, values in network.named_parameters():
        if "bias" in name:
            nn.init.zeros_(values)
        elif values.ndim > 1:
            nn.init.xavier_normal_(values)
