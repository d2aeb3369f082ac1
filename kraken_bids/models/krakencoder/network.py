"""The Krakencoder network in torch: an encoder and a decoder per flavor, one latent space.

It trains, computes on GPUs, and runs models with hidden layers. A CPU runs those without in numpy
(:mod:`kraken_bids.models.krakencoder.edge_layers`), where importing torch would take longer.
Nothing here knows connectomes, transforms of edges or files: inputs are already reduced.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from kraken_bids.models.devices import Array, Values, to_numpy
from kraken_bids.models.krakencoder.architecture import Architecture, Weights


def on_arrays(layers: Callable[[Tensor], Tensor]) -> Callable[[Values], Values]:
    """Let layers on a CPU take arrays of numpy and give them; each block on one thread."""

    def run(values: Array) -> Array:
        n_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return to_numpy(layers(torch.from_numpy(values)))
        finally:
            torch.set_num_threads(n_threads)

    return run


def run_exactly(layers: nn.Module, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Run layers whose weights are float64, ``[n_rows, n_in]`` to ``[n_rows, n_out]``."""
    return np.asarray(layers(torch.tensor(rows)).numpy(), np.float64)


def differentiate(
    layers: nn.Module, row: NDArray[np.float64], gradient: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int]:
    """Pull a gradient by the output of layers, in float64, back to one by their input.

    Parameters
    ----------
    row : ndarray of shape (n_in,)
        Where.
    gradient : ndarray of shape (n_out,)

    Returns
    -------
    ndarray of shape (n_in,)
    int
        Units whose activation has no derivative there, being at 0 exactly.
    """
    n_bent = 0

    def count(module: nn.LeakyReLU, given: tuple[Tensor, ...], _: Tensor) -> None:
        nonlocal n_bent
        n_bent += int((given[0] == 0).sum()) if module.negative_slope != 1 else 0

    bending = [module for module in layers.modules() if isinstance(module, nn.LeakyReLU)]
    handles = [module.register_forward_hook(count) for module in bending]
    values = torch.tensor(row[None], requires_grad=True)
    layers(values).backward(torch.tensor(gradient[None]))
    for handle in handles:
        handle.remove()
    assert values.grad is not None
    return values.grad[0].numpy(), n_bent


class Branch(nn.Module):
    """Linear layers, each with what follows it: an encoder, a decoder or a translation.

    Parameters
    ----------
    layers : iterable of (n_in, n_out, has_bias)
    followers : iterable of torch.nn.Module
        Dropout and activations after each layer.
    """

    def __init__(
        self, layers: Iterable[tuple[int, int, bool]], followers: Iterable[nn.Module]
    ) -> None:
        super().__init__()
        self.linears = nn.ModuleList(
            nn.Linear(n_in, n_out, bias=bias) for n_in, n_out, bias in layers
        )
        self.followers = nn.ModuleList(followers)

    def forward(self, values: Tensor) -> Tensor:
        """Whole branch: ``[n_subjects, n_in]`` to ``[n_subjects, n_out]``."""
        return self.after_first(self.linears[0](values))

    def after_first(self, values: Tensor) -> Tensor:
        """Go on from the first linear layer's output; that layer may be folded elsewhere."""
        values = self.followers[0](values)
        for linear, follow in zip(self.linears[1:], self.followers[1:], strict=True):
            values = follow(linear(values))
        return values

    def before_last(self, values: Tensor) -> Tensor:
        """Go up to the last linear layer; returns its input."""
        for linear, follow in zip(self.linears[:-1], self.followers[:-1], strict=True):
            values = follow(linear(values))
        return values


class UnitLength(nn.Module):
    """Scales rows to unit length."""

    def forward(self, values: Tensor) -> Tensor:
        """``[n_subjects, n_latent]`` to the same shape; rows of zeros stay."""
        return functional.normalize(values, dim=1)


