"""Regions by name, in the spellings of other programs, and their place in the model's order."""

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.parcellations import APARCASEG, Parcellation
from kraken_bids.region_orders import number_edges

WORD = re.compile(r"[A-Za-z0-9]+")
SIDES = {"left": "L", "lh": "L", "l": "L", "right": "R", "rh": "R", "r": "R"}
FILLERS = frozenset({"ctx", "roi", "proper", "area"})
"""Words that some releases and programs add: ``Left-Thalamus-Proper``, ``L_V1_ROI``."""
NUMBERED = re.compile(r"(.*?)[ _.-]*(\d+)")
COUNTERS = frozenset({"", "v", "x", "var", "roi", "region", "node", "parcel", "label"})
"""What stands before mere numbers: R, MATLAB and people write these."""


def place_regions(table: Parcellation, names: Sequence[str]) -> NDArray[np.intp]:
    """Tell which region each name means.

    Parameters
    ----------
    names : sequence of str
        As in the table; with the side and the words around the name in another form
        (``lh_insula``, ``Left-Thalamus``, ``V1_L``); or mere numbers (``ROI_1``): every number of
        the table, or FreeSurfer's.

    Returns
    -------
    ndarray of int, shape (n_names,)
        Index of the region; -1 where the table has none of that name.

    Raises
    ------
    ConnectomeError
        If two names mean one region.
    """
    known = _spell_all(table)
    places = np.array([known.get(_spell(name), -1) for name in names], np.intp)
    if (places < 0).all():
        places = _place_numbers(table, names)
    found, counts = np.unique(places[places >= 0], return_counts=True)
    if (counts > 1).any():
        region = int(found[counts > 1][0])
        twice = [name for name, place in zip(names, places, strict=True) if place == region]
        raise ConnectomeError(
            f"expected each region of {table.name} once; found {' and '.join(twice[:2])}, both "
            f"of which mean {table.region_names[region]}. Leave one of them out."
        )
    return places


def order_edges(places: NDArray[np.intp], n_regions: int) -> NDArray[np.intp] | None:
    """Where each edge of the model is among the edges that are given.

    Parameters
    ----------
    places : ndarray of int, shape (n_given,)
        As of :func:`place_regions`.
    n_regions : int
        Of the parcellation.

    Returns
    -------
    ndarray of int, shape (n_edges,), or None
        -1 for edges of a region that is not given; None where nothing changes.
    """
    n_given = len(places)
    if np.array_equal(places, np.arange(n_regions)):
        return None
    given = np.full(n_regions, -1)
    given[places[places >= 0]] = np.flatnonzero(places >= 0)
    rows, columns = np.triu_indices(n_regions, 1)
    first, second = np.sort(np.stack([given[rows], given[columns]]), axis=0)
    return np.where(first < 0, -1, number_edges(first, second, n_given))


@cache
def _spell_all(table: Parcellation) -> dict[tuple[str, str], int]:
    return {_spell(name): place for place, name in enumerate(table.region_names)}


def _spell(name: str) -> tuple[str, str]:
    """Side and name without what programs write differently."""
    words = [word.lower() for word in WORD.findall(name)]
    sides = "".join(sorted({SIDES[word] for word in words if word in SIDES}))
    return sides, "".join(w for w in words if w not in SIDES and w not in FILLERS)


def _place_numbers(table: Parcellation, names: Sequence[str]) -> NDArray[np.intp]:
    """Regions of numbers; all -1 where the names are none."""
    matches = [NUMBERED.fullmatch(name.strip()) for name in names]
    stems = {match[1].lower() if match else "no number" for match in matches}
    nothing = np.full(len(names), -1, np.intp)
    if len(stems) != 1 or not stems <= COUNTERS | {table.name.lower()}:
        return nothing
    numbers = [int(match[2]) for match in matches if match]
    # 1 to 84 are the nodes of another table: fewer numbers are not those of this one
    is_index = set(numbers) == set(table.indices)
    if not is_index and table.source != APARCASEG:
        return nothing
    known = {n: place for place, n in enumerate(table.indices if is_index else table.labels)}
    return np.array([known.get(number, -1) for number in numbers], np.intp)
