"""How labels and streamlines lie on the images of a head: drawn while measuring, then shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import REGISTRATION
from kraken_bids.exceptions import InputError
from kraken_bids.io.png import is_whole_png
from kraken_bids.report import theme
from kraken_bids.report.canvas import Canvas
from kraken_bids.report.section import Section
from kraken_bids.report.theme import Bytes
from kraken_bids.report.words import ALGORITHMS
from kraken_bids.report.written import Written, read_or_none


@dataclass(frozen=True)
class Registration:
    """One picture: contours of a parcellation's regions on the images of the participant."""

    name: str
    """Name of the figure."""
    title: str
    """``fs86 in T1w``."""
    png: bytes
    """Drawn when the connectomes were measured, from images that the page does not need."""
    is_structural: bool = False
    """Whether streamlines are in it."""


def find_registration_pictures(written: Written) -> list[Path]:
    """Find the pictures of one session, without those of runs that were left aside."""
    label = written.member.label
    folder = written.output_dir / f"sub-{written.member.subject}" / "figures"
    found = sorted(folder.glob(f"{label}_{REGISTRATION}_*.png"))
    return [path for path in found if not written.leftovers.holds_picture(path)]


def list_registration(written: Written) -> tuple[Registration, ...]:
    """List the pictures of a session, those on functional data first."""
    found = find_registration_pictures(written)
    rows = (read_or_none(partial(_read, path, written.member.label)) for path in found)
    known = [row for row in rows if row is not None]
    return tuple(sorted(known, key=lambda row: (row.is_structural, row.name)))


def _read(path: Path, label: str) -> Registration:
    if not is_whole_png(path):
        raise InputError(
            f"expected a whole PNG file at {path}; found another. Run the participant level again."
        )
    name = path.stem.removeprefix(f"{label}_")
    entities = parse_name(f"{path.stem}_picture.png")
    algorithm = entities.get("tracks", "")
    what = f"task {entities['task']} " if "task" in entities else ""
    what = f"streamlines of {ALGORITHMS.get(algorithm, algorithm)} " if algorithm else what
    title = f"{entities.get('atlas', '')} on {what}in {entities.get('space', 'unknown')}"
    return Registration(name, title, path.read_bytes(), bool(algorithm))


WIDTH = 1060.0
NAMES = 74.0
GAP = 6.0
TOP = 20.0
SCALE = 1.5
N_GREYS = 28
N_HEAT = 8
SIDES = {"L": "#ff9d2e", "R": "#35c9ff", "M": "#a6e22e"}
"""Contours: left, right, neither."""
HEAT = ("#40206e", "#7b2382", "#b63679", "#e75263", "#fb8861", "#fec287", "#fcf0b2", "#ffffff")
"""Few streamlines to many."""
PLAIN = 0.35
"""Grey of regions where no image lies behind them."""


@dataclass(frozen=True)
class Look:
    """One image on all planes, with what lies over it."""

    name: str
    """``BOLD``, ``T1w`` …"""
    image: Sequence[NDArray[np.floating] | None]
    """Per plane: grey values [rows, columns]; None for a plain picture of the regions."""
    labels: Sequence[NDArray[np.integer]]
    """Per plane: region numbers [rows, columns]; 0 outside."""
    density: Sequence[NDArray[np.floating]] = ()
    """Per plane: streamlines [rows, columns]; empty where there are none to show."""


def count_columns() -> int:
    """Columns of pixels that the planes of a figure share."""
    return int((WIDTH - NAMES - 5 * GAP) * SCALE)


