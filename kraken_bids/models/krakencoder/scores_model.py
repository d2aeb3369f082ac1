"""A model that stops at its transforms: its latents are the scores that the network takes."""

import numpy as np

from kraken_bids.models.krakencoder.architecture import Architecture, Weights
from kraken_bids.models.krakencoder.model import Model


def make_scores_model(model: Model) -> Model:
    """Make a model of the same transforms whose latents are reduced connectomes.

    Returns
    -------
    Model
        Of the same identity. Latents of all flavors have the length of the longest scores; those
        of the others end in zeros.
    """
    sizes = model.network.architecture.input_sizes
    width = max(sizes)
    architecture = Architecture(
        model.network.architecture.flavors, sizes, width, latent_normalize=False, bias=False
    )
    arrays = {
        name: np.eye(*shape, dtype=np.float32)
        for name, shape in architecture.weight_shapes().items()
    }
    return Model(
        name=model.name,
        sha256=model.sha256,
        flavors=model.flavors,
        latent_size=width,
        network=Weights(architecture, arrays),
        reductions=model.reductions,
        device=model.device,
    )
