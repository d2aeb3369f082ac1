import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kraken_bids.io.png import format_png


def reference(numbers: np.ndarray, palette: np.ndarray, dpi: float) -> Image.Image:
    """Read the picture as Pillow writes it."""
    image = Image.fromarray(numbers)
    image.putpalette(palette.tobytes())
    written = io.BytesIO()
    image.save(written, "png", dpi=(dpi, dpi))
    return Image.open(written)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 256), st.integers(0, 2**31))
def test_pillow_reads_what_it_would_have_written(height, width, n_colours, seed):
    """Pixels, palette and resolution are those of the file that Pillow writes."""
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (n_colours, 3), dtype=np.uint8)
    numbers = rng.integers(0, n_colours, (height, width), dtype=np.uint8)
    dpi = float(rng.uniform(50, 400))
    expected = reference(numbers, palette, dpi)
    found = Image.open(io.BytesIO(format_png(numbers, palette, dpi=dpi)))
    np.testing.assert_array_equal(np.asarray(found.convert("RGB")), palette[numbers])
    assert found.info["dpi"] == expected.info["dpi"]
    assert found.mode == "P"


@pytest.mark.parametrize("place", [20, 60, -20])
def test_a_damaged_file_is_seen(place):
    """Every chunk ends with a checksum of it, by which Pillow sees a flipped bit."""
    numbers = np.arange(64, dtype=np.uint8).reshape(8, 8)
    png = bytearray(format_png(numbers, np.zeros((64, 3), np.uint8), dpi=100))
    png[place] ^= 1
    with pytest.raises((OSError, SyntaxError)):
        Image.open(io.BytesIO(png)).load()
