"""``SeriesEncoder``: what scikit-learn expects of it, and the same vectors as the model gives."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks as checks

import kraken_bids
from kraken_bids import KrakenEncoder, Model, SeriesEncoder
from kraken_bids.exceptions import ConnectomeError, SettingsError
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.architecture import Architecture
from kraken_bids.models.krakencoder.network import Network
from kraken_bids.models.krakencoder.reduction import fit_pca
from kraken_bids.models.series.architecture import SeriesArchitecture
from kraken_bids.models.series.checkpoint import write_series_model
from kraken_bids.models.series.data_description import SeriesData
from kraken_bids.models.series.model import SeriesModel
from kraken_bids.models.series.network import SeriesNetwork


def make_model(n_regions: int = 5, **known: Any) -> SeriesModel:
    """Model with random weights, always the same."""
    torch.manual_seed(0)
    architecture = SeriesArchitecture("csm", n_regions, embedding=8, n_layers=1, n_heads=2)
    unit = {"means": (0.0,) * n_regions, "deviations": (1.0,) * n_regions}
    data = SeriesData(n_regions=n_regions, repetition_times=(2.0,), **{**unit, **known})
    return SeriesModel(SeriesNetwork(architecture), data, longest=20)


def make_connectome_model(n_edges: int) -> Model:
    torch.manual_seed(0)
    flavor = parse_flavor("FCcorr_mini_hpf")
    reduction = fit_pca(np.random.default_rng(0).normal(size=(12, n_edges)), 3)
    architecture = Architecture(flavors=(flavor.name,), input_sizes=(3,), latent_size=4)
    return Model(
        name="tiny", sha256="abc", flavors=(flavor,), latent_size=4,
        network=Network(architecture).freeze(), reductions={flavor: reduction},
    )  # fmt: skip


def simulate(n_series: int = 12) -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    return [100 + 5 * rng.standard_normal((15 + k, 5)) for k in range(n_series)]


@pytest.fixture
def encoder() -> SeriesEncoder:
    return SeriesEncoder(make_model(), repetition_time=2.0)


@pytest.mark.parametrize(
    "check",
    [
        checks.check_estimator_cloneable,
        checks.check_estimator_tags_renamed,
        checks.check_valid_tag_types,
        checks.check_estimator_repr,
        checks.check_no_attributes_set_in_init,
        checks.check_set_params,
        checks.check_get_params_invariance,
        checks.check_mixin_order,
        checks.check_parameters_default_constructible,
    ],
)
def test_scikit_learn_s_checks_that_need_no_table_pass(
    encoder: SeriesEncoder, check: Callable[[str, Any], None]
) -> None:
    """The others give a table of numbers, which series are not."""
    check("SeriesEncoder", encoder)


def test_it_gives_the_vectors_of_the_model_for_z_scored_series(encoder: SeriesEncoder) -> None:
    series = simulate()
    found = encoder.fit_transform(series)
    scaled = [(one - one.mean(axis=0)) / one.std(axis=0) for one in series]
    np.testing.assert_allclose(found, make_model().embed(scaled, [2.0] * 12), atol=1e-6)
    np.testing.assert_array_equal(
        clone(encoder).set_params(normalization="none").fit_transform(scaled), found
    )
    # an array of three axes is a list of series of one length
    even = np.stack([one[:15] for one in series])
    np.testing.assert_array_equal(encoder.transform(even), encoder.transform(list(even)))
    # a series alone has the vector that it has among others
    np.testing.assert_allclose(encoder.transform(series[3:4]), found[3:4], atol=1e-6)


def test_it_is_a_step_of_a_pipeline(encoder: SeriesEncoder, tmp_path: Path) -> None:
    series, y = simulate(), np.arange(12.0)
    assert np.isfinite(cross_val_score(make_pipeline(encoder, Ridge()), series, y, cv=3)).all()
    encoder.set_output(transform="pandas")
    table = encoder.fit_transform(series)
    assert list(table)[:2] == ["z000", "z001"]
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.transform(series), table)
    folder = write_series_model(make_model(), tmp_path / "model")
    loaded = SeriesEncoder(folder, repetition_time=2.0, device="cpu")
    np.testing.assert_array_equal(loaded.fit_transform(series), table.to_numpy())
    assert clone(encoder).model is encoder.model
    with pytest.raises(NotFittedError):
        clone(encoder).transform(series)


def test_tables_are_put_into_the_order_of_the_model_by_name() -> None:
    names, series = list("abcde"), simulate()
    encoder = SeriesEncoder(make_model(regions=tuple(names)), repetition_time=2.0)
    tables = [pd.DataFrame(one, columns=names)[list("cabed")] for one in series]
    np.testing.assert_array_equal(encoder.fit_transform(tables), encoder.fit_transform(series))
    with pytest.raises(ConnectomeError, match=r"series 1: .*found none called e"):
        encoder.fit([one.rename(columns={"e": "f"}) for one in tables])


def test_columns_of_no_region_of_the_model_are_named(caplog: pytest.LogCaptureFixture) -> None:
    names, series = list("abcde"), simulate()
    encoder = SeriesEncoder(make_model(regions=tuple(names)), repetition_time=2.0)
    tables = [pd.DataFrame(np.c_[one, one[:, 0]], columns=[*names, "csf"]) for one in series]
    found = encoder.fit(tables).transform(tables)
    np.testing.assert_array_equal(found, encoder.transform(series))
    assert "left out: columns of no region of the model: csf" in caplog.text


def test_vectors_and_latents_of_connectomes_stand_side_by_side(encoder: SeriesEncoder) -> None:
    """A column of series and columns of edges, in one pipeline."""
    series = simulate()
    edges = [np.corrcoef(one.T)[np.triu_indices(5, 1)] for one in series]
    people = pd.DataFrame(edges, columns=[f"edge{k}" for k in range(10)])
    people.insert(0, "series", pd.Series(series, dtype=object))
    kraken = KrakenEncoder(make_connectome_model(10), adaptation_min_subjects=5)
    both = ColumnTransformer([
        ("series", encoder, "series"),
        ("latents", kraken, [f"edge{k}" for k in range(10)]),
    ])  # fmt: skip

    found = both.fit_transform(people)

    np.testing.assert_allclose(found[:, :8], encoder.fit_transform(series), atol=1e-6)
    np.testing.assert_allclose(found[:, 8:], kraken.fit_transform(np.array(edges)), atol=1e-6)
    names = both.get_feature_names_out()
    assert (names[0], names[8]) == ("series__z000", "latents__z000")
    scores = cross_val_score(make_pipeline(both, Ridge()), people, np.arange(12.0), cv=2)
    assert np.isfinite(scores).all()


def test_series_of_another_kind_are_refused(encoder: SeriesEncoder) -> None:
    series = simulate()
    with pytest.raises(ConnectomeError, match="expected 5 regions"):
        encoder.fit([one[:, :4] for one in series])
    with pytest.raises(ConnectomeError, match=r"found one array of shape.*\[series\]"):
        encoder.fit(series[0])
    with pytest.raises(ConnectomeError, match="learned from"):
        SeriesEncoder(make_model(), repetition_time=0.72).fit(series)
    with pytest.raises(SettingsError, match="in seconds"):
        SeriesEncoder(make_model(), repetition_time=720.0).fit(series)
    raw = SeriesEncoder(make_model(), repetition_time=2.0, normalization="none").fit(series)
    with pytest.raises(ConnectomeError, match="on the scale"):
        raw.transform(series)
    series[2][:, 1] = np.nan
    with pytest.raises(ConnectomeError, match="series 3; found no values in region 2"):
        encoder.fit(series).transform(series)


def test_it_is_a_public_name() -> None:
    assert kraken_bids.SeriesEncoder is SeriesEncoder
