"""What fixes a training: its settings, its data, the network that they ask for."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError, SettingsError
from kraken_bids.models.krakencoder.architecture import LATENT_ACTIVATIONS, Architecture
from kraken_bids.models.krakencoder.losses import PUBLISHED_LOSS, parse_loss

SCHEDULES = ("joint", "paths")
LEARNING_RATES = {"joint": 1e-3, "paths": 1e-4}
"""Of the schedules; that of ``paths`` is the published one."""


SHAPE = (
    "latent_size", "hidden_sizes", "skip_activation", "negative_slope", "alternate_tanh",
    "latent_activation", "latent_normalize",
)  # fmt: skip
"""Settings that are those of the architecture, by the same names."""


@dataclass(frozen=True)
class TrainingSettings:
    """What fixes a training; the defaults are the published recipe, in the joint schedule."""

    transform: str = "pca256"
    """``pcaK``, ``cfeat`` or ``none``."""
    latent_size: int = 128
    """Length of a latent."""
    hidden_sizes: tuple[int, ...] = ()
    """Widths of hidden layers."""
    loss: str = PUBLISHED_LOSS
    """Terms and weights."""
    dropout: float = 0.5
    """On the output of each linear layer."""
    learning_rate: float | None = None
    """Of AdamW; None takes that of the schedule (:data:`LEARNING_RATES`)."""
    weight_decay: float = 0.01
    """Of AdamW."""
    batch_size: int = 41
    """Subjects per step; a last batch that is not full is left out."""
    n_epochs: int = 2000
    """Times that every path sees the subjects."""
    seed: int = 0
    """Of initial weights, batches and dropout."""
    device: str = "auto"
    """Where to train."""
    schedule: Literal["joint", "paths"] = "joint"
    """``joint``: all paths of a batch in one step; ``paths``: a step per path and batch."""
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
    intergroup: bool = False
    """Translate latents between the groups of flavors (SC and FC) by layers of their own."""
    intergroup_sizes: tuple[int, ...] = ()
    """Hidden widths of those translations."""
    intergroup_activation: bool = True
    """An activation follows every layer of those translations."""
    intergroup_dropout: float = 0.0
    """Their dropout."""

    def __post_init__(self) -> None:
        """Check ranges and the loss string."""
        parse_loss(self.loss)
        if self.batch_size < 2 or self.n_epochs < 0 or self.latent_size < 2:
            raise SettingsError(
                "expected a batch of at least 2 subjects, a latent of at least 2 numbers and "
                f"no negative number of epochs; found {self.batch_size}, {self.latent_size} and "
                f"{self.n_epochs}."
            )
        if self.seed < 0 or min((*self.hidden_sizes, *self.intergroup_sizes, 1)) < 1:
            raise SettingsError(
                "expected a seed from 0 on, and hidden layers of at least 1 number; found "
                f"{self.seed} and {list(self.hidden_sizes + self.intergroup_sizes)}."
            )
        if not math.isfinite(self.negative_slope):
            raise SettingsError(f"expected a finite slope; found {self.negative_slope}.")
        for rate in (self.dropout, self.intergroup_dropout):
            if not 0 <= rate < 1:
                raise SettingsError(f"expected a dropout from 0 up to 1; found {rate}.")
        for rate in (self.rate, self.weight_decay):
            if not (math.isfinite(rate) and rate >= 0):
                raise SettingsError(
                    "expected a learning rate and a weight decay that are finite and not "
                    f"negative; found {rate}."
                )
        _check_choice("a schedule", self.schedule, SCHEDULES)
        _check_choice("a latent activation", self.latent_activation, LATENT_ACTIVATIONS)

    @property
    def rate(self) -> float:
        """Learning rate, that of the schedule where none was given."""
        given = self.learning_rate
        return LEARNING_RATES.get(self.schedule, 0.0) if given is None else given

    def to_json(self) -> dict[str, Any]:
        """Plain values, to be kept with a model."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {**plain, "learning_rate": self.rate}

    def design(self, sizes: Mapping[str, int], groups: Mapping[str, str]) -> Architecture:
        """Describe the network for flavors of these sizes.

        Parameters
        ----------
        sizes : mapping of str to int
            Length of the reduced input by flavor id, in the order of paths.
        groups : mapping of str to str
            ``SC`` or ``FC`` by flavor id; looked at only where latents are translated.
        """
        names = [groups[name].lower() for name in sizes] if self.intergroup else []
        return Architecture(
            flavors=tuple(sizes),
            input_sizes=tuple(sizes.values()),
            **{name: getattr(self, name) for name in SHAPE},
            dropout=self.dropout,
            groups=tuple(names),
            group_paths=tuple(f"{a}->{b}" for a, b in permutations(sorted(set(names)), 2)),
            group_sizes=self.intergroup_sizes if self.intergroup else (),
            group_activation=self.intergroup_activation,
            group_dropout=self.intergroup_dropout,
        )


