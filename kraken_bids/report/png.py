"""Small PNG files from drawn figures: at most 256 colours, repeated rows for free."""

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Bytes = NDArray[np.uint8]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
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
    return encode_png(np.ascontiguousarray(pixels), dpi=float(figure.dpi))


def encode_png(pixels: Bytes, *, dpi: float = CSS_DPI) -> bytes:
    """Palette PNG of an RGB image.

    Parameters
    ----------
    pixels : uint8 array [height, width, 3]
        The image. Its 256 most frequent colours are kept exactly; rarer ones (the soft edges of
        letters) become the nearest of these.
    dpi : float
        Stored in the file, so that a page can show it at its intended size.
    """
    palette, indices = quantize_colours(pixels)
    return encode_indices(indices, palette, dpi=dpi)


def encode_indices(indices: Bytes, palette: Bytes, *, dpi: float = CSS_DPI) -> bytes:
    """PNG of numbered colours.

    Parameters
    ----------
    indices : uint8 array [height, width]
        Colour of each pixel, a row of the palette.
    palette : uint8 array [n_colours, 3]
        At most 256 colours.
    dpi : float
        Stored in the file, so that a page can show it at its intended size.
    """
    height, width = indices.shape
    per_metre = round(dpi / 0.0254)
    return b"".join(
        [
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)),
            _chunk(b"PLTE", palette.tobytes()),
            _chunk(b"IDAT", zlib.compress(_filter_rows(indices).tobytes(), COMPRESSION)),
            _chunk(b"IEND", b""),
        ]
    )


def quantize_colours(pixels: Bytes) -> tuple[Bytes, Bytes]:
    """Palette [n_colours, 3] and indices [height, width] of an RGB image [height, width, 3]."""
    channels = pixels.astype(np.uint32)
    packed = (channels[..., 0] << 16) | (channels[..., 1] << 8) | channels[..., 2]
    colours, inverse, counts = _count_colours(packed)
    parts = np.stack([colours >> 16, (colours >> 8) & 255, colours & 255], axis=1)
    kept = np.sort(np.argsort(counts, kind="stable")[::-1][:MAX_COLOURS])
    palette = parts[kept].astype(np.float32)
    lengths = (palette**2).sum(axis=1)
    # in blocks, since distances [n_colours, 256] of a photograph would not fit in memory
    nearest = np.empty(len(colours), dtype=np.uint8)
    for start in range(0, len(colours), 4096):
        block = parts[start : start + 4096].astype(np.float32)
        # squared distance, less what is the same for every colour; exact in these whole numbers
        distance = lengths - 2 * (block @ palette.T)
        nearest[start : start + 4096] = distance.argmin(axis=1)
    return palette.astype(np.uint8), nearest[inverse]


def _count_colours(
    packed: NDArray[np.integer],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Colours [n_colours], ascending, which of them each pixel has, and how many pixels have it.

    As ``np.unique``, which would sort every pixel: in drawings most repeat the one before.
    """
    flat = packed.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(starts, append=len(flat))
    colours, number = np.unique(flat[starts], return_inverse=True)
    counts = np.bincount(number, weights=lengths).astype(np.intp)
    return colours.astype(np.intp), np.repeat(number, lengths).reshape(packed.shape), counts


def read_png_size(png: bytes) -> tuple[int, int]:
    """Width and height in CSS pixels at which a PNG of this module is meant to be shown."""
    width, height = struct.unpack(">II", png[16:24])
    at = png.find(b"pHYs", 0, 128)
    per_metre = struct.unpack(">I", png[at + 4 : at + 8])[0] if at > 0 else CSS_DPI / 0.0254
    scale = CSS_DPI / (per_metre * 0.0254)
    return round(width * scale), round(height * scale)


def _filter_rows(indices: Bytes) -> Bytes:
    """Rows with their filter byte: `up` where a row repeats the one above, else `none`."""
    above = np.vstack([np.zeros((1, indices.shape[1]), np.uint8), indices[:-1]])
    repeats = (indices == above).mean(axis=1, keepdims=True) > 0.9
    shifted = np.where(repeats, indices - above, indices)
    return np.hstack([np.where(repeats, 2, 0).astype(np.uint8), shifted])


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
