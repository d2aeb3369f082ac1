"""The closed-form peer predicts what scikit-learn's regressions do, as a model like any other."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge

from kraken_bids.exceptions import ConnectomeError, SettingsError
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder import pls, pls_network
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.pls import PathFit, PlsSettings, fit_pls
from kraken_bids.models.krakencoder.reduction import Reduction
from kraken_bids.models.splits import deal_folds

Scores = dict[str, NDArray[np.float64]]
SIZES = {"FCcorr_a_hpf": 12, "FCpcorr_a_hpf": 9, "SCx_b_count": 10}


def draw_scores(n: int = 80, seed: int = 0, n_shared: int = 4) -> Scores:
    """Scores of flavors that share factors, about a mean of their own."""
    rng = np.random.default_rng(seed)
    person = rng.normal(size=(n, n_shared))
    return {
        name: 3 * person @ rng.normal(size=(n_shared, size))
        + rng.normal(size=(n, size))
        + rng.normal(size=size)
        for name, size in SIZES.items()
    }


def make_model(scores: Scores, settings: PlsSettings | None = None) -> tuple[Model, list[PathFit]]:
    """Model whose edges are the scores themselves."""
    weights, paths = fit_pls(scores, settings)
    model = Model(
        name="peer",
        sha256="",
        flavors=tuple(parse_flavor(name) for name in scores),
        latent_size=weights.architecture.latent_size,
        network=weights,
        reductions={
            parse_flavor(name): Reduction("none", {}, rows.shape[1])
            for name, rows in scores.items()
        },
    )
    return model, list(paths)


def predict_plainly(
    scores: Scores, path: PathFit, new: Scores, method: str
) -> NDArray[np.float64]:
    """Give what scikit-learn predicts with the strength that was chosen."""
    x, y = scores[path.source], scores[path.target]
    if method == "pls":
        if path.strength == 0:
            return np.tile(y.mean(axis=0), (len(new[path.source]), 1))
        fit = PLSRegression(int(path.strength), scale=False, tol=1e-13, max_iter=100_000)
    else:
        variance = ((x - x.mean(axis=0)) ** 2).sum() / x.shape[1]
        fit = Ridge(alpha=path.strength * variance)
    return np.asarray(fit.fit(x, y).predict(new[path.source]))


@pytest.mark.parametrize("method", ["pls", "ridge"])
@pytest.mark.parametrize("narrow", [0, 512])
def test_every_path_predicts_what_scikit_learn_does(
    method: str, narrow: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoded and decoded, new people's scores are PLSRegression's or Ridge's; a self path's own.

    The same with and without a linear layer before the latent.
    """
    monkeypatch.setattr(pls_network, "NARROW", narrow)
    scores, new = draw_scores(), draw_scores(7, seed=1)

    model, paths = make_model(scores, PlsSettings(method))

    assert model.network.architecture.hidden_sizes == (() if narrow else (12,))
    assert len(paths) == 6
    for path in paths:
        predicted = model.decode(path.target, model.encode(path.source, new[path.source]))
        wanted = predict_plainly(scores, path, new, method)
        np.testing.assert_allclose(predicted, wanted, atol=1e-5 * np.abs(wanted).max())
    for name, rows in new.items():
        np.testing.assert_allclose(model.decode(name, model.encode(name, rows)), rows, rtol=1e-5)


def test_fusion_is_the_mean_of_predictions() -> None:
    """The mean of latents decodes to the mean of what each flavor predicts."""
    new = draw_scores(5, seed=2)
    model, _ = make_model(draw_scores())

    fused = model.predict(new)

    for target in model.flavors:
        own = [model.predict(new, source=name, targets=target)[target] for name in new]
        np.testing.assert_allclose(fused[target], np.mean(own, axis=0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["pls", "ridge"])
def test_the_strength_is_the_one_with_the_least_held_out_error(method: str) -> None:
    """Cross-validation by scikit-learn over the same folds finds the same number and error."""
    scores = draw_scores(60, seed=3)
    folds = deal_folds(60, 5)

    _, paths = make_model(scores, PlsSettings(method, max_components=9))

    path = paths[1]
    x, y = scores[path.source], scores[path.target]
    strengths = list(range(10)) if method == "pls" else list(pls.RIDGES)
    errors = np.zeros(len(strengths))
    total = 0.0
    for fold in range(5):
        held_out = folds == fold
        kept = {path.source: x[~held_out], path.target: y[~held_out]}
        total += float(((y[held_out] - y[~held_out].mean(axis=0)) ** 2).sum())
        for k, strength in enumerate(strengths):
            tried = PathFit(path.source, path.target, strength, 0, 0)
            found = predict_plainly(kept, tried, {path.source: x[held_out]}, method)
            errors[k] += float(((found - y[held_out]) ** 2).sum())
    assert path.strength == pytest.approx(strengths[int(errors.argmin())])
    assert path.r2 == pytest.approx(1 - errors.min() / total, abs=1e-6)


def test_flavors_that_share_nothing_predict_the_mean() -> None:
    """On noise few components are taken, and held-out people are explained by about nothing."""
    rng = np.random.default_rng(4)
    scores = {name: rng.normal(size=(100, size)) for name, size in SIZES.items()}

    _, paths = fit_pls(scores)

    assert all(path.strength <= 1 and abs(path.r2) < 0.02 for path in paths)


def test_each_path_is_fitted_on_those_who_have_both() -> None:
    """Rows of NaN change the paths of that flavor alone, as if those people were not there."""
    scores = draw_scores()
    lacking = {name: rows.copy() for name, rows in scores.items()}
    lacking["SCx_b_count"][::4] = np.nan

    whole, _ = fit_pls(scores, PlsSettings(max_components=3))
    weights, paths = fit_pls(lacking, PlsSettings(max_components=3))

    assert [path.n_subjects for path in paths] == [80, 60, 80, 60, 60, 60]
    kept, matrix = (
        one.arrays["encoders.FCcorr_a_hpf.linears.0.weight"] for one in (weights, whole)
    )
    np.testing.assert_array_equal(kept[:21], matrix[:21])
    assert not np.allclose(kept[21:], matrix[21:])


def test_families_are_held_out_together_and_the_seed_fixes_the_bytes() -> None:
    """Twins in two folds would tell the number of components too well."""
    half = draw_scores(40, seed=5, n_shared=2)
    rng = np.random.default_rng(6)
    twins = {name: np.repeat(rows, 2, axis=0) for name, rows in half.items()}
    twins["SCx_b_count"] = rng.normal(size=(40, 10)).repeat(2, axis=0)
    families = [str(k // 2) for k in range(80)]

    _, apart = fit_pls(twins)
    together, kept = fit_pls(twins, families=families)
    again, _ = fit_pls(twins, families=families)

    into_noise = [k for k, path in enumerate(kept) if "SCx_b_count" in (path.source, path.target)]
    assert all(apart[k].r2 > kept[k].r2 + 0.01 for k in into_noise)
    for name, values in together.arrays.items():
        np.testing.assert_array_equal(values, again.arrays[name])


def test_what_cannot_be_fitted_is_said() -> None:
    """Another method, no components, nine people in common."""
    with pytest.raises(SettingsError, match="pls, ridge; found 'pca'"):
        PlsSettings("pca")
    with pytest.raises(SettingsError, match="at least 1 component"):
        PlsSettings(max_components=0)
    scores = draw_scores()
    scores["SCx_b_count"][9:] = np.nan
    with pytest.raises(ConnectomeError, match="both FCcorr_a_hpf and SCx_b_count; found 9"):
        fit_pls(scores)
