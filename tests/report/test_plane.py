import io

import numpy as np
from PIL import Image

from kraken_bids.report import theme
from kraken_bids.report.plane import Plane

RED, BLUE = (255, 0, 0), (0, 0, 255)


def blank(width: float = 60, height: float = 40) -> Plane:
    return Plane(theme.new_figure(width, height, scale=2.0))


def decode(plane: Plane) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(plane.draw())).convert("RGB"))


def ink(plane: Plane) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns that are not white."""
    dark = (decode(plane) < 255).any(axis=2)
    return np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))


def test_shapes_lie_at_their_places_from_the_upper_left_corner():
    """A box of 10 x 5 CSS pixels has 20 x 10 pixels at twice the scale, where it was asked for."""
    plane = blank()
    plane.add(theme.join_boxes((20, 10, 30, 15), facecolors="red", antialiaseds=False))
    expected = np.full((80, 120, 3), 255)
    expected[20:30, 40:60] = RED
    np.testing.assert_array_equal(decode(plane), expected)


def test_later_shapes_cover_earlier_ones_of_any_kind():
    """Matplotlib would draw lines over dots, whichever came first."""
    for first, second in (("red", "blue"), ("blue", "red")):
        plane = blank()
        plane.add_lines([[(10, 20), (50, 20)]], colors=first, linewidths=8)
        plane.add_dots(np.array([[30.0, 20.0]]), 90, facecolors=second)
        assert tuple(decode(plane)[40, 60]) == (BLUE if second == "blue" else RED)


def test_an_image_fills_its_box():
    """Each of two halves keeps its colour up to the rim."""
    plane = blank()
    plane.place((10, 5, 20, 30), np.array([[RED, BLUE]], np.uint8))
    rgb = decode(plane)
    assert (rgb[10:70, 20:40] == RED).all()
    assert (rgb[10:70, 40:60] == BLUE).all()
    assert (rgb[:, 60:] == 255).all()


def test_the_middle_of_capitals_lies_at_y():
    """Upright and turned texts are centred where they were asked for."""
    for upright in (True, False):
        plane = blank()
        plane.write(30, 20, "HHH", align="center", upright=upright)
        rows, columns = ink(plane)
        assert abs((rows[0] + rows[-1]) / 2 - 40) <= 1.5
        assert abs((columns[0] + columns[-1]) / 2 - 60) <= 1.5
        assert (len(columns) > len(rows)) == upright


def test_texts_beyond_the_figure_are_cut_and_no_error():
    """On any side, in part or as a whole."""
    plane = blank()
    for x, y in (
        (-5, 20),
        (58, 20),
        (30, -1),
        (30, 41),
        (-500, 20),
        (500, 20),
        (30, -90),
        (30, 90),
    ):
        plane.write(x, y, "a word")
    rows, columns = ink(plane)
    assert (rows[0], columns[0]) == (0, 0)
    assert (rows[-1], columns[-1]) == (79, 119)
