"""Integrated gradients: complete, as plain sums, gone without what was learned."""

import numpy as np
import pytest
import torch

from kraken_bids.models.series.architecture import FRAMEWORKS, SeriesArchitecture
from kraken_bids.models.series.classification import make_classifier
from kraken_bids.models.series.relevance import TOLERANCE, explain_trials, randomise_weights
from kraken_bids.models.series.sequences import LabelledSeries, join_sequences


def make_network(framework: str):
    architecture = SeriesArchitecture(framework, 6, embedding=16, n_layers=2, n_classes=3)
    return make_classifier(architecture, seed=0)


def draw_trials():
    rng = np.random.default_rng(0)
    values = [rng.standard_normal((n, 6)).astype(np.float32) for n in (5, 9, 7, 1)]
    return LabelledSeries(values, [0.72, 0.72, 2.0, 1.0], np.array([0, 2, 1, 1]))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_relevance_adds_up_to_what_a_trial_changes_of_its_logit(framework: str) -> None:
    network = make_network(framework).double().eval()
    trials = draw_trials()

    found = explain_trials(network, trials)

    with torch.inference_mode():
        logits, without = (
            network.classify(
                join_sequences([one * k for one in trials.values], trials.repetition_times)
            ).numpy()
            for k in (1, 0)
        )
    change = (logits - without)[np.arange(4), trials.labels]
    sums = np.array([one.sum() for one in found.values])
    assert [one.shape for one in found.values] == [one.shape for one in trials.values]
    assert np.abs(sums - change).max() <= TOLERANCE
    assert found.gaps.max() <= TOLERANCE


def test_relevance_is_the_mean_gradient_along_a_straight_path() -> None:
    """The integral by many equal steps, each trial by itself."""
    network = make_network("csm").double().eval()
    trials = draw_trials()

    found = explain_trials(network, trials)

    sequence = join_sequences(trials.values[:1], trials.repetition_times[:1])
    signal = torch.from_numpy(trials.values[0]).double()
    total = torch.zeros_like(signal)
    n_steps = 500
    for k in range(n_steps):
        volumes = ((k + 0.5) / n_steps * signal).requires_grad_()
        logit = network.classify(sequence, volumes)[0, trials.labels[0]]
        total += torch.autograd.grad(logit, volumes)[0] / n_steps
    np.testing.assert_allclose(found.values[0], (total * signal).numpy(), atol=2e-3)


def test_the_network_is_left_as_it_was() -> None:
    network = make_network("csm").train()
    before = {name: values.clone() for name, values in network.state_dict().items()}

    explain_trials(network, draw_trials())

    assert network.training
    for name, values in network.state_dict().items():
        assert values.dtype == torch.float32
        assert torch.equal(values, before[name])


def test_random_weights_replace_the_heads_or_everything() -> None:
    network = make_network("csm")

    heads, everything = (randomise_weights(network, seed=5, whole=one) for one in (False, True))

    body = "embedder.embed_model.model.0.weight"
    head = "decoder.decoding_head."
    own = network.state_dict()
    assert torch.equal(heads.state_dict()[body], own[body])
    assert not torch.equal(everything.state_dict()[body], own[body])
    changed = [name for name in own if name.startswith(head) and own[name].any()]
    assert changed
    assert all(not torch.equal(heads.state_dict()[name], own[name]) for name in changed)
