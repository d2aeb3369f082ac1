"""Loss strings; the latent-similarity loss against its formula and finite differences."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.krakencoder.losses import (
    PUBLISHED_LOSS,
    LossTerm,
    LossWeights,
    PairWeights,
    compute_similarity_loss,
    parse_loss,
    weigh_flavors,
    weigh_losses,
)

Rows = np.ndarray


def differentiate(function: Callable[[Rows], float], at: Rows, step: float = 1e-6) -> Rows:
    """Central differences by every number."""
    slopes = np.zeros_like(at)
    for index in np.ndindex(*at.shape):
        moved = [at.copy(), at.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        slopes[index] = (function(moved[0]) - function(moved[1])) / (2 * step)
    return slopes


@pytest.mark.parametrize("is_complete", [True, False])
def test_latent_similarity_is_the_sum_over_pairs(is_complete: bool) -> None:
    """2·MSE(z_i, z_j) over i > j and who has both, with the derivative through z_i alone."""
    rng = np.random.default_rng(3)
    latents, fixed = rng.normal(size=(2, 4, 6, 3))
    present = np.ones((4, 6), bool) if is_complete else rng.random((4, 6)) < 0.7

    def add_up(moved: Rows) -> float:
        pairs = [(j, i, present[i] & present[j]) for j, i in combinations(range(4), 2)]
        return sum(2 * np.mean((moved[i][u] - fixed[j][u]) ** 2) for j, i, u in pairs)

    weights = weigh_flavors(present, 3)

    loss, by_latents = compute_similarity_loss(latents, fixed, present, weights)

    assert loss == pytest.approx(add_up(latents), rel=1e-10)
    np.testing.assert_allclose(by_latents, differentiate(add_up, latents), rtol=1e-6, atol=1e-8)


def test_loss_strings_are_parsed() -> None:
    """Names with weights; anything else is refused with the list of names."""
    assert parse_loss("mse.w1000+correye") == (LossTerm("mse", 1000.0), LossTerm("correye", 1.0))
    for text in ("", "mse+", "hinge", "mse.wx", "mse.1000"):
        with pytest.raises(
            SettingsError, match="correye, neidist, mse, enceye, encdist, encmse, latentsimloss"
        ):
            parse_loss(text)


def test_terms_of_one_name_are_added_up() -> None:
    """The published weights, and a term that stands twice."""
    assert weigh_losses(PUBLISHED_LOSS) == LossWeights(
        PairWeights(correlation=1, neighbor=1, error=1000),
        PairWeights(correlation=10, distance=10),
        similarity=10000,
    )
    assert weigh_losses("mse+mse.w2").prediction == PairWeights(error=3)
