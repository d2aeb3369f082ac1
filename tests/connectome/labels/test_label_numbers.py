"""Label images plane by plane: the same whatever their memory layout."""

import numpy as np
import pytest

from kraken_bids.connectome.labels.field_of_view import _find_ends
from kraken_bids.connectome.labels.label_numbers import count_labels, index_labels

RNG = np.random.default_rng(0)
VALUES = [40, 3, 17]
LABELS = RNG.choice(np.array([0, 3, 17, 40, 99]), (4, 6, 5)).astype(np.int32)
LAYOUTS = {
    "C": lambda labels: labels,
    "Fortran": np.asfortranarray,
    "turned": lambda labels: labels.transpose(1, 0, 2).copy().transpose(1, 0, 2)[::-1, :, ::-1],
    "part": lambda labels: np.pad(labels, 2)[2:-2, 2:-2, 2:-2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("in_place", [False, True])
def test_region_numbers_and_their_counts(layout: str, in_place: bool) -> None:
    """Each label becomes the place of its value; counts are those of a look at every voxel."""
    labels = LAYOUTS[layout](LABELS)
    before = labels.copy()
    indexed = index_labels(labels, VALUES, in_place=in_place)
    expected = np.zeros(labels.shape, np.int32)
    for number, value in enumerate(VALUES, start=1):
        expected[before == value] = number
    np.testing.assert_array_equal(indexed, expected)
    assert np.array_equal(labels, before) != in_place
    np.testing.assert_array_equal(
        count_labels(indexed, 4), [(expected == k).sum() for k in range(1, 5)]
    )


def test_ends_of_columns_bound_a_shape() -> None:
    """An affine function of the index has its extremes there."""
    is_inside = RNG.random((5, 6, 7)) < 0.1
    voxels, ends = np.argwhere(is_inside), _find_ends(is_inside)
    for direction in RNG.normal(size=(20, 3)):
        assert (ends @ direction).max() == pytest.approx((voxels @ direction).max())
        assert (ends @ direction).min() == pytest.approx((voxels @ direction).min())
