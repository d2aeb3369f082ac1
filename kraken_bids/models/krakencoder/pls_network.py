"""Regressions from every flavor to every other one, as one network."""

from collections.abc import Mapping, Sequence

import numpy as np

from kraken_bids.models.krakencoder.architecture import Architecture, Weights
from kraken_bids.models.krakencoder.moments import Matrix

NARROW = 512
"""Longest latent without a linear layer before it; one of 256 keeps maps of edges small."""


def make_network(sizes: Mapping[str, int], fitted: Sequence[tuple[Matrix, Matrix]]) -> Weights:
    """Make encoders that predict the scores of every flavor, and decoders that pick their own.

    A long latent has a linear layer of the width of the scores before it, so that the maps
    between edges and the first layer have that width.

    Parameters
    ----------
    sizes : mapping of str to int
        Scores of each flavor.
    fitted : sequence of tuple
        Of each flavor, coefficients ``[n_scores, n_latent]`` and intercepts ``[n_latent]`` of all
        blocks.
    """
    n_latent, width = sum(sizes.values()), max(sizes.values())
    architecture = Architecture(
        flavors=tuple(sizes),
        input_sizes=tuple(sizes.values()),
        latent_size=n_latent,
        hidden_sizes=(width,) if n_latent > NARROW else (),
        skip_activation=True,
        latent_normalize=False,
    )
    arrays: dict[str, Matrix] = {}
    start = 0
    for (name, size), (matrix, bias) in zip(sizes.items(), fitted, strict=True):
        pick = np.eye(size, n_latent, start)
        start += size
        encoder = [(matrix.T, bias)]
        decoder = [(pick, np.zeros(size))]
        if architecture.hidden_sizes:
            pad = np.eye(width, size)
            encoder = [(pad, np.zeros(width)), (matrix.T @ pad.T, bias)]
            decoder = [(pad @ pick, np.zeros(width)), (pad.T, np.zeros(size))]
        for kind, layers in (("encoders", encoder), ("decoders", decoder)):
            for layer, (weight, own_bias) in enumerate(layers):
                arrays[f"{kind}.{name}.linears.{layer}.weight"] = weight
                arrays[f"{kind}.{name}.linears.{layer}.bias"] = own_bias
    return Weights(
        architecture,
        {name: np.ascontiguousarray(values, np.float32) for name, values in arrays.items()},
    )
