"""Whether the labels of an image are the regions that they are taken for.

A label image says with numbers which region lies where; nothing in it says whose numbers they are.
Where regions lie in a brain tells: in the right order an affine map from the image to the known
centres explains nearly all of their spread, in any other order far less.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.labels.label_numbers import planes_of
from kraken_bids.connectome.labels.label_orders import NOT_IN_DKT, list_orders
from kraken_bids.connectome.labels.region_places import (
    MIN_OF_A_SIDE,
    MIN_REGIONS,
    Centres,
    PlaceFit,
    find_exchanged,
    find_known_centres,
    find_sides,
    fit_places,
    measure_centres,
    measure_sides,
)
from kraken_bids.exceptions import InputError, name_few
from kraken_bids.parcellations import APARCASEG, Parcellation, list_parcellations

MIN_EXPLAINED = 0.8
"""Right images explain more; of every other order that was tried the best explains 0.66."""
SURE = 0.97
"""No other numbering is looked for above this."""
BETTER = 0.5
"""Another numbering must leave at most this share of what the given one leaves unexplained."""
MIN_SIDED = 0.9
"""Share of left-right pairs of regions whose left one lies on the left."""
MIN_SIDED_OWN = 0.75
"""Likewise, of atlases whose names alone tell the side."""
NAMED_AT_MOST = 8
MIN_OF_CORTEX = 5
"""Cortical numbers that leave no doubt; AAL has two of FreeSurfer's, 2001 and 2002."""
ASEG = frozenset({
    *range(2, 6), 7, 8, *range(10, 19), 24, 26, 28, 30, 31, *range(41, 45), 46, 47, 49, 50, 51,
    52, 53, 54, 58, 60, 62, 63, 72, 77, 80, 85,
})  # fmt: skip
"""Numbers below 100 that FreeSurfer's aseg, SynthSeg and FIRST write; no list of regions from 1 on
is made of them alone."""


@dataclass(frozen=True)
class Identity:
    """How the labels of an image are to be read."""

    values: tuple[int, ...]
    """Label of each region of the parcellation."""
    doubts: tuple[str, ...]
    """What the user should know, one sentence each, without the name of the image."""


def identify_labels(
    labels: NDArray[np.integer], affine: NDArray[np.floating], parcellation: Parcellation
) -> Identity:
    """Find out which label stands for which region, and whether it lies where it should.

    An image of fs86 may hold FreeSurfer's numbers (8, 10 … 2035) or the index of each region
    (1 … 86): the values that are present tell.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm.
    parcellation : Parcellation
        What the image is taken for.

    Raises
    ------
    InputError
        If its numbers are another atlas's, its regions fit another numbering, left and right are
        exchanged, or regions lie on the wrong side.
    """
    centres = measure_centres(labels, affine)
    by_number = is_numbered_by_freesurfer(centres.labels, parcellation)
    values = parcellation.labels if by_number else parcellation.indices
    found = centres.of(np.asarray(values))
    if len(centres.labels) and np.isnan(found).all() and len(values):
        raise InputError(
            f"expected the regions of {parcellation.name}, {_name_some(values)}; "
            f"found none of them among the labels {_name_some(centres.labels)}. "
            "It is the image of another atlas."
        )
    doubts = []
    if parcellation.name not in list_parcellations():
        doubts += _doubt_own(found, parcellation)
    else:
        doubts += _doubt_known(centres, found, parcellation, by_number=by_number)
        doubts += _list_foreign(centres.labels, values, by_number=by_number)
    doubts += _list_absent(labels, values, found, parcellation)
    return Identity(values, tuple(doubts))


