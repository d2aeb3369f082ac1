"""Losses against numpy and scipy, and their gradients against finite differences."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.krakencoder.losses import (
    BY_LATENT,
    BY_PREDICTION,
    PUBLISHED_LOSS,
    LossTerm,
    compute_loss_and_gradients,
    latent_similarity_loss,
    parse_loss,
)

BATCH_LOSSES = (*BY_PREDICTION, *BY_LATENT)
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(11, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    z = torch.randn(11, 5, generator=generator, dtype=torch.float64)
    return x, y, z / z.norm(dim=1, keepdim=True)


def expected_losses(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> dict[str, float]:
    n, others = len(x), ~np.eye(len(x), dtype=bool)
    d, e = cdist(x, y), cdist(z, z)
    far = d + np.eye(n) * d.max()
    return {
        "correye": np.linalg.norm(np.corrcoef(x, y)[:n, n:] - np.eye(n)),
        "enceye": np.linalg.norm(np.corrcoef(z) - np.eye(n)),
        "neidist": np.mean(np.diag(d)) - np.mean((far.min(0) + far.min(1)) / 2),
        "encdist": np.mean(np.diag(e)) - e[others].mean(),
        "mse": np.mean((x - y) ** 2),
    }


def compute_loss(text: str, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return compute_loss_and_gradients(parse_loss(text), x, y, z)[0]


def differentiate(
    function: Callable[[torch.Tensor], torch.Tensor], at: torch.Tensor, step: float = 1e-6
) -> torch.Tensor:
    """Central differences by every number."""
    slopes = torch.zeros_like(at)
    for index in np.ndindex(*at.shape):
        moved = [at.clone(), at.clone()]
        moved[0][index] += step
        moved[1][index] -= step
        slopes[index] = (function(moved[0]) - function(moved[1])) / (2 * step)
    return slopes


@pytest.mark.parametrize("name", BATCH_LOSSES)
def test_each_loss_is_its_formula(batch: Batch, name: str) -> None:
    """Numpy and scipy give the same numbers."""
    expected = expected_losses(*(part.numpy() for part in batch))[name]

    assert float(compute_loss(name, *batch)) == pytest.approx(expected, abs=1e-9)


def test_the_published_loss_is_the_weighted_sum(batch: Batch) -> None:
    """Weights as in the loss string; the latent similarity stands apart."""
    each = expected_losses(*(part.numpy() for part in batch))
    expected = (
        each["correye"]
        + 10 * each["enceye"]
        + each["neidist"]
        + 10 * each["encdist"]
        + 1000 * each["mse"]
    )

    assert float(compute_loss(PUBLISHED_LOSS, *batch)) == pytest.approx(expected)


@pytest.mark.parametrize("text", [*BATCH_LOSSES, PUBLISHED_LOSS, "mse+mse.w2"])
def test_gradients_are_finite_differences(batch: Batch, text: str) -> None:
    """A small step of every number of prediction and latent changes the loss as derived."""
    x, y, z = batch
    _, by_y, by_z = compute_loss_and_gradients(parse_loss(text), x, y, z)

    expected_y = differentiate(lambda moved: compute_loss(text, x, moved, z), y)
    expected_z = differentiate(lambda moved: compute_loss(text, x, y, moved), z)

    torch.testing.assert_close(by_y, expected_y, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(by_z, expected_z, rtol=1e-5, atol=1e-6)


def test_latent_similarity_is_the_sum_over_pairs() -> None:
    """2·MSE(z_i, z_j) over i > j, with the gradient through z_i alone."""
    latents = torch.randn(4, 6, 3, dtype=torch.float64, requires_grad=True)
    fixed = torch.randn(4, 6, 3, dtype=torch.float64)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    expected = sum(2 * torch.nn.functional.mse_loss(latents[i], fixed[j]) for i, j in pairs)
    (gradient,) = torch.autograd.grad(expected, latents)

    actual = latent_similarity_loss(latents, fixed)

    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(torch.autograd.grad(actual, latents)[0], gradient)


def test_rows_without_variance_do_not_break_the_losses() -> None:
    """Where the reference's losses become NaN, ours stay finite, and so do the gradients."""
    x, y, z = torch.randn(5, 4), torch.zeros(5, 4), torch.zeros(5, 3)

    for part in compute_loss_and_gradients(parse_loss(PUBLISHED_LOSS), x, y, z):
        assert torch.isfinite(part).all()


def test_loss_strings_are_parsed() -> None:
    """Names with weights; anything else is refused with the list of names."""
    assert parse_loss("mse.w1000+correye") == (LossTerm("mse", 1000.0), LossTerm("correye", 1.0))
    for text in ("", "mse+", "hinge", "mse.wx", "mse.1000"):
        with pytest.raises(
            SettingsError, match="correye, neidist, mse, enceye, encdist, latentsimloss"
        ):
            parse_loss(text)
