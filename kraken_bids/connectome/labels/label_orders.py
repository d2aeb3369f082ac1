"""Other numberings of the regions of a parcellation that are in use, by what each label means."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, permutations

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.labels.region_places import find_known_centres, load_centres
from kraken_bids.parcellations import (
    APARCASEG,
    Parcellation,
    list_parcellations,
    load_parcellation,
)

Floats = NDArray[np.float64]

NOT_IN_DKT = ("bankssts", "frontalpole", "temporalpole")
"""Regions of the Desikan-Killiany atlas that its DKT version gave to their neighbours.

Source: Klein and Tourville 2012, doi:10.3389/fnins.2012.00171."""
DEEP_9 = (
    *("Cerebellum-Cortex", "Thalamus-Proper", "Caudate", "Putamen", "Pallidum", "Hippocampus"),
    *("Amygdala", "Accumbens-area", "VentralDC"),
)
"""Deep regions of fs86, of one side."""
DEEP_SETS = {
    "cerebellum and 8 deep regions": DEEP_9,
    "8 deep regions": DEEP_9[1:],
    "7 deep regions": DEEP_9[1:-1],
    "cerebellum and 7 deep regions": DEEP_9[:-1],
}
LAUSANNE_CORTEX = (
    *("lateralorbitofrontal", "parsorbitalis", "frontalpole", "medialorbitofrontal"),
    *("parstriangularis", "parsopercularis", "rostralmiddlefrontal", "superiorfrontal"),
    *("caudalmiddlefrontal", "precentral", "paracentral", "rostralanteriorcingulate"),
    *("caudalanteriorcingulate", "posteriorcingulate", "isthmuscingulate", "postcentral"),
    *("supramarginal", "superiorparietal", "inferiorparietal", "precuneus", "cuneus"),
    *("pericalcarine", "lateraloccipital", "lingual", "fusiform", "parahippocampal"),
    *("entorhinal", "temporalpole", "inferiortemporal", "middletemporal", "bankssts"),
    *("superiortemporal", "transversetemporal", "insula"),
)
LAUSANNE_DEEP = (
    *("Thalamus-Proper", "Caudate", "Putamen", "Pallidum", "Accumbens-area", "Hippocampus"),
    "Amygdala",
)
"""Order of the Connectome Mapper's 83 regions (scale 33), right side first."""


@dataclass(frozen=True)
class LabelOrder:
    """What the labels 1, 2 … of an image may stand for."""

    title: str
    """For people: ``MRtrix's 84 regions (labelconvert with fs_default.txt)``."""
    places: Floats
    """[largest label, 3]: where each label's region lies, mm; NaN where it is unknown."""


@cache
def list_orders(name: str) -> tuple[LabelOrder, ...]:
    """Numberings that an image of a known parcellation may have by mistake, shortest first.

    Its own is left out, and what two names mean is listed once.

    Parameters
    ----------
    name : str
        A parcellation of the package; regions whose places are not known are NaN.
    """
    parcellation = load_parcellation(name)
    known = find_known_centres(parcellation)
    orders = [*_list_shifts(name, known), *_list_swaps(parcellation, known)]
    if parcellation.source == APARCASEG:
        orders += _list_desikan(parcellation)
    orders.append(LabelOrder(f"{name} in alphabetical order", known[_sort(parcellation)]))
    orders += [
        LabelOrder(f"the regions of {other}", find_known_centres(load_parcellation(other)))
        for other in list_parcellations()
        if other != name
    ]
    shortest_first = sorted(orders, key=lambda order: len(order.places))
    different = {order.places.tobytes(): order for order in reversed(shortest_first)}
    return tuple(reversed(different.values()))


def _sort(parcellation: Parcellation) -> NDArray[np.int64]:
    names = parcellation.region_names
    return np.array(sorted(range(len(names)), key=lambda k: names[k].lower()))


def _list_shifts(name: str, known: Floats) -> Iterator[LabelOrder]:
    """Yield what is one off: as where 0 is the first region, or a first one was left out."""
    gap = np.full((1, 3), np.nan)
    yield LabelOrder(f"{name} counted from 0: its first region is 0, its second 1 …", known[1:])
    yield LabelOrder(
        f"{name} counted from 2: its first region is 2, its second 3 …", np.vstack([gap, known])
    )