def is_numbered_by_freesurfer(present: NDArray[np.integer], parcellation: Parcellation) -> bool:
    """Whether an image holds FreeSurfer's numbers rather than those of the regions from 1 on.

    Raises
    ------
    InputError
        If they are FreeSurfer's and of another atlas than the parcellation, or have no cortex.
    """
    if parcellation.source != APARCASEG:
        return False
    here = set(present.tolist())
    cortex = [value for value in here & set(parcellation.labels) if value >= 1000]
    n_theirs = sum(_is_freesurfers(value) for value in here)
    if len(cortex) >= MIN_OF_CORTEX or (cortex and n_theirs > 0.8 * len(here)):
        return True
    what = _name_numbers(here)
    if what:
        raise InputError(
            f"expected the regions of {parcellation.name} by FreeSurfer's numbers (8 … 2035) or "
            f"from 1 to {parcellation.n_regions}; found {what}. Give aparc+aseg.mgz, or "
            "SynthSeg's segmentation with --parc."
        )
    return False


def _is_freesurfers(value: int) -> bool:
    """Whether aparc+aseg or wmparc may hold a number: other atlases have some of theirs too."""
    return (
        value < 256 or (value // 1000 in range(1, 5) and value % 1000 < 36) or value // 10 == 500
    )


def _name_numbers(here: set[int]) -> str:
    """Say which of FreeSurfer's numbers without the Desikan-Killiany cortex these are, or ''."""
    if any(11100 < value < 12200 for value in here):
        return "FreeSurfer's numbers of the Destrieux atlas (aparc.a2009s+aseg), 11101 … 12175"
    if len(here) >= MIN_OF_A_SIDE and here <= ASEG:
        return (
            "FreeSurfer's numbers without the cortex (aseg, FIRST, SynthSeg without --parc): "
            f"{', '.join(map(str, sorted(here)))}"
        )
    return ""


def _doubt_known(
    centres: Centres, found: NDArray[np.float64], parcellation: Parcellation, *, by_number: bool
) -> list[str]:
    """Compare an image of a parcellation of the model with the known places; doubts."""
    name = parcellation.name
    fit = fit_places(found, find_known_centres(parcellation))
    is_right = fit.explained >= MIN_EXPLAINED
    if is_right and fit.is_mirrored:
        raise InputError(
            f"expected the regions of {name} in their places; found them with left and right "
            "exchanged: regions of the left lie on the right. Either its labels number the other "
            "side first, or its header is wrong (flipped without its header). Make the image anew "
            "from the original."
        )
    if not by_number and not fit.explained >= SURE:
        _check_orders(centres, fit, parcellation)
    sided = measure_sides(found, parcellation.hemispheres)
    if is_right:
        return _list_exchanged(found, parcellation)
    if fit.n_regions < MIN_REGIONS and sided >= MIN_SIDED:
        return []
    what = f"{fit.explained:.0%} of where they lie is explained, in right images more than 90 %"
    if np.isnan(fit.explained):
        what = "their places are not known"
    way_out = (
        f"Look at the image: is it {name}, in its numbering? Its regions are in "
        f"atlas-{name}_dseg.tsv of every output, or kraken_bids/data."
    )
    if sided < MIN_SIDED and not by_number:
        raise InputError(
            f"expected the regions of {name} in their places; found the left one further right in "
            f"{1 - sided:.0%} of pairs of a left and a right region ({what}), and no other "
            f"numbering that is known fits. {way_out}"
        )
    return [f"regions of {name} do not lie where they do in other brains ({what}). {way_out}"]


def _check_orders(centres: Centres, fit: PlaceFit, parcellation: Parcellation) -> None:
    """Raise if the labels fit another numbering that is known, and clearly better."""
    last = int(centres.labels.max(initial=0))
    orders = [o for o in list_orders(parcellation.name) if len(o.places) >= last]
    fits = [
        fit_places(centres.of(np.arange(1, len(order.places) + 1)), order.places)
        for order in orders
    ]
    explained = [-1.0 if f.is_mirrored or np.isnan(f.explained) else f.explained for f in fits]
    best = int(np.argmax(explained)) if fits else -1
    if best < 0 or explained[best] < MIN_EXPLAINED:
        return
    given = 0.0 if np.isnan(fit.explained) or fit.is_mirrored else fit.explained
    if 1 - explained[best] > BETTER * (1 - given):
        return
    raise InputError(
        f"expected the regions of {parcellation.name} in their order; found labels that lie where "
        f"those of another numbering do: {orders[best].title} ({explained[best]:.0%} of their "
        f"places is explained, as {parcellation.name} {given:.0%}). {_way_out(parcellation)}"
    )


def _way_out(parcellation: Parcellation) -> str:
    if parcellation.source == APARCASEG:
        return (
            "Give FreeSurfer's own segmentation (aparc+aseg.mgz, or a NIfTI of it: its numbers "
            f"say which region is which), or renumber the image as {parcellation.name} has its "
            f"regions (atlas-{parcellation.name}_dseg.tsv)."
        )
    return (
        "Give the published image (kraken-tools fetch atlases), or renumber yours as in "
        f"atlas-{parcellation.name}_dseg.tsv. An image of another atlas goes under another name."
    )


def _doubt_own(found: NDArray[np.float64], parcellation: Parcellation) -> list[str]:
    """Compare an atlas of the user's own with what the names of its regions say."""
    fit = fit_places(found, find_known_centres(parcellation))
    if fit.explained < MIN_EXPLAINED or fit.is_mirrored:
        return [
            f"{fit.n_regions} regions of {parcellation.name} bear names that are known, and do "
            "not lie where these regions do "
            + ("(left and right are exchanged)" if fit.is_mirrored else
               f"({fit.explained:.0%} of their places is explained)")
            + ". Does the table of names belong to the image, and start at the same number?"
        ]  # fmt: skip
    sided = measure_sides(found, find_sides(parcellation))
    if fit.explained >= MIN_EXPLAINED:
        return _list_exchanged(found, parcellation)
    if sided >= MIN_SIDED_OWN:
        return []
    return [
        f"in {1 - sided:.0%} of pairs of a left and a right region of {parcellation.name}, as "
        "names or table say it, the left one lies further right. Does the table of names belong "
        "to the image, and start at the same number?"
    ]


def _list_exchanged(found: NDArray[np.float64], parcellation: Parcellation) -> list[str]:
    """Say which regions of an image that fits lie where another one should."""
    names = parcellation.region_names
    pairs = find_exchanged(found, find_known_centres(parcellation))
    if not pairs:
        return []
    words = _name_some([f"{names[i]} and {names[j]}" for i, j in pairs])
    return [f"regions lie where the other one should, as if their labels were exchanged: {words}."]


def _list_foreign(
    present: NDArray[np.integer], values: Sequence[int], *, by_number: bool
) -> list[str]:
    """Say which labels no region has; FreeSurfer's images always hold some."""
    foreign = [] if by_number else np.setdiff1d(present, values).tolist()
    if not foreign:
        return []
    return [f"labels that no region has are left out: {_name_some(foreign)}."]


def _list_absent(
    labels: NDArray[np.integer],
    values: Sequence[int],
    found: NDArray[np.float64],
    parcellation: Parcellation,
) -> list[str]:
    """Say which regions have no voxel in the image."""
    missing = [k for k in range(len(values)) if np.isnan(found[k, 0])]
    if not missing:
        return []
    # few voxels of a large image were looked at
    wanted = np.array([values[k] for k in missing])
    found_planes = (np.unique(plane[np.isin(plane, wanted)]) for plane in planes_of(labels))
    present = set(np.concatenate([*found_planes]).tolist())
    absent = [parcellation.region_names[k] for k in missing if values[k] not in present]
    if not absent:
        return []
    text = (
        f"{len(absent)} of {len(values)} regions of {parcellation.name} have no voxel in the "
        f"image: {_name_some(absent)}."
    )
    if {name.rpartition("-")[2] for name in absent} == set(NOT_IN_DKT) and len(absent) == 6:
        text += (
            " These are the regions that the DKT atlas (aparc.DKTatlas+aseg, FastSurfer) does not "
            "have; it draws others differently too. Give aparc+aseg.mgz."
        )
    return [text]


def _name_some(words: Iterable[object]) -> str:
    return name_few(list(map(str, words)), NAMED_AT_MOST)
