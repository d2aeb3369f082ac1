"""Which column each region is in, where tables have their regions in different orders."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.region_spellings import place_regions


def find_columns(
    names: Sequence[str], wanted: Sequence[str], atlas: str
) -> tuple[NDArray[np.intp], list[str]]:
    """Find the column of each region that is wanted, by its name.

    Parameters
    ----------
    names : sequence of str
        Of the columns.
    wanted : sequence of str
        Names of regions, in order.
    atlas : str
        Whose regions they are: of a parcellation that the package knows, names may be spelled
        differently.

    Returns
    -------
    order : ndarray of int
        Column of each region that was found, in the order wanted.
    missing : list of str
        Regions that have no column.
    """
    places = {name: k for k, name in enumerate(names)}
    if not set(wanted) <= set(names) and atlas in list_parcellations():
        table = load_parcellation(atlas)
        known, own = place_regions(table, names), place_regions(table, wanted)
        by_place = {int(place): k for k, place in enumerate(known) if place >= 0}
        places = {
            name: by_place[int(place)]
            for name, place in zip(wanted, own, strict=True)
            if int(place) in by_place
        }
    found = [places[name] for name in wanted if name in places]
    return np.array(found, np.intp), [name for name in wanted if name not in places]
