"""What the predictions of a cohort are worth: each beside the group mean, a peer and a ceiling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.calibrated_pairs import crosses_modality
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sources import Source
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.peer_comparison import (
    Fitting,
    Measured,
    compare_peer,
    name_peer,
)
from kraken_bids.pipeline.check.repeated_scans import RepeatReader, Repeats
from kraken_bids.scores.inner_products import (
    Basis,
    Products,
    make_basis,
    multiply,
    multiply_factors,
    multiply_rows,
)
from kraken_bids.scores.quality_control import CROSS_MODAL, PREDICTION_METRICS
from kraken_bids.scores.second_measurements import (
    CEILINGS,
    UNKNOWN,
    Ceiling,
    compare_twice,
    pair_sessions,
    score_ceiling,
)
from kraken_bids.scores.significance import (
    Comparison,
    Score,
    compare_products,
    score_comparison,
)

Edges = NDArray[np.float32]
PlainMetric = tuple[Any, ...]
"""Values of a :class:`~kraken_bids.scores.quality_control.Metric`."""


@dataclass
class CohortWorth:
    """Scores pairs of source and target as they come by; peers at the end, when all was read."""

    model: Model
    members: Sequence[Member]
    families: Sequence[str]
    """Family of every member."""
    repeats: Mapping[Flavor, Repeats]
    peers_of: Sequence[str] = ()
    """Sources besides the fusions that are compared with a peer."""
    metrics: list[PlainMetric] = field(default_factory=list)
    _measured: dict[Flavor, Measured] = field(default_factory=dict)
    _bases: dict[tuple[int, ...], Basis] = field(default_factory=dict)
    _subjects: tuple[int, ...] = ()
    _ceiling: Ceiling = UNKNOWN
    _crossed: list[tuple[Source, Flavor, Sequence[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Prepare to read second measurements."""
        self._reader = RepeatReader(self.members)

    def start(self, target: Flavor, subjects: Sequence[int], observed: Edges) -> None:
        """Begin with a target: measured connectomes ``[n_subjects, n_edges]`` of some members."""
        self._bases.clear()
        self._ceiling = UNKNOWN
        if not subjects:
            return
        self._subjects = tuple(subjects)
        self._measured[target] = Measured.of(subjects, observed)
        self._ceiling = self._find_ceiling(target)

    def score(
        self, source: Source, target: Flavor, subjects: Sequence[int], measured: Edges
    ) -> Comparison:
        """Score the predictions of a target, of the members who have both, from a source."""
        products = self._multiply(source, target, subjects, measured)
        fitting = self._deal(subjects)
        comparison = compare_products(products, folds=fitting.folds, kinship=fitting.kinship)
        scores = score_comparison(comparison)
        n = len(subjects)
        named = {name: scores[name] for name in PREDICTION_METRICS}
        named["ceiling_share"] = self._ceiling.share(scores["avgcorr_resid"])
        self._add(source.name, target, named, n)
        self._add(source.name, target, {"n": Score(float(n))}, n)
        ceilings = {f"ceiling_{name}": self._ceiling.score(name) for name in CEILINGS}
        self._add(source.name, target, ceilings, self._ceiling.n, basis=self._ceiling.basis)
        if fitting.is_enough and self._has_peer(source, target):
            self._crossed.append((source, target, subjects))
        return comparison

    def list_metrics(self) -> list[PlainMetric]:
        """List the metrics of everything that was scored, those of the peers last."""
        for source, target, subjects in self._crossed:
            inputs = [self._measured[one] for one in source.flavors if one in self._measured]
            found = compare_peer(self._measured[target], inputs, subjects, self._deal(subjects))
            self._add(source.name, target, name_peer(score_comparison(found)), len(subjects))
        return self.metrics

    def _multiply(
        self, source: Source, target: Flavor, subjects: Sequence[int], measured: Edges
    ) -> Products:
        factors = source.factor(self.model, target, subjects)
        if factors is None:
            return multiply(measured, source.predict(self.model, target, subjects))
        key = tuple(subjects)
        if key not in self._bases:
            self._bases[key] = make_basis(measured, factors[1])
        return multiply_factors(self._bases[key], factors[0])

    def _deal(self, subjects: Sequence[int]) -> Fitting:
        people = [self.members[index].subject for index in subjects]
        return Fitting.of(people, [self.families[index] for index in subjects])

    def _has_peer(self, source: Source, target: Flavor) -> bool:
        is_asked = source.name == CROSS_MODAL[target.group] or source.name in self.peers_of
        return is_asked and crosses_modality(source.name, source.flavors, target)

    def _find_ceiling(self, target: Flavor) -> Ceiling:
        measured, repeats = self._measured[target], self.repeats.get(target, Repeats("unknown"))
        if repeats.basis == "sessions":
            people = [self.members[index].subject for index in self._subjects]
            pairs = pair_sessions(people)
            owners = [self._subjects[first] for first, _ in pairs]
            center, rows = measured.center, measured.rows
        else:
            owners, edges = self._reader.read(target, self.model.n_edges(target), repeats)
            if not owners:
                return UNKNOWN
            pairs = [(2 * k, 2 * k + 1) for k in range(len(owners))]
            center, rows = multiply_rows(edges)
        if not pairs:
            return UNKNOWN
        families = [self.families[index] for index in owners]
        return score_ceiling(compare_twice(center, rows, pairs, families=families), repeats.basis)

    def _add(
        self, source: str, target: Flavor, scores: Mapping[str, Score], n: int, *, basis: str = ""
    ) -> None:
        for name, score in scores.items():
            numbers = (score.value, score.p, score.low, score.high)
            self.metrics.append((source, target.name, name, *numbers, n, basis or None))
