"""The linear peer: a plain logistic regression, whose penalty nobody held out has a say in."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from kraken_bids.models import linear_decoder
from kraken_bids.models.linear_decoder import STRENGTHS, decode_linearly, mean_patterns


def make_trials(n_people: int, *, noise: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((3, 10))
    people = np.repeat([f"{k:02}" for k in range(n_people)], 9)
    labels = np.tile(np.arange(3), 3 * n_people)
    return centres[labels] + noise * rng.standard_normal((len(labels), 10)), labels, people


def test_predictions_are_those_of_the_regression_it_names() -> None:
    patterns, labels, people = make_trials(12, noise=2)
    shown, truth, _ = make_trials(6, noise=2, seed=1)

    predicted, strength = decode_linearly(patterns, labels, people.tolist(), shown)

    scale = StandardScaler().fit(patterns)
    plain = LogisticRegression(C=strength, max_iter=1000).fit(scale.transform(patterns), labels)
    np.testing.assert_array_equal(predicted, plain.predict(scale.transform(shown)))
    assert (predicted == truth).mean() > 0.6
    assert strength in STRENGTHS


def test_the_penalty_is_chosen_in_people_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """No inner fit shares a person with what it is tried on."""
    patterns, labels, people = make_trials(6, noise=1)
    patterns = np.column_stack([patterns, np.repeat(np.arange(6), 9)])
    seen = []
    fit = linear_decoder._fit

    def watch(own, *rest):
        seen.append({*own[:, -1]})
        return fit(own, *rest)

    monkeypatch.setattr(linear_decoder, "_fit", watch)
    decode_linearly(patterns, labels, people.tolist(), patterns)

    inner = seen[:-1]
    assert len(inner) == 3 * len(STRENGTHS)
    assert all(len(own) == 4 for own in inner)
    assert seen[-1] == set(range(6))


def test_one_person_and_one_class_are_no_error() -> None:
    patterns, labels, people = make_trials(1, noise=1)

    assert decode_linearly(patterns, labels, people.tolist(), patterns[:2])[0].shape == (2,)
    predicted, _ = decode_linearly(patterns, np.ones_like(labels), people.tolist(), patterns)
    assert {*predicted} == {1}


def test_mean_patterns_are_means_over_volumes() -> None:
    values = [np.full((4, 2), 3.0, np.float32), np.array([[1.0, 2], [3, 4]])]

    np.testing.assert_array_equal(mean_patterns(values), [[3, 3], [2, 3]])
