"""Mean connectome of those who have each edge."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Edges = NDArray[np.floating]


@dataclass
class EdgeMean:
    """Running mean over who has each edge; rows are added one by one, whatever the blocks."""

    n_edges: int
    n_subjects: int = 0
    _total: NDArray[np.float64] = field(init=False, repr=False)
    _absent: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._total = np.zeros(self.n_edges)
        self._absent = np.zeros(self.n_edges, np.int64)

    def add(self, edges: Edges, *, is_whole: bool = False) -> None:
        """Add one connectome ``[n_edges]``; NaN where a region is missing, unless it is whole."""
        self.n_subjects += 1
        if is_whole:
            self._total += edges
            return
        absent = np.isnan(edges)
        self._total += np.where(absent, 0.0, edges)
        self._absent += absent

    def add_total(self, total: NDArray[np.float64], n_subjects: int) -> None:
        """Add the sum ``[n_edges]`` of so many whole connectomes."""
        self.n_subjects += n_subjects
        self._total += total

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Whether anybody has each edge [n_edges]."""
        return np.asarray(self._absent < self.n_subjects)

    def result(self, training_mean: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Mean edges; an edge that nobody has takes the training mean."""
        mean = self._total / np.maximum(self.n_subjects - self._absent, 1)
        return mean if training_mean is None else np.where(self.is_known, mean, training_mean)
