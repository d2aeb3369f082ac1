"""When the volumes of a run were acquired, on the clock of its events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.repetition_time import TIMES
from kraken_bids.io.facts import Facts

START = "StartTime"
"""Key of sidecars, as BIDS has it: seconds of the moment that slices were brought to."""


SLICES, CORRECTED = "SliceTiming", "SliceTimingCorrected"


def find_start(metadata: Mapping[str, Any], reference: float | None) -> float | None:
    """Find the moment of a volume that its slices were brought to, in seconds.

    Parameters
    ----------
    metadata : mapping
        Of preprocessed BOLD, whose ``StartTime`` counts; else of the raw BOLD, whose
        ``SliceTiming`` does.
    reference : float or None
        Share of the time from the first slice to the last, as fMRIPrep's ``--slice-time-ref``;
        None where slices were not brought to one moment.

    Returns
    -------
    float or None
        None: a volume stands for its beginning.

    Source
    ------
    fMRIPrep 25.2, ``prepare_timing_parameters``: rounded to milliseconds, of two slices or more.
    """
    facts = Facts(dict(metadata))
    said, slices = facts.number(START), sorted(facts.numbers(SLICES))
    if (
        said is not None
        or reference is None
        or len(slices) < 2
        or facts.plain.get(CORRECTED) is False
    ):
        return said
    return float(np.round(slices[0] + reference * (slices[-1] - slices[0]), 3))


@dataclass(frozen=True)
class VolumeTimes:
    """Times of the volumes of a run, from the beginning of its acquisition."""

    start: float = 0.0
    """Seconds from the beginning of a volume to the moment that it stands for."""
    acquired: Sequence[int] | None = None
    """Number of each volume among those acquired, from 0; None: none was cut out."""

    def find(self, number: int) -> int:
        """Find the first volume that is no earlier than one that was acquired, by its number."""
        if self.acquired is None:
            return number
        return int(np.searchsorted(self.acquired, number)) if number > 0 else number

    def count_acquired(self, n_volumes: int) -> int:
        """Count the volumes that were acquired, as far as the last one of a run tells."""
        return n_volumes if self.acquired is None else self.acquired[-1] + 1

    def spread(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Put rows of volumes where they were acquired; NaN in volumes that were cut out.

        Parameters
        ----------
        values : ndarray of shape (n_volumes, n_columns)

        Returns
        -------
        ndarray of shape (n_acquired, n_columns)
        """
        if self.acquired is None:
            return values
        found = np.full((self.count_acquired(len(values)), values.shape[1]), np.nan)
        found[np.asarray(self.acquired)] = values
        return found


def read_volume_times(facts: Facts, n_volumes: int, repetition_time: float) -> VolumeTimes:
    """Read the times of volumes from a sidecar.

    Parameters
    ----------
    facts : Facts
        ``StartTime``, and ``VolumeTiming`` of as many volumes; without these, volumes follow one
        another from 0 s on.
    repetition_time : float
        In seconds.
    """
    numbers = np.rint(np.array(facts.numbers(TIMES)) / repetition_time).astype(np.intp)
    is_known = len(numbers) == n_volumes and (np.diff(numbers, prepend=-1) > 0).all()
    return VolumeTimes(
        facts.number(START) or 0.0, tuple(numbers.tolist()) if is_known and n_volumes else None
    )
