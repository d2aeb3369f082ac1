"""Whether connectomes resemble those that a model was trained on, as they lie or in another order.

Any brain's mean connectome resembles that of the training subjects; with its regions or edges in
another order it resembles nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.region_orders import EdgeOrder, list_edge_orders
from kraken_bids.scores.doubt_words import Doubt
from kraken_bids.scores.edge_shapes import MAX_ALIKE_FORM, Shape, list_shapes
from kraken_bids.scores.edge_values import some_rows
from kraken_bids.scores.metrics import standardize

Vector = NDArray[np.float64]
Rival: TypeAlias = "EdgeOrder | Flavor | Shape"

MIN_EDGES = 190
"""Twenty regions: fewer edges correlate by chance."""
MIN_LIKENESS = 0.15
"""Correlation with the training mean. One subject's in the right order: 0.40 and more; any
connectome in a random order: 0.06 and less (20 real subjects, fs86; 12 synthetic, three
atlases)."""
MIN_EVIDENCE = 0.1
"""How much better another order fits, as a share of what it can: about minus the correlation with
the training mean in the right order, about plus it in that other order."""
MIN_EVIDENCE_FLAVOR = 0.3
"""The same for another flavor: those differ less, and sites differ in them."""
SCREENED = 8000
SCREENING_ERROR = 0.15
"""What the correlation over so many edges may be off; by chance it is 0.01."""
MAX_ALIKE = 0.9
"""Flavors whose training means correlate more are not told apart."""
CERTAIN_GAP = 0.3
"""Correlation gained by an order that leaves no doubt."""
MIN_EVIDENCE_SHAPE = 0.3
"""The same as :data:`MIN_EVIDENCE` for values that were transformed. Right ones, one by one: -0.1
and less; transformed ones: 0.4 and more, but for logarithms of small numbers and roots of
correlations, which differ little (20 real subjects)."""
MIN_LIKENESS_NAMED = 0.5
"""Who resembles less is not said to be swapped or transformed: other faults are as likely."""
SWAP = "hemispheres-swapped"
MIN_EVIDENCE_SWAP = 0.15
"""How much better one subject fits with left and right exchanged, as a share of what that can
gain. Right ones: -0.22 and less; exchanged ones: 0.22 and more (20 real subjects, five
flavors)."""
TRANSFORMED_REMEDY = "Give the connectomes as they were measured."


def judge_mean(
    flavor: Flavor,
    mean: NDArray[np.floating],
    training_means: Mapping[Flavor, NDArray[np.floating]],
    *,
    n_subjects: int = 1,
) -> list[Doubt]:
    """Compare a mean connectome, or one subject's, [n_edges], with the training mean.

    One doubt at most: another flavor or order fits clearly better, or nothing fits. None where
    there is no training mean, or too few edges.
    """
    wanted = training_means.get(flavor)
    if wanted is None or wanted.shape != mean.shape or wanted.size < MIN_EDGES:
        return []
    if np.ptp(wanted) == 0 or np.ptp(mean) == 0:
        return []
    target, given = (standardize(np.asarray(x, np.float64)) for x in (wanted, mean))
    own = float(given @ target)
    rivals: list[tuple[float, Rival]] = [
        *_fit_orders(given, target, list_edge_orders(flavor.parcellation, mean.size)),
        *_fit_flavors(given, target, flavor, training_means),
        *_fit_shapes(given, np.asarray(wanted, np.float64), flavor.group, n_subjects),
    ]
    if rivals:
        likeness, name = max(rivals, key=lambda rival: rival[0])
        return [_describe_rival(flavor, own, likeness, name)]
    return [unlike(flavor, own)] if own < MIN_LIKENESS else []


def _fit_orders(
    given: Vector, target: Vector, orders: Sequence[EdgeOrder]
) -> list[tuple[float, Rival]]:
    own = float(given @ target)
    found: list[tuple[float, Rival]] = []
    some = slice(None, None, max(1, given.size // SCREENED))
    share = len(given[some]) / given.size
    least = max(own, MIN_LIKENESS) - SCREENING_ERROR
    for order in orders:
        # few orders come near: a part of the edges shows it of all others
        if float(given[some] @ target[order.edges[some]]) / share < least:
            continue
        other = target[order.edges]
        likeness = float(given @ other)
        if _is_better(own, likeness, float(target @ other), MIN_EVIDENCE):
            found.append((likeness, order))
    return found


def _fit_flavors(
    given: Vector,
    target: Vector,
    flavor: Flavor,
    training_means: Mapping[Flavor, NDArray[np.floating]],
) -> list[tuple[float, Rival]]:
    own = float(given @ target)
    found: list[tuple[float, Rival]] = []
    for rival, mean in training_means.items():
        if rival == flavor or rival.parcellation != flavor.parcellation or not np.ptp(mean):
            continue
        other = standardize(np.asarray(mean, np.float64))
        likeness, alike = float(given @ other), float(target @ other)
        if alike < MAX_ALIKE and _is_better(own, likeness, alike, MIN_EVIDENCE_FLAVOR):
            found.append((likeness, rival))
    return found


def _fit_shapes(
    given: Vector, wanted: Vector, group: str, n_subjects: int
) -> list[tuple[float, Rival]]:
    own = float(given @ standardize(wanted))
    found: list[tuple[float, Rival]] = []
    for shape, other, alike in list_shapes(wanted, group, n_subjects):
        likeness = float(given @ other)
        is_better = _is_better(own, likeness, alike, MIN_EVIDENCE_SHAPE)
        if is_better and likeness >= MIN_LIKENESS_NAMED:
            found.append((likeness, shape))
    return found


def _is_better(own: float, other: float, alike: float, evidence: float) -> bool:
    """Whether the other fits better, measured by how unlike the two are that could fit."""
    return other >= MIN_LIKENESS and other - own > evidence * (1 - alike) and alike < 1 - 1e-6


def _describe_rival(flavor: Flavor, own: float, likeness: float, rival: Rival) -> Doubt:
    in_place = ("correlation with the model's training mean", f"{round(own, 2) + 0.0:.2f}")
    is_certain = likeness - own > CERTAIN_GAP
    if isinstance(rival, Flavor):
        figures = (in_place, ("with that flavor's", f"{likeness:.2f}"))
        remedy = "Was one given in place of the other?"
        return Doubt(flavor, f"looks like {rival}", figures, remedy, is_certain=is_certain)
    if isinstance(rival, Shape):
        figures = ((in_place[0], f"{own:.3f}"), ("so transformed", f"{likeness:.3f}"))
        return Doubt(flavor, rival.claim, figures, TRANSFORMED_REMEDY)
    claim = f"seems to be in another order than the model's: {rival.words}"
    figures = (in_place, ("in that order", f"{likeness:.2f}"))
    return Doubt(flavor, claim, figures, _say_remedy(flavor, rival), is_certain=is_certain)


def _say_remedy(flavor: Flavor, order: EdgeOrder) -> str:
    steps = []
    if order.is_lower:
        steps.append(
            "give square matrices, or their upper triangle row by row (kraken_bids.to_edges)"
        )
    if order.regions is not None:
        steps.append(
            "put rows and columns into the order of kraken_bids.region_names: kraken_bids."
            f"reorder_regions(square, {flavor.parcellation!r}, given={order.regions.name!r})"
        )
    text = "; ".join(steps)
    return f"{text[:1].upper()}{text[1:]}."


def unlike(flavor: Flavor, own: float) -> Doubt:
    """Describe a connectome that resembles no known order or form of the training mean."""
    words = ", as if its sign were turned" if own < -MIN_LIKENESS else ""
    return Doubt(
        flavor,
        f"does not resemble the connectomes that the model was trained on{words}",
        (("correlation with their mean", f"{round(own, 2) + 0.0:.2f}"),),
        "Check the order of the regions (kraken_bids.region_names), the atlas, and what was "
        "measured: predictions from it mean nothing as it is.",
    )


@dataclass(frozen=True, eq=False)
class Form:
    """Another form of a training mean, and what is said of a subject who fits it better."""

    target: Vector  # standardized, [n_edges]
    least: float
    """Correlation that it must gain."""
    claim: str
    figure: str
    """What the correlation with it is called."""
    remedy: str


class OtherForms:
    """Single subjects whose connectome fits another form, which the cohort's mean does not show.

    The forms are laid out for the second subject: one alone is judged as a mean is.
    """

    def __init__(self, flavor: Flavor, mean: NDArray[np.floating]) -> None:
        self.flavor = flavor
        self._mean = np.asarray(mean, np.float64)
        self._first: tuple[int, Vector, float, float] | None = None
        self._forms: tuple[Form, ...] | None = None
        self.found: dict[int, list[tuple[int, float, float]]] = {}

    def add(self, row: int, edges: NDArray[np.floating], likeness: float, size: float) -> None:
        """Take one connectome ``[n_edges]``, as :func:`~.metrics.correlate` finds it."""
        wide = np.array(edges, np.float64)  # once for all forms
        if self._forms is None and self._first is None:
            self._first = row, wide, likeness, size
            return
        fits = [float(wide @ one) / size if size else 0.0 for one in self.list_targets()]
        self.judge(row, likeness, fits)

    def list_targets(self) -> list[Vector]:
        """Lay the forms out, if they are not; what each connectome is correlated with."""
        if self._forms is None:
            self._forms = tuple(_list_forms(self.flavor, self._mean))
            if self._first:
                self.add(*self._first)
        return [form.target for form in self._forms]

    def list_doubts(self, n_subjects: int) -> list[Doubt]:
        """List the forms that somebody fits better, with the rows of those subjects."""
        doubts, forms = [], self._forms or ()
        for place, subjects in sorted(self.found.items()):
            rows, own, other = zip(*subjects, strict=True)
            form = forms[place]
            in_place = ("correlation with the model's training mean", f"{np.median(own):.2f}")
            figures = (in_place, (form.figure, f"{np.median(other):.2f}"))
            whom = some_rows(list(rows), n_subjects)
            doubts.append(Doubt(self.flavor, form.claim, figures, form.remedy, whom))
        return doubts

    def judge(self, row: int, likeness: float, fits: Sequence[float]) -> None:
        """Take one connectome's correlations, with the training mean and its other forms."""
        better = [
            (fit, place)
            for place, (form, fit) in enumerate(zip(self._forms or (), fits, strict=True))
            if fit >= MIN_LIKENESS_NAMED and fit - likeness > form.least
        ]
        if better:
            fit, place = max(better)
            self.found.setdefault(place, []).append((row, likeness, fit))


def _list_forms(flavor: Flavor, mean: Vector) -> Iterator[Form]:
    """Left and right exchanged, where the sides are known, and transformed values."""
    wanted = standardize(mean)
    orders = list_edge_orders(flavor.parcellation, mean.size)
    for order in (one for one in orders if one.name == SWAP):
        exchanged = wanted[order.edges]
        alike = float(exchanged @ wanted)
        if alike < MAX_ALIKE_FORM:
            yield Form(
                exchanged,
                MIN_EVIDENCE_SWAP * (1 - alike),
                "seems to be in another order than the model's and other subjects': "
                f"{order.words}",
                "in that order",
                "Check the orientation of the images and label images that it was measured from.",
            )
    for shape, target, alike in list_shapes(mean, flavor.group):
        least = MIN_EVIDENCE_SHAPE * (1 - alike)
        yield Form(target, least, shape.claim, "so transformed", TRANSFORMED_REMEDY)
