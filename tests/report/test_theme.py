import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from kraken_bids.report.theme import draw_png, encode_png, new_figure, read_png_size


def encode(rgb: np.ndarray) -> bytes:
    return encode_png(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]))


def decode(png: bytes) -> np.ndarray:
    return (imread(io.BytesIO(png))[..., :3] * 255).round().astype(np.uint8)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 256), st.integers(0, 2**31))
def test_images_of_few_colours_survive_exactly(height, width, n_colours, seed):
    """An image of at most 256 colours, enlarged cells included, is read back unchanged."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (n_colours, 3), dtype=np.uint8)
    pixels = colours[rng.integers(0, n_colours, (height, width))].repeat(3, axis=0)
    np.testing.assert_array_equal(decode(encode(pixels)), pixels)


def test_similar_colours_become_one():
    """Of more than 256 colours, the pixels of a drawing stay close to what they were."""
    ramp = np.linspace(0, 255, 300).round().astype(np.uint8)
    pixels = np.stack([ramp, ramp[::-1], np.full(300, 7, np.uint8)], axis=1)[None].repeat(
        20, axis=0
    )
    shown = decode(encode(pixels)).astype(int)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) <= 256
    assert np.abs(shown - pixels).max() <= 4


def test_frequent_colours_of_many_stay_as_they_are():
    """White and the colour of a large area survive beside thousands of shades."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    flat = np.broadcast_to(np.array([[233, 236, 239], [255, 255, 255]], np.uint8), (100, 2, 3))
    pixels = np.concatenate([noise.reshape(100, 60, 3), flat.repeat(5, axis=1)], axis=1)
    shown = decode(encode(pixels))
    np.testing.assert_array_equal(shown[:, 60:], pixels[:, 60:])
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) <= 256


def test_figures_are_shown_at_their_css_size():
    """A figure of 320 x 200 CSS pixels drawn 1.75 times finer still says 320 x 200."""
    png = draw_png(new_figure(320, 200))
    assert read_png_size(png) > (0, 0)
    assert decode(png).shape == (350, 560, 3)
    assert read_png_size(png) == (320, 200)
