"""A model of the published size with random weights: time and memory do not depend on them."""

from pathlib import Path

import numpy as np
import torch

from kraken_bids.flavors import list_flavors
from kraken_bids.models.krakencoder.architecture import Architecture
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.network import Network
from kraken_bids.models.krakencoder.reduction import Reduction


def write_random_model(folder: Path, n_components: int, latent_size: int) -> None:
    """Write a model of the 15 flavors in this package's format, with random weights."""
    write_model(build_random_model(n_components, latent_size), folder)


def build_random_model(n_components: int, latent_size: int) -> Model:
    """Build a model of the 15 flavors of the published joint model, with random weights."""
    names = ("hpf", "hpfgsr", "volnorm")
    flavors = tuple(list_flavors(("fs86", "shen268", "coco439"), processings=names))
    rng = np.random.default_rng(1)
    torch.manual_seed(1)
    architecture = Architecture(
        tuple(f.name for f in flavors), (n_components,) * len(flavors), latent_size
    )
    reductions = {}
    for flavor in flavors:
        n_edges = flavor.n_regions * (flavor.n_regions - 1) // 2
        shape = (n_components, n_edges)
        scale = np.float32(1 / np.sqrt(n_edges))
        arrays = {
            "pca_components": rng.standard_normal(shape, np.float32) * scale,
            "pca_input_mean": rng.random(n_edges, np.float32),
            "input_normscale": np.ones(1, np.float32),
            "output_normscale": np.ones(1, np.float32),
        }
        reductions[flavor] = Reduction("pca", arrays, n_edges)
    network = Network(architecture).freeze()
    return Model("random", "", flavors, latent_size, network, reductions)
