"""The Krakencoder network in one file: an encoder and a decoder per flavor, one latent space.

Nothing here knows connectomes, transforms of edges or files: inputs are already reduced.
"""

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kraken_bids.exceptions import CheckpointError

LATENT_ACTIVATIONS = ("none", "tanh", "sigmoid")
MAX_WIDTH = 100_000_000
"""Widest layer that a description may ask for."""


@dataclass(frozen=True)
class Architecture:
    """Everything that fixes the shape of a Krakencoder; the weights apart."""

    flavors: tuple[str, ...]
    """Flavor ids, in the order of training paths."""
    input_sizes: tuple[int, ...]
    """Length of each flavor's reduced input."""
    latent_size: int
    """Length of a latent."""
    hidden_sizes: tuple[int, ...] = ()
    """Widths of the layers between input and latent; the decoder has them reversed."""
    skip_activation: bool = False
    """Leave out the activation between layers."""
    negative_slope: float = 0.0
    """Slope of LeakyReLU; 0 means ReLU."""
    alternate_tanh: bool = False
    """Odd layers use Tanh in place of ReLU."""
    latent_activation: Literal["none", "tanh", "sigmoid"] = "none"
    """Follows every linear layer of the encoders, hidden ones included."""
    latent_normalize: bool = True
    """Scale each latent to unit length."""
    bias: bool = True
    """Linear layers have a bias."""
    outer_bias: bool = True
    """The first layer of encoders and the last of decoders have one too."""
    dropout: float = 0.0
    """Applied in training to the output of every linear layer, the last one included."""
    final_dropouts: tuple[float, ...] = ()
    """Dropout of each decoder's last layer, where it differs."""
    groups: tuple[str, ...] = ()
    """Group of each flavor (``sc``, ``fc``); only where latents are translated between groups."""
    group_paths: tuple[str, ...] = ()
    """Translations between groups: ``sc->fc`` …; empty for models without them."""
    group_sizes: tuple[int, ...] = ()
    """Hidden widths of those translations."""
    group_activation: bool = True
    """An activation follows every layer of those translations."""
    group_dropout: float = 0.0
    """Their dropout in training."""

    def __post_init__(self) -> None:
        if not self.flavors or len(set(self.flavors)) != len(self.flavors):
            raise CheckpointError(
                f"expected a model with one entry per flavor; found flavors {list(self.flavors)}."
            )
        rates = (self.dropout, self.group_dropout, self.negative_slope, *self.final_dropouts)
        if not all(math.isfinite(rate) for rate in rates):
            raise CheckpointError(f"expected finite dropouts and slopes; found {rates}.")
        if any("." in str(flavor) for flavor in self.flavors):
            raise CheckpointError(
                f"expected flavors without a dot in their names; found {list(self.flavors)}."
            )
        if len(self.input_sizes) != len(self.flavors):
            raise CheckpointError(
                f"expected one input size for each of {len(self.flavors)} flavors; "
                f"found {len(self.input_sizes)}."
            )
        if self.latent_activation not in LATENT_ACTIVATIONS:
            raise CheckpointError(
                f"expected a latent activation among {', '.join(LATENT_ACTIVATIONS)}; "
                f"found {self.latent_activation!r}."
            )
        for words, per_flavor in (("group", self.groups), ("last dropout", self.final_dropouts)):
            if per_flavor and len(per_flavor) != len(self.flavors):
                raise CheckpointError(
                    f"expected one {words} for each of {len(self.flavors)} flavors; found "
                    f"{len(per_flavor)}."
                )
        widths = (self.latent_size, *self.input_sizes, *self.hidden_sizes, *self.group_sizes)
        if not all(isinstance(width, int) and 0 < width <= MAX_WIDTH for width in widths):
            raise CheckpointError(
                f"expected layers of 1 to {MAX_WIDTH:,} values; found the widths "
                f"{str(widths)[:200]}."
            )
        if self.group_paths and not self.groups:
            raise CheckpointError(
                f"expected one group for each of {len(self.flavors)} flavors; found none."
            )

    @property
    def n_layers(self) -> int:
        """Number of linear layers of all encoders and decoders."""
        return 2 * len(self.flavors) * (len(self.hidden_sizes) + 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``model.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Architecture":
        """Inverse of :meth:`to_json`.

        Raises
        ------
        CheckpointError
            If a key is missing, unknown, or has an impossible value.
        """
        tidy: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        try:
            return cls(**tidy)
        except TypeError as error:
            raise CheckpointError(f"the model's architecture is incomplete: {error}.") from error


class Branch(nn.Module):
    """Linear layers with their activations: an encoder or a decoder."""

    def __init__(
        self,
        sizes: tuple[int, ...],
        architecture: Architecture,
        *,
        biases: tuple[bool, ...],
        is_encoder: bool = False,
        final_dropout: float | None = None,
    ) -> None:
        super().__init__()
        self.linears = nn.ModuleList(
            nn.Linear(n_in, n_out, bias=bias)
            for (n_in, n_out), bias in zip(pairwise(sizes), biases, strict=True)
        )
        self.architecture = architecture
        self.is_encoder = is_encoder
        self.dropouts = [architecture.dropout] * len(self.linears)
        if final_dropout is not None:
            self.dropouts[-1] = final_dropout

    def forward(self, values: Tensor) -> Tensor:
        """Whole branch: ``[n_subjects, n_in]`` to ``[n_subjects, n_out]``."""
        return self.after_first(self.linears[0](values))

    def after_first(self, values: Tensor) -> Tensor:
        """Go on from the first linear layer's output; that layer may be folded elsewhere."""
        values = self._follow(values, 0)
        for layer in range(1, len(self.linears)):
            values = self._follow(self.linears[layer](values), layer)
        if self.is_encoder and self.architecture.latent_normalize:
            values = functional.normalize(values, p=2.0, dim=1)
        return values

    def before_last(self, values: Tensor) -> Tensor:
        """Go up to the last linear layer; returns its input."""
        for layer in range(len(self.linears) - 1):
            values = self._follow(self.linears[layer](values), layer)
        return values

    def _follow(self, values: Tensor, layer: int) -> Tensor:
        arch = self.architecture
        if self.training and self.dropouts[layer] > 0:
            values = functional.dropout(values, self.dropouts[layer])
        if layer < len(self.linears) - 1 and not arch.skip_activation:
            if arch.alternate_tanh and layer % 2 == 1:
                values = torch.tanh(values)
            else:
                values = functional.leaky_relu(values, arch.negative_slope)
        if self.is_encoder and arch.latent_activation == "tanh":
            values = torch.tanh(values)
        if self.is_encoder and arch.latent_activation == "sigmoid":
            values = torch.sigmoid(values)
        return values


class GroupTranslation(nn.Module):
    """Carries a latent from one group of flavors to another (SC to FC …)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        sizes = (architecture.latent_size, *architecture.group_sizes, architecture.latent_size)
        self.linears = nn.ModuleList(
            nn.Linear(n_in, n_out, bias=architecture.bias) for n_in, n_out in pairwise(sizes)
        )
        self.architecture = architecture

    def forward(self, latents: Tensor) -> Tensor:
        """``[n_subjects, n_latent]`` to the same shape."""
        arch = self.architecture
        for linear in self.linears:
            latents = linear(latents)
            if self.training and arch.group_dropout > 0:
                latents = functional.dropout(latents, arch.group_dropout)
            if arch.group_activation:
                latents = functional.leaky_relu(latents, arch.negative_slope)
        return functional.normalize(latents, p=2.0, dim=1) if arch.latent_normalize else latents


class Krakencoder(nn.Module):
    """Encoders and decoders of all flavors, joined by one latent space.

    Source: Jamison et al., Nature Methods 2025, doi:10.1038/s41592-025-02706-2.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        n_layers = len(architecture.hidden_sizes) + 1
        inner = (architecture.bias,) * (n_layers - 1)
        outer = (architecture.bias and architecture.outer_bias,)
        finals: tuple[float | None, ...] = architecture.final_dropouts or (None,) * len(
            architecture.flavors
        )
        encoders, decoders = {}, {}
        for flavor, size, final in zip(
            architecture.flavors, architecture.input_sizes, finals, strict=True
        ):
            sizes = (size, *architecture.hidden_sizes, architecture.latent_size)
            encoders[flavor] = Branch(sizes, architecture, biases=outer + inner, is_encoder=True)
            decoders[flavor] = Branch(
                sizes[::-1], architecture, biases=inner + outer, final_dropout=final
            )
        self.encoders = nn.ModuleDict(encoders)
        self.decoders = nn.ModuleDict(decoders)
        self.translations = nn.ModuleDict(
            {path: GroupTranslation(architecture) for path in architecture.group_paths}
        )

    def encoder(self, flavor: str) -> Branch:
        """Look up the encoder of a flavor."""
        branch: Branch = self.encoders[flavor]  # type: ignore[assignment]
        return branch

    def decoder(self, flavor: str) -> Branch:
        """Look up the decoder of a flavor."""
        branch: Branch = self.decoders[flavor]  # type: ignore[assignment]
        return branch

    def translate(self, latents: Tensor, source: str, target: str) -> Tensor:
        """Carry latents of ``source`` to the group of ``target``; most models change nothing."""
        path = self.group_path(source, target)
        translated: Tensor = (
            self.translations[path](latents) if path in self.translations else latents
        )
        return translated

    def group_path(self, source: str, target: str) -> str:
        """Name the translation between two flavors' groups; empty where the model has none."""
        if not self.architecture.group_paths:
            return ""
        groups = dict(zip(self.architecture.flavors, self.architecture.groups, strict=True))
        return f"{groups[source]}->{groups[target]}"

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
        latents = self.encoder(source)(values)
        return latents, self.decoder(target)(self.translate(latents, source, target))
