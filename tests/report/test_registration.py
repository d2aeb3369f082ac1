"""Pictures of labels on a head."""

import io

import numpy as np
from matplotlib.image import imread

from kraken_bids.report.sections.registration import (
    SCALE,
    SIDES,
    WIDTH,
    Look,
    draw_registration,
    find_contours,
)
from kraken_bids.report.theme import read_png_size


def test_borders_bear_the_side_of_their_region() -> None:
    """Also where the border falls on the background; what is inside is left free."""
    labels = np.zeros((9, 12), int)
    labels[2:7, 2:6], labels[2:7, 6:10] = 1, 2
    contours = find_contours(labels, np.array([0, 1, 2]))

    assert (contours[2, 2:6] == 1).all()
    assert (contours[2, 7:10] == 2).all()
    assert (contours[7, 2:6] == 1).all()
    assert (contours[3:6, 10] == 2).all()
    assert (contours[3:6, 3:6] == 0).all()
    assert (contours[0] == 0).all()


def test_a_picture_shows_image_borders_and_streamlines() -> None:
    """Left orange, right blue; dark where nothing is; heat where streamlines are."""
    labels = np.zeros((80, 100), int)
    labels[20:60, 20:50], labels[20:60, 50:80] = 1, 2
    image = (labels > 0) * np.linspace(100.0, 900.0, 100)
    density = np.zeros(labels.shape)
    density[30:40, 30:40] = 50
    looks = [Look("T1w", [image], [labels]), Look("lines", [None], [labels], [density])]

    png = draw_registration(looks, ["z = 0"], ["L", "R"])

    width, _ = read_png_size(png)
    assert width == WIDTH
    pixels = np.round(255 * imread(io.BytesIO(png))[..., :3]).astype(int)
    assert pixels.shape[1] == WIDTH * SCALE
    colours = {tuple(colour) for colour in pixels.reshape(-1, 3).tolist()}
    for side, is_there in {"L": True, "R": True, "M": False}.items():
        value = tuple(int(SIDES[side][k : k + 2], 16) for k in (1, 3, 5))
        assert (value in colours) is is_there
        if is_there:
            columns = np.nonzero((pixels == value).all(axis=2))[1]
            middle = 74 * SCALE + 50
            assert (columns < middle + 2).all() if side == "L" else (columns >= middle - 1).all()
