"""The network in training: dropout, gradients, and what is kept of it."""

import torch

from kraken_bids.models.krakencoder.architecture import Architecture
from kraken_bids.models.krakencoder.network import Network

FLAVOR = "FCcorr_a_hpf"


def test_dropout_acts_on_the_last_layer_too_and_only_in_training() -> None:
    """In training half of a decoder's outputs are zero; in evaluation none."""
    torch.manual_seed(0)
    network = Network(Architecture((FLAVOR,), (200,), 8, dropout=0.5))
    x = torch.randn(10, 200)

    _, trained = network.train()(x, FLAVOR, FLAVOR)
    _, evaluated = network.eval()(x, FLAVOR, FLAVOR)

    assert 0.4 < (trained == 0).float().mean() < 0.6
    assert not (evaluated == 0).any()


def test_a_final_dropout_replaces_that_of_a_decoders_last_layer_alone() -> None:
    """With a final dropout of 0 a decoder's outputs are all there in training."""
    torch.manual_seed(0)
    arch = Architecture((FLAVOR,), (200,), 8, dropout=0.5, final_dropouts=(0.0,))

    _, output = Network(arch).train()(torch.randn(10, 200), FLAVOR, FLAVOR)

    assert not (output == 0).any()


def test_a_frozen_network_is_the_trained_one() -> None:
    """Its arrays give the latents and outputs of evaluation, and do not follow later steps."""
    torch.manual_seed(0)
    trained = Network(Architecture((FLAVOR,), (20,), 8, (9,), dropout=0.5)).eval()
    x = torch.randn(10, 20)
    with torch.no_grad():
        expected = trained(x, FLAVOR, FLAVOR)
    frozen = trained.freeze()

    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.zero_()

    for found, wanted in zip(
        Network.from_weights(frozen)(x, FLAVOR, FLAVOR), expected, strict=True
    ):
        torch.testing.assert_close(found, wanted)


def test_a_latent_of_zeros_has_a_finite_gradient() -> None:
    """A subject whose latent is zero does not spoil the step of the others."""
    trained = Network(Architecture((FLAVOR,), (20,), 8, bias=False))
    latents, _ = trained(torch.zeros(2, 20), FLAVOR, FLAVOR)

    latents.sum().backward()

    assert all(torch.isfinite(p.grad).all() for p in trained.parameters() if p.grad is not None)
