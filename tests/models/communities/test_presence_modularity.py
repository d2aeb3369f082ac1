"""Values and gradients written by hand, against torch's own of the plain formula."""

import pytest
import torch

from kraken_bids.models.communities.modularity import (
    Sign,
    coaffiliation,
    correlation,
    modularity_matrix,
    weighted_covariance,
)
from kraken_bids.models.communities.presence_modularity import (
    measure_presence_modularity,
    measure_present_correlation,
)


@pytest.fixture(scope="module")
def numbers() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return draw(23, 60) + 0.3, torch.sigmoid(draw(4, 60)), torch.softmax(draw(23, 4), 1)


@pytest.mark.parametrize("keeps_diagonal", [True, False])
@pytest.mark.parametrize("sign", ["positive", "signed"])
def test_modularity_while_present_has_the_gradient_of_its_formula(
    numbers: tuple[torch.Tensor, ...], sign: Sign, keeps_diagonal: bool
) -> None:
    series, weights, shares = numbers[0], *(n.clone().requires_grad_() for n in numbers[1:])
    matrix = correlation(weighted_covariance(series[None], weights))
    if not keeps_diagonal:
        matrix = matrix - torch.diag_embed(matrix.diagonal(0, 1, 2))
    modularity = modularity_matrix(matrix, gamma=2.5, sign=sign, normalize=True)
    wanted = (modularity * coaffiliation(shares.T[:, :, None])).sum()
    wanted.backward()  # type: ignore[no-untyped-call]
    found = measure_presence_modularity(
        series, weights.detach(), shares.detach(), gamma=2.5, sign=sign,
        keeps_diagonal=keeps_diagonal,
    )  # fmt: skip
    assert float(found.value) == pytest.approx(wanted.item(), abs=1e-12)
    assert shares.grad is not None
    assert weights.grad is not None
    assert (found.by_affiliation - shares.grad).abs().max() < 1e-12
    assert (found.by_weights - weights.grad).abs().max() < 1e-12


def test_correlation_while_present_has_the_gradient_of_its_formula(
    numbers: tuple[torch.Tensor, ...],
) -> None:
    series, weights, shares = numbers[0], *(n.clone().requires_grad_() for n in numbers[1:])
    matrix = correlation(weighted_covariance(series[None], weights))
    inside = (matrix * coaffiliation(shares.T[:, :, None])).sum((1, 2))
    wanted = (inside * weights.mean(1) ** 0.3).sum()
    wanted.backward()  # type: ignore[no-untyped-call]
    found = measure_present_correlation(
        series, series**2, weights.detach(), shares.detach(), share_power=0.3
    )
    assert float(found.value) == pytest.approx(wanted.item(), abs=1e-12)
    assert shares.grad is not None
    assert weights.grad is not None
    assert (found.by_affiliation - shares.grad).abs().max() < 1e-12
    assert (found.by_weights - weights.grad).abs().max() < 1e-12
