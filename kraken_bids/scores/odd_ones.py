"""People among others whose connectome fits better in another form: sides swapped, transformed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.region_orders import list_edge_orders
from kraken_bids.scores.doubt_words import Doubt
from kraken_bids.scores.edge_values import some_rows
from kraken_bids.scores.likeness import (
    MAX_ALIKE_FORM,
    MIN_EVIDENCE_SHAPE,
    MIN_LIKENESS_NAMED,
    SHAPES,
    TRANSFORMED_REMEDY,
    correlate,
    standardize,
)

Vector = NDArray[np.float64]

SWAP = "hemispheres-swapped"
MIN_EVIDENCE_SWAP = 0.15
"""How much better one person fits with left and right exchanged, as a share of what that can
gain. Right ones: -0.22 and less; exchanged ones: 0.22 and more (20 real people, five flavors)."""


@dataclass(frozen=True, eq=False)
class Form:
    """Another form of a training mean, and what is said of a person who fits it better."""

    target: Vector
    """Standardized ``[n_edges]``."""
    least: float
    """Correlation that it must gain."""
    claim: str
    figure: str
    """What the correlation with it is called."""
    remedy: str


class OddOnes:
    """Single people whose connectome fits another form better than the one they are given in.

    The mean of a cohort does not show them. The forms are laid out for the second person: one
    alone is judged as a mean is.
    """

    def __init__(self, flavor: Flavor, mean: NDArray[np.floating]) -> None:
        self.flavor = flavor
        self._mean = np.asarray(mean, np.float64)
        self._first: tuple[int, Vector, float] | None = None
        self._forms: tuple[Form, ...] | None = None
        self._found: dict[int, list[tuple[int, float, float]]] = {}

    def add(self, row: int, edges: NDArray[np.floating], likeness: float) -> None:
        """Take one connectome ``[n_edges]`` and its correlation with the training mean."""
        if self._forms is None:
            if self._first is None:
                self._first = row, np.array(edges, np.float64), likeness
                return
            self._forms = tuple(_list_forms(self.flavor, self._mean))
            self._judge(*self._first)
        self._judge(row, edges, likeness)

    def list_doubts(self, n_subjects: int) -> list[Doubt]:
        """List the forms that somebody fits better, with the rows of those people."""
        doubts = []
        for place, people in sorted(self._found.items()):
            assert self._forms is not None
            rows, own, other = zip(*people, strict=True)
            form = self._forms[place]
            figures = (
                ("correlation with the model's training mean", f"{np.median(own):.2f}"),
                (form.figure, f"{np.median(other):.2f}"),
            )
            whom = some_rows(list(rows), n_subjects)
            doubts.append(Doubt(self.flavor, form.claim, figures, form.remedy, whom))
        return doubts

    def _judge(self, row: int, edges: NDArray[np.floating], likeness: float) -> None:
        fits = {
            place: correlate(edges, form.target)[0] for place, form in enumerate(self._forms or ())
        }
        better = [
            (other, place)
            for place, other in fits.items()
            if other >= MIN_LIKENESS_NAMED and other - likeness > (self._forms or ())[place].least
        ]
        if better:
            other, place = max(better)
            self._found.setdefault(place, []).append((row, likeness, other))


def _list_forms(flavor: Flavor, mean: Vector) -> Iterator[Form]:
    """Left and right exchanged, where the sides are known, and transformed values."""
    wanted = standardize(mean)
    for order in list_edge_orders(flavor.parcellation, mean.size):
        alike = float(wanted[order.edges] @ wanted)
        if order.name == SWAP and alike < MAX_ALIKE_FORM:
            yield Form(
                wanted[order.edges],
                MIN_EVIDENCE_SWAP * (1 - alike),
                f"seems to be in another order than the model's and other people's: {order.words}",
                "in that order",
                "Check the orientation of the images and label images that it was measured from.",
            )
    for shape in SHAPES:
        values = shape.apply(mean)
        if shape.group != flavor.group or not np.ptp(values):
            continue
        target = standardize(values)
        alike = float(target @ wanted)
        if alike < MAX_ALIKE_FORM:
            least = MIN_EVIDENCE_SHAPE * (1 - alike)
            yield Form(target, least, shape.claim, "so transformed", TRANSFORMED_REMEDY)