def draw_registration(
    looks: Sequence[Look], titles: Sequence[str], hemispheres: Sequence[str]
) -> bytes:
    """PNG of contours of regions, and streamlines, on slices through a head.

    Parameters
    ----------
    looks : sequence of Look
        One row of the figure each.
    titles : sequence of str
        Where the planes lie.
    hemispheres : sequence of {'L', 'R', 'M'}
        Of the regions, by number.
    """
    height = max(len(one) for one in looks[0].labels) / SCALE
    canvas = Canvas(WIDTH, TOP + len(looks) * (height + GAP), scale=SCALE)
    palette = _list_colours()
    sides = np.array([0, *(list(SIDES).index(side) + 1 for side in hemispheres)])
    for row, look in enumerate(looks):
        top, left = TOP + row * (height + GAP), NAMES
        for k, line in enumerate(look.name.split("\n")):
            canvas.write(0, top + 14 + 17 * k, line, points=theme.NORMAL, colour=theme.TEXT)
        greys = _scale_greys(look.image)
        for k, labels in enumerate(look.labels):
            numbers = _paint(labels, greys[k], look.density[k] if look.density else None, sides)
            rows, columns = (n / SCALE for n in numbers.shape)
            canvas.place(left, top + (height - rows) / 2, numbers, palette)
            if row == 0:
                canvas.write(
                    left + columns / 2, 8, titles[k],
                    points=theme.SMALL, colour=theme.MUTED, align="center",
                )  # fmt: skip
            left += columns + GAP
    return canvas.encode()


def find_contours(labels: NDArray[np.integer], sides: NDArray[np.integer]) -> NDArray[np.intp]:
    """Side of the region at every pixel that lies at a border; 0 elsewhere.

    Parameters
    ----------
    labels : ndarray of int [rows, columns]
    sides : ndarray of int [n_regions + 1]
        By number of the region; the first is that of the background.
    """
    border = np.zeros(labels.shape, bool)
    border[1:] |= labels[1:] != labels[:-1]
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    # the border of a region to the background may fall on the background
    own = labels.copy()
    own[1:] = np.where(own[1:] == 0, labels[:-1], own[1:])
    own[:, 1:] = np.where(own[:, 1:] == 0, labels[:, :-1], own[:, 1:])
    return np.where(border, sides[own], 0)


def _list_colours() -> Bytes:
    """Greys, then heat, then the colours of the contours [n_colours, 3]."""
    greys = np.linspace(0, 255, N_GREYS).round().astype(np.uint8)
    hexes = [*HEAT, *SIDES.values()]
    others = [[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in hexes]
    return np.vstack([np.repeat(greys[:, None], 3, axis=1), np.array(others, np.uint8)])


def _scale_greys(
    images: Sequence[NDArray[np.floating] | None],
) -> list[NDArray[np.float64] | None]:
    """Values between 0 and 1, dark to light over all planes together."""
    known = [np.nan_to_num(image) for image in images if image is not None]
    values = np.concatenate([image.ravel() for image in known]) if known else np.zeros(1)
    values = values[values > 0]
    low, high = np.percentile(values, (1, 99.5)) if values.size else (0.0, 1.0)
    span = max(float(high - low), 1e-12)
    return [
        None if image is None else np.clip((np.nan_to_num(image) - low) / span, 0, 1)
        for image in images
    ]


def _paint(
    labels: NDArray[np.integer],
    grey: NDArray[np.float64] | None,
    density: NDArray[np.floating] | None,
    sides: NDArray[np.integer],
) -> NDArray[np.intp]:
    """Choose the colour of every pixel, by number [rows, columns]."""
    shade = np.where(labels > 0, PLAIN, 0.0) if grey is None else grey
    numbers = np.round((0.8 if density is None else 0.6) * shade * (N_GREYS - 1)).astype(np.intp)
    if density is not None:
        level = np.log1p(density) / max(float(np.log1p(density).max()), 1e-12)
        heat = np.minimum((level * N_HEAT).astype(np.intp), N_HEAT - 1)
        numbers = np.where(level > 1 / N_HEAT, N_GREYS + heat, numbers)
    contours = find_contours(labels, sides)
    return np.where(contours > 0, N_GREYS + N_HEAT - 1 + contours, numbers)


SECTION = Section(
    "registration",
    "Registration",
    "registration.html",
    lambda written: list_registration(written) or None,
    draw=lambda rows: {row.name: row.png for row in rows},
    figures=("registration_",),
)
