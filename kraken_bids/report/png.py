"""Small PNG files from drawn figures, by Pillow: at most 256 colours."""

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Bytes = NDArray[np.uint8]

CSS_DPI = 100.0
"""Figures are laid out in hundredths of an inch, one per CSS pixel, and drawn finer."""
MAX_COLOURS = 256
COMPRESSION = 6


def draw_png(figure: "Figure") -> bytes:
    """PNG file of a matplotlib figure at the figure's own resolution.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Made without pyplot; it is drawn on an opaque Agg canvas.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    return encode_png(Image.fromarray(np.ascontiguousarray(pixels)), dpi=float(figure.dpi))


def encode_png(image: Image.Image, *, dpi: float = CSS_DPI) -> bytes:
    """Palette PNG of an RGB image.

    Parameters
    ----------
    image : PIL.Image.Image
        Images of at most 256 colours keep them exactly; of more, similar ones become one.
    dpi : float
        Stored in the file, so that a page can show it at its intended size.
    """
    few = image.quantize(MAX_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    return save_png(few, dpi=dpi)


def save_png(image: Image.Image, *, dpi: float = CSS_DPI) -> bytes:
    """PNG file of an image as it is."""
    written = io.BytesIO()
    image.save(written, "png", compress_level=COMPRESSION, dpi=(dpi, dpi))
    return written.getvalue()


def read_png_size(png: bytes) -> tuple[int, int]:
    """Width and height in CSS pixels at which a PNG is meant to be shown."""
    with Image.open(io.BytesIO(png)) as image:
        scale = CSS_DPI / image.info.get("dpi", (CSS_DPI, CSS_DPI))[0]
        return round(image.width * scale), round(image.height * scale)
