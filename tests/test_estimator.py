"""``KrakenEncoder``: scikit-learn's own checks, and that cross-validation does not leak."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import kraken_bids
from kraken_bids import KrakenEncoder, Model
from kraken_bids.exceptions import CheckpointError, ConnectomeError, FlavorError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.models.krakencoder.architecture import Architecture
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.network import Network
from kraken_bids.models.krakencoder.reduction import Reduction, fit_pca

FC, SC = parse_flavor("FCcorr_mini_hpf"), parse_flavor("SCifod2act_mini_volnorm")
N_PEOPLE, N_LATENT = 40, 4


def make_model(sizes: dict[Flavor, int], *, keeps_means: bool = True) -> Model:
    """Model with random weights, always the same, and transforms of random people."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    reductions = {}
    for flavor, n_edges in sizes.items():
        rows = rng.normal(size=(12, n_edges)) + 3 * rng.normal(size=n_edges)
        fitted = fit_pca(rows, min(3, n_edges))
        reductions[flavor] = fitted if keeps_means else Reduction("none", {}, n_edges)
    architecture = Architecture(
        flavors=tuple(flavor.name for flavor in sizes),
        input_sizes=tuple(reduction.n_components for reduction in reductions.values()),
        latent_size=N_LATENT,
    )
    return Model(
        name="tiny",
        sha256="abc",
        flavors=tuple(sizes),
        latent_size=N_LATENT,
        network=Network(architecture).freeze(),
        reductions=reductions,
    )


class WidthlessEncoder(KrakenEncoder):
    """The encoder with a model for whatever width scikit-learn's checks come up with."""

    def _load(self) -> Model:
        return make_model({FC: self.n_features_in_})


@parametrize_with_checks(
    [
        WidthlessEncoder(flavors=FC.name, adaptation_min_subjects=2),
        WidthlessEncoder(flavors=FC.name, adaptation="none"),
        WidthlessEncoder(flavors=[FC.name], adaptation="meanshift", adaptation_min_subjects=2),
    ]
)
def test_scikit_learn_s_checks_pass(estimator: Any, check: Callable[[Any], None]) -> None:
    """All of them, but for the width of X, which here follows the data: a model's is fixed."""
    check(estimator)


@pytest.fixture
def model() -> Model:
    return make_model({FC: 28, SC: 28})


@pytest.fixture
def X() -> NDArray[np.float64]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(N_PEOPLE, 28)) + 2 * rng.normal(size=28)


def fit_by_hand(model: Model, flavor: Flavor, rows: NDArray[np.float64]) -> Any:
    means = {flavor: (rows.mean(axis=0), len(rows))}
    return kraken_bids.fit_adaptation(means, model.training_means())


def test_it_is_the_adaptation_and_the_encoding_of_the_api(
    model: Model, X: NDArray[np.float64]
) -> None:
    """Fitted on some people, applied to others, as by ``fit_adaptation`` and ``encode``."""
    train, test = X[:30], X[30:]
    encoder = KrakenEncoder(model, flavors=FC).fit(train)

    expected = model.encode(FC, test, fit_by_hand(model, FC, train))

    np.testing.assert_allclose(encoder.transform(test), expected, atol=1e-6)
    assert encoder.adaptation_ is not None
    assert encoder.adaptation_.flavors[FC].n_subjects == 30


def test_cross_validation_does_not_leak(model: Model, X: NDArray[np.float64]) -> None:
    """Predictions of a pipeline are those of adaptations fitted fold by fold, not on everyone."""
    y = np.random.default_rng(2).normal(size=N_PEOPLE)
    folds = KFold(4)
    found = cross_val_predict(
        make_pipeline(KrakenEncoder(model, flavors=FC), Ridge()), X, y, cv=folds
    )

    by_fold, leaking = np.empty(N_PEOPLE), np.empty(N_PEOPLE)
    for train, test in folds.split(X):
        for predicted, rows in ((by_fold, X[train]), (leaking, X)):
            fit = fit_by_hand(model, FC, rows)
            latents = model.encode(FC, X.astype(np.float64), fit).astype(np.float64)
            predicted[test] = Ridge().fit(latents[train], y[train]).predict(latents[test])

    np.testing.assert_allclose(found, by_fold, atol=1e-5)
    assert np.abs(found - leaking).max() > 1e-3


