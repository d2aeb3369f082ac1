"""Losses between rows against numpy and scipy in float64; derivatives by finite differences."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from kraken_bids.models.krakencoder.losses import PairWeights
from kraken_bids.models.krakencoder.pair_losses import compute_pair_losses, describe_rows

Rows = np.ndarray
PAIR_LOSSES = ("correlation", "neighbor", "distance", "error")
ALL = PairWeights(correlation=1.5, neighbor=2.0, distance=0.5, error=30.0)
EVERY = [*(PairWeights(**{name: 1.0}) for name in PAIR_LOSSES), ALL]
PRESENT = np.array([[True] * 11, [True, False, True] * 3 + [False, True], [False] * 10 + [True]])
"""Of three paths: everybody, some, and one person alone."""


@pytest.fixture
def batch() -> tuple[Rows, Rows]:
    """Rows x ``[n, width]`` and rows y of three paths ``[3, n, width]``."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(11, 8)) + 0.5, rng.normal(size=(3, 11, 8)) - 0.2


def expect(weights: PairWeights, x: Rows, y: Rows) -> float:
    """Sum of the losses of one path by the formulas of the recipe."""
    n = len(x)
    if n < 2:
        return 0.0
    d = cdist(x, y)
    far = d + np.eye(n) * d.max()
    own, others = np.mean(np.diag(d)), d[~np.eye(n, dtype=bool)].mean()
    return (
        weights.correlation * np.linalg.norm(np.corrcoef(x, y)[:n, n:] - np.eye(n))
        + weights.neighbor * (own - np.mean((far.min(0) + far.min(1)) / 2))
        + weights.distance * (own - others)
        + weights.error * np.mean((x - y) ** 2)
    )


def compute(
    weights: PairWeights, x: Rows, y: Rows, present: Rows | None = None, *, is_self: bool = False
) -> tuple[Rows, Rows]:
    """Losses ``[n_paths]`` and their derivatives by y."""
    rows = describe_rows(x[None])
    standard = rows.standardize(x)[0]
    losses, slopes = compute_pair_losses(
        weights,
        (standard @ y.reshape(-1, y.shape[-1]).T).reshape(-1, *y.shape[:2]),
        rows,
        describe_rows(y),
        present=present,
        is_self=is_self,
    )
    by_y = (slopes.matrix.reshape(len(standard), -1).T @ standard).reshape(y.shape)
    return losses, by_y + slopes.scale[..., None] * y + slopes.shift[..., None]


def differentiate(function: Callable[[Rows], float], at: Rows, step: float = 1e-6) -> Rows:
    """Central differences by every number."""
    slopes = np.zeros_like(at)
    for index in np.ndindex(*at.shape):
        moved = [at.copy(), at.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        slopes[index] = (function(moved[0]) - function(moved[1])) / (2 * step)
    return slopes


@pytest.mark.parametrize("weights", EVERY, ids=[*PAIR_LOSSES, "all"])
@pytest.mark.parametrize("present", [None, PRESENT], ids=["everybody", "absent"])
def test_losses_of_several_paths_are_their_formulas(
    batch: tuple[Rows, Rows], weights: PairWeights, present: Rows | None
) -> None:
    """Each path has the losses of those who have both flavors, as if the others were not there."""
    x, y = batch
    who = np.ones((3, 11), bool) if present is None else present
    expected = [expect(weights, x[mine], path[mine]) for path, mine in zip(y, who, strict=True)]

    losses, _ = compute(weights, x, y, present)

    np.testing.assert_allclose(losses, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("weights", EVERY, ids=[*PAIR_LOSSES, "all"])
@pytest.mark.parametrize("present", [None, PRESENT], ids=["everybody", "absent"])
def test_derivatives_are_finite_differences(
    batch: tuple[Rows, Rows], weights: PairWeights, present: Rows | None
) -> None:
    """A small step of any number changes the sum of losses as derived; absent rows change none."""
    x, y = batch
    who = np.ones((3, 11), bool) if present is None else present

    def add_up(moved: Rows) -> float:
        return sum(
            expect(weights, x[mine], path[mine]) for path, mine in zip(moved, who, strict=True)
        )

    _, by_y = compute(weights, x, y, present)

    np.testing.assert_allclose(by_y, differentiate(add_up, y), rtol=1e-5, atol=1e-6)
    assert not by_y[~who].any()


@pytest.mark.parametrize("present", [None, PRESENT[1:2]], ids=["everybody", "absent"])
def test_losses_of_latents_with_themselves(batch: tuple[Rows, Rows], present: Rows | None) -> None:
    """Both sides move: enceye and encdist of latents against their own."""
    z = batch[0]
    mine = np.ones(11, bool) if present is None else present[0]
    weights = PairWeights(correlation=10, distance=7)

    losses, by_z = compute(weights, z, z[None], present, is_self=True)

    np.testing.assert_allclose(losses, [expect(weights, z[mine], z[mine])], rtol=1e-9)
    slopes = differentiate(lambda moved: expect(weights, moved[mine], moved[mine]), z)
    np.testing.assert_allclose(by_z[0], slopes, rtol=1e-5, atol=1e-6)


def test_torch_gives_what_numpy_gives(batch: tuple[Rows, Rows]) -> None:
    """One text serves both libraries."""
    x, y = batch
    losses, by_y = compute(ALL, x, y, PRESENT)

    found, slopes = compute(ALL, *(torch.from_numpy(part.copy()) for part in (x, y, PRESENT)))

    np.testing.assert_allclose(found, losses, rtol=1e-12)
    np.testing.assert_allclose(slopes, by_y, rtol=1e-10, atol=1e-12)


def test_rows_without_variance_do_not_break_the_losses() -> None:
    """Where the reference's losses become NaN, ours stay finite, and so do their derivatives."""
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    for y in (np.zeros((1, 5, 4), np.float32), np.ones((1, 5, 4), np.float32), x[None]):
        for part in (*compute(ALL, x, y), *compute(ALL, y[0], y, is_self=True)):
            assert np.isfinite(part).all()


def test_terms_that_are_no_numbers_count_as_0() -> None:
    """Predictions that are NaN have no loss; their gradient is left to the optimizer's guard."""
    x = np.random.default_rng(0).normal(size=(5, 4))

    losses, _ = compute(ALL, x, np.full((1, 5, 4), np.nan))

    np.testing.assert_array_equal(losses, 0)
