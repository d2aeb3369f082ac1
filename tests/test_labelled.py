"""Connectomes as squares and as tables that name their regions."""

from collections.abc import Callable

import numpy as np
import pytest

import kraken_bids
from kraken_bids.exceptions import ConnectomeError, FlavorError
from kraken_bids.parcellations import list_parcellations, load_parcellation

FC, SC = "FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm"
EDGES = np.random.default_rng(0).normal(size=(3, 3655))


@pytest.mark.parametrize("name", list_parcellations())
def test_regions_are_named_in_the_order_of_the_matrices(name: str) -> None:
    """As many names as regions, each once, as the table of the parcellation has them."""
    names = kraken_bids.region_names(f"FCcorr_{name}_hpf")

    assert names == load_parcellation(name).region_names
    assert len(set(names)) == load_parcellation(name).n_regions


def test_a_frame_has_every_edge_under_its_two_names() -> None:
    """Looked up by name in either order; the diagonal is the group's."""
    names = kraken_bids.region_names(FC)
    first, second = np.triu_indices(86, 1)
    frame = kraken_bids.to_frame(EDGES[0], kraken_bids.parse_flavor(FC))

    for k in (0, 85, 1234, 3654):
        pair = names[first[k]], names[second[k]]
        assert frame.loc[pair] == frame.loc[pair[::-1]] == EDGES[0, k]
    assert (np.diag(frame) == 1).all()
    assert (np.diag(kraken_bids.to_frame(EDGES[0], SC)) == 0).all()


def test_a_table_has_a_column_per_pair() -> None:
    """Its values are the edges; a pair of names selects a column, a subject a row."""
    table = kraken_bids.to_table(EDGES, FC, subjects=["a", "b", "c"])
    frame = kraken_bids.to_frame(EDGES[1], FC)

    np.testing.assert_array_equal(table.to_numpy(), EDGES)
    assert table.columns.names == ["region_1", "region_2"]
    assert all(table.loc["b", pair] == frame.loc[pair] for pair in table.columns[::500])
    assert list(kraken_bids.to_table(EDGES, FC).index) == [0, 1, 2]


def test_squares_of_a_cohort_round_trip() -> None:
    """Leading axes stay; what is read is the upper triangle, row by row."""
    squares = kraken_bids.to_square(EDGES, FC)

    assert squares.shape == (3, 86, 86)
    np.testing.assert_array_equal(squares[:, *np.triu_indices(86, 1)], EDGES)
    np.testing.assert_array_equal(kraken_bids.to_edges(squares), EDGES)


def test_a_parcellation_of_one_s_own_brings_its_names() -> None:
    """Without them only the square can be had."""
    edges = [0.1, 0.2, 0.3]
    frame = kraken_bids.to_frame(edges, "FCcorr_mine_hpf", regions=["a", "b", "c"])

    assert frame.loc["b", "c"] == 0.3
    assert kraken_bids.to_square(edges, "FCcorr_mine_hpf").shape == (3, 3)
    with pytest.raises(FlavorError, match="mine"):
        kraken_bids.to_frame(edges, "FCcorr_mine_hpf")


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: kraken_bids.to_square(EDGES[:, 1:], FC), "expected 3655 edges of 86 regions"),
        (lambda: kraken_bids.to_square(0.5, FC), "found 0"),
        (lambda: kraken_bids.to_frame(EDGES, FC), "to_table for a cohort"),
        (lambda: kraken_bids.to_table(EDGES[0], FC), r"\[n_subjects, n_edges\]"),
        (lambda: kraken_bids.to_table(EDGES, FC, subjects=["a"]), "each of 3 rows; found 1"),
        (lambda: kraken_bids.to_frame(EDGES[0], FC, regions=["a"]), "86 regions; found 1"),
        (lambda: kraken_bids.to_edges(EDGES), "expected square connectomes"),
    ],
)
def test_what_does_not_fit_is_refused(use: Callable[[], object], message: str) -> None:
    """Wrong numbers of edges, axes, names and subjects."""
    with pytest.raises(ConnectomeError, match=message):
        use()