def test_several_flavors_are_fused(model: Model, X: NDArray[np.float64]) -> None:
    """Columns side by side give the mean latent; who lacks a flavor has that of the other."""
    both = np.hstack([X, X[::-1] ** 2])
    both[3, :28] = np.nan
    encoder = KrakenEncoder(model, flavors=[FC, SC]).fit(both)
    latents = {
        FC: model.encode(FC, X, fit_by_hand(model, FC, np.delete(X, 3, axis=0))),
        SC: model.encode(SC, X[::-1] ** 2, fit_by_hand(model, SC, X[::-1] ** 2)),
    }
    expected = (latents[FC] + latents[SC]) / 2
    expected[3] = latents[SC][3]

    np.testing.assert_allclose(encoder.transform(both), expected, atol=1e-5)
    np.testing.assert_allclose(KrakenEncoder(model).fit(both).transform(both), expected, atol=1e-5)


def test_latents_side_by_side(model: Model, X: NDArray[np.float64]) -> None:
    """A ColumnTransformer of encoders joins the latents of flavors without fusing them."""
    both = np.hstack([X, X[::-1]])
    joined = ColumnTransformer(
        [
            ("fc", KrakenEncoder(model, flavors=FC), slice(0, 28)),
            ("sc", KrakenEncoder(model, flavors=SC), slice(28, 56)),
        ]
    )

    assert joined.fit_transform(both).shape == (N_PEOPLE, 2 * N_LATENT)
    assert list(joined.get_feature_names_out()[3:5]) == ["fc__z003", "sc__z000"]


def test_a_saved_adaptation_is_taken_as_it_is(model: Model, X: NDArray[np.float64]) -> None:
    """``fit`` looks at nobody then; one that belongs to another model is refused."""
    saved = fit_by_hand(model, FC, X)
    encoder = KrakenEncoder(model, flavors=FC, adaptation=saved).fit(X[:1] + 5)

    np.testing.assert_allclose(encoder.transform(X), model.encode(FC, X, saved), atol=1e-6)
    other = kraken_bids.fit_adaptation(
        {FC: (X.mean(axis=0), 40)}, model.training_means(), model_sha256="another"
    )
    with pytest.raises(CheckpointError, match="fitted for another"):
        KrakenEncoder(model, flavors=FC, adaptation=other).fit(X)


def test_a_model_is_loaded_by_its_path(
    model: Model, X: NDArray[np.float64], tmp_path: Path
) -> None:
    """In a grid over adaptations, whose clones load it anew."""
    folder = write_model(model, tmp_path / "model")
    y = X[:, 0]
    search = GridSearchCV(
        make_pipeline(KrakenEncoder(folder, flavors=FC.name, device="cpu"), Ridge()),
        {"krakenencoder__adaptation": ["none", "meanshift", "meanfit+meanshift"]},
        cv=3,
    ).fit(X, y)

    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert np.isfinite(cross_val_score(search.best_estimator_, X, y, cv=3)).all()


def test_clones_share_the_model(model: Model, X: NDArray[np.float64]) -> None:
    """No fold copies the weights; what was fitted is not taken over, the output format is."""
    encoder = KrakenEncoder(model, flavors=FC).set_output(transform="pandas").fit(X)

    twin = clone(encoder)

    assert twin.model is model
    assert not hasattr(twin, "model_")
    table = twin.fit_transform(X)
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["z000", "z001", "z002", "z003"]


def test_it_shows_itself_in_a_few_words(model: Model) -> None:
    """Not with the weights of the model, in a notebook neither."""
    encoder = KrakenEncoder(model, flavors=[FC.name, SC.name])

    assert "model=<Model tiny: 2 flavors, latent 4, on cpu>" in repr(encoder)
    assert "state_dict" not in encoder._repr_html_()
    assert len(repr(encoder)) < 200


