"""At most 256 colours for a picture."""

import numpy as np
from numpy.typing import NDArray

MAX_COLOURS = 256
WHITE = 0xFFFFFF
N_EXACT = 128
"""Colours that are kept as they are, the most frequent ones."""
COARSE = 0xFCFCFC


def choose_palette(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Choose at most 256 colours for an opaque image.

    Parameters
    ----------
    pixels : uint8 array [height, width, 4]
        Images of at most 256 colours keep them exactly; of more, similar ones become the most
        frequent of them.

    Returns
    -------
    numbers : uint8 array [height, width]
        Row of the palette of each pixel.
    palette : uint8 array [n_colours, 3]
        Red, green and blue.
    """
    codes = np.ascontiguousarray(pixels).reshape(-1, 4).view("<u4")[:, 0] & WHITE
    # most pixels are like the one before them: sorting all of them would take far longer
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    lengths = np.diff(starts, append=len(codes))
    found, places = _number_codes(codes[starts])
    numbers, palette = _choose_colours(found, np.bincount(places, lengths).astype(np.intp))
    whole = numbers[places].repeat(lengths).reshape(pixels.shape[:2])
    return whole, _split_codes(palette)


def _number_codes(codes: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.intp]]:
    """Give different codes, and which of them each is, as ``numpy.unique`` in half the time."""
    half = np.uint64(32)
    # codes and their places are sorted as one number
    both = np.sort((codes.astype(np.uint64) << half) | np.arange(len(codes), dtype=np.uint64))
    ordered = (both >> half).astype(np.uint32)
    is_new = np.append(True, ordered[1:] != ordered[:-1])
    places = np.empty(len(codes), np.intp)
    places[both.astype(np.uint32)] = np.cumsum(is_new) - 1
    return ordered[is_new], places


def _choose_colours(
    codes: NDArray[np.integer], counts: NDArray[np.integer]
) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Choose at most 256 of the colours of an image.

    Parameters
    ----------
    codes, counts : int array [n_colours]
        Different colours, and how many pixels have each.

    Returns
    -------
    numbers : uint8 array [n_colours]
        Row of the palette that stands for each colour.
    palette : int array [n_chosen]
        Codes.
    """
    from PIL import Image

    if len(codes) <= MAX_COLOURS:
        return np.arange(len(codes), dtype=np.uint8), codes
    ranks = np.argsort(np.argsort(-counts, kind="stable"))
    rare = ranks >= N_EXACT
    # each colour once; white, which this would change, is among the frequent ones
    image = Image.fromarray(_split_codes(codes[rare] & COARSE)[None])
    few = image.quantize(MAX_COLOURS - N_EXACT, Image.Quantize.FASTOCTREE)
    ranks[rare] = N_EXACT + np.asarray(few)[0]
    _, groups = np.unique(ranks, return_inverse=True)
    order = np.lexsort((counts, groups))
    most_frequent = order[np.append(np.diff(groups[order]) > 0, True)]
    return groups.astype(np.uint8), codes[most_frequent]


def _split_codes(codes: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Red, green and blue [n, 3] of colours as one number, red in its lowest byte."""
    return np.asarray(codes[:, None] >> np.array([0, 8, 16]), dtype=np.uint8)
