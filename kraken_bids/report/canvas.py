"""Pictures of numbered colours: matrices as they are, with letters and thin lines around them."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kraken_bids.report.png import CSS_DPI, Bytes, encode_indices

N_SHADES = 8
"""Steps from white to the colour of a letter or line."""
CAPITALS = 0.73
"""Height of capitals, in sizes of the letters."""
MAX_SIZE = 1000
"""Figures drawn in one run whose texts are remembered."""


class Canvas:
    """A white picture to place images, letters and lines on, in CSS pixels from its upper left.

    Parameters
    ----------
    width, height : float
        CSS pixels.
    scale : float
        Pixels per CSS pixel.
    """

    def __init__(self, width: float, height: float, *, scale: float) -> None:
        self.scale = scale
        self.indices = np.zeros((round(height * scale), round(width * scale)), dtype=np.uint8)
        self.palette: dict[tuple[int, ...], int] = {(255, 255, 255): 0}

    def place(self, left: float, top: float, numbers: NDArray[np.integer], colours: Bytes) -> None:
        """Place an image, pixel by pixel.

        Parameters
        ----------
        left, top : float
            CSS pixels.
        numbers : int array [height, width]
            Colour of each pixel, a row of ``colours``; beyond the canvas they are cut off.
        colours : uint8 array [n_colours, 3]
        """
        y, x = round(top * self.scale), round(left * self.scale)
        target = self.indices[y : y + numbers.shape[0], x : x + numbers.shape[1]]
        target[:] = self._number(colours)[numbers[: target.shape[0], : target.shape[1]]]

    def fill(self, left: float, top: float, width: float, height: float, colour: str) -> None:  # noqa: PLR0917
        """Fill a box with one colour."""
        size = max(1, round(height * self.scale)), max(1, round(width * self.scale))
        self.place(left, top, np.zeros(size, dtype=int), _bytes(colour)[None])

    def write(  # noqa: PLR0913 - a place and the look of a text
        self,
        x: float,
        y: float,
        text: str,
        *,
        points: float,
        colour: str,
        align: str = "left",
        upright: bool = True,
    ) -> None:
        """Write a line of text; y is the middle of its capitals.

        Parameters
        ----------
        x, y : float
            CSS pixels.
        text : str
            As it is: a ``$`` is no formula.
        points : float
            Size; a point is 1/72 inch and an inch 100 CSS pixels, as in the other figures.
        colour : str
        align : {'left', 'center', 'right'}
            What of the text lies at x.
        upright : bool
            False for a text that runs upwards, its middle at (x, y).
        """
        shades = draw_letters(text, points, CSS_DPI * self.scale)
        height, width = shades.shape
        if not upright:
            shades, (height, width) = np.rot90(shades), (width, height)
            align = "center"
        start = {"left": 0.0, "center": 0.5, "right": 1.0}[align]
        left, top = round(x * self.scale - start * width), round(y * self.scale - height / 2)
        self._blend(left, top, shades, colour)

    def draw_line(self, points: NDArray[np.floating], colour: str) -> None:
        """Draw a line of one pixel through points [n, 2] of x and y, with soft edges."""
        at = np.asarray(points, dtype=float) * self.scale
        pieces = [np.linspace(a, b, max(2, int(4 * np.abs(b - a).max()))) for a, b in pairwise(at)]
        path = np.concatenate(pieces)
        low = np.floor(path.min(axis=0)).astype(int)
        shades = np.zeros((np.ceil(path.max(axis=0)).astype(int) - low + 2)[::-1])
        whole = np.floor(path).astype(int)
        part, cell = path - whole, whole - low
        for i in (0, 1):
            for j in (0, 1):
                weight = np.abs(1 - i - part[:, 0]) * np.abs(1 - j - part[:, 1])
                np.maximum.at(shades, (cell[:, 1] + j, cell[:, 0] + i), weight)
        numbers = np.round(shades * (N_SHADES - 1)).astype(np.uint8)
        self._blend(int(low[0]), int(low[1]), numbers, colour)

    def encode(self) -> bytes:
        """PNG file of the canvas."""
        palette = np.array(list(self.palette), dtype=np.uint8)
        return encode_indices(self.indices, palette, dpi=CSS_DPI * self.scale)

    def _blend(self, left: int, top: int, shades: Bytes, colour: str) -> None:
        """Lay shades (0 … 7) of a colour over the canvas where they are not white."""
        ramp = np.linspace(np.full(3, 255), _bytes(colour), N_SHADES).round().astype(np.uint8)
        y, x = max(top, 0), max(left, 0)
        shades = shades[y - top :, x - left :]
        target = self.indices[y : y + shades.shape[0], x : x + shades.shape[1]]
        shades = shades[: target.shape[0], : target.shape[1]]
        target[shades > 0] = self._number(ramp)[shades[shades > 0]]

    def _number(self, colours: Bytes) -> Bytes:
        """Give each colour [n_colours] its number in the palette of the canvas."""
        found = (self.palette.setdefault(tuple(c), len(self.palette)) for c in colours.tolist())
        return np.array(list(found), dtype=np.uint8)


@lru_cache(maxsize=MAX_SIZE)
def draw_letters(text: str, points: float, dpi: float) -> Bytes:
    """Shades of a line of text.

    Drawn once each, since a page says the same words again and again.

    Returns
    -------
    uint8 array [height, width]
        0 white … 7 the full colour; the middle row is the middle of the capitals.
    """
    size = points * dpi / 72
    width, height = 1.1 * size * len(text) + 4, 2 * round(1.1 * size) + 1
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, facecolor="white")
    baseline = 0.5 - CAPITALS * size / 2 / height
    figure.text(2 / width, baseline, text, fontsize=points, color="black", parse_math=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    grey = np.asarray(canvas.buffer_rgba())[..., 0]  # type: ignore[no-untyped-call]
    shades: Bytes = np.round((255 - grey.astype(float)) / 255 * (N_SHADES - 1)).astype(np.uint8)
    inked = np.flatnonzero(shades.any(axis=0))
    return shades[:, inked[0] : inked[-1] + 1] if inked.size else shades[:, :0]


def _bytes(colour: str) -> Bytes:
    return np.round(255 * np.array(to_rgb(colour))).astype(np.uint8)
