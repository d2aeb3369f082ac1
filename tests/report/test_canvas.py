import io

import numpy as np
import pytest
from matplotlib.image import imread

from kraken_bids.report import canvas as canvases
from kraken_bids.report.canvas import Canvas, draw_letters
from kraken_bids.report.theme import read_png_size

RED = np.array([[255, 0, 0]], dtype=np.uint8)


def decode(canvas: Canvas) -> np.ndarray:
    return (imread(io.BytesIO(canvas.encode()))[..., :3] * 255).round().astype(int)


def ink(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns that are not white."""
    dark = (decode(canvas) < 255).any(axis=2)
    return np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))


def test_an_image_lies_where_it_was_placed():
    """Pixels keep their colours at the place asked for; what lies beyond the canvas is cut."""
    canvas = Canvas(40, 30, scale=2.0)
    canvas.place(10, 5, np.zeros((4, 6), int), RED)
    canvas.place(38, 28, np.zeros((50, 50), int), RED)
    rgb = decode(canvas)
    expected = np.full((60, 80, 3), 255)
    expected[10:14, 20:26] = expected[56:, 76:] = RED
    np.testing.assert_array_equal(rgb, expected)
    assert read_png_size(canvas.encode()) == (40, 30)


def test_texts_are_aligned_at_their_place():
    """The right end, or the middle, of a text lies at x, and the middle of capitals at y."""
    for align, reach in (("right", (None, 100)), ("left", (100, None))):
        canvas = Canvas(200, 60, scale=1.0)
        canvas.write(100, 30, "EH", points=12, colour="#000000", align=align)
        rows, columns = ink(canvas)
        assert abs((rows[0] + rows[-1]) / 2 - 30) <= 1
        first, last = reach
        assert first is None or abs(columns[0] - first) <= 1
        assert last is None or abs(columns[-1] - last) <= 1


def test_a_turned_text_runs_upwards():
    """It is as high as it is wide upright, and its middle stays at its place."""
    upright, turned = Canvas(200, 200, scale=1.0), Canvas(200, 200, scale=1.0)
    upright.write(100, 100, "HOUSE", points=12, colour="#000000", align="center")
    turned.write(100, 100, "HOUSE", points=12, colour="#000000", upright=False)
    (rows, columns), (rows_turned, columns_turned) = ink(upright), ink(turned)
    assert len(rows_turned) == len(columns)
    assert len(columns_turned) == len(rows)
    assert abs((rows_turned[0] + rows_turned[-1]) / 2 - 100) <= 1


def test_texts_near_the_border_are_cut_and_no_error():
    """A text may begin left of the canvas and above it."""
    canvas = Canvas(30, 12, scale=1.0)
    canvas.write(0, 0, "a long text", points=12, colour="#000000", align="center")
    rows, columns = ink(canvas)
    assert rows[0] == 0
    assert columns[0] == 0


def test_names_are_no_formulas():
    """A dollar sign is drawn as it stands."""
    assert draw_letters("$x$", 12).width > draw_letters("x", 12).width * 2
    assert not np.asarray(draw_letters(" ", 12)).any()
    assert np.asarray(draw_letters("M", 40)).max() == 255


def test_a_line_joins_its_points_without_gaps():
    """A steep line has ink in each row between its ends, and in no other."""
    canvas = Canvas(30, 40, scale=1.0)
    canvas.draw_line(np.array([(5.0, 3.0), (9.0, 3.0), (12.0, 33.0)]), "#000000")
    rows, columns = ink(canvas)
    np.testing.assert_array_equal(rows, np.arange(3, rows[-1] + 1))
    assert abs(rows[-1] - 33) <= 1
    assert columns[0] == 5
    assert abs(columns[-1] - 12) <= 1


@pytest.mark.parametrize(("is_limited", "expected"), [(True, MemoryError), (False, OSError)])
def test_a_font_that_finds_no_memory_is_said_to(
    is_limited: bool, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
):
    """FreeType calls the format of a font unknown when it has no room for what reads it."""
    canvases._load_font.cache_clear()

    def refuse(*_: object) -> None:
        raise OSError("unknown file format")

    monkeypatch.setattr("PIL.ImageFont.truetype", refuse)
    monkeypatch.setattr(canvases, "is_memory_limited", lambda: is_limited)
    with pytest.raises(expected, match="unknown file format"):
        draw_letters("a", 10)
