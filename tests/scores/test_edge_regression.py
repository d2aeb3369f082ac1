"""Regression of every edge, a connectome at a time."""

import numpy as np
import pytest

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.scores.edge_regression import EdgeRegression


def test_is_weighted_least_squares(rng: np.random.Generator) -> None:
    """Of every edge, as numpy solves it with rows times the root of their weights."""
    design = np.column_stack([np.ones(20), rng.standard_normal((20, 2))])
    edges, weights = rng.standard_normal((20, 7)), rng.uniform(0.2, 1, 20)
    regression = EdgeRegression(design, weights, 7)
    for row in range(20):
        regression.add(row, edges[row])
    root = np.sqrt(weights)[:, None]
    expected = np.linalg.lstsq(design * root, edges * root, rcond=None)[0]
    np.testing.assert_allclose(regression.solve(), expected, rtol=1e-10)


def test_rows_without_weight_do_not_count(rng: np.random.Generator) -> None:
    """Whatever stands in them."""
    design, edges = rng.standard_normal((6, 2)), rng.standard_normal((6, 3))
    weights = np.array([1, 1, 1, 1, 0, 0.0])
    found = EdgeRegression(design, weights, 3)
    for row in range(6):
        found.add(row, edges[row] if row < 4 else np.full(3, 1e9))
    expected = np.linalg.lstsq(design[:4], edges[:4], rcond=None)[0]
    np.testing.assert_allclose(found.solve(), expected, rtol=1e-9)


def test_whoever_lacks_an_edge_is_left_out_of_that_edge_alone(rng: np.random.Generator) -> None:
    """Every edge is what least squares over those who have it give."""
    design, edges = rng.standard_normal((12, 2)), rng.standard_normal((12, 9))
    edges[3, :4] = np.nan
    edges[5, 2:6] = np.nan
    regression = EdgeRegression(design, np.ones(12), 9)
    for row in range(12):
        regression.add(row, edges[row])
    found = regression.solve()
    for edge in range(9):
        has = np.isfinite(edges[:, edge])
        expected = np.linalg.lstsq(design[has], edges[has, edge], rcond=None)[0]
        np.testing.assert_allclose(found[:, edge], expected, rtol=1e-9)


def test_an_edge_that_a_site_lacks_is_known_of_the_other_site(rng: np.random.Generator) -> None:
    """The site without it has NaN there, and nothing else is touched."""
    design = np.repeat(np.eye(2), 3, axis=0)
    edges = rng.standard_normal((6, 4))
    edges[:3, 1] = np.nan
    regression = EdgeRegression(design, np.ones(6), 4)
    for row in range(6):
        regression.add(row, edges[row])
    found = regression.solve()
    assert np.isnan(found[0, 1])
    np.testing.assert_allclose(found[1], edges[3:].mean(axis=0))
    np.testing.assert_allclose(found[0, [0, 2, 3]], edges[:3, [0, 2, 3]].mean(axis=0))


def test_columns_that_say_the_same_are_refused() -> None:
    """No solution is made up."""
    regression = EdgeRegression(np.ones((4, 2)), np.ones(4), 2)
    for row in range(4):
        regression.add(row, np.arange(2.0) + row)
    with pytest.raises(ConnectomeError, match="say the same"):
        regression.solve()
