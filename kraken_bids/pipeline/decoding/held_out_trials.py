"""What is decoded, and what a method took it for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.trials import Run, Trial

Indices = NDArray[np.intp]
Floats = NDArray[np.float64]


class LabelledTrials(Protocol):
    """Trials with their labels, and whose they are."""

    @property
    def runs(self) -> Sequence[Run]:
        """Runs that trials are of."""

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels."""

    @property
    def labels(self) -> Indices:
        """Number of the class of each trial."""

    @property
    def people(self) -> tuple[str, ...]:
        """Person of each trial."""

    @property
    def families(self) -> tuple[str, ...]:
        """Family of each trial's person."""


@dataclass(frozen=True)
class Decoded:
    """What a method took held-out trials for."""

    predicted: Indices
    """Number of the class of each trial."""
    probabilities: Floats
    """Of that class; NaN of methods that give none."""
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """What else is kept of the fold, by name."""