class Network(nn.Module):
    """Encoders and decoders of all flavors, joined by one latent space.

    Parameters
    ----------
    architecture : Architecture
        Weights are filled at random, as torch does.

    Source: Jamison et al., Nature Methods 2025, doi:10.1038/s41592-025-02706-2.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoders, self.decoders, self.translations = (nn.ModuleDict() for _ in range(3))
        for name, layers in architecture.branches().items():
            kind, _, key = name.partition(".")
            followers = getattr(self, f"_follow_{kind}")(key, len(layers))
            getattr(self, kind)[key] = Branch(layers, followers)

    @classmethod
    def from_weights(cls, weights: Weights) -> "Network":
        """Network with these weights, for use: without gradients, in evaluation mode."""
        with torch.device("meta"):  # nothing is filled at random first
            network = cls(weights.architecture)
        tensors = {name: torch.tensor(values) for name, values in weights.arrays.items()}
        network.load_state_dict(tensors, assign=True)
        return network.requires_grad_(requires_grad=False).eval()

    def forward(self, values: Tensor, source: str, target: str) -> tuple[Tensor, Tensor]:
        """Latent and prediction of one path.

        Parameters
        ----------
        values : Tensor of shape (n_subjects, input size of source)
            Reduced connectomes.
        source, target : str
            Flavor ids.

        Returns
        -------
        latents : Tensor of shape (n_subjects, n_latent)
        predicted : Tensor of shape (n_subjects, input size of target)
            In the reduced space of the target.
        """
        latents = self.encoders[source](values)
        return latents, self.decoders[target](self.translate(latents, source, target))

    def branch(self, name: str) -> Branch:
        """Look up ``encoders.FLAVOR``, ``decoders.FLAVOR`` or ``translations.PATH``."""
        kind, _, key = name.partition(".")
        found: Branch = getattr(self, kind)[key]
        return found

    def translate(self, latents: Tensor, source: str, target: str) -> Tensor:
        """Carry latents of ``source`` to the group of ``target``; most models change nothing."""
        path = self.architecture.group_path(source, target)
        return self.translations[path](latents) if path else latents

    def freeze(self) -> Weights:
        """Copy the weights as they are now."""
        arrays = {name: to_numpy(values).copy() for name, values in self.named_parameters()}
        return Weights(self.architecture, arrays)

    def _follow_encoders(self, _: str, n_layers: int) -> list[nn.Module]:
        arch = self.architecture
        kinds: dict[str, list[nn.Module]] = {"tanh": [nn.Tanh()], "sigmoid": [nn.Sigmoid()]}
        ends = kinds.get(arch.latent_activation, [])
        followers = [
            nn.Sequential(nn.Dropout(arch.dropout), *self._activate(layer, n_layers), *ends)
            for layer in range(n_layers)
        ]
        if arch.latent_normalize:
            followers[-1].append(UnitLength())
        return list(followers)

    def _follow_decoders(self, flavor: str, n_layers: int) -> list[nn.Module]:
        arch = self.architecture
        finals = dict(zip(arch.flavors, arch.final_dropouts, strict=False))
        rates = [arch.dropout] * (n_layers - 1) + [finals.get(flavor, arch.dropout)]
        return [
            nn.Sequential(nn.Dropout(rate), *self._activate(layer, n_layers))
            for layer, rate in enumerate(rates)
        ]

    def _follow_translations(self, _: str, n_layers: int) -> list[nn.Module]:
        arch = self.architecture
        rectified = [nn.LeakyReLU(arch.negative_slope)] if arch.group_activation else []
        followers = [
            nn.Sequential(nn.Dropout(arch.group_dropout), *rectified) for _ in range(n_layers)
        ]
        if arch.latent_normalize:
            followers[-1].append(UnitLength())
        return list(followers)

    def _activate(self, layer: int, n_layers: int) -> list[nn.Module]:
        """Activation of a layer between input and latent; the last has none."""
        arch = self.architecture
        if arch.skip_activation or layer == n_layers - 1:
            return []
        if arch.alternate_tanh and layer % 2 == 1:
            return [nn.Tanh()]
        return [nn.LeakyReLU(arch.negative_slope)]
