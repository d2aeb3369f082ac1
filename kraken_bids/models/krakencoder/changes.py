"""What fine-tuning changes in a model, and a model with the changes in its numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.adaptation import FlavorAdaptation
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.reduction import Reduction

Matrix = NDArray[np.float64]

MOVED = "SC"
"""The modality whose latents are turned into the other one's."""
DIVISORS = {
    "pca": "input_normscale",
    "cfeat+norm": "input_rownorm_mean",
    "cfeat+varnorm": "input_variance",
    "zfeat": "input_stdev",
}
"""What each type of transform divides by after it has taken its mean off."""


@dataclass(frozen=True)
class Changes:
    """What is changed in a model."""

    means: Mapping[str, Matrix] = field(default_factory=dict)
    """Mean adapted scores that are taken from each flavor; without any, inputs stay unadapted."""
    turn: Matrix | None = None
    """Orthogonal ``[n_latent, n_latent]``: SC latents times this are like FC latents."""
    weights: Mapping[str, Matrix] = field(default_factory=dict)
    """Added to the last layer of each flavor's decoder, ``[n_features, n_scores]``."""
    biases: Mapping[str, Matrix] = field(default_factory=dict)
    """Added to what each flavor's decoder gives, ``[n_scores]``."""


def change_network(network: Weights, changes: Changes) -> Weights:
    """Fold what was fitted into a network's weights: same layers, other numbers."""
    arrays = dict(network.arrays)
    last = len(network.architecture.hidden_sizes)

    def change(key: str, values: Matrix) -> None:
        arrays[key] = np.ascontiguousarray(values, np.float32)

    for name in network.architecture.flavors:
        if changes.turn is not None and is_moved(name):
            turn = changes.turn
            for part in ("weight", "bias"):
                key = f"encoders.{name}.linears.{last}.{part}"
                if key in arrays:
                    change(key, turn.T @ arrays[key].astype(np.float64))
            key = f"decoders.{name}.linears.0.weight"
            change(key, arrays[key].astype(np.float64) @ turn)
        key = f"decoders.{name}.linears.{last}"
        added, bias = changes.weights.get(name), changes.biases.get(name)
        if added is not None:
            if changes.turn is not None and is_moved(name) and not last:
                added = changes.turn.T @ added
            change(f"{key}.weight", arrays[f"{key}.weight"] + added.T)
        if bias is not None:
            change(f"{key}.bias", arrays[f"{key}.bias"] + bias)
    return Weights(network.architecture, arrays)


def is_moved(name: str) -> bool:
    """Whether latents of a flavor are those that are turned."""
    return parse_flavor(name).group == MOVED


def move_reduction(reduction: Reduction, fit: FlavorAdaptation) -> Reduction:
    """Fold an adaptation into a transform, which then is at home in the cohort adapted to.

    Its forward is that of the adapted connectome, its inverse is mapped back into the cohort's
    own domain, and its training mean is the cohort's mean: an adaptation fitted on the cohort
    changes nothing any more.

    Parameters
    ----------
    fit : FlavorAdaptation
        A mean shift, with or without a slope.

    Raises
    ------
    CheckpointError
        If the transform keeps no mean that it takes off.
    """
    mean, arrays = fit.mean_new.astype(np.float32), dict(reduction.arrays)
    if reduction.kind == "cfeat":
        slope = np.array([1 / fit.b0], np.float32)
        moved = {"input_mean": mean, "input_variance": slope}
        return Reduction("cfeat+varnorm", moved, reduction.n_edges)
    if reduction.kind not in DIVISORS:
        raise CheckpointError(
            "expected a transform that takes a mean connectome off (pca, cfeat), to move it to "
            f"the cohort; found {reduction.kind}. Fine-tune a model with such transforms."
        )
    divisor = DIVISORS[reduction.kind]
    name = "pca_input_mean" if reduction.kind == "pca" else "input_mean"
    arrays[name] = mean.reshape(arrays[name].shape)
    arrays[divisor] = np.asarray(arrays[divisor] / fit.b0, np.float32)
    return Reduction(reduction.kind, arrays, reduction.n_edges)
