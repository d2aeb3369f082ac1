"""Orders of regions and edges that other programs write, from ``data/region_orders.tsv``."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import isqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kraken_bids.exceptions import ConnectomeError, FlavorError
from kraken_bids.parcellations import APARCASEG, Parcellation, load_parcellation, read_table

Places = NDArray[np.intp]

SIDE = re.compile(r"(?<![A-Za-z0-9])(left|right|lh|rh|l|r)(?![A-Za-z0-9])", re.IGNORECASE)
"""What names a hemisphere in ``ctx-lh-insula``, ``Left-Caudate``, ``Thal_AV_L``, ``L_V1_ROI``."""
NOT_CORTEX = frozenset(
    {"Subcortex", "Basal", "Thalamus", "Brainstem", "Cerebellum", "SubcorticalCerebellum"}
)
RIGHT_FIRST = "-right-first"
LOWER_TRIANGLE = "lower-triangle"
LOWER_WORDS = (
    "the lower triangle row by row, as nilearn's sym_matrix_to_vec and MATLAB's "
    "A(triu(true(n),1)) list it"
)


@dataclass(frozen=True, eq=False)
class RegionOrder:
    """One order that the regions of a parcellation may be given in."""

    name: str
    """As in ``data/region_orders.tsv``; with ``-right-first`` where the right side comes first."""
    words: str
    """The same for people."""
    places: Places
    """``[n_regions]``: row k of the matrix that is given belongs to the region
    ``region_names[places[k]]``."""


@dataclass(frozen=True, eq=False)
class EdgeOrder:
    """One order that the edges of a connectome may be given in."""

    name: str
    """That of the regions, or ``lower-triangle``, or both."""
    words: str
    """The same for people."""
    regions: RegionOrder | None
    """Order of the regions; None where it is the model's."""
    is_lower: bool
    """Whether the edges are the lower triangle row by row."""
    edges: NDArray[np.int32]
    """``[n_edges]``: edge e that is given is the model's edge ``edges[e]``."""


@cache
def list_region_orders(parcellation: str) -> tuple[RegionOrder, ...]:
    """Other orders of a parcellation's regions, each once; the model's own is not among them.

    Raises
    ------
    FlavorError
        If no table of that name ships with the package.
    """
    table = load_parcellation(parcellation)
    own = tuple(range(table.n_regions))
    orders: dict[tuple[int, ...], RegionOrder] = {}
    for row in read_table("region_orders.tsv"):
        for keys, name, words in _list_variants(row):
            places = _place_regions(table, keys)
            if places is not None:
                orders.setdefault(tuple(places.tolist()), RegionOrder(name, words, places))
    orders.pop(own, None)
    return tuple(orders.values())


def count_regions(n_edges: int) -> int:
    """Regions that have so many pairs; 0 where no number of them has."""
    n_regions = (1 + isqrt(1 + 8 * n_edges)) // 2
    return n_regions if n_regions * (n_regions - 1) // 2 == n_edges else 0


@cache
def list_edge_orders(parcellation: str, n_edges: int) -> tuple[EdgeOrder, ...]:
    """Other orders of a parcellation's edges: of its regions, of the triangle, and of both.

    Parameters
    ----------
    parcellation : str
        One that the package has no table of is known by its number of regions only.
    n_edges : int
        A number that is not one of pairs has no orders.
    """
    n_regions = count_regions(n_edges)
    if not n_regions:
        return ()
    try:
        known = list_region_orders(parcellation)
        is_known = load_parcellation(parcellation).n_regions == n_regions
    except FlavorError:
        known, is_known = (), False
    regions: list[RegionOrder | None] = [None, *(known if is_known else ())]
    return tuple(
        _order_edges(order, n_regions, is_lower=is_lower)
        for is_lower in (False, True)
        for order in regions
        if is_lower or order is not None
    )


def reorder_regions(
    square: ArrayLike, parcellation: str, *, given: str | Iterable[str]
) -> NDArray[np.floating]:
    """Square connectomes with their regions in the model's order.

    Parameters
    ----------
    square : array of shape (..., n_regions, n_regions)
        Rows and columns in another order.
    parcellation : str
        ``fs86``, ``shen268`` …
    given : str or iterable of str
        The order that they are in: a name of ``data/region_orders.tsv`` (``cortex-first``,
        ``alphabetical``, ``mrtrix`` …, each also with ``-right-first`` where that differs), or the
        names of the rows, spelled as in :func:`kraken_bids.region_names`.

    Returns
    -------
    ndarray of shape (..., n_regions, n_regions)

    Raises
    ------
    ConnectomeError
        If the matrices have another number of regions, or a name is missing or repeated.
    FlavorError
        If the parcellation or the order is not known.

    Examples
    --------
    >>> names = sorted(kraken_bids.region_names("FCcorr_fs86_hpf"))
    >>> ours = kraken_bids.reorder_regions(np.eye(86), "fs86", given=names)
    >>> bool((kraken_bids.reorder_regions(np.eye(86), "fs86", given="alphabetical") == ours).all())
    True
    """
    values, table = np.asarray(square), load_parcellation(parcellation)
    _check_size(values.shape, table)
    places = _find_order(parcellation, given) if isinstance(given, str) else None
    if places is None:
        places = _place_names(table, tuple(given))
    back = np.argsort(places)
    return values[..., back[:, None], back]


