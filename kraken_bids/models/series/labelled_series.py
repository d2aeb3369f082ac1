"""Trials as a network takes them: volumes, repetition times, classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.series.sequences import Indices


@dataclass(frozen=True)
class LabelledSeries:
    """Trials, all lists of one length."""

    values: Sequence[NDArray[np.floating]]
    """[n_volumes, n_regions] each."""
    repetition_times: Sequence[float]
    """Seconds."""
    labels: Indices
    """Numbers of classes."""
