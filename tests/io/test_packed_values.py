"""Values and arrays go through JSON and come back as they were."""

import json

import numpy as np
import pytest

from kraken_bids.io.packed_values import pack, unpack


@pytest.mark.parametrize(
    "value",
    [
        {1: 0.1, "b": (1, 2.5), (0.1, -0.0): [True, None, "ä"]},
        {True: {}, False: []},
        float("nan"),
        (),
    ],
)
def test_plain_values_come_back_with_their_types(value: object) -> None:
    """Keys that are no texts and tuples too, which JSON does not know."""
    assert repr(unpack(json.loads(json.dumps(pack(value))))) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        np.array([[0.1, np.nan], [-0.0, np.inf]]),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.empty((0, 4), np.int64),
        np.array([True, False]),
    ],
)
def test_arrays_come_back_to_the_last_bit(array: np.ndarray) -> None:
    """Also those that do not lie in one piece; they may be written to."""
    found = unpack(json.loads(json.dumps(pack({"a": array}))))["a"]

    assert (found.dtype, found.shape, found.tobytes()) == (
        array.dtype, array.shape, array.tobytes()
    )  # fmt: skip
    assert found.flags.writeable


def test_numbers_of_numpy_become_plain() -> None:
    """JSON does not take all of them."""
    assert json.dumps(pack([np.int64(3), np.float32(0.5), np.bool_(True)])) == "[3, 0.5, true]"
