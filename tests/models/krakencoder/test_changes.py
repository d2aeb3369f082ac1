"""A model moved to a cohort is at home there: adapted forward, mapped back on the way out."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.adaptation import apply_adaptation, fit_adaptation
from kraken_bids.models.krakencoder.changes import DIVISORS, move_reduction
from kraken_bids.models.krakencoder.reduction import Reduction, fit_reduction

FLAVOR = parse_flavor("FCcorr_a_hpf")


def make_reduction(kind: str, rng: np.random.Generator) -> tuple[Reduction, NDArray[np.float64]]:
    """Transform of a type fitted on people, and their mean."""
    edges = rng.normal(size=(30, 45)) + 3 * rng.normal(size=45)
    if kind in {"pca", "cfeat"}:
        return fit_reduction(edges, "pca6" if kind == "pca" else kind), edges.mean(axis=0)
    statistics = {"input_mean": edges.mean(axis=0), DIVISORS[kind]: np.array([1.7])}
    arrays = {name: values.astype(np.float32) for name, values in statistics.items()}
    return Reduction(kind, arrays, 45), edges.mean(axis=0)


@pytest.mark.parametrize("kind", ["cfeat", *DIVISORS])
@pytest.mark.parametrize("mode", ["meanshift", "meanfit+meanshift"])
def test_a_moved_transform_is_adaptation_and_its_inverse(
    kind: str, mode: str, rng: np.random.Generator
) -> None:
    """Forward: of adapted edges. Inverse: what is predicted, in the cohort's units. Anew: nothing.

    The adaptation is b0 (x - mean of the cohort) + mean of training.
    """
    reduction, mean = make_reduction(kind, rng)
    cohort = 1.6 * (mean + rng.normal(size=(20, 45))) + 0.4
    means = {FLAVOR: (cohort.mean(axis=0), 20)}
    adaptation = fit_adaptation(means, {FLAVOR: reduction.training_mean}, mode)
    fit = adaptation.flavors[FLAVOR]

    moved = move_reduction(reduction, fit)

    wanted = reduction.forward(apply_adaptation(cohort, fit))
    np.testing.assert_allclose(moved.forward(cohort), wanted, rtol=1e-4, atol=1e-4)
    scores = rng.normal(size=(4, moved.n_components))
    back = (reduction.inverse(scores).astype(float) - mean) / fit.b0 + cohort.mean(axis=0)
    np.testing.assert_allclose(moved.inverse(scores), back, rtol=1e-4, atol=1e-4)
    again = fit_adaptation(means, {FLAVOR: moved.training_mean}, mode).flavors[FLAVOR]
    assert again.b0 == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(apply_adaptation(cohort, again), cohort, atol=1e-5)


def test_transforms_without_a_mean_stay_where_they_are(rng: np.random.Generator) -> None:
    """``none`` takes no mean off: there is nothing to move, and that is said."""
    reduction = fit_reduction(rng.normal(size=(9, 45)), "none")
    fit = fit_adaptation({FLAVOR: (rng.normal(size=45), 9)}, {FLAVOR: reduction.training_mean})

    with pytest.raises(CheckpointError, match="found none"):
        move_reduction(reduction, fit.flavors[FLAVOR])
