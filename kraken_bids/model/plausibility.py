"""Whether connectomes can be what they are called: their values, and their likeness to others."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.model.doubts import Doubt, concern
from kraken_bids.model.likeness import (
    MIN_EDGES,
    MIN_LIKENESS,
    correlate,
    judge_mean,
    standardize,
)

Vector = NDArray[np.float64]

MAX_CORRELATION = 1.001
MAX_NEGATIVE = 0.1
"""Share of the absolute values of SC that may be negative: harmonised sites have a few."""
MAX_FACTOR = 4.0
"""Times the training mean's scale. One person in the same units: 0.78 to 1.25; of another scanner,
0.33 to 1.7."""
MAX_FACTOR_AMONG = 5.0
"""The same among the people of a cohort."""
MIN_PEOPLE = 3
COUNT = "count"
FEW = 256


@dataclass
class InputCheck:
    """What is kept of a flavor's connectomes to judge them by, while they pass one by one."""

    flavor: Flavor
    training_mean: NDArray[np.floating] | None
    """``[n_edges]``; None where the model keeps none: then values alone are checked."""
    n_subjects: int = 0
    largest: float = 0.0
    """Largest absolute value."""
    beyond: list[int] = field(default_factory=list)
    """Rows of correlations beyond 1."""
    negative: list[int] = field(default_factory=list)
    """Rows of SC with too many negative edges."""
    counts: list[int] = field(default_factory=list)
    """Rows of whole numbers, of a flavor that divides or weights its streamlines."""
    constant: list[int] = field(default_factory=list)
    """Rows in which all edges are the same."""
    mirrored: list[int] = field(default_factory=list)
    """Rows whose matrix holds one triangle only; who reads the matrices says so."""
    unlike: list[int] = field(default_factory=list)
    """Rows that do not resemble the training mean."""
    factors: dict[int, float] = field(default_factory=dict)
    """How many times the training mean each row is that resembles it."""

    def __post_init__(self) -> None:
        mean = self.training_mean
        usable = mean is not None and mean.size >= MIN_EDGES and np.ptp(mean) > 0
        self._wanted = standardize(np.asarray(mean, np.float64)) if usable else None
        self._is_fractional = self.flavor.group == "SC" and self.flavor.processing != COUNT
        self._totals: dict[bool, Vector] = {}

    def add(self, row: int, edges: NDArray[np.floating]) -> bool:
        """Take one connectome; returns whether it varies, as every measured one does.

        Parameters
        ----------
        row : int
            Its place, for messages.
        edges : ndarray of shape (n_edges,)
            NaN where missing.
        """
        present = edges if np.isfinite(edges.sum()) else edges[np.isfinite(edges)]
        low, high = (float(present.min()), float(present.max())) if present.size else (0.0, 0.0)
        if low == high:
            self.constant.append(row)
            return False
        self.n_subjects += 1
        self.largest = max(self.largest, high, -low)
        if self.flavor.group == "FC" and max(high, -low) > MAX_CORRELATION:
            self.beyond.append(row)
        if self.flavor.group == "SC" and low < 0 and _share_negative(present) > MAX_NEGATIVE:
            self.negative.append(row)
        if self._is_fractional and _are_whole(present):
            self.counts.append(row)
        if self._wanted is not None:
            self._compare(row, edges, is_whole=present is edges)
        return True

    @property
    def mean(self) -> Vector:
        """Mean of all that vary ``[n_edges]``."""
        return np.asarray(sum(self._totals.values()) / max(self.n_subjects, 1), np.float64)

    def list_doubts(self, training_means: Mapping[Flavor, NDArray[np.floating]]) -> list[Doubt]:
        """List what is unlikely about values and order; of a few rows first, else of all."""
        doubts = self._list_value_doubts()
        if self._wanted is None or not self.n_subjects:
            return doubts
        return doubts + self._judge_likeness(training_means)

    def _judge_likeness(
        self, training_means: Mapping[Flavor, NDArray[np.floating]]
    ) -> list[Doubt]:
        """Judge those who do not resemble the training mean by themselves, then the others."""
        odd = tuple(self.unlike)
        if not 0 < len(odd) < self.n_subjects:
            return judge_mean(self.flavor, self.mean, training_means)
        theirs, rest = (
            judge_mean(self.flavor, self._totals[is_odd] / n, training_means)
            for is_odd, n in ((True, len(odd)), (False, self.n_subjects - len(odd)))
        )
        if {doubt.claim for doubt in theirs} & {doubt.claim for doubt in rest}:
            return judge_mean(self.flavor, self.mean, training_means)
        # noisy ones resemble nothing each, and their mean does: nothing is said of them
        return [*(concern(doubt, odd) for doubt in theirs), *rest]

    def list_scale_doubts(self, reference: NDArray[np.floating], where: str) -> list[Doubt]:
        """Say where the mean is many times the reference, whose scale is expected, or a fraction.

        Parameters
        ----------
        reference : ndarray of shape (n_edges,)
        where : str
            What the reference is the mean of.
        """
        if self._wanted is None or not self._totals:
            return []
        wanted = standardize(np.asarray(reference, np.float64))
        if correlate(self.mean, wanted)[0] < MIN_LIKENESS:
            return []  # what does not resemble has no scale to compare
        factor = self.scale_against(reference)
        if 1 / MAX_FACTOR <= factor <= MAX_FACTOR:
            return []
        return [
            Doubt(
                self.flavor,
                f"is on another scale than {where}, which nothing here puts right",
                (("times as large as that:", f"{factor:.3g}"),),
                "Give it in the same units, or adapt it by meanfit+meanshift, fitted on people "
                "measured alike.",
            )
        ]

    def scale_against(self, reference: NDArray[np.floating]) -> float:
        """How many times a reference the mean is: slope of the mean on it, over edges."""
        if not self._totals:
            return float("nan")
        x, y = self.mean, np.asarray(reference, np.float64)
        deviation = y - y.mean()
        return float(deviation @ x / (deviation @ deviation))

    def _compare(self, row: int, edges: NDArray[np.floating], *, is_whole: bool) -> None:
        assert self._wanted is not None
        assert self.training_mean is not None
        if not is_whole:
            edges = np.where(np.isfinite(edges), edges, self.training_mean)
        likeness, size = correlate(edges, self._wanted)
        is_unlike = likeness < MIN_LIKENESS
        if is_unlike:
            self.unlike.append(row)
        else:
            self.factors[row] = likeness * size
        total = self._totals.setdefault(is_unlike, np.zeros(len(edges)))
        total += edges

    def _list_value_doubts(self) -> list[Doubt]:
        flavor = self.flavor
        doubts = []
        if self.mirrored:
            doubts.append(Doubt(
                flavor, "one triangle of the matrix is empty: the other is taken for both", (),
                "Nothing need be done if that is what it means (tck2connectome without "
                "-symmetric).", _some(self.mirrored, self.n_subjects),
                spoils=False,
            ))  # fmt: skip
        if self.constant:
            doubts.append(Doubt(
                flavor, "all edges are the same, as after a failed run: not used", (),
                "Measure these anew or leave them out.", tuple(self.constant),
            ))  # fmt: skip
        if self.beyond:
            doubts.append(Doubt(
                flavor, "correlations beyond 1, as of Fisher's z, covariances or percent",
                (("up to", f"{self.largest:.3g}"),),
                "Give correlations (numpy.tanh undoes Fisher's z).",
                _some(self.beyond, self.n_subjects),
            ))  # fmt: skip
        if self.negative:
            doubts.append(Doubt(
                flavor, "many negative edges, which structure cannot have (logarithms? z-scores? "
                "function?)", (), "Give the connectomes as they were measured.",
                _some(self.negative, self.n_subjects),
            ))  # fmt: skip
        if self.counts:
            doubts.append(Doubt(
                flavor, "all edges are whole numbers, as counts of streamlines are: this flavor "
                "divides or weights them", (), "Give them as the flavor that they are.",
                _some(self.counts, self.n_subjects),
            ))  # fmt: skip
        return doubts + self._list_unit_doubts()

    def _list_unit_doubts(self) -> list[Doubt]:
        """Say who is on another scale than the others, whose mean he would carry away."""
        if len(self.factors) < MIN_PEOPLE:
            return []
        typical = float(np.median(list(self.factors.values())))
        odd = {
            row: factor / typical
            for row, factor in self.factors.items()
            if not 1 / MAX_FACTOR_AMONG < factor / typical < MAX_FACTOR_AMONG
        }
        if not odd:
            return []
        figures = ("times as large as theirs:", ", ".join(f"{x:.3g}" for x in odd.values()))
        return [
            Doubt(
                self.flavor,
                "on another scale than the other people's",
                (figures,),
                "Give everyone's in the same units, or leave these out.",
                tuple(odd),
            )
        ]


def check_inputs(
    flavor: Flavor,
    edges: NDArray[np.floating],
    training_means: Mapping[Flavor, NDArray[np.floating]],
) -> InputCheck:
    """Take connectomes ``[n_subjects, n_edges]`` that are in memory; rows of NaN are none."""
    check = InputCheck(flavor, training_means.get(flavor))
    for row, one in enumerate(edges):
        if not np.isnan(one).all():
            check.add(row, one)
    return check


def _share_negative(values: NDArray[np.floating]) -> float:
    size = float(np.abs(values).sum())
    return (size - float(values.sum())) / 2 / size


def _are_whole(values: NDArray[np.floating]) -> bool:
    # most are not, which a few of them show
    return not any((some != np.rint(some)).any() for some in (values[:FEW], values))


def _some(rows: list[int], n_subjects: int) -> tuple[int, ...]:
    """Rows that a doubt concerns; none where it concerns all."""
    return tuple(rows) if len(rows) < n_subjects else ()
