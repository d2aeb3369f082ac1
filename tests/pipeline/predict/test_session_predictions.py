"""Sources of predictions, in models with one latent space and with several."""

import numpy as np
import pytest
import torch

from kraken_bids.cohort.sources import build_sources
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.architecture import Architecture
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.network import Network
from kraken_bids.models.krakencoder.reduction import fit_pca

NAMES = ("FCcorr_a_hpf", "SCifod2act_a_volnorm", "FCpcorr_a_hpf")
FLAVORS = tuple(parse_flavor(name) for name in NAMES)
GROUPS = ("fc", "sc", "fc")


def make_model(*, translates: bool) -> Model:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    groups = {"groups": GROUPS, "group_paths": ("fc->sc", "sc->fc")} if translates else {}
    return Model(
        name="x",
        sha256="",
        flavors=FLAVORS,
        latent_size=3,
        network=Network(Architecture(NAMES, (4,) * 3, 3, **groups)).freeze(),
        reductions={flavor: fit_pca(rng.normal(size=(9, 28)), 4) for flavor in FLAVORS},
    )


@pytest.mark.parametrize("translates", [True, False])
@pytest.mark.parametrize("name", ["fusion", "fusionFC", "SCifod2act_a_volnorm"])
def test_latents_are_translated_before_they_are_fused(translates: bool, name: str) -> None:
    """Each input's latents go to the target's group, then their mean to its decoder."""
    model = make_model(translates=translates)
    rng = np.random.default_rng(1)
    latents = {flavor: rng.normal(size=(5, 3)).astype(np.float32) for flavor in FLAVORS}
    (source,) = build_sources(latents, [name])
    network = Network.from_weights(model.network)

    for target in FLAVORS:
        carried = [
            network.translate(torch.from_numpy(latents[f]), f.name, target.name).numpy()
            for f in source.flavors
        ]
        mean = np.mean(carried, axis=0)
        expected = model.decode(target, mean)[[1, 3]]
        np.testing.assert_allclose(source.predict(model, target, [1, 3]), expected, atol=1e-5)
