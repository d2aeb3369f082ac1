"""Calibrations are what their definition says, and never worse than the mean."""

import numpy as np
import pytest

from kraken_bids.models.calibration.calibration import fit_calibration
from kraken_bids.models.calibration.edge_slopes import sum_folds
from kraken_bids.models.splits import deal_folds


def make_people(n, *, share, n_edges=200, seed=0, noise=1.0):
    """Measured edges of which ``share`` of the variance is predicted, in other units."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n, 8)) @ rng.normal(size=(8, n_edges)) / np.sqrt(8)
    error = rng.normal(size=(n, n_edges)) * noise
    scale = rng.uniform(0.2, 3, n_edges)
    measured = 40 + scale * (np.sqrt(share) * signal + np.sqrt(1 - share) * error)
    predicted = 0.3 + 0.6 * signal + 0.1 * rng.normal(size=(n, n_edges))
    return measured.astype(np.float32), predicted.astype(np.float32)


def gain_of(measured, predicted, mean):
    errors = ((measured - predicted).astype(np.float64) ** 2).sum()
    return 1 - errors / ((measured - mean).astype(np.float64) ** 2).sum()


def slopes_by_numpy(measured, predicted):
    """Shrunk slopes of everyone, edge by edge in float64."""
    x, y = predicted.astype(np.float64), measured.astype(np.float64)
    r = np.array([np.corrcoef(x[:, e], y[:, e])[0, 1] for e in range(x.shape[1])])
    common, chance = r.mean(), (1 - r.mean() ** 2) ** 2 / (len(x) - 1)
    true = max(r.var() - chance, 0)
    shrunk = common + true / (true + chance) * (r - common)
    return shrunk * y.std(axis=0) / x.std(axis=0)


def test_slopes_are_those_of_numpy_with_and_without_a_fold():
    measured, predicted = make_people(30, share=0.3)
    folds = deal_folds(30, 5)
    sums = sum_folds(measured, predicted, folds)
    everyone = slopes_by_numpy(measured, predicted)
    np.testing.assert_allclose(sums.fit_slopes().slope, everyone, rtol=1e-4)
    rest = folds != 2
    others = slopes_by_numpy(measured[rest], predicted[rest])
    np.testing.assert_allclose(sums.fit_slopes({2}).slope, others, rtol=1e-4)


def test_the_share_kept_is_what_held_out_people_say():
    measured, predicted = make_people(24, share=0.02, n_edges=40, seed=3)
    folds = deal_folds(24, 6)
    shares = []
    for unit in ("edges", "variances"):
        products, squares = np.zeros((2, 24))
        for fold in range(6):
            rest = folds != fold
            y = measured[rest].astype(np.float64)
            slope = slopes_by_numpy(measured[rest], predicted[rest])
            spread = measured.astype(np.float64).var(axis=0)
            weight = 1 / spread if unit == "variances" else np.ones(40)
            for row in np.flatnonzero(~rest):
                step = slope * (predicted[row] - predicted[rest].mean(axis=0, dtype=np.float64))
                products[row] = (weight * (measured[row] - y.mean(axis=0)) * step).sum()
                squares[row] = (weight * step**2).sum()
        best = products.sum() / squares.sum()
        variance = ((products - best * squares) ** 2).sum() * 24 / 23 / squares.sum() ** 2
        shares.append(max(best - variance / best, 0) if best > 0 else 0)
    found = fit_calibration(measured, predicted, folds=folds)
    assert 0 < min(shares) < 1
    assert found.calibration.kept == pytest.approx(min(shares), rel=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.4])
def test_what_is_fitted_without_a_fold_is_fitted_on_the_others_alone(share):
    measured, predicted = make_people(30, share=share)
    folds = deal_folds(30, 6)
    found = fit_calibration(measured, predicted, folds=folds)
    rest = folds != 4
    alone = fit_calibration(
        measured[rest], predicted[rest], folds=np.unique(folds[rest], return_inverse=True)[1]
    ).calibration
    assert found.without[4].kept == pytest.approx(alone.kept, abs=1e-5)
    np.testing.assert_allclose(found.without[4].slope, alone.slope, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.mean_held_out[4], measured[rest].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.held_out[~rest], alone.apply(predicted[~rest]), rtol=1e-5)


def test_held_out_gain_is_that_in_new_people():
    measured, predicted = make_people(1000, share=0.1)
    found = fit_calibration(measured[:80], predicted[:80], folds=deal_folds(80, 10))
    held_out = gain_of(measured[:80], found.held_out, found.mean_held_out[found.folds])
    mean = measured[:80].mean(axis=0)
    new = gain_of(measured[80:], found.calibration.apply(predicted[80:]), mean)
    assert new > 0.05
    assert held_out == pytest.approx(new, abs=0.03)
    assert gain_of(measured[80:], predicted[80:], mean) < -1  # raw: other units


def test_predictions_that_say_nothing_become_the_mean():
    gains = []
    for seed in range(20):
        measured, predicted = make_people(220, share=0.0, seed=seed)
        found = fit_calibration(measured[:20], predicted[:20], folds=deal_folds(20, 10))
        new = found.calibration.apply(predicted[20:])
        gains.append(gain_of(measured[20:], new, measured[:20].mean(axis=0)))
    assert np.mean(gains) > -3 * np.std(gains) / np.sqrt(20) - 1e-9
    assert abs(np.median(gains)) < 1e-6
    assert min(gains) > -0.005


def test_edges_that_only_one_person_has_do_not_decide_what_is_kept():
    measured, predicted = make_people(30, share=0.3)
    rare = slice(0, 10)  # as in sparse structure: next to nothing, but in one person each
    rng = np.random.default_rng(5)
    measured[:, rare] = 1e-5 * rng.random((30, 10))
    measured[rng.integers(0, 30, 10), np.arange(10)] = 40
    found = fit_calibration(measured, predicted, folds=deal_folds(30, 10))
    common = fit_calibration(measured[:, 10:], predicted[:, 10:], folds=deal_folds(30, 10))
    assert found.calibration.kept == pytest.approx(common.calibration.kept, abs=0.2)
    assert min(one.kept for one in found.without) > 0.5


def test_edges_that_nobody_has_and_predictions_that_do_not_differ_become_the_mean():
    measured, predicted = make_people(25, share=0.5)
    measured[:, 0], predicted[:, 1], measured[:, 2] = 0, 7, 1e6
    found = fit_calibration(measured, predicted, folds=deal_folds(25, 5))
    calibrated = found.calibration.apply(predicted)
    assert np.isfinite(found.held_out).all()
    assert found.calibration.slope[:3].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(calibrated[:, 0], 0)
    np.testing.assert_allclose(calibrated[:, 1], measured[:, 1].mean(), rtol=1e-6)


def test_units_of_either_side_change_nothing():
    measured, predicted = make_people(40, share=0.2)
    folds = deal_folds(40, 8)
    as_it_is = np.asarray(fit_calibration(measured, predicted, folds=folds).held_out)
    other = np.asarray(
        fit_calibration(1000 * measured - 5, predicted / 64 + 2, folds=folds).held_out
    )
    np.testing.assert_allclose(other, 1000 * as_it_is - 5, rtol=1e-4)