def _list_swaps(parcellation: Parcellation, known: Floats) -> Iterator[LabelOrder]:
    """Yield what a block of one side changes places with an equal one of the other."""
    sides = np.array(parcellation.hemispheres)
    starts = [0, *(np.flatnonzero(sides[1:] != sides[:-1]) + 1).tolist(), len(sides)]
    blocks = [(a, b) for a, b in pairwise(starts) if b - a > 5]
    for (a, b), (c, d) in pairwise(blocks):
        if b - a == d - c:
            places = known.copy()
            places[a:b], places[c:d] = known[c:d], known[a:b]
            title = f"{parcellation.name} with labels {a + 1}–{b} and {c + 1}–{d} exchanged"
            yield LabelOrder(title, places)


def _list_desikan(parcellation: Parcellation) -> Iterator[LabelOrder]:
    """Yield orders of FreeSurfer's regions, by the names of fs86."""
    known = load_centres(parcellation.name)
    place = dict(zip(parcellation.region_names, known, strict=True))
    cortex = [n.removeprefix("ctx-lh-") for n in place if n.startswith("ctx-lh-")]
    unknown = np.full(3, np.nan)
    for title, names in _spell_orders(cortex):
        places = np.array([place.get(name, unknown) for name in names])
        if not (len(places) == len(known) and np.array_equal(places, known)):
            yield LabelOrder(title, places)


def _spell_orders(cortex: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield a title and the name of every label, '' for what fs86 does not have."""
    lh, rh = ([f"ctx-{side}-{name}" for name in cortex] for side in ("lh", "rh"))
    seven = DEEP_9[1:-1]
    yield (
        "MRtrix's 84 regions (labelconvert with fs_default.txt)",
        [
            *(*lh, "Left-Cerebellum-Cortex", *_of("Left", seven)),
            *(*_of("Right", seven), *rh, "Right-Cerebellum-Cortex"),
        ],
    )
    yield (
        "the Connectome Mapper's 83 regions (Lausanne, scale 33)",
        [
            name
            for side, hemi in (("Right", "rh"), ("Left", "lh"))
            for name in (
                *(f"ctx-{hemi}-{region}" for region in LAUSANNE_CORTEX),
                *_of(side, LAUSANNE_DEEP),
            )
        ],
    )
    numbered = (*cortex[:3], "corpuscallosum", *cortex[3:])
    yield (
        "FreeSurfer's cortical regions 1 to 35 of either side, left then right",
        [f"ctx-{hemi}-{name}" for hemi in ("lh", "rh") for name in numbered],
    )
    dkt = [name for name in cortex if name not in NOT_IN_DKT]
    for which, regions in (("", cortex), (" of the DKT atlas", dkt)):
        for title, deep in DEEP_SETS.items():
            yield from _list_blocks(f"{which}, {title}", regions, deep)


def _list_blocks(
    words: str, cortex: Sequence[str], deep: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the four blocks in any order, and left and right by turns."""
    blocks = {
        "left cortex": [f"ctx-lh-{name}" for name in cortex],
        "right cortex": [f"ctx-rh-{name}" for name in cortex],
        "left deep regions": _of("Left", deep),
        "right deep regions": _of("Right", deep),
    }
    for order in permutations(blocks):
        names = [name for block in order for name in blocks[block]]
        yield f"{', then '.join(order)} (cortex{words})", names
    turns = [
        [name for pair in zip(blocks[f"left {part}"], blocks[f"right {part}"], strict=True)
         for name in pair]
        for part in ("cortex", "deep regions")
    ]  # fmt: skip
    yield f"left and right by turns, cortex first (cortex{words})", turns[0] + turns[1]
    yield f"left and right by turns, cortex last (cortex{words})", turns[1] + turns[0]


def _of(side: str, regions: Sequence[str]) -> list[str]:
    return [f"{side}-{region}" for region in regions]
