"""When a volume is, by what metadata say of its slices."""

from typing import Any

import pytest

from kraken_bids.cohort.volume_times import find_start

SLICES = [0.0, 1.0, 0.5, 1.5]


@pytest.mark.parametrize(
    ("metadata", "reference", "start"),
    [
        ({"SliceTiming": SLICES}, 0.5, 0.75),
        ({"SliceTiming": SLICES}, 0.0, 0.0),
        ({"SliceTiming": [0.1, 1.1, 0.7]}, 1.0, 1.1),
        ({"SliceTiming": SLICES}, None, None),
        ({"SliceTiming": SLICES, "StartTime": 0.2}, 0.5, 0.2),
        ({"StartTime": 0.2}, None, 0.2),
        ({"SliceTiming": SLICES, "SliceTimingCorrected": False}, 0.5, None),
        ({"SliceTiming": [0.0]}, 0.5, None),
        ({"RepetitionTime": 2.0}, 0.5, None),
        ({"SliceTiming": "unknown"}, 0.5, None),
    ],
)
def test_slices_of_raw_data_say_what_preprocessing_brought_them_to(
    metadata: dict[str, Any], reference: float | None, start: float | None
) -> None:
    """What is said of preprocessed data goes before it; one slice has nothing to be brought to."""
    assert find_start(metadata, reference) == start
