"""Measured connectomes beside their predictions: what every judgement of a cohort starts from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pair:
    """Measured and predicted connectomes of the subjects who have both [n_subjects, n_edges]."""

    subjects: Sequence[int]
    measured: NDArray[np.float32]
    predicted: NDArray[np.float32]
    correlations: NDArray[np.float64]
    """Measured in rows, predicted in columns [n_subjects, n_subjects]."""

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Of the own prediction among everyone's [n_subjects]; 1 is best."""
        own = np.diag(self.correlations)[:, None]
        return np.asarray(1 + (self.correlations > own).sum(axis=1), np.int64)