@dataclass(frozen=True)
class TrainingData:
    """Reduced connectomes of the training subjects, and what their latents should be."""

    inputs: Mapping[str, NDArray[np.float32]]
    """Flavor id to ``[n_subjects, n_components]``; a row of NaN where a subject lacks it."""
    target_latents: NDArray[np.float32] | None = None
    """``[n_subjects, n_latent]``: latents to be matched, by which flavors are added to a model;
    then each flavor is trained on itself alone."""
    is_fixed: bool = False
    """Encoders are stepped towards the target latents, decoders from them, each by itself."""

    @property
    def n_subjects(self) -> int:
        """Number of subjects."""
        return len(next(iter(self.inputs.values()), ()))

    def find_present(self) -> NDArray[np.bool_]:
        """Tell who has what: ``[n_flavors, n_subjects]``."""
        present = ~np.stack([np.isnan(rows).all(axis=1) for rows in self.inputs.values()])
        if self.target_latents is not None:
            present &= ~np.isnan(self.target_latents).all(axis=1)
        return present

    def check(self, architecture: Architecture, batch_size: int) -> None:
        """Check that a network of this architecture can be trained on these data.

        Raises
        ------
        ConnectomeError
            If flavors, subjects or lengths differ, numbers are not finite, or subjects are fewer
            than a batch.
        """
        wanted = dict(zip(architecture.flavors, architecture.input_sizes, strict=True))
        found = {name: rows.shape[1] for name, rows in self.inputs.items()}
        if found != wanted or tuple(found) != architecture.flavors:
            raise ConnectomeError(
                f"expected reduced inputs of the lengths {wanted}; found {found}. Reduce every "
                "flavor by the transform that the network was designed for."
            )
        arrays = dict(self.inputs)
        if self.target_latents is not None:
            arrays["target latents"] = self.target_latents
        lengths = {name: len(rows) for name, rows in arrays.items()}
        if len(set(lengths.values())) != 1:
            raise ConnectomeError(
                f"expected the same subjects for every flavor; found {lengths}. Give a row of "
                "NaN for a flavor that a subject lacks."
            )
        for name, rows in arrays.items():
            _check_rows(name, rows)
        if self.n_subjects < batch_size:
            raise ConnectomeError(
                f"expected at least one batch of {batch_size} training subjects; found "
                f"{self.n_subjects}. Give more subjects or a smaller batch size."
            )


@dataclass(frozen=True)
class EpochResult:
    """What is known after an epoch."""

    epoch: int
    """From 1."""
    loss: float
    """Mean batch loss over the paths' steps."""
    latent_similarity: float
    """Weighted latent-similarity loss; 0 without that term."""
    n_skipped: int
    """Steps left out since the beginning because a loss or gradient was not finite."""
    seconds: float
    """Wall-clock time of the epoch."""
    path_losses: Mapping[tuple[str, str], float]
    """Mean batch loss of each path, (source, target); paths without a batch are left out."""


def _check_choice(what: str, found: str, choices: tuple[str, ...]) -> None:
    if found not in choices:
        raise SettingsError(f"expected {what} among {', '.join(choices)}; found {found!r}.")


def _check_rows(name: str, rows: NDArray[np.float32]) -> None:
    """Check that each row is finite, or NaN as a whole."""
    broken = ~(np.isfinite(rows).all(axis=1) | np.isnan(rows).all(axis=1))
    if broken.any():
        raise ConnectomeError(
            f"{name}: expected finite numbers, or NaN in all of a row where a subject lacks the "
            f"flavor; found {int(broken.sum())} rows that are neither, the first is row "
            f"{int(broken.argmax())}. Leave those subjects out or fill their edges."
        )