def test_tables_with_region_names_go_in(model: Model, X: NDArray[np.float64]) -> None:
    """Their values count, their index is kept."""
    people = [f"sub-{k:02d}" for k in range(N_PEOPLE)]
    table = kraken_bids.to_table(X, FC, subjects=people, regions="abcdefgh")
    encoder = KrakenEncoder(model, flavors=FC).set_output(transform="pandas")

    latents = encoder.fit_transform(table)

    assert list(latents.index) == people
    expected = KrakenEncoder(model, flavors=FC).fit_transform(X)
    np.testing.assert_array_equal(latents.to_numpy(), expected)


def test_a_pickle_holds_all_it_needs(model: Model, X: NDArray[np.float64]) -> None:
    """The fitted encoder gives the same latents elsewhere."""
    encoder = KrakenEncoder(model, flavors=FC).fit(X)

    elsewhere = pickle.loads(pickle.dumps(encoder))

    np.testing.assert_array_equal(elsewhere.transform(X), encoder.transform(X))


def broken_uses(model: Model, X: NDArray[np.float64]) -> Iterator[tuple[Any, Any, type, str]]:
    alone = KrakenEncoder(model, flavors=FC)
    holes = X.copy()
    holes[2, 5] = np.nan
    both = np.hstack([holes, X])
    nobody = np.hstack([X, X])
    nobody[1:, :28] = np.nan
    yield alone, np.hstack([X, X]), ConnectomeError, r"expected 28 edges .*; found 56 columns"
    yield alone, X[:1], ValueError, r"1 sample\(s\) .* minimum of 2"
    yield alone, holes, ValueError, "NaN"
    yield KrakenEncoder(model), both, ConnectomeError, "Check the connectomes of this flavor"
    yield KrakenEncoder(model), nobody, ConnectomeError, f"found 1 of {FC}"
    yield KrakenEncoder(model, flavors="FCcorr_other_hpf"), X, FlavorError, "FCcorr_other_hpf"
    yield KrakenEncoder(model, flavors=FC, adaptation="shift"), X, ValueError, "'shift'"
    plain = make_model({FC: 28}, keeps_means=False)
    yield KrakenEncoder(plain, flavors=FC), X, CheckpointError, 'adaptation="none"'


def test_few_people_are_adapted_to_only_if_asked(model: Model, X: NDArray[np.float64]) -> None:
    """Ten of each flavor, as in the app; fewer by name; two at least; none to be fitted: any."""
    both = np.hstack([X[:12], X[12:24]])
    both[:3, :28] = np.nan
    with pytest.raises(
        ConnectomeError, match=rf"at least 10 .* found 9 of {FC}\. .*adaptation_min"
    ):
        KrakenEncoder(model).fit(both)
    with pytest.raises(ConnectomeError, match=f"found 9 of {FC}, 9 of {SC}"):
        KrakenEncoder(model).fit(both[3:])
    encoder = KrakenEncoder(model, adaptation_min_subjects=9).fit(both)
    assert encoder.adaptation_ is not None
    assert [fit.n_subjects for fit in encoder.adaptation_.flavors.values()] == [9, 12]
    assert KrakenEncoder(model, flavors=FC).fit(X[:10]).adaptation_ is not None
    with pytest.raises(ConnectomeError, match=r"at least 2 .* found 1 of"):
        KrakenEncoder(model, adaptation_min_subjects=1).fit(both[[0, 1, 2, 3]])
    assert KrakenEncoder(model, flavors=FC, adaptation="none").fit(X[:1]).adaptation_ is None
    saved = fit_by_hand(model, FC, X)
    assert KrakenEncoder(model, flavors=FC, adaptation=saved).fit(X[:3]).adaptation_ is saved


def test_what_cannot_be_fitted_says_why(model: Model, X: NDArray[np.float64]) -> None:
    """Wrong widths, one person, holes, flavors and modes that there are not, no training mean."""
    for encoder, rows, error, message in broken_uses(model, X):
        with pytest.raises(error, match=message):
            encoder.fit(rows)


def test_people_without_any_flavor_are_refused(model: Model, X: NDArray[np.float64]) -> None:
    """Latents of NaN would only fail later, and less clearly."""
    both = np.hstack([X, X])
    encoder = KrakenEncoder(model).fit(both)
    both[7] = np.nan

    with pytest.raises(ConnectomeError, match="NaN in all of them in row 7"):
        encoder.transform(both)
