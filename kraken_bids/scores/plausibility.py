"""Whether connectomes can be what they are called: their values, and their likeness to others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.scores.doubt_words import Doubt, concern
from kraken_bids.scores.edge_values import EdgeValues, Values, measure_values, some_rows
from kraken_bids.scores.likeness import MIN_EDGES, MIN_LIKENESS, OtherForms, judge_mean, unlike
from kraken_bids.scores.metrics import correlate, standardize

Vector = NDArray[np.float64]
Look = tuple[float, float, float]
"""Of one connectome: correlation with the training mean, length of the deviation from its own
mean, sum."""

MAX_FACTOR = 4.0
"""Times the training mean's scale. One subject in the same units: 0.78 to 1.25; of another
scanner, 0.33 to 1.7."""
MAX_FACTOR_AMONG = 5.0
"""The same among the subjects of a cohort."""
MIN_SUBJECTS = 3
MANY = 3
"""Groups of subjects with one connectome that are listed one by one."""
MIN_SHARED = 0.5
"""Correlation of what a cohort's subjects share with the training mean. In the right order 0.98 to
1.02 (20 real subjects, any three of them, shifted ones too); with the cortex alone off by one
region, 0.1 to 0.4."""

TAKEN = (
    *("n_subjects", "constant", "mirrored", "unlike", "factors", "levels"),
    *("_looks", "_totals", "_squares"),
)


@dataclass
class InputCheck:
    """What is kept of a flavor's connectomes to judge them by, while they pass one by one."""

    flavor: Flavor
    training_mean: NDArray[np.floating] | None
    """``[n_edges]``; None where the model keeps none: then values alone are checked."""
    n_subjects: int = 0
    constant: list[int] = field(default_factory=list)
    """Rows in which all edges are the same."""
    mirrored: list[int] = field(default_factory=list)
    """Rows whose matrix holds one triangle only; who reads the matrices says so."""
    unlike: list[int] = field(default_factory=list)
    """Rows that do not resemble the training mean."""
    factors: dict[int, float] = field(default_factory=dict)
    """How many times the training mean each row is that resembles it."""
    levels: dict[int, float] = field(default_factory=dict)
    """Mean edge of each row."""

    def __post_init__(self) -> None:
        mean = self.training_mean
        usable = mean is not None and mean.size >= MIN_EDGES and np.ptp(mean) > 0
        self._wanted = standardize(np.asarray(mean, np.float64)) if usable else None
        self._values = EdgeValues(self.flavor)
        self._forms = OtherForms(self.flavor, mean) if mean is not None and usable else None
        self._looks: dict[tuple[float, ...], list[int]] = {}
        self._totals: dict[bool, Vector] = {}
        self._squares = 0.0

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
        values = measure_values(self.flavor, edges, present) if present.size else None
        if values is None or values.low == values.high:
            self.constant.append(row)
            return False
        if self._wanted is None or self.training_mean is None:
            self.take(row, values, None)
            return True
        if present is not edges:
            edges = np.where(np.isfinite(edges), edges, self.training_mean)
        likeness, size = correlate(edges, self._wanted)
        if self._forms is not None:
            self._forms.add(row, edges, likeness, size)
        self.take(row, values, (likeness, size, float(edges.sum())))
        self.add_total(edges, is_unlike=likeness < MIN_LIKENESS)
        return True

    def list_targets(self) -> NDArray[np.float64]:
        """List what all are correlated with ``[n_targets, n_edges]``: the mean, then its forms."""
        if self._wanted is None or self._forms is None:
            return np.empty((0, 0))
        return np.stack([self._wanted, *self._forms.list_targets()])

    def take(self, row: int, values: Values, look: Look | None) -> None:
        """Take what is known of one connectome that varies, but for its edges themselves."""
        self.n_subjects += 1
        self._values.add(row, values)
        if look is None or self.training_mean is None:
            return
        likeness, size, total = look
        if likeness < MIN_LIKENESS:
            self.unlike.append(row)
        else:
            self.factors[row] = likeness * size
        self.levels[row] = total / self.training_mean.size
        self._looks.setdefault(look, []).append(row)
        self._squares += size**2

    def take_fits(self, row: int, likeness: float, fits: Sequence[float]) -> None:
        """Take correlations of one connectome with :meth:`list_targets` but the first."""
        if self._forms is not None:
            self._forms.judge(row, likeness, fits)

    def add_total(self, edges: NDArray[np.floating], *, is_unlike: bool) -> None:
        """Add one connectome, or the sum of several, to what they have in common."""
        total = self._totals.setdefault(is_unlike, np.zeros(len(edges)))
        total += edges

    def tell_state(self) -> dict[str, Any]:
        """Tell all that was taken so far: plain values and arrays."""
        values = {name: own for name, own in vars(self._values).items() if name != "flavor"}
        found = self._forms.found if self._forms else {}
        own = {name: vars(self)[name] for name in TAKEN}
        return {"own": own, "values": values, "found": found}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Restore a state that an earlier check of the same flavor has given."""
        vars(self).update(state["own"])
        vars(self._values).update(state["values"])
        if self._forms is not None and state["found"]:
            self._forms.list_targets()
            self._forms.found = state["found"]

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

    def list_duplicate_doubts(self) -> list[Doubt]:
        """List rows that are one connectome under several names: a copy in the wrong place."""
        groups = [tuple(rows) for rows in self._looks.values() if len(rows) > 1]
        claim, remedy = (
            "their connectomes are one and the same",
            "Look whose it is, and leave out the others.",
        )
        if len(groups) > MANY:
            groups = [tuple(row for rows in groups for row in rows)]
            claim = "each has the same connectome as another of them"
        return [Doubt(self.flavor, claim, (), remedy, rows) for rows in groups]

    def _judge_likeness(
        self, training_means: Mapping[Flavor, NDArray[np.floating]]
    ) -> list[Doubt]:
        """Judge those who do not resemble the training mean by themselves, then the others."""
        odd = tuple(self.unlike)
        if not 0 < len(odd) < self.n_subjects:
            return self._judge_everyone(training_means)
        theirs, rest = (
            judge_mean(self.flavor, self._totals[is_odd] / n, training_means, n_subjects=n)
            for is_odd, n in ((True, len(odd)), (False, self.n_subjects - len(odd)))
        )
        # noisy ones resemble nothing each, and their mean does: nothing is said of them
        found = [*(concern(doubt, odd) for doubt in theirs), *rest, *self._list_forms()]
        if not found or {doubt.claim for doubt in theirs} & {doubt.claim for doubt in rest}:
            return self._judge_everyone(training_means)
        return found

    def _judge_everyone(
        self, training_means: Mapping[Flavor, NDArray[np.floating]]
    ) -> list[Doubt]:
        found = judge_mean(self.flavor, self.mean, training_means, n_subjects=self.n_subjects)
        if found:
            return found
        shared = self._correlate_shared()
        if shared is not None and shared < MIN_SHARED:
            return [unlike(self.flavor, shared)]
        return self._list_forms()

    def _list_forms(self) -> list[Doubt]:
        return self._forms.list_doubts(self.n_subjects) if self._forms else []

    def _correlate_shared(self) -> float | None:
        """Correlate what the subjects have in common with the training mean; None for a few.

        One subject's noise is in no product of two subjects, so that it does not hide the order.
        """
        n = self.n_subjects
        if n < MIN_SUBJECTS or self._wanted is None:
            return None
        total = np.asarray(sum(self._totals.values()), np.float64)
        likeness, size = correlate(total, self._wanted)
        in_common = (size**2 - self._squares) / (n * (n - 1))
        return likeness * size / n / in_common**0.5 if in_common > 0 else None

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
                "Give it in the same units, or adapt it by meanfit+meanshift, fitted on subjects "
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

    def _list_value_doubts(self) -> list[Doubt]:
        flavor = self.flavor
        doubts = []
        if self.mirrored:
            doubts.append(Doubt(
                flavor, "one triangle of the matrix is empty: the other is taken for both", (),
                "Nothing need be done if that is what it means (tck2connectome without "
                "-symmetric).", some_rows(self.mirrored, self.n_subjects),
                spoils=False,
            ))  # fmt: skip
        if self.constant:
            doubts.append(Doubt(
                flavor, "all edges are the same, as after a failed run: not used", (),
                "Measure these anew or leave them out.", tuple(self.constant),
            ))  # fmt: skip
        doubts += self._values.list_doubts(self.n_subjects)
        return doubts + self._list_unit_doubts()

    def _list_unit_doubts(self) -> list[Doubt]:
        """Say who is on another scale than the others, whose mean he would carry away."""
        if len(self.factors) < MIN_SUBJECTS:
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
                "on another scale than the other subjects'",
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
