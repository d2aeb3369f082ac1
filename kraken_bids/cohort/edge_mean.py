"""Mean connectome of those who have each edge."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Edges = NDArray[np.floating]


@dataclass
class EdgeMean:
    """Running mean over who has each edge; rows are added one by one, whatever the blocks."""

    n_edges: int
    weight: float = 0.0
    """Sum of the weights of what was added."""
    _total: NDArray[np.float64] = field(init=False, repr=False)
    _absent: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._total = np.zeros(self.n_edges)
        self._absent = np.zeros(self.n_edges)

    def add(self, edges: Edges, weight: float = 1.0, *, is_whole: bool = False) -> None:
        """Add one connectome ``[n_edges]``; NaN where a region is missing, unless it is whole.

        Parameters
        ----------
        weight : float
            How much it counts: one over the sessions of its subject.
        """
        self.weight += weight
        own = edges if weight == 1 else edges.astype(np.float64) * weight
        if is_whole:
            self._total += own
            return
        absent = np.isnan(own)
        self._total += np.where(absent, 0.0, own)
        self._absent += absent * weight

    def add_total(self, total: NDArray[np.float64], weight: float) -> None:
        """Add the weighted sum ``[n_edges]`` of whole connectomes of this weight together."""
        self.weight += weight
        self._total += total

    @property
    def n_subjects(self) -> int:
        """How many subjects were added, where the sessions of each weigh 1 together."""
        return round(self.weight)

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Whether anybody has each edge [n_edges]."""
        return np.asarray(self._absent < self.weight)

    def result(self, training_mean: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Mean edges; an edge that nobody has takes the training mean."""
        is_known = self.is_known
        mean = self._total / np.where(is_known, self.weight - self._absent, 1.0)
        return mean if training_mean is None else np.where(is_known, mean, training_mean)
