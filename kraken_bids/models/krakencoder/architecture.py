"""What fixes the shape of a Krakencoder network, and the arrays of weights that it has."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

from kraken_bids.exceptions import CheckpointError
from kraken_bids.models.devices import Array, Values

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

    @property
    def is_affine(self) -> bool:
        """Whether encoders and decoders are one linear layer each, latents scaled or not."""
        return not self.hidden_sizes and self.latent_activation == "none"

    def group_path(self, source: str, target: str) -> str:
        """Name the translation between two flavors' groups; empty where the model has none."""
        groups = dict(zip(self.flavors, self.groups, strict=False))
        path = f"{groups.get(source)}->{groups.get(target)}"
        return path if path in self.group_paths else ""

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
        except (TypeError, OverflowError) as error:
            raise CheckpointError(f"the model's architecture is incomplete: {error}.") from error

    def branches(self) -> dict[str, tuple[tuple[int, int, bool], ...]]:
        """List the linear layers of every branch, each as inputs, outputs and whether with bias.

        Returns
        -------
        dict
            By ``encoders.FLAVOR``, ``decoders.FLAVOR``, ``translations.GROUP->GROUP``.
        """
        inner = (self.bias,) * len(self.hidden_sizes)
        outer = (self.bias and self.outer_bias,)
        found = {}
        for flavor, size in zip(self.flavors, self.input_sizes, strict=True):
            sizes = (size, *self.hidden_sizes, self.latent_size)
            found[f"encoders.{flavor}"] = _layers(sizes, outer + inner)
            found[f"decoders.{flavor}"] = _layers(sizes[::-1], inner + outer)
        sizes = (self.latent_size, *self.group_sizes, self.latent_size)
        for path in self.group_paths:
            found[f"translations.{path}"] = _layers(sizes, (self.bias,) * (len(sizes) - 1))
        return found

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all weights by their names, ``BRANCH.linears.LAYER.weight`` and ``….bias``."""
        shapes: dict[str, tuple[int, ...]] = {}
        for branch, layers in self.branches().items():
            for layer, (n_in, n_out, has_bias) in enumerate(layers):
                shapes[f"{branch}.linears.{layer}.weight"] = (n_out, n_in)
                if has_bias:
                    shapes[f"{branch}.linears.{layer}.bias"] = (n_out,)
        return shapes

    def find_misfit(self, shapes: Mapping[str, tuple[int, ...]]) -> str:
        """Say in what weights of these shapes differ from those of this network; empty if not."""
        if self.n_layers > len(shapes):  # before they are listed: there may be any number
            return f"{len(shapes)} arrays for {self.n_layers} layers"
        wanted = self.weight_shapes()
        missing = [name for name in wanted if name not in shapes]
        if missing:
            return f"no {missing[0]}"
        unknown = [name for name in shapes if name not in wanted]
        if unknown:
            return f"also {unknown[0]}"
        wrong = [name for name in wanted if tuple(shapes[name]) != wanted[name]]
        return f"{wrong[0]} of shape {list(shapes[wrong[0]])}" if wrong else ""


def _layers(sizes: tuple[int, ...], biases: tuple[bool, ...]) -> tuple[tuple[int, int, bool], ...]:
    return tuple(
        (n_in, n_out, bias) for (n_in, n_out), bias in zip(pairwise(sizes), biases, strict=True)
    )


@dataclass(frozen=True, eq=False)
class Linear:
    """Weights of one linear layer, as arrays of numpy or of torch."""

    weight: Values
    """``[n_out, n_in]``."""
    bias: Values | None
    """``[n_out]``."""

    def __call__(self, values: Values) -> Values:
        """``[n_subjects, n_in]`` to ``[n_subjects, n_out]``."""
        products = values @ self.weight.T
        return products if self.bias is None else products + self.bias


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of encoders, decoders and translations, and what they are shaped like."""

    architecture: Architecture
    arrays: Mapping[str, Array]
    """As ``Architecture.weight_shapes`` names them."""

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(values.shape) for values in self.arrays.values())

    def linears(self, branch: str) -> tuple[Linear, ...]:
        """Linear layers of ``encoders.FLAVOR``, ``decoders.FLAVOR`` or ``translations.PATH``."""
        arch = self.architecture
        hidden = arch.group_sizes if branch.startswith("translations.") else arch.hidden_sizes
        names = (f"{branch}.linears.{layer}" for layer in range(len(hidden) + 1))
        return tuple(
            Linear(self.arrays[f"{name}.weight"], self.arrays.get(f"{name}.bias"))
            for name in names
        )
