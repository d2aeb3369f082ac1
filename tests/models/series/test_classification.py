"""Training on trials: what is taken over from a pretrained network, and what is learned."""

import numpy as np
import pytest
import torch

from kraken_bids.models.series.architecture import FRAMEWORKS, SeriesArchitecture
from kraken_bids.models.series.classification import cut_trial, make_classifier, train_classifier
from kraken_bids.models.series.data_description import SeriesData
from kraken_bids.models.series.model import SeriesModel
from kraken_bids.models.series.sequences import LabelledSeries
from kraken_bids.models.step_training import StepSettings


def design(framework: str, n_classes: int) -> SeriesArchitecture:
    return SeriesArchitecture(framework, 6, embedding=16, n_layers=1, n_classes=n_classes)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_all_but_the_head_is_taken_over(framework: str) -> None:
    """The head of another decoding is not: its classes may be others, though as many."""
    for n_classes in (0, 3):
        pretrained = make_classifier(design(framework, n_classes), seed=1)

        network = make_classifier(design(framework, 3), seed=0, pretrained=pretrained)

        fresh = make_classifier(design(framework, 3), seed=0).state_dict()
        given = pretrained.state_dict()
        for name, values in network.state_dict().items():
            is_head = name.startswith("decoder.decoding_head.")
            assert torch.equal(values, fresh[name] if is_head else given[name])


def test_what_a_state_looks_like_in_time_is_learned_twice_alike() -> None:
    """Two courses with one mean: rising and falling; the same seed gives the same weights."""
    rng = np.random.default_rng(0)
    course = np.linspace(-1.5, 1.5, 12)[:, None] * np.ones(6)
    labels = np.arange(80) % 2
    values = [
        (course * (1 - 2 * one) + rng.standard_normal((12, 6))).astype(np.float32)
        for one in labels
    ]
    trials = LabelledSeries(values[:60], [1.0] * 60, labels[:60])
    steps = StepSettings(n_steps=80, learning_rate=3e-3, device="cpu")
    networks = [make_classifier(design("csm", 2), seed=0) for _ in range(2)]

    for network in networks:
        train_classifier(network, trials, steps, batch_size=16, longest=50)

    model = SeriesModel(networks[0], SeriesData(tuple("abcdef")))
    found = model.probabilities(values[60:], [1.0] * 20).argmax(axis=1)
    assert (found == labels[60:]).mean() > 0.85
    for one, two in zip(*(network.state_dict().values() for network in networks), strict=True):
        assert torch.equal(one, two)


def test_long_trials_are_cut_into_equal_parts() -> None:
    parts = cut_trial(np.arange(26).reshape(13, 2), 5)

    assert [len(one) for one in parts] == [5, 4, 4]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(26).reshape(13, 2))
