"""Each rule against sums over every pair of an input and an output, in float64."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from kraken_bids.models.volumes.padding import list_pads
from kraken_bids.models.volumes.relevance_rules import (
    LEAST,
    pass_alpha_beta,
    pass_average,
    pass_epsilon,
    pass_flat,
    pass_normalization,
)

GRIDS = [((5, 4), 1), ((5, 4), 2), ((3, 4, 5), 1), ((3, 4, 5), 2)]
EXACT = {"rtol": 0, "atol": 1e-11}


def make_layer(n_axes, stride, *, n_in=2, n_out=3, kernel=3):
    make = nn.Conv2d if n_axes == 2 else nn.Conv3d
    layer = make(n_in, n_out, kernel, stride).double()
    return layer.requires_grad_(requires_grad=False)


def unroll(layer, lengths):
    """Weights of every input on every output, [n_out, *of output, n_in, *of input]."""
    stride, kernel = layer.stride[0], layer.kernel_size[0]
    pads = list_pads(lengths, stride) if kernel > 1 else [(0, 0)] * len(lengths)
    reached = tuple(-(-n // stride) for n in lengths)
    weight = layer.weight.numpy()
    dense = np.zeros((weight.shape[0], *reached, weight.shape[1], *lengths))
    for out in product(*map(range, reached)):
        for tap in product(range(kernel), repeat=len(lengths)):
            here = tuple(
                o * stride - before + t for o, (before, _), t in zip(out, pads, tap, strict=True)
            )
            if all(0 <= h < n for h, n in zip(here, lengths, strict=True)):
                dense[(slice(None), *out, slice(None), *here)] = weight[(..., *tap)]
    return dense.reshape(weight.shape[0] * int(np.prod(reached)), -1), reached


def draw(lengths, stride, kernel=3):
    torch.manual_seed(len(lengths) * 10 + stride)
    layer = make_layer(len(lengths), stride, kernel=kernel)
    dense, reached = unroll(layer, lengths)
    values = torch.randn(1, 2, *lengths, dtype=torch.float64)
    relevance = torch.randn(1, 3, *reached, dtype=torch.float64)
    bias = np.repeat(layer.bias.numpy(), int(np.prod(reached)))
    return layer, dense, bias, values, relevance


@pytest.mark.parametrize(("lengths", "stride"), GRIDS)
def test_epsilon_rule_shares_by_contribution_to_the_activation(lengths, stride) -> None:
    layer, dense, bias, values, relevance = draw(lengths, stride)
    x, r = values.numpy().ravel(), relevance.numpy().ravel()
    activation = np.maximum(dense @ x + bias, 0)
    expected = x * (dense.T @ (r / (activation + 0.1)))
    found = pass_epsilon(
        layer, values, torch.from_numpy(activation).reshape(relevance.shape), relevance,
        stabilize=lambda a: a + 0.1,
    )  # fmt: skip
    np.testing.assert_allclose(found.numpy().ravel(), expected, **EXACT)


@pytest.mark.parametrize(
    ("lengths", "stride", "kernel"), [(*g, 3) for g in GRIDS] + [((2, 3, 2), 1, 1)]
)
def test_alpha_beta_rule_parts_positive_and_negative_contributions(
    lengths, stride, kernel
) -> None:
    layer, dense, bias, values, relevance = draw(lengths, stride, kernel)
    contributions = dense * values.numpy().ravel()
    r = relevance.numpy().ravel()
    up, down = contributions.clip(min=0), contributions.clip(max=0)
    above, below = up.sum(1) + bias.clip(min=0), down.sum(1) + bias.clip(max=0)
    none = np.zeros_like(r)
    above = np.divide(r, above, out=none.copy(), where=above != 0)
    below = np.divide(r, below, out=none, where=below != 0)
    expected = (2 * up * above[:, None] - down * below[:, None]).sum(0)
    found = pass_alpha_beta(layer, values, relevance)
    np.testing.assert_allclose(found.numpy().ravel(), expected, **EXACT)


def test_alpha_beta_rule_keeps_all_relevance_without_a_bias() -> None:
    layer, _, _, values, relevance = draw((4, 4, 4), 1)
    layer.bias.zero_()
    assert float(pass_alpha_beta(layer, values, relevance).sum()) == pytest.approx(
        float(relevance.sum()), abs=1e-9
    )


def test_alpha_beta_rule_passes_nothing_where_nothing_contributes() -> None:
    layer, _, _, values, relevance = draw((4, 4), 1)
    layer.bias.zero_()
    values[..., :3] = 0
    assert torch.equal(
        pass_alpha_beta(layer, values, relevance)[..., :3], torch.zeros(1, 2, 4, 3).double()
    )


@pytest.mark.parametrize(("lengths", "stride"), GRIDS)
def test_flat_rule_shares_evenly_among_the_voxels_of_a_kernel(lengths, stride) -> None:
    layer, dense, _, values, relevance = draw(lengths, stride)
    seen = (dense != 0).astype(float)
    expected = seen.T @ (relevance.numpy().ravel() / seen.sum(1))
    found = pass_flat(layer, values, relevance)
    np.testing.assert_allclose(found.numpy().ravel(), expected, **EXACT)


def test_normalization_leaves_behind_what_the_shift_added() -> None:
    torch.manual_seed(3)
    norm = nn.BatchNorm3d(2, eps=1e-3).double().eval().requires_grad_(requires_grad=False)
    for values in (norm.weight, norm.bias, norm.running_mean):
        values.normal_()
    norm.running_var.uniform_(0.5, 2)
    x = torch.randn(1, 2, 3, 4, 2, dtype=torch.float64)
    r = torch.randn(1, 2, 3, 4, 2, dtype=torch.float64)
    y, beta = norm(x), norm.bias.reshape(1, 2, 1, 1, 1)
    below = (x - norm.running_mean.reshape(1, 2, 1, 1, 1)) * y
    expected = x * (y - beta) * r / (below + LEAST * torch.where(below < 0, -1.0, 1.0))
    torch.testing.assert_close(pass_normalization(norm, x, r), expected, **EXACT)


def test_a_mean_shares_by_value_and_an_empty_map_passes_nothing() -> None:
    values = torch.rand(1, 3, 2, 3, 2, dtype=torch.float64)
    values[0, 1] = 0
    relevance = torch.tensor([[1.5, 7.0, -2.0]], dtype=torch.float64)
    found = pass_average(values, relevance)
    torch.testing.assert_close(
        found.flatten(2).sum(2), torch.tensor([[1.5, 0.0, -2.0]], dtype=torch.float64), **EXACT
    )
    shares = found[0, 0] / values[0, 0]
    torch.testing.assert_close(shares, torch.full_like(shares, 1.5 / float(values[0, 0].sum())))
