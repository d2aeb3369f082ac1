"""Losses against numpy and scipy, and their written-out gradients against autograd."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from kraken_bids.exceptions import SettingsError
from kraken_bids.training.gradients import compute_loss_and_gradients
from kraken_bids.training.losses import (
    BATCH_LOSSES,
    PUBLISHED_LOSS,
    LossTerm,
    compute_batch_loss,
    correlate_rows,
    latent_similarity_loss,
    parse_loss,
)

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


@pytest.mark.parametrize("name", list(BATCH_LOSSES))
def test_each_loss_is_its_formula(batch: Batch, name: str) -> None:
    """Numpy and scipy give the same numbers."""
    expected = expected_losses(*(part.numpy() for part in batch))[name]

    assert float(BATCH_LOSSES[name](*batch)) == pytest.approx(expected, abs=1e-6)


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

    assert float(compute_batch_loss(parse_loss(PUBLISHED_LOSS), *batch)) == pytest.approx(expected)


@pytest.mark.parametrize("text", [*BATCH_LOSSES, PUBLISHED_LOSS, "mse+mse.w2"])
def test_written_out_gradients_are_autograds(batch: Batch, text: str) -> None:
    """Values and derivatives by prediction and latent agree for every loss string."""
    terms = parse_loss(text)
    x, y, z = batch
    y.requires_grad_()
    z.requires_grad_()
    expected = compute_batch_loss(terms, x, y, z)
    expected.backward()

    loss, by_y, by_z = compute_loss_and_gradients(terms, x, y.detach(), z.detach())

    torch.testing.assert_close(loss, expected.detach(), rtol=1e-7, atol=1e-6)
    torch.testing.assert_close(by_y, torch.zeros_like(y) if y.grad is None else y.grad)
    torch.testing.assert_close(
        by_z, torch.zeros_like(z) if z.grad is None else z.grad, rtol=1e-6, atol=1e-7
    )


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

    assert torch.isfinite(correlate_rows(x, y)).all()
    for part in compute_loss_and_gradients(parse_loss(PUBLISHED_LOSS), x, y, z):
        assert torch.isfinite(part).all()


def test_loss_strings_are_parsed() -> None:
    """Names with weights; anything else is refused with the list of names."""
    assert parse_loss("mse.w1000+correye") == (LossTerm("mse", 1000.0), LossTerm("correye", 1.0))
    for text in ("", "mse+", "hinge", "mse.wx", "mse.1000"):
        with pytest.raises(SettingsError, match="correye, enceye, neidist, encdist, mse"):
            parse_loss(text)
