"""Adaptation against least squares, before and after projection, and through files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from kraken_bids.estimator import KrakenEncoder
from kraken_bids.exceptions import CheckpointError, ConnectomeError, SettingsError
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.adaptation import (
    MODES,
    apply_adaptation,
    check_adaptation,
    fit_adaptation,
    list_lacking,
    parse_mode,
)
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.saved_adaptation import read_adaptation, write_adaptation

FLAVOR = parse_flavor("FCcorr_mini_hpf")


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_is_its_formula(rng: np.random.Generator, mode: str) -> None:
    """Adapted edges, b0, b1 and R² equal those of an ordinary regression of the training mean."""
    x, training = rng.normal(size=(15, 40)) * 2 + 1, rng.normal(size=40)
    mean = x.mean(0)
    line = LinearRegression().fit(mean[:, None], training)
    b0, b1 = float(line.coef_[0]), float(line.intercept_)
    expected = {
        "none": x,
        "meanshift": x - mean + training,
        "meanfit": b0 * x + b1,
        "meanfit+meanshift": b0 * x - b0 * mean + training,
    }[mode]

    fit = fit_adaptation({FLAVOR: (mean, 15)}, {FLAVOR: training}, mode).flavors[FLAVOR]

    np.testing.assert_allclose(apply_adaptation(x, fit), expected, atol=1e-5)
    assert (fit.b0, fit.b1) == pytest.approx((b0, b1) if "fit" in mode else (1, 0))
    assert fit.r2 == pytest.approx(line.score(mean[:, None], training))
    assert fit.n_subjects == 15


@pytest.mark.parametrize("mode", MODES)
def test_adapting_projections_is_projecting_adapted_edges(
    make_model: Callable[..., Model], rng: np.random.Generator, mode: str
) -> None:
    """No connectome has to be read twice: M(adapt(x)) can be had from M(x)."""
    model = make_model()
    x = rng.normal(size=(15, 28)) * 30 + 100
    adaptation = fit_adaptation({FLAVOR: (x.mean(0), 15)}, model.training_means(), mode)

    after = model.adapt_projected(FLAVOR, model.project(FLAVOR, x), adaptation)
    before = model.project(FLAVOR, apply_adaptation(x, adaptation.flavors[FLAVOR]))

    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4 * np.abs(before).max())


@pytest.mark.parametrize("name", ["", "site.h5", "site.json"])
def test_a_saved_adaptation_comes_back(
    tmp_path: Path, rng: np.random.Generator, name: str
) -> None:
    """A folder, an .h5 and a .json are equal names; the .h5 alone is enough."""
    means = {FLAVOR: (rng.normal(size=28), 12)}
    adaptation = fit_adaptation(means, {FLAVOR: rng.normal(size=28)}, model_sha256="abc")

    written = write_adaptation(adaptation, tmp_path / name if name else tmp_path)
    written.with_suffix(".json").rename(tmp_path / "elsewhere.json")
    found = read_adaptation(str(tmp_path / name) if name else tmp_path)

    assert (found.mode, found.model_sha256) == (adaptation.mode, "abc")
    expected, actual = adaptation.flavors[FLAVOR], found.flavors[FLAVOR]
    assert (actual.b0, actual.b1, actual.r2, actual.n_subjects) == (
        expected.b0, expected.b1, expected.r2, 12
    )  # fmt: skip
    np.testing.assert_array_equal(actual.mean_new, expected.mean_new)
    np.testing.assert_array_equal(actual.training_mean, expected.training_mean)


def test_files_that_are_no_adaptation_are_refused(tmp_path: Path) -> None:
    """Missing files, text and other HDF5 files each end with a message that names the path."""
    import h5py

    with pytest.raises(CheckpointError, match="found no"):
        read_adaptation(tmp_path)
    (tmp_path / "text.h5").write_text("b0 = 1")
    with pytest.raises(CheckpointError, match=r"text\.h5"):
        read_adaptation(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(CheckpointError, match="another kind"):
        read_adaptation(tmp_path / "other.h5")


def test_an_adaptation_belongs_to_its_model(rng: np.random.Generator) -> None:
    """One fitted for another model is refused."""
    adaptation = fit_adaptation({}, {}, model_sha256="a" * 64)

    check_adaptation(adaptation, "a" * 64)
    with pytest.raises(CheckpointError, match="fitted for this model"):
        check_adaptation(adaptation, "b" * 64)


def test_means_that_cannot_be_fitted_are_refused(rng: np.random.Generator) -> None:
    """NaN, constant and too short means are ConnectomeErrors; a wrong mode is a SettingsError."""
    training = {FLAVOR: rng.normal(size=28)}
    for mean in (np.full(28, np.nan), np.zeros(28), rng.normal(size=27)):
        with pytest.raises(ConnectomeError, match="FCcorr_mini_hpf"):
            fit_adaptation({FLAVOR: (mean, 3)}, training)
    with pytest.raises(SettingsError, match="found 'mean'"):
        parse_mode("mean")
    assert parse_mode("meanfitshift") == "meanfit+meanshift"


def test_ids_do_as_well_as_flavors(rng: np.random.Generator) -> None:
    """Means by id are adapted as means by flavor are, and not silently left out."""
    flavor = parse_flavor("FCcorr_fs86_hpf")
    mean, training = rng.normal(size=(2, 10))

    by_id = fit_adaptation({flavor.name: (mean, 4)}, {flavor: training})

    assert (
        by_id.flavors[flavor].b0
        == fit_adaptation({flavor: (mean, 4)}, {flavor: training}).flavors[flavor].b0
    )


def test_an_input_that_the_adaptation_lacks_is_refused_at_every_door(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """Fused unadapted it would move the latents of those that are adapted."""
    model = make_model()
    first, second = model.flavors[:2]
    edges = {f: rng.normal(size=(12, model.n_edges(f))) for f in (first, second)}
    partial = fit_adaptation({first: (edges[first].mean(0), 12)}, model.training_means())

    with pytest.raises(CheckpointError, match=rf"none of {second}.*leave it out of the inputs"):
        model.predict(edges, adaptation=partial)
    with pytest.raises(CheckpointError, match=f"none of {second}"):
        model.encode(second, edges[second], partial)
    with pytest.raises(CheckpointError, match=f"none of {second}"):
        model.adapt_projected(second, model.project(second, edges[second]), partial)
    with pytest.raises(CheckpointError, match=f"none of {second}"):
        KrakenEncoder(model, flavors=[first, second], adaptation=partial).fit(
            np.hstack([edges[first], edges[second]])
        )
    assert np.isfinite(model.encode(first, edges[first], partial)).all()


def test_the_mode_none_needs_no_flavor(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """It leaves every input as it is."""
    model = make_model()
    edges = rng.normal(size=(3, model.n_edges(FLAVOR)))
    nothing = fit_adaptation({}, {}, "none")

    assert list_lacking(nothing, model.flavors) == []
    np.testing.assert_array_equal(
        model.encode(FLAVOR, edges, nothing), model.encode(FLAVOR, edges)
    )


def test_a_model_without_training_means_is_not_half_adapted(rng: np.random.Generator) -> None:
    """A flavor without a mean to adapt to is refused, and with the mode none taken as it is."""
    means = {FLAVOR: (rng.normal(size=28), 12)}

    with pytest.raises(CheckpointError, match="none for FCcorr_mini_hpf"):
        fit_adaptation(means, {})
    assert fit_adaptation(means, {}, "none").flavors == {}
