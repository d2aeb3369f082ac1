"""Orders that other programs write are those that they say they are."""

import numpy as np
import pytest
from nilearn.connectome import sym_matrix_to_vec

from kraken_bids.connectome.matrices import edges_to_square, square_to_edges
from kraken_bids.exceptions import ConnectomeError, FlavorError
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.region_orders import list_edge_orders, list_region_orders, reorder_regions

DEEP = ("Thalamus-Proper", "Caudate", "Putamen", "Pallidum", "Hippocampus", "Amygdala")
DEEP_84 = (*DEEP, "Accumbens-area")


def names_in(parcellation: str, order: str) -> list[str]:
    """Names of the rows of a matrix in an order."""
    names = load_parcellation(parcellation).region_names
    orders = {one.name: one for one in list_region_orders(parcellation)}
    return [names[place] for place in orders[order].places]


def random_square(n_regions: int) -> np.ndarray:
    """Make a symmetric matrix without two equal edges."""
    rng = np.random.default_rng(0)
    edges = rng.permutation(n_regions * (n_regions - 1) // 2).astype(float)
    return edges_to_square(edges, diagonal=0.0)


@pytest.mark.parametrize("parcellation", list_parcellations())
def test_every_order_holds_every_region_once_and_differs_from_all_others(
    parcellation: str,
) -> None:
    """No order is the model's own, and no two are the same."""
    n_regions = load_parcellation(parcellation).n_regions
    orders = [tuple(order.places) for order in list_region_orders(parcellation)]
    assert len(orders) > 10
    assert len(set(orders)) == len(orders)
    assert tuple(range(n_regions)) not in orders
    assert all(sorted(order) == list(range(n_regions)) for order in orders)


def test_cortex_first_puts_the_34_left_and_right_cortical_regions_first() -> None:
    """Then everything else as the model has it."""
    names = names_in("fs86", "cortex-first")
    own = list(load_parcellation("fs86").region_names)
    assert names == own[18:] + own[:18]


def test_alphabetical_is_the_order_of_sorted_names() -> None:
    """Capitals first, as Python and the C locale sort them."""
    assert names_in("fs86", "alphabetical") == sorted(load_parcellation("fs86").region_names)
    assert names_in("coco439", "alphabetical-caseless") == sorted(
        load_parcellation("coco439").region_names, key=str.lower
    )


def test_mrtrix_without_the_ventral_diencephalon_is_its_table_of_84_nodes() -> None:
    """As fs_default.txt has them: cortex, cerebellum, deep; then deep, cortex, cerebellum."""
    found = [name for name in names_in("fs86", "mrtrix") if "VentralDC" not in name]
    assert len(found) == 84
    assert (found[0], found[33]) == ("ctx-lh-bankssts", "ctx-lh-insula")
    assert found[34] == "Left-Cerebellum-Cortex"
    assert found[35:42] == [f"Left-{name}" for name in DEEP_84]
    assert found[42:49] == [f"Right-{name}" for name in DEEP_84]
    assert (found[49], found[82]) == ("ctx-rh-bankssts", "ctx-rh-insula")
    assert found[83] == "Right-Cerebellum-Cortex"


@pytest.mark.parametrize("parcellation", ["fs86", "coco439"])
def test_taking_turns_puts_each_region_beside_its_partner(parcellation: str) -> None:
    """Left and right of the same name follow each other."""
    names = [name for name in names_in(parcellation, "interleaved") if is_sided(name)]
    for left, right in zip(names[::2], names[1::2], strict=True):
        assert to_right(left) == right


@pytest.mark.parametrize("parcellation", ["fs86", "coco439"])
def test_swapped_hemispheres_put_each_region_where_its_partner_was(parcellation: str) -> None:
    """Every left one, and the midline stays."""
    own = load_parcellation(parcellation).region_names
    swapped = names_in(parcellation, "hemispheres-swapped")
    for before, after in zip(own, swapped, strict=True):
        assert after == (to_right(before) if is_left(before) else after)
        assert after == (before if not is_sided(before) else after)
    assert sorted(swapped) == sorted(own)


def test_numbers_as_text_are_sorted_as_file_names_are() -> None:
    """As 1, 10, 100, 101 and so on."""
    orders = {one.name: one for one in list_region_orders("shen268")}
    numbers = [place + 1 for place in orders["numbers-as-text"].places]
    assert numbers == sorted(range(1, 269), key=str)


def test_the_lower_triangle_is_as_nilearn_writes_it() -> None:
    """And as MATLAB lists the columns of an upper triangle."""
    square = random_square(86)
    orders = {one.name: one for one in list_edge_orders("fs86", 3655)}
    given = square_to_edges(square)[orders["lower-triangle"].edges]
    np.testing.assert_array_equal(given, sym_matrix_to_vec(square, discard_diagonal=True))
    upper = np.triu(np.ones((86, 86), bool), 1)
    np.testing.assert_array_equal(given, square.T[upper.T])


@pytest.mark.parametrize("parcellation", list_parcellations())
def test_edges_of_an_order_are_those_of_the_reordered_matrix(parcellation: str) -> None:
    """Edge e that is given is the model's edge ``edges[e]``."""
    table = load_parcellation(parcellation)
    square = random_square(table.n_regions)
    lower = np.tril_indices(table.n_regions, -1)
    for order in list_edge_orders(parcellation, table.n_edges):
        places = np.arange(table.n_regions) if order.regions is None else order.regions.places
        given = square[np.ix_(places, places)]
        edges = given[lower] if order.is_lower else square_to_edges(given)
        np.testing.assert_array_equal(square_to_edges(square)[order.edges], edges)


@pytest.mark.parametrize("parcellation", list_parcellations())
def test_reordering_undoes_every_order(parcellation: str) -> None:
    """By the order's name, and by the names of the rows."""
    table = load_parcellation(parcellation)
    square = random_square(table.n_regions)
    for order in list_region_orders(parcellation):
        given = square[np.ix_(order.places, order.places)]
        names = [table.region_names[place] for place in order.places]
        for how in (order.name, names):
            found = reorder_regions(given[None], parcellation, given=how)
            np.testing.assert_array_equal(found[0], square)


def test_reordering_says_what_it_does_not_know() -> None:
    """Orders, names and sizes."""
    with pytest.raises(FlavorError, match=r"cortex-first.*found 'by-size'"):
        reorder_regions(np.eye(86), "fs86", given="by-size")
    names = [*load_parcellation("fs86").region_names[:-1], "Brain-Stem"]
    with pytest.raises(ConnectomeError, match=r"86 regions of fs86 once.*1 unknown.*'Brain-Stem'"):
        reorder_regions(np.eye(86), "fs86", given=names)
    with pytest.raises(ConnectomeError, match=r"expected square connectomes \[..., 86, 86\]"):
        reorder_regions(np.eye(84), "fs86", given="alphabetical")


def test_a_parcellation_without_a_table_has_the_order_of_the_triangle_only() -> None:
    """And a number of edges that is not one of pairs none."""
    assert [order.name for order in list_edge_orders("mine", 4950)] == ["lower-triangle"]
    assert list_edge_orders("fs86", 3656) == ()


def is_left(name: str) -> bool:
    return to_right(name) != name


def to_right(name: str) -> str:
    """Name of the region's partner, spelled by hand."""
    if name.endswith("_L"):
        return f"{name[:-1]}R"
    for left, right in (("Left-", "Right-"), ("ctx-lh-", "ctx-rh-"), ("L_", "R_")):
        if name.startswith(left):
            return right + name.removeprefix(left)
    return name.replace("_Left_", "_Right_")


def is_sided(name: str) -> bool:
    ends = ("_L", "_R")
    starts = ("Left-", "Right-", "ctx-", "L_", "R_")
    return name.endswith(ends) or name.startswith(starts) or "_Left_" in name or "_Right_" in name
