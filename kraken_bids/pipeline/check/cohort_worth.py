"""What the predictions of a cohort are worth: each beside the group mean, a peer and a ceiling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.calibrated_pairs import crosses_modality
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.cohort.sources import Source
from kraken_bids.flavors import Flavor
from kraken_bids.models.calibration.calibration import MIN_FOLDS, N_FOLDS
from kraken_bids.models.folds import deal_folds
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.pls_peer import predict_held_out
from kraken_bids.pipeline.check.repeated_scans import RepeatReader, Repeats
from kraken_bids.scores.inner_products import (
    Basis,
    Center,
    Products,
    Rows,
    center_on,
    make_basis,
    multiply,
    multiply_factors,
    multiply_rows,
)
from kraken_bids.scores.quality_control import CROSS_MODAL, PREDICTION_METRICS
from kraken_bids.scores.resampling import Kinship
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
    mix_products,
    score_comparison,
)
from kraken_bids.worth_settings import MIN_CALIBRATED

Edges = NDArray[np.float32]
PlainMetric = tuple[Any, ...]
"""Values of a :class:`~kraken_bids.scores.quality_control.Metric`."""
OF_PEER = ("avgcorr", "avgcorr_resid", "avgrank", "top1acc", "gain")


@dataclass(frozen=True)
class Measured:
    """Everybody's measured connectomes of one flavor, as inner products."""

    subjects: tuple[int, ...]
    """Index of the members who have it complete."""
    center: Center
    rows: Rows

    def take(self, subjects: Sequence[int]) -> tuple[Center, Rows]:
        """Keep some of them, around their own mean."""
        place = {index: row for row, index in enumerate(self.subjects)}
        return center_on(self.center, self.rows, [place[index] for index in subjects])


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
    _ceiling: Ceiling = UNKNOWN
    _crossed: list[tuple[Source, Flavor, Sequence[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Give people and families numbers."""
        people = [member.subject for member in self.members]
        self._kinship = Kinship.of(people, self.families)
        self._reader = RepeatReader(self.members)

    def start(self, target: Flavor, subjects: Sequence[int], observed: Edges) -> None:
        """Begin with a target: measured connectomes ``[n_subjects, n_edges]`` of some members."""
        self._bases.clear()
        self._ceiling = UNKNOWN
        if not subjects:
            return
        center, rows = multiply_rows(observed)
        self._measured[target] = Measured(tuple(subjects), center, rows)
        self._ceiling = self._find_ceiling(target)

    def score(
        self, source: Source, target: Flavor, subjects: Sequence[int], measured: Edges
    ) -> Comparison:
        """Score the predictions of a target, of the members who have both, from a source."""
        products = self._multiply(source, target, subjects, measured)
        comparison = compare_products(
            products, folds=self._deal(subjects), kinship=self._kinship.take(subjects)
        )
        scores = score_comparison(comparison)
        n = len(subjects)
        named = {name: scores[name] for name in PREDICTION_METRICS}
        named["ceiling_share"] = self._ceiling.share(scores["avgcorr_resid"])
        self._add(source.name, target, named, n)
        self._add(source.name, target, {"n": Score(float(n))}, n)
        ceilings = {f"ceiling_{name}": self._ceiling.score(name) for name in CEILINGS}
        self._add(source.name, target, ceilings, self._ceiling.n, basis=self._ceiling.basis)
        if self._has_peer(source, target, subjects):
            self._crossed.append((source, target, subjects))
        return comparison

    def list_metrics(self) -> list[PlainMetric]:
        """List the metrics of everything that was scored, those of the peers last."""
        for source, target, subjects in self._crossed:
            comparison = self._compare_peer(source, target, subjects)
            scores = score_comparison(comparison)
            named = {f"pls_{name}": scores[name] for name in OF_PEER}
            self._add(source.name, target, named, len(subjects))
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

    def _deal(self, subjects: Sequence[int]) -> NDArray[np.intp]:
        """Folds as those of calibration: families together, and sessions of one person."""
        families = [self.families[index] for index in subjects]
        n_folds = min(N_FOLDS, len(set(families)))
        return deal_folds(len(subjects), n_folds, families=families)

    def _has_peer(self, source: Source, target: Flavor, subjects: Sequence[int]) -> bool:
        kinship = self._kinship.take(subjects)
        return (
            (source.name == CROSS_MODAL[target.group] or source.name in self.peers_of)
            and crosses_modality(source.name, source.flavors, target)
            and kinship.n_people >= MIN_CALIBRATED
            and kinship.n_families >= MIN_FOLDS
        )

    def _compare_peer(self, source: Source, target: Flavor, subjects: Sequence[int]) -> Comparison:
        center, rows = self._measured[target].take(subjects)
        folds = self._deal(subjects)
        fitted = predict_held_out(self._join_inputs(source, subjects), rows.gram, folds)
        products = mix_products(Products(center, rows, rows, rows.gram), fitted.weights)
        return compare_products(products, folds=folds, kinship=self._kinship.take(subjects))

    def _join_inputs(self, source: Source, subjects: Sequence[int]) -> NDArray[np.float64]:
        """Inner products of a source's inputs, each with the same variance in sum.

        Whoever lacks an input has the others' mean.
        """
        joined = np.zeros((len(subjects), len(subjects)))
        for measured in (self._measured.get(flavor) for flavor in source.flavors):
            known = set(measured.subjects) if measured else set()
            own = [row for row, index in enumerate(subjects) if index in known]
            if measured and own:
                _, rows = measured.take([subjects[row] for row in own])
                total = float(np.trace(rows.gram))
                joined[np.ix_(own, own)] += rows.gram / total if total > 0 else 0.0
        return joined

    def _find_ceiling(self, target: Flavor) -> Ceiling:
        measured, repeats = self._measured[target], self.repeats.get(target, Repeats("unknown"))
        if repeats.basis == "sessions":
            people = [self.members[index].subject for index in measured.subjects]
            pairs = pair_sessions(people)
            owners = [measured.subjects[first] for first, _ in pairs]
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
