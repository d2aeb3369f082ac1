"""What somebody may have done to every edge, and whether a mean connectome shows it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.scores.metrics import standardize

Vector = NDArray[np.float64]

MAX_ALIKE_FORM = 0.98
"""Forms that are more alike differ by less than one subject's noise."""
MAX_ALIKE_FORM_OF_MEAN, MANY = 0.997, 10
"""The same for the mean of so many subjects. Evidence of right ones: -0.3 and less (means of 10 of
20 real subjects, streamlines over volume in smaller and smaller units, another site's too); of
their logarithms 0.4 and more, of SD_STREAM at another site 0."""


@dataclass(frozen=True)
class Shape:
    """What somebody may have done to every edge."""

    words: str
    group: str  # of the flavors that it is done to
    apply: Callable[[Vector], Vector]

    @property
    def claim(self) -> str:
        """What is said of connectomes that fit better so."""
        return f"seems to hold {self.words} in place of the measured edges"


SHAPES = (
    Shape("absolute values", "FC", np.abs),
    Shape("squares", "FC", np.square),
    Shape("logarithms or roots", "SC", lambda edges: np.log1p(np.maximum(edges, 0))),
    Shape("logarithms or roots", "SC", lambda edges: np.sqrt(np.maximum(edges, 0))),
    Shape("squares", "SC", np.square),
    Shape("ones and zeros", "SC", lambda edges: (edges > np.median(edges)).astype(np.float64)),
)


def list_shapes(
    wanted: Vector, group: str, n_subjects: int = 1
) -> Iterator[tuple[Shape, Vector, float]]:
    """List what a mean becomes by each shape, standardized, and how alike the two are.

    Those are left out that the mean of ``n_subjects`` does not tell from the mean itself.
    """
    max_alike = MAX_ALIKE_FORM_OF_MEAN if n_subjects >= MANY else MAX_ALIKE_FORM
    target = standardize(wanted)
    for shape in SHAPES:
        values = shape.apply(wanted)
        if shape.group == group and np.ptp(values):
            other = standardize(values)
            alike = float(target @ other)
            if alike < max_alike:
                yield shape, other, alike
