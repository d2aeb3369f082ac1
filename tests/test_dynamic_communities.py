"""The estimator: what scikit-learn expects of one, and the same answers as the functions."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import kraken_bids
from kraken_bids import CommunitySettings, DynamicCommunities, fit_communities


def make_scans() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 3
    return [
        1.5 * rng.standard_normal((n, 3))[:, labels] + rng.standard_normal((n, 12))
        for n in (80, 100)
    ]


def test_it_gives_what_the_functions_give() -> None:
    scans = make_scans()
    own = DynamicCommunities(3, epochs=30, n_seeds=1, random_state=4)
    presence = clone(own).fit_transform(scans)
    settings = CommunitySettings(n_communities=3, epochs=30, n_seeds=1, seed=4)
    found = fit_communities(scans, settings)
    assert [one.tobytes() for one in presence] == [one.tobytes() for one in found.presence]
    fitted = own.fit(scans)
    assert fitted.n_features_in_ == 12
    assert len(set(fitted.labels_[::3])) == 1
    assert fitted.get_params()["random_state"] == 4


def test_it_must_be_fitted_first() -> None:
    with pytest.raises(NotFittedError):
        DynamicCommunities().transform(make_scans())


def test_it_is_a_public_name() -> None:
    assert kraken_bids.DynamicCommunities is DynamicCommunities
