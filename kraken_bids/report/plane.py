"""A figure without axes, each of which takes milliseconds: shapes, images, letters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kraken_bids.report import theme
from kraken_bids.report.canvas import place_letters
from kraken_bids.report.section import Floats
from kraken_bids.report.theme import CSS_DPI, Bytes, encode_png

if TYPE_CHECKING:
    from matplotlib.collections import Collection
    from matplotlib.figure import Figure
    from PIL import Image

Box = tuple[float, float, float, float]
"""Left, top, width and height."""
Ticks = Sequence[tuple[float, str]]


class Plane:
    """What is drawn on a whole figure, in CSS pixels from its upper left corner.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        From :func:`~kraken_bids.report.theme.new_figure`; it may have axes as well.
    """

    def __init__(self, figure: "Figure") -> None:
        self.figure = figure
        self.scale = float(figure.dpi) / CSS_DPI
        height = float(figure.get_size_inches()[1]) * CSS_DPI
        self._places = theme.transforms.Affine2D().translate(0, -height).scale(self.scale)
        self._places.scale(1, -1)
        self._images: list[tuple[tuple[int, int], Image.Image]] = []
        self._texts: list[tuple[tuple[int, int], Image.Image, str]] = []

    def add(self, shapes: "Collection") -> None:
        """Add shapes whose corners are places; later ones cover earlier ones."""
        shapes.set_transform(self._places)
        self._cover(shapes)

    def add_lines(self, lines: Any, **style: Any) -> None:
        """Add lines, each an array [n_points, 2] of places."""
        self.add(theme.collections.LineCollection(lines, **style))

    def add_dots(self, places: Floats, sizes: Any, **style: Any) -> None:
        """Add dots.

        Parameters
        ----------
        places : array [n_dots, 2]
            To the right and down.
        sizes : float or array [n_dots]
            Squared diameters in points, as of matplotlib's ``scatter``.
        """
        circle = theme.path.Path.unit_circle().transformed(theme.transforms.Affine2D().scale(0.5))
        dots = theme.collections.PathCollection(
            [circle], np.atleast_1d(sizes), offsets=places, offset_transform=self._places, **style
        )
        dots.set_transform(theme.transforms.IdentityTransform())
        self._cover(dots)

    def _cover(self, shapes: "Collection") -> None:
        shapes.set_zorder(len(self.figure.artists))
        self.figure.add_artist(shapes)

    def place(self, box: Box, rgb: Bytes) -> None:
        """Place an image [height, width, 3] into a box."""
        from PIL import Image

        left, top, width, height = (round(n * self.scale) for n in box)
        shown = Image.fromarray(rgb).resize((width, height), Image.Resampling.BOX)
        self._images.append(((left, top), shown))

    def write(  # noqa: PLR0913 - a place and the look of a text
        self,
        x: float,
        y: float,
        text: str,
        *,
        points: float = theme.NORMAL,
        colour: str = theme.TEXT,
        align: str = "left",
        is_bold: bool = False,
        upright: bool = True,
    ) -> None:
        """Write a line of text over everything else; y is the middle of its capitals.

        Parameters
        ----------
        align : {'left', 'center', 'right'}
            What of the text lies at x.
        upright : bool
            False for a text that runs upwards, its middle at (x, y).
        """
        place = x * self.scale, y * self.scale
        size = points * CSS_DPI / 72 * self.scale
        corner, shades = place_letters(
            place, text, size, align=align, is_bold=is_bold, upright=upright
        )
        self._texts.append((corner, shades, colour))

    def draw_scales(
        self, box: Box, x_ticks: Ticks, y_ticks: Ticks = (), *, labels: tuple[str, str]
    ) -> None:
        """Draw the scales of a plot below it and at its left, with their labels.

        Parameters
        ----------
        box : tuple of float
            Left, top, width and height of the plot.
        x_ticks, y_ticks : sequence of (float, str)
            Places, from the left and top of the figure, and words; none leaves the words out.
        """
        left, top, width, height = box
        bottom = top + height
        style: dict[str, Any] = {"points": theme.SMALL, "colour": theme.MUTED}
        lines = [[(left, top), (left, bottom), (left + width, bottom)]]
        for x, text in x_ticks:
            lines.append([(x, bottom), (x, bottom + 4)])
            self.write(x, bottom + 13, text, align="center", **style)
        for y, text in y_ticks:
            lines.append([(left - 4, y), (left, y)])
            self.write(left - 9, y, text, align="right", **style)
        self.add_lines(lines, colors=theme.LINE, linewidths=0.8)
        x_label, y_label = labels
        self.write(left + width / 2, bottom + 29, x_label, align="center", colour=theme.MUTED)
        room = 24 + 6 * max((len(text) for _, text in y_ticks), default=0)
        middle = top + height / 2
        self.write(left - room, middle, y_label, colour=theme.MUTED, upright=False)

    def draw(self) -> bytes:
        """PNG file of the figure and all that lies on it."""
        from PIL import Image

        whole = Image.fromarray(theme.draw_pixels(self.figure))
        for corner, image in self._images:
            whole.paste(image, corner)
        for corner, shades, colour in self._texts:
            whole.paste(colour, corner, shades)
        return encode_png(np.asarray(whole), dpi=float(self.figure.dpi))
