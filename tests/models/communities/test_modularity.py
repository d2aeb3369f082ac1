"""Correlations and modularity against numpy, enumeration, and the published code's answers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kraken_bids.models.communities.modularity import (
    coaffiliation,
    correlation,
    modularity_matrix,
    weighted_covariance,
)
from kraken_bids.models.communities.search import to_presence_logits, to_simplex_logits

ORACLE = Path(__file__).parents[4] / "shared" / "oracles" / "communities_float64.npz"


@pytest.fixture(scope="module")
def oracle() -> dict[str, torch.Tensor]:
    if not ORACLE.exists():
        pytest.skip(f"the published code's answers are not here: {ORACLE.name}")
    with np.load(ORACLE) as file:
        return {k: torch.as_tensor(file[k]) for k in file.files if file[k].dtype.kind != "U"}


def check(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() <= 1e-12


def test_weighted_covariance_is_that_of_numpy() -> None:
    rng = np.random.default_rng(0)
    series, weights = rng.standard_normal((7, 50)), rng.random(50)
    found = weighted_covariance(torch.as_tensor(series), torch.as_tensor(weights)).numpy()
    np.testing.assert_allclose(found, np.cov(series, aweights=weights), rtol=1e-12)
    np.testing.assert_allclose(
        correlation(torch.as_tensor(np.cov(series))).numpy(), np.corrcoef(series), rtol=1e-12
    )


def test_covariances_are_those_of_the_published_code(oracle: dict[str, torch.Tensor]) -> None:
    series = oracle["ts"]
    check(weighted_covariance(series, torch.ones(60).double()), oracle["cov"])
    check(weighted_covariance(series, oracle["w1"]), oracle["cov_w1"])
    weighted = weighted_covariance(series[:, None], oracle["wd"])
    check(weighted, oracle["cov_wd"])
    check(correlation(weighted), oracle["corr_wd"])


@pytest.mark.parametrize(
    ("name", "gamma", "sign", "normalize"),
    [
        ("modmat_g1_plus_norm", 1, "positive", True),
        ("modmat_g1_plus_raw", 1, "positive", False),
        ("modmat_g5_plus_norm", 5, "positive", True),
    ],
)
def test_modularity_matrices_are_those_of_the_published_code(
    oracle: dict[str, torch.Tensor], name: str, gamma: float, sign: str, normalize: bool
) -> None:
    found = modularity_matrix(oracle["corr"], gamma=gamma, sign=sign, normalize=normalize)  # type: ignore[arg-type]
    check(found, oracle[name])


def test_shared_communities_are_those_of_the_published_code(
    oracle: dict[str, torch.Tensor],
) -> None:
    shares = oracle["Q"]
    check(coaffiliation(shares), oracle["coaff"])
    each = coaffiliation(shares.T[:, :, None])
    check(each, oracle["coaff_percommunity"])
    matrix = modularity_matrix(oracle["corr"], normalize=True)
    relaxed = (matrix * coaffiliation(shares)).sum((-1, -2)) / 2
    check(relaxed, oracle["relaxed_modularity_g1"])


def test_parameters_and_penalties_are_those_of_the_published_code(
    oracle: dict[str, torch.Tensor],
) -> None:
    check(to_presence_logits(oracle["edge"]), oracle["edge_logits_original"])
    check(torch.sigmoid(to_presence_logits(oracle["edge"])), oracle["edge_logits_image"])
    check(to_simplex_logits(oracle["edge"]), oracle["edge_simplex_original"])
    check(to_simplex_logits(oracle["aff_init"]), oracle["aff_original"])
    check(torch.softmax(oracle["aff_original"], 1), oracle["aff_image"])
    check(to_presence_logits(oracle["dyn_init"]), oracle["dyn_original"])


def test_signed_modularity_is_that_of_rubinov_and_sporns() -> None:
    """Q* by the double sum of the paper, for a hard partition."""
    rng = np.random.default_rng(1)
    weights = np.corrcoef(rng.standard_normal((9, 30)))
    np.fill_diagonal(weights, 0)
    labels = np.arange(9) % 3
    positive, negative = weights.clip(min=0), (-weights).clip(min=0)
    total = {"+": positive.sum(), "-": negative.sum()}
    wanted = 0.0
    for i in range(9):
        for j in range(9):
            if labels[i] == labels[j] and i != j:
                plus = positive[i, j] - positive[i].sum() * positive[j].sum() / total["+"]
                minus = negative[i, j] - negative[i].sum() * negative[j].sum() / total["-"]
                wanted += plus / total["+"] - minus / (total["+"] + total["-"])
    matrix = modularity_matrix(torch.as_tensor(weights), sign="signed")
    found = (matrix * coaffiliation(torch.as_tensor(np.eye(3)[labels]))).sum()
    assert float(found) == pytest.approx(wanted, abs=1e-14)


def test_a_matrix_without_negative_weights_has_the_same_modularity_with_either_sign() -> None:
    weights = torch.rand(8, 8, generator=torch.Generator().manual_seed(0)).double()
    weights = weights + weights.T
    signed, positive = (
        modularity_matrix(weights, sign=sign, normalize=True)  # type: ignore[arg-type]
        for sign in ("signed", "positive")
    )
    check(signed, positive)
