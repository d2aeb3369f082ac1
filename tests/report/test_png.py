import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from kraken_bids.report.png import SIGNATURE, draw_png, encode_png, quantize_colours, read_png_size
from kraken_bids.report.theme import new_figure


def decode(png: bytes) -> np.ndarray:
    return (imread(io.BytesIO(png))[..., :3] * 255).round().astype(np.uint8)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 200), st.integers(0, 2**31))
def test_images_of_few_colours_survive_exactly(height, width, n_colours, seed):
    """An image of at most 256 colours, enlarged cells included, is read back unchanged."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (n_colours, 3), dtype=np.uint8)
    pixels = colours[rng.integers(0, n_colours, (height, width))].repeat(3, axis=0)
    np.testing.assert_array_equal(decode(encode_png(pixels)), pixels)


def test_rare_colours_become_their_nearest_neighbours():
    """Of more than 256 colours the frequent ones stay exact and the rest end close by."""
    frequent = np.repeat(np.arange(200, dtype=np.uint8), 50)
    rare = np.arange(200, dtype=np.uint8)
    pixels = np.zeros((1, len(frequent) + len(rare), 3), dtype=np.uint8)
    pixels[0, : len(frequent), 0] = frequent
    pixels[0, len(frequent) :, 0], pixels[0, len(frequent) :, 1] = rare, 1
    palette, indices = quantize_colours(pixels)
    shown = palette[indices].astype(int)
    assert len(palette) == 256
    np.testing.assert_array_equal(shown[0, : len(frequent), 0], frequent)
    assert np.abs(shown - pixels).max() <= 1


def test_figures_are_shown_at_their_css_size():
    """A figure of 320 x 200 CSS pixels drawn 1.75 times finer still says 320 x 200."""
    png = draw_png(new_figure(320, 200))
    assert png.startswith(SIGNATURE)
    assert decode(png).shape == (350, 560, 3)
    assert read_png_size(png) == (320, 200)