def number_edges(first: Places, second: Places, n_regions: int) -> Places:
    """Place of each edge in the upper triangle, row by row, of regions ``first`` < ``second``."""
    return first * (2 * n_regions - first - 1) // 2 + second - first - 1


def _find_order(parcellation: str, name: str) -> Places:
    orders = {order.name: order.places for order in list_region_orders(parcellation)}
    if name not in orders:
        raise FlavorError(
            f"expected an order of the regions of {parcellation} among {', '.join(orders)}, or "
            f"the names of the rows; found {name!r}."
        )
    return orders[name]


def _place_names(table: Parcellation, names: tuple[str, ...]) -> Places:
    known = {name: place for place, name in enumerate(table.region_names)}
    unknown = [name for name in names if name not in known]
    if unknown or len(names) != len(known) or len(set(names)) != len(names):
        raise ConnectomeError(
            f"expected each of the {len(known)} regions of {table.name} once (kraken_bids."
            f"region_names lists them); found {len(names)} names, {len(set(names))} different, "
            f"{len(unknown)} unknown{f', such as {unknown[0]!r}' if unknown else ''}."
        )
    return np.array([known[name] for name in names], np.intp)


def _list_variants(row: dict[str, str]) -> list[tuple[list[str], str, str]]:
    """Keys, name and words of an order, and of the same with the right hemisphere first."""
    keys = row["keys"].split(",")
    variants = [(keys, row["order"], row["words"])]
    if "left" in keys:
        other = ["right" if key == "left" else key for key in keys]
        words = f"{row['words']}; but right before left"
        variants.append((other, row["order"] + RIGHT_FIRST, words))
    return variants


def _place_regions(table: Parcellation, keys: list[str]) -> Places | None:
    """Regions sorted by the keys, then as the model has them; None where names have no sides."""
    if keys == ["swapped"]:
        return _find_partners(table)
    ranks = [_rank(table, key) for key in keys]
    if any(rank is None for rank in ranks):
        return None
    return np.lexsort([rank for rank in reversed(ranks) if rank is not None])


@cache
def _rank(table: Parcellation, key: str) -> NDArray[np.intp] | None:
    """Give each region the number to sort it by."""
    if key == "pair":
        partners = _find_partners(table)
        return None if partners is None else np.minimum(partners, np.arange(len(partners)))
    if key in NAMED:
        return np.unique(np.array(NAMED[key](table)), return_inverse=True)[1].reshape(-1)
    sides = np.array(table.hemispheres)
    is_cortex = np.array([group not in NOT_CORTEX for group in table.groups])
    is_cerebellum = np.array([group == "Cerebellum" for group in table.groups])
    if key == "mrtrix":
        # a table of FreeSurfer's regions; left: cortex, cerebellum, deep; right: deep, cortex, …
        left = np.select([is_cortex, is_cerebellum], [0, 1], 2)
        right = np.select([is_cortex, is_cerebellum], [4, 5], 3)
        return np.where(sides == "L", left, right) if table.source == APARCASEG else None
    rank = {
        "left": np.select([sides == "L", sides == "R"], [0, 1], 2),
        "right": np.select([sides == "R", sides == "L"], [0, 1], 2),
        "cortex": ~is_cortex,
        "deep": is_cortex,
        "cerebellum": is_cerebellum,
    }[key]
    return rank.astype(np.intp)


def _strip_side(name: str) -> str:
    return SIDE.sub("", name, count=1)


NAMED: dict[str, Callable[[Parcellation], Sequence[str]]] = {
    "name": lambda table: table.region_names,
    "caseless": lambda table: [name.lower() for name in table.region_names],
    "stem": lambda table: [_strip_side(name).lower() for name in table.region_names],
    "text": lambda table: [str(index) for index in table.indices],
}
"""What regions are sorted by, of the keys that are words."""


@cache
def _find_partners(table: Parcellation) -> Places | None:
    """Region of the other hemisphere of the same name; itself in the midline; None: not all."""
    places = {
        (_strip_side(name), side): place
        for place, (name, side) in enumerate(
            zip(table.region_names, table.hemispheres, strict=True)
        )
    }
    other = {"L": "R", "R": "L"}
    partners = [
        places.get((stem, other[side])) if side in other else place
        for (stem, side), place in places.items()
    ]
    if len(places) < table.n_regions or None in partners:
        return None
    return np.array(partners, np.intp)


def _order_edges(order: RegionOrder | None, n_regions: int, *, is_lower: bool) -> EdgeOrder:
    rows, columns = np.tril_indices(n_regions, -1) if is_lower else np.triu_indices(n_regions, 1)
    if order is not None:
        rows, columns = order.places[rows], order.places[columns]
    first, second = np.minimum(rows, columns), np.maximum(rows, columns)
    edges = number_edges(first, second, n_regions)
    names = [*([order.name] if order else []), *([LOWER_TRIANGLE] if is_lower else [])]
    words = [*([order.words] if order else []), *([LOWER_WORDS] if is_lower else [])]
    return EdgeOrder(
        " ".join(names), ", and edges as ".join(words), order, is_lower, edges.astype(np.int32)
    )


def _check_size(shape: tuple[int, ...], table: Parcellation) -> None:
    if shape[-2:] != (table.n_regions, table.n_regions):
        raise ConnectomeError(
            f"expected square connectomes [..., {table.n_regions}, {table.n_regions}] of "
            f"{table.name}; found shape {shape}."
        )
