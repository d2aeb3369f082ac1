"""Measured connectomes beside raw and calibrated predictions, one source and target at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.models.calibration.calibration import CrossFit
from kraken_bids.scores.quality_control import CROSS_MODAL

Edges = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CalibratedPair:
    """One source and target over the cohort, with predictions calibrated on it."""

    source: str
    """Name of a source that has no input of the target's modality."""
    target: Flavor
    subjects: Sequence[int]
    """Index of the members who have both, in the order of the rows."""
    measured: Edges
    """[n, n_edges], in the units of the site."""
    predicted: Edges
    """Raw, in the units of the training data [n, n_edges]."""
    fitted: CrossFit
    """The calibration, and those without each fold."""
    lacking: Sequence[int]
    """Index of the members who have the source and not the target, or not the whole of it."""


class PairReader(Protocol):
    """Something that is computed from every calibrated pair while it is in memory."""

    def wants(self, source: str, target: Flavor) -> bool:
        """Whether it has still to see this pair."""

    def read(self, pair: CalibratedPair) -> None:
        """Take what it needs; the arrays are given back after this, and must not be kept."""


def crosses_modality(source: str, inputs: Sequence[Flavor], target: Flavor) -> bool:
    """Whether a source may be calibrated for a target: it has no input of the same modality.

    Inputs of the target's modality would hold the target itself in subjects in whom it was
    measured, and errors in these would say nothing of subjects in whom it was not.

    Parameters
    ----------
    inputs : sequence of Flavor
        What it averages.
    """
    if source == CROSS_MODAL[target.group]:
        return True
    return len(inputs) == 1 and inputs[0].name == source and inputs[0].group != target.group
