"""The estimator: what scikit-learn expects of one, and the same answers as the functions."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import kraken_bids
from kraken_bids import CommunitySettings, DynamicCommunities, fit_communities
from kraken_bids.exceptions import ConnectomeError


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


def test_tables_are_put_into_one_order_by_the_names_of_their_columns() -> None:
    """Those that are transformed too; an array has its columns in that order."""
    scans, names = make_scans(), [f"r{k}" for k in range(12)]
    order = np.random.default_rng(1).permutation(12)
    first = pd.DataFrame(scans[0], columns=names)
    turned = pd.DataFrame(scans[1][:, order], columns=np.array(names)[order])
    own = DynamicCommunities(3, epochs=30, n_seeds=1)
    wanted = clone(own).fit_transform(scans)
    found = own.fit([first, turned])
    np.testing.assert_array_equal(found.transform([scans[0]])[0], wanted[0])
    np.testing.assert_array_equal(found.transform([turned])[0], wanted[1])
    assert list(found.feature_names_in_) == names
    with pytest.raises(ConnectomeError, match=r"regions r0.*found one with x"):
        found.transform([first.rename(columns={"r3": "x"})])
    with pytest.raises(ConnectomeError, match="11 columns"):
        found.transform([first.drop(columns="r3")])
    assert not hasattr(own.fit(scans), "feature_names_in_")


def test_it_must_be_fitted_first() -> None:
    with pytest.raises(NotFittedError):
        DynamicCommunities().transform(make_scans())


def test_it_is_a_public_name() -> None:
    assert kraken_bids.DynamicCommunities is DynamicCommunities
