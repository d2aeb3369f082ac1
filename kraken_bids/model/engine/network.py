"""The Krakencoder network: an encoder and a decoder per flavor, one latent space.

Nothing here knows connectomes, transforms of edges or files: inputs are already reduced. Weights
and values are arrays of numpy or of torch alike (:mod:`kraken_bids.model.engine.devices`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kraken_bids.model.engine.architecture import Architecture
from kraken_bids.model.engine.devices import Device, Values, namespace

Drop: TypeAlias = Callable[[Values, float], Values]
"""Dropout: values and the share that is set to zero."""

MIN_NORM = 1e-12
"""Shorter latents are divided by this."""


@dataclass(frozen=True, eq=False)
class Linear:
    """One linear layer."""

    weight: Values
    """``[n_out, n_in]``."""
    bias: Values | None
    """``[n_out]``."""

    def __call__(self, values: Values) -> Values:
        """``[n_subjects, n_in]`` to ``[n_subjects, n_out]``."""
        products = values @ self.weight.T
        return products if self.bias is None else products + self.bias


@dataclass(frozen=True, eq=False)
class Branch:
    """Linear layers with their activations: an encoder or a decoder."""

    linears: tuple[Linear, ...]
    architecture: Architecture
    is_encoder: bool
    dropouts: tuple[float, ...]
    """Of each layer's output."""
    drop: Drop | None

    def __call__(self, values: Values) -> Values:
        """Whole branch: ``[n_subjects, n_in]`` to ``[n_subjects, n_out]``."""
        return self.after_first(self.linears[0](values))

    def after_first(self, values: Values) -> Values:
        """Go on from the first linear layer's output; that layer may be folded elsewhere."""
        values = self._follow(values, 0)
        for layer in range(1, len(self.linears)):
            values = self._follow(self.linears[layer](values), layer)
        if self.is_encoder and self.architecture.latent_normalize:
            values = to_unit_length(values)
        return values

    def before_last(self, values: Values) -> Values:
        """Go up to the last linear layer; returns its input."""
        for layer in range(len(self.linears) - 1):
            values = self._follow(self.linears[layer](values), layer)
        return values

    def _follow(self, values: Values, layer: int) -> Values:
        arch, xp = self.architecture, namespace(values)
        if self.drop:
            values = self.drop(values, self.dropouts[layer])
        if layer < len(self.linears) - 1 and not arch.skip_activation:
            if arch.alternate_tanh and layer % 2 == 1:
                values = xp.tanh(values)
            else:
                values = rectify(values, arch.negative_slope)
        if self.is_encoder and arch.latent_activation == "tanh":
            values = xp.tanh(values)
        if self.is_encoder and arch.latent_activation == "sigmoid":
            values = 0.5 + 0.5 * xp.tanh(0.5 * values)  # as the usual form, and never overflows
        return values


@dataclass(frozen=True, eq=False)
class Network:
    """Encoders and decoders of all flavors, joined by one latent space.

    Source: Jamison et al., Nature Methods 2025, doi:10.1038/s41592-025-02706-2.
    """

    architecture: Architecture
    weights: Mapping[str, Values]
    """As :meth:`~kraken_bids.model.engine.architecture.Architecture.weight_shapes` names them."""
    drop: Drop | None = None
    """In training alone."""

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(values.shape) for values in self.weights.values())

    def place(self, device: Device) -> "Network":
        """Put the weights on a device."""
        placed = {name: device.place(values) for name, values in self.weights.items()}
        return Network(self.architecture, placed)

    def encoder(self, flavor: str) -> Branch:
        """Look up the encoder of a flavor."""
        arch = self.architecture
        linears = self.linears(f"encoders.{flavor}")
        rates = (arch.dropout,) * len(linears)
        return Branch(linears, arch, is_encoder=True, dropouts=rates, drop=self.drop)

    def decoder(self, flavor: str) -> Branch:
        """Look up the decoder of a flavor."""
        arch = self.architecture
        linears = self.linears(f"decoders.{flavor}")
        finals = dict(zip(arch.flavors, arch.final_dropouts, strict=False))
        rates = (arch.dropout,) * (len(linears) - 1) + (finals.get(flavor, arch.dropout),)
        return Branch(linears, arch, is_encoder=False, dropouts=rates, drop=self.drop)

    def linears(self, branch: str) -> tuple[Linear, ...]:
        """Linear layers of ``encoders.FLAVOR``, ``decoders.FLAVOR`` or ``translations.PATH``."""
        arch = self.architecture
        hidden = arch.group_sizes if branch.startswith("translations.") else arch.hidden_sizes
        names = (f"{branch}.linears.{layer}" for layer in range(len(hidden) + 1))
        return tuple(
            Linear(self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))
            for name in names
        )

    def translate(self, latents: Values, source: str, target: str) -> Values:
        """Carry latents of ``source`` to the group of ``target``; most models change nothing."""
        arch = self.architecture
        path = self.group_path(source, target)
        if path not in arch.group_paths:
            return latents
        for linear in self.linears(f"translations.{path}"):
            latents = linear(latents)
            if self.drop:
                latents = self.drop(latents, arch.group_dropout)
            if arch.group_activation:
                latents = rectify(latents, arch.negative_slope)
        return to_unit_length(latents) if arch.latent_normalize else latents

    def group_path(self, source: str, target: str) -> str:
        """Name the translation between two flavors' groups; empty where the model has none."""
        arch = self.architecture
        if not arch.group_paths:
            return ""
        groups = dict(zip(arch.flavors, arch.groups, strict=True))
        return f"{groups[source]}->{groups[target]}"

    def run(self, values: Values, source: str, target: str) -> tuple[Values, Values]:
        """Latent and prediction of one path.

        Parameters
        ----------
        values : array of shape (n_subjects, input size of source)
            Reduced connectomes.
        source, target : str
            Flavor ids.

        Returns
        -------
        latents : array of shape (n_subjects, n_latent)
        predicted : array of shape (n_subjects, input size of target)
            In the reduced space of the target.
        """
        latents = self.encoder(source)(values)
        return latents, self.decoder(target)(self.translate(latents, source, target))


def rectify(values: Values, negative_slope: float) -> Values:
    """Leaky ReLU; with the slope 0, ReLU."""
    return namespace(values).where(values > 0, values, negative_slope * values)


def to_unit_length(values: Values) -> Values:
    """Scale rows to unit length."""
    xp = namespace(values)
    norms = xp.linalg.norm(values, axis=1, keepdims=True)
    return values / xp.where(norms < MIN_NORM, MIN_NORM, norms)
