"""Pictures made pixel by pixel: matrices as they are, with letters and thin lines around them."""

from copy import copy
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.png import format_png
from kraken_bids.report.theme import CSS_DPI, Bytes
from kraken_bids.resources import is_memory_limited

if TYPE_CHECKING:
    from PIL import Image, ImageFont

CAPITALS = 0.73
"""Height of capitals, in sizes of the letters."""
N_SHADES = 8
"""Steps from white to the colour of a letter or line, so that 256 colours are enough."""
FINER = 4
"""Lines are drawn so many times finer, then made smaller: their edges become soft."""


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
        target[:] = self._number(colours).take(numbers[: target.shape[0], : target.shape[1]])

    def fill(self, left: float, top: float, width: float, height: float, colour: str) -> None:  # noqa: PLR0917
        """Fill a box with one colour."""
        from PIL import ImageColor

        size = max(1, round(height * self.scale)), max(1, round(width * self.scale))
        self.place(left, top, np.zeros(size, dtype=int), np.array([ImageColor.getrgb(colour)]))

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
        align : {'left', 'center', 'right'}
            What of the text lies at x.
        upright : bool
            False for a text that runs upwards, its middle at (x, y).
        """
        place = x * self.scale, y * self.scale
        size = points * CSS_DPI / 72 * self.scale
        corner, shades = place_letters(place, text, size, align=align, upright=upright)
        self._ink(*corner, shades, colour)

    def draw_line(self, points: NDArray[np.floating], colour: str) -> None:
        """Draw a line of one pixel through points [n, 2] of x and y, with soft edges."""
        from PIL import Image, ImageDraw

        at = np.asarray(points, dtype=float) * self.scale
        low = np.floor(at.min(axis=0)).astype(int) - 1
        width, height = (int(n) for n in np.ceil(at.max(axis=0)).astype(int) - low + 2)
        fine = Image.new("L", (width * FINER, height * FINER))
        path = [(float(x), float(y)) for x, y in (at - low + 0.5) * FINER]
        ImageDraw.Draw(fine).line(path, fill=255, width=FINER)
        self._ink(int(low[0]), int(low[1]), fine.reduce(FINER), colour)

    def encode(self) -> bytes:
        """PNG file of the canvas."""
        palette = np.array(list(self.palette), dtype=np.uint8)
        return format_png(self.indices, palette, dpi=CSS_DPI * self.scale)

    def _ink(self, left: int, top: int, shades: "Image.Image", colour: str) -> None:
        """Lay a colour over the canvas, as strongly as the shades (0 … 255) say."""
        steps = np.round(np.asarray(shades) / 255 * (N_SHADES - 1)).astype(np.uint8)
        y, x = max(top, 0), max(left, 0)
        steps = steps[y - top :, x - left :]
        target = self.indices[y : y + steps.shape[0], x : x + steps.shape[1]]
        steps = steps[: target.shape[0], : target.shape[1]]
        target[steps > 0] = self._number(shade_colour(colour))[steps[steps > 0]]

    def copy(self) -> "Canvas":
        """Give another canvas that shows the same so far."""
        other = copy(self)
        other.indices, other.palette = self.indices.copy(), self.palette.copy()
        return other

    def _number(self, colours: Bytes) -> Bytes:
        """Give each colour [n_colours] its number in the palette of the canvas."""
        found = (self.palette.setdefault(tuple(c), len(self.palette)) for c in colours.tolist())
        return np.array(list(found), dtype=np.uint8)


@cache
def shade_colour(colour: str) -> Bytes:
    """Give the steps [8, 3] from white to a colour."""
    from PIL import ImageColor

    white = np.full(3, 255)
    return np.linspace(white, ImageColor.getrgb(colour), N_SHADES).round().astype(np.uint8)


def place_letters(
    place: tuple[float, float],
    text: str,
    size: float,
    *,
    align: str,
    upright: bool,
    is_bold: bool = False,
) -> tuple[tuple[int, int], "Image.Image"]:
    """Left and top of a line of text in pixels, and its shades.

    Parameters
    ----------
    place : tuple of float
        Where it is written, from the left and the top.
    size : float
        Of the letters, in pixels.
    align, upright
        As of :meth:`Canvas.write`.
    """
    from PIL import Image

    shades = draw_letters(text, size, is_bold=is_bold)
    if not upright:
        shades, align = shades.transpose(Image.Transpose.ROTATE_90), "center"
    start = {"left": 0.0, "center": 0.5, "right": 1.0}[align]
    x, y = place
    return (round(x - start * shades.width), round(y - shades.height / 2)), shades


@lru_cache(maxsize=1000)  # a page says the same words again and again
def draw_letters(text: str, size: float, *, is_bold: bool = False) -> "Image.Image":
    """Shades of a line of text: 0 none … 255 the full colour.

    Parameters
    ----------
    size : float
        Of the letters, in pixels.

    Returns
    -------
    PIL.Image.Image
        As wide as its ink; the middle row is the middle of the capitals.
    """
    from PIL import Image, ImageDraw

    font = _load_font(size, "DejaVuSans-Bold" if is_bold else "DejaVuSans")
    left, _, right, _ = font.getbbox(text)
    shades = Image.new("L", (max(1, int(right - left)), 2 * round(1.1 * size) + 1))
    baseline = (shades.height + CAPITALS * size) / 2
    ImageDraw.Draw(shades).text((-left, baseline), text, fill=255, font=font, anchor="ls")
    return shades


@lru_cache
def _load_font(size: float, name: str) -> "ImageFont.FreeTypeFont":
    """Return the letters of the other figures."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    path = f"{get_data_path()}/fonts/ttf/{name}.ttf"
    try:
        return ImageFont.truetype(path, size)
    except OSError as error:  # FreeType without memory for its drivers knows no file's format
        if is_memory_limited():
            raise MemoryError(f"{path}: {error}") from error
        raise
