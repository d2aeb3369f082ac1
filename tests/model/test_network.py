"""The network against plain torch modules in the published layout."""

from typing import Any

import numpy as np
import pytest
import torch

from kraken_bids.exceptions import CheckpointError
from kraken_bids.model.network import Architecture, Krakencoder
from kraken_bids.model.upstream import read_upstream

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
    groups = changes.get("intergroup_inputgroup_list", ["x"] * 3)
    x = torch.randn(11, 6, generator=torch.Generator().manual_seed(0))
    for i, source in enumerate(model.flavors):
        for j, target in enumerate(model.flavors):
            with torch.inference_mode():
                latent, output = model.network(x, source.name, target.name)
                expected_latent = oracle.encoder_list[i](x)
                carried = expected_latent
                if groups[i] != groups[j]:
                    index = changes["intergroup_transform_index_dict"][f"{groups[i]}->{groups[j]}"]
                    carried = oracle.intergroup_transform_list[index](carried)
                expected = oracle.decoder_list[j](carried)

            np.testing.assert_allclose(latent, expected_latent, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


def test_dropout_acts_on_the_last_layer_too_and_only_in_training() -> None:
    """In training half of a decoder's outputs are zero; in evaluation none."""
    torch.manual_seed(0)
    network = Krakencoder(Architecture(("FCcorr_a_hpf",), (200,), 8, dropout=0.5))
    x = torch.randn(10, 200)

    _, trained = network.train()(x, "FCcorr_a_hpf", "FCcorr_a_hpf")
    _, evaluated = network.eval()(x, "FCcorr_a_hpf", "FCcorr_a_hpf")

    assert 0.4 < (trained == 0).float().mean() < 0.6
    assert not (evaluated == 0).any()


def test_a_final_dropout_replaces_that_of_a_decoders_last_layer_alone() -> None:
    """With a final dropout of 0 a decoder's outputs are all there in training."""
    torch.manual_seed(0)
    arch = Architecture(("FCcorr_a_hpf",), (200,), 8, dropout=0.5, final_dropouts=(0.0,))

    _, output = Krakencoder(arch).train()(torch.randn(10, 200), "FCcorr_a_hpf", "FCcorr_a_hpf")

    assert not (output == 0).any()


def test_an_architecture_survives_json() -> None:
    """Lists of JSON come back as the tuples they were."""
    arch = Architecture(("A", "B"), (3, 4), 2, hidden_sizes=(5,), latent_activation="tanh")

    assert (
        Architecture.from_json(
            {k: list(v) if isinstance(v, tuple) else v for k, v in arch.to_json().items()}
        )
        == arch
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"flavors": ("A", "A")},
        {"input_sizes": (3,)},
        {"latent_activation": "relu"},
        {"group_paths": ("sc->fc",)},
        {"colour": 1},
    ],
)
def test_an_impossible_architecture_is_refused(changes: dict[str, Any]) -> None:
    """Wrong lengths, unknown activations and unknown keys are CheckpointErrors."""
    values = {"flavors": ("A", "B"), "input_sizes": (3, 4), "latent_size": 2, **changes}

    with pytest.raises(CheckpointError):
        Architecture.from_json(values)
