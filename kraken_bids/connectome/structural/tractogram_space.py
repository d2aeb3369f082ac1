"""Whether a tractogram and a label image lie in the same space, judged by their fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.structural.nearest_labels import RegionSearch, find_regions, is_inside
from kraken_bids.exceptions import InputError

SAMPLE_SIZE = 2_000
SCREEN_SIZE = 400
"""Points that tell which axes to turn round; their share is then taken of the whole sample."""
MIN_SHARE = 0.2
"""Fewer ends than this near a region cannot be the same space (good data: half or more)."""
FLIP_DOUBT = 0.05
FLIP_MARGIN = 0.06
"""Whole brains whose place is right reach 0.055: what an atlas does not cover, or strays below the
brain."""
CELL_MM = 12.0
MIN_CELLS = 300
"""Cells of that size that hold an end. One side of a brain has 500 and more; a few bundles have at
most 190, and lie as well, or better, where an axis is turned round."""
SHIFT_MARGIN = 0.1
MIN_TAIL = 1 / 3
"""A shift moves the ends on both sides; half a brain, or strays below it, only the centre."""
MIN_SHIFT_MM = 8.0
"""Centres of ends and labels differ by a few mm in good data too."""
SIDES = {"x": "left and right", "y": "front and back", "z": "top and bottom"}
FLIPS = tuple(
    "".join(axis for axis, is_turned in zip(SIDES, turned, strict=True) if is_turned)
    for turned in product((False, True), repeat=3)
    if any(turned)
)
"""Axes that may run the wrong way: one, two or all three."""


@dataclass(frozen=True)
class SpaceFit:
    """Shares of streamline ends that lie near a region, as given and under alternatives."""

    given: float
    """As given."""
    flipped: float
    """With axes turned round about the origin, about the middle of the label image, or about the
    centre of the ends, which is then moved onto that of the labels: the largest share. 0, and not
    measured, where nearly all lie near a region as given."""
    flip: str
    """Which axes these are: ``x``, ``yz`` …; empty where that was not measured."""
    recentred: float
    """With the centre of the ends moved onto that of the labels."""
    shift_mm: float
    """How far that move is."""
    inside_image: float
    """Share of ends in the box of the label image."""
    moved_mm: float = np.inf
    """How far that move, along its direction, is needed by the first and the last ends alike."""
    n_cells: int = 0
    """Cubes of 12 mm that hold one of the ends: how far they are spread."""


def measure_space_fit(search: RegionSearch, ends: NDArray[np.floating]) -> SpaceFit:
    """Share of ends near a region, as given, recentred, and with one to three axes turned round.

    Of ends [..., 3], RAS mm, every k-th is used where there are more than 2000. All 0 where no end
    is finite.
    """
    points = ends.reshape(-1, 3)
    points = points[:: max(1, len(points) // SAMPLE_SIZE)].astype(np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return SpaceFit(0.0, 0.0, "", 0.0, 0.0, 0.0)
    centre = search.centre
    shift = centre - points.mean(axis=0)

    def share(moved: NDArray[np.float64]) -> float:
        return float((find_regions(search, moved) > 0).mean())

    middle = search.affine[:3, :3] @ ((np.array(search.labels.shape) - 1) / 2)
    # an axis is exchanged by a wrong header (about the middle), or a wrong convention (the origin)
    pivots = (
        (points, np.zeros(3)),
        (points, middle + search.affine[:3, 3]),
        (points + shift, centre),
    )
    given = share(points)
    # no flip could be so much better that it tells, where nearly all lie near a region
    is_judged = given + FLIP_MARGIN < 1
    flipped, flip = _find_flip(pivots, share) if is_judged else (0.0, "")
    return SpaceFit(
        given=given,
        flipped=flipped,
        flip=flip,
        recentred=share(points + shift),
        shift_mm=float(np.linalg.norm(shift)),
        inside_image=float(is_inside(search, points).mean()),
        moved_mm=_measure_tails(search, points, shift),
        n_cells=len(np.unique(np.floor(points / CELL_MM), axis=0)),
    )


def _find_flip(
    pivots: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    share: Callable[[NDArray[np.float64]], float],
) -> tuple[float, str]:
    """Largest share with axes turned round, and which axes; chosen by some of the points."""
    some = slice(None, None, max(1, len(pivots[0][0]) // SCREEN_SIZE) | 1)  # odd: starts and ends
    screened = {
        axes: max(share(_flip(own[some], pivot, axes)) for own, pivot in pivots) for axes in FLIPS
    }
    flip = max(screened, key=lambda axes: screened[axes])
    return max(share(_flip(*pivot, flip)) for pivot in pivots), flip


def _measure_tails(
    search: RegionSearch, points: NDArray[np.float64], shift: NDArray[np.float64]
) -> float:
    """Smaller move of the first and the last ends onto those of the labels, along the shift."""
    step = max(1, min(search.labels.shape) // 40)
    voxels = step * np.argwhere(search.labels[::step, ::step, ::step] > 0)
    places = voxels @ search.affine[:3, :3].T + search.affine[:3, 3]
    length = float(np.linalg.norm(shift))
    if length == 0 or not len(places):
        return 0.0
    ends, labels = (np.percentile(one @ (shift / length), [2, 98]) for one in (points, places))
    return float((labels - ends).min())


def _flip(
    points: NDArray[np.float64], pivot: NDArray[np.float64], axes: str
) -> NDArray[np.float64]:
    signs = np.array([-1.0 if axis in axes else 1.0 for axis in SIDES])
    turned: NDArray[np.float64] = (points - pivot) * signs + pivot
    return turned


def check_space(
    fit: SpaceFit, where: str, *, way_out: str = "Give --parcellation ATLAS=FILE for this."
) -> str:
    """Raise unless streamlines and labels plausibly lie in the same space; doubts are returned.

    Refused: fewer than 20 % of ends near a region; of ends that are spread over a brain, 6 points
    more with one, two or three axes turned round, or 10 more if moved by at least 8 mm so that
    the centres agree, and both sides of them better too. A brain is nearly symmetric, so a
    left-right flip of good data may pass: this catches gross errors and replaces no look at the
    images.

    Parameters
    ----------
    fit : SpaceFit
    where : str
        The tractogram and the label image, for the message.
    way_out : str, optional
        Which option of the command helps.

    Returns
    -------
    str
        A doubt: 5 points more by a flip or 10 by a shift, without the rest of what is refused; or
        ''.

    Raises
    ------
    InputError
        Saying which shares were found.
    """
    share = f"{fit.given:.0%} of the streamline ends lie near a region"
    gain = fit.flipped - max(fit.given, fit.recentred)
    sides = ", ".join(SIDES[axis] for axis in fit.flip)
    flipped = f"{share}, but {fit.flipped:.0%} with {sides} exchanged"
    is_shifted = fit.shift_mm >= MIN_SHIFT_MM and fit.recentred > fit.given + SHIFT_MARGIN
    shifted = f"{share}, but {fit.recentred:.0%} after a shift of {fit.shift_mm:.0f} mm"
    if gain > FLIP_MARGIN and fit.n_cells >= MIN_CELLS:
        raise _refuse(fit, where, flipped, way_out)
    if is_shifted and fit.n_cells >= MIN_CELLS and fit.moved_mm >= fit.shift_mm * MIN_TAIL:
        raise _refuse(fit, where, shifted, way_out)
    if fit.given < MIN_SHARE:
        raise _refuse(fit, where, f"only {share}", way_out)
    doubt = flipped if gain > FLIP_DOUBT else shifted if is_shifted else ""
    return doubt and (
        f"{where}: {doubt}. That can be so where streamlines lie in a few places, or beyond "
        "what the atlas covers; look at them together."
    )


def _refuse(fit: SpaceFit, where: str, reason: str, way_out: str) -> InputError:
    return InputError(
        f"{where}: expected streamlines and labels in the same space; {reason} "
        f"({fit.inside_image:.0%} lie inside the image at all). Give a label image in the "
        f"space of the tractogram, or the transform between the two. {way_out} Tracks that "
        "were converted without their image's header are to be converted anew with it."
    )
