"""PNG files of pictures of few colours."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kraken_bids.io.png import format_png, is_whole_png


@pytest.mark.parametrize("shape", [(1, 1), (300, 7), (86, 86)])
def test_pixels_and_resolution_are_what_was_given(shape: tuple[int, int]) -> None:
    """One byte for each pixel, however many colours there are."""
    rng = np.random.default_rng(1)
    palette = rng.integers(0, 256, (256, 3), dtype=np.uint8)
    numbers = rng.integers(0, 256, shape, dtype=np.uint8)

    found = Image.open(io.BytesIO(format_png(numbers, palette, dpi=200.0)))

    np.testing.assert_array_equal(np.asarray(found.convert("RGB")), palette[numbers])
    assert found.info["dpi"] == pytest.approx((200, 200), abs=0.01)
    assert found.mode == "P"


def test_half_a_file_is_not_whole(tmp_path: Path) -> None:
    """Nor is one that is not there."""
    path, png = (
        tmp_path / "a.png",
        format_png(np.zeros((9, 9), np.uint8), np.zeros((1, 3), np.uint8), dpi=100),
    )
    assert not is_whole_png(path)
    path.write_bytes(png)
    assert is_whole_png(path)
    path.write_bytes(png[: len(png) // 2])
    assert not is_whole_png(path)
