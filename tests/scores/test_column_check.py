"""What is said of connectomes does not depend on whether people or edges pass one by one."""

from collections.abc import Callable

import numpy as np
import pytest

from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.region_orders import count_regions, list_edge_orders
from kraken_bids.scores.column_check import ColumnCheck, sum_columns
from kraken_bids.scores.plausibility import InputCheck, check_inputs

FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")
N_EDGES = 3655
FIRST, SECOND = np.triu_indices(86, 1)
Edges = np.ndarray


def empty(edges: Edges) -> Edges:
    edges[1:3, (FIRST < 11) | (SECOND < 11)] = 0
    return edges


def swapped(edges: Edges) -> Edges:
    (order,) = (
        own for own in list_edge_orders("fs86", N_EDGES) if own.name == "hemispheres-swapped"
    )
    edges[4] = edges[4, order.edges]
    return edges


def some(rows: object, change: Callable[[Edges], Edges]) -> Callable[[Edges], Edges]:
    def apply(edges: Edges) -> Edges:
        edges[rows] = change(edges[rows])
        return edges

    return apply


CASES: dict[str, tuple[Flavor, Callable[[Edges], Edges]]] = {
    "right": (FC, lambda edges: edges),
    "beyond 1": (FC, some(2, lambda edges: 3 * edges)),
    "zeros": (FC, some([0, 5], lambda edges: np.where(edges < 0.2, 0, edges))),
    "empty": (FC, empty),
    "empty regions of structure": (SC, empty),
    "negative": (SC, some([1, 3], lambda edges: edges - edges.mean())),
    "a few negative": (SC, lambda edges: edges - 0.02),
    "counts": (SC, some([0, 2], lambda edges: np.rint(1000 * edges))),
    "all counts": (SC, lambda edges: np.rint(1000 * edges)),
    "squares": (FC, some(3, np.square)),
    "hemispheres": (FC, swapped),
    "copies": (SC, some([3, 6], lambda edges: edges[:1])),
    "scale": (SC, some(5, lambda edges: 100 * edges)),
    "shuffled": (SC, some([1, 4], lambda edges: edges[:, ::-1])),
    "all shuffled": (SC, lambda edges: edges[:, ::-1]),
}


def pass_by_edges(check: InputCheck, edges: Edges, step: int) -> None:
    whole = ColumnCheck(check, edges.shape[1], np.ones((1, len(edges))))
    blocks = (edges.T[start : start + step] for start in range(0, edges.shape[1], step))
    assert sum(len(block) for block in whole.watch(blocks)) == edges.shape[1]
    rows, everybody = np.arange(len(edges)), whole.vary
    is_unlike = whole.tell(rows, everybody)
    for unlike, group in ((True, is_unlike), (False, ~is_unlike)):
        if group.any():
            (total,) = sum_columns([edges.T], group[None])
            check.add_total(total, is_unlike=unlike)
    np.testing.assert_allclose(whole.sums[0], edges.sum(axis=0), rtol=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("step", [97, 4096])
def test_people_and_edges_are_judged_alike(case: str, step: int) -> None:
    """Every doubt, its figures and whom it concerns."""
    mean = 0.9 * np.random.default_rng(0).beta(1, 4, N_EDGES)
    people = np.clip(mean + 0.02 * np.random.default_rng(1).normal(size=(7, N_EDGES)), 0.001, 1)
    flavor, change = CASES[case]
    edges = change(people)
    expected = check_inputs(flavor, edges, {flavor: mean})
    found = InputCheck(flavor, mean)

    pass_by_edges(found, edges, step)

    assert found.list_doubts({flavor: mean}) == expected.list_doubts({flavor: mean})
    assert found.list_duplicate_doubts() == expected.list_duplicate_doubts()
    assert found.unlike == expected.unlike
    assert found.factors == pytest.approx(expected.factors, rel=1e-8)
    assert found.levels == pytest.approx(expected.levels, rel=1e-8)
    is_said = bool(expected.list_doubts({flavor: mean}) or expected.list_duplicate_doubts())
    assert is_said == (case not in {"right", "a few negative"})


def test_without_a_training_mean_values_alone_are_judged() -> None:
    """As of rows."""
    edges = np.random.default_rng(0).uniform(-3, 3, (4, N_EDGES))
    found, expected = InputCheck(FC, None), check_inputs(FC, edges, {})
    pass_by_edges(found, edges, 1000)
    assert found.list_doubts({}) == expected.list_doubts({})
    assert [doubt.claim for doubt in expected.list_doubts({})]


def test_edges_of_no_square_have_no_regions() -> None:
    """So none of them is empty."""
    assert [count_regions(n) for n in (3655, 1, 3, 4, 3656)] == [86, 2, 3, 0, 0]
    edges = np.zeros((2, 3656))
    edges[:, 5:] = np.random.default_rng(0).uniform(0.1, 0.9, (2, 3651))
    found, expected = InputCheck(FC, None), check_inputs(FC, edges, {})
    pass_by_edges(found, edges, 500)
    assert found.list_doubts({}) == expected.list_doubts({}) == []
