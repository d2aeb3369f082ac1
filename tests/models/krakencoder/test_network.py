"""The network against plain torch modules in the published layout."""

from typing import Any

import numpy as np
import pytest
import torch

from kraken_bids.models.krakencoder.network import Network
from kraken_bids.models.krakencoder.published_checkpoint import read_upstream

GROUPS = {
    "intergroup": True,
    "intergroup_layers": [4],
    "intergroup_inputgroup_list": ["fc", "sc", "fc"],
    "intergroup_transform_index_dict": {"sc->fc": 1, "fc->sc": 0},
    "intergroup_relu": True,
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"latent_normalize": False},
        {"hiddenlayers": [9, 7]},
        {"hiddenlayers": [9, 7, 8], "relu_tanh_alternate": True, "leakyrelu_negative_slope": 0.1},
        {"hiddenlayers": [9], "skip_relu": True, "latent_activation": "tanh"},
        {"hiddenlayers": [9], "latent_activation": "sigmoid", "latent_normalize": False},
        {"hiddenlayers": [9], "no_bias_for_outer_layers": True},
        {"linear_include_bias": False},
        {**GROUPS},
        {**GROUPS, "intergroup_relu": False, "intergroup_layers": [], "latent_normalize": False},
    ],
)
def test_every_architecture_key_means_what_the_published_layout_means(
    published: Any, changes: dict[str, Any]
) -> None:
    """Latents and outputs of every path equal those of the published layout."""
    oracle = published.write(**changes)
    model = read_upstream(published.checkpoint, device="cpu")
    network = Network.from_weights(model.network)
    groups = changes.get("intergroup_inputgroup_list", ["x"] * 3)
    x = torch.randn(11, 6, generator=torch.Generator().manual_seed(0))
    for i, source in enumerate(model.flavors):
        for j, target in enumerate(model.flavors):
            with torch.inference_mode():
                latent, output = network(x, source.name, target.name)
                expected_latent = oracle.encoder_list[i](x)
                carried = expected_latent
                if groups[i] != groups[j]:
                    index = changes["intergroup_transform_index_dict"][f"{groups[i]}->{groups[j]}"]
                    carried = oracle.intergroup_transform_list[index](carried)
                expected = oracle.decoder_list[j](carried)

            np.testing.assert_allclose(latent, expected_latent, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)
