"""Calibrations and intervals of every pair of a cohort, kept for the file of the group."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.calibrated_pairs import CalibratedPair
from kraken_bids.cohort.measurements import STRUCTURAL
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sources import Source
from kraken_bids.cohort.training_subjects import find_trained
from kraken_bids.flavors import Flavor
from kraken_bids.models.calibration.difficulty import describe_subjects
from kraken_bids.models.calibration.intervals import fit_intervals, measure_coverage
from kraken_bids.models.calibration.saved_calibrations import PairCalibration, share_lines
from kraken_bids.parcellations import recognize_parcellation
from kraken_bids.scores.calibrated_records import CalibratedPairRecord, CalibratedRecord
from kraken_bids.scores.calibrated_scores import (
    QUARTERS,
    SIDES,
    HeldOutScores,
    classify_edges,
    cover_classes,
    judge_held_out,
)
from kraken_bids.scores.resampling import Kinship

logger = logging.getLogger(__name__)

Vector = NDArray[np.float64]

NORMAL_95 = 1.959964
"""Half the width of a 95 % interval in standard errors."""
KEY_LENGTH = 32


def key_subject(member: Member) -> str:
    """Give what tells a subject of the same dataset again, without the label itself."""
    return hashlib.sha256(f"sub-{member.subject}".encode()).hexdigest()[:KEY_LENGTH]


def key_connectome(digests: Mapping[Flavor, Mapping[int, str]], target: Flavor, index: int) -> str:
    """Give what tells a measured connectome again; '' where there is none."""
    return digests.get(target, {}).get(index, "")[:KEY_LENGTH]


def units_of(member: Member, target: Flavor) -> str:
    """Units of a measured connectome, where its sidecar says them; or ''."""
    return str(json.loads(member.measurements[target].settings.get(STRUCTURAL.units, '""')))


@dataclass(frozen=True)
class Surroundings:
    """What calibrations take of a cohort besides its connectomes."""

    members: Sequence[Member]
    sources: Mapping[str, Source]
    """By name."""
    digests: Mapping[Flavor, Mapping[int, str]]
    """Digest of the measured edges of each member, by flavor and index."""
    outside: Mapping[Flavor, Vector]
    """Share of each input's variance that the model does not see [n_members]; NaN: not known."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Of the model."""

    def describe(self, source: str, center: Vector, rows: Sequence[int]) -> Vector:
        """Features of some members that may predict their errors ``[n_rows, n_features]``."""
        own = self.sources[source]
        shares = [self.outside[f][rows] for f in own.flavors if f in self.outside]
        known = np.stack(shares) if shares else np.full((1, len(rows)), np.nan)
        counts = np.isfinite(known).sum(axis=0)
        mean = np.nansum(known, axis=0) / np.where(counts > 0, counts, np.nan)
        return describe_subjects(own.latents[rows], center, mean)


@dataclass
class FittedPairs:
    """Fits calibrations and intervals of every pair that it is shown."""

    around: Surroundings
    families: Sequence[str]
    """Of every member."""
    coverage: float
    """That intervals promise."""
    wanted: frozenset[str] = frozenset()
    """Names of the sources to calibrate; none where that has been done."""
    found: dict[tuple[str, Flavor], PairCalibration] = field(default_factory=dict)

    def wants(self, source: str, target: Flavor) -> bool:
        """Whether a source is to be calibrated and has not been for this target."""
        return source in self.wanted and (source, target) not in self.found

    def read(self, pair: CalibratedPair) -> None:
        """Fit intervals around a calibrated pair, and judge both on held-out subjects."""
        around, rows = self.around, list(pair.subjects)
        latents = around.sources[pair.source].latents[rows]
        center = latents.mean(axis=0, dtype=np.float64)
        features = around.describe(pair.source, center, rows)
        fitted, coverage = pair.fitted, self.coverage
        people = [around.members[row].subject for row in rows]
        intervals = fit_intervals(
            pair.measured, fitted, features, coverage=coverage, people=people
        )
        covered, judged = measure_coverage(
            *(pair.measured, pair.predicted, fitted, features), coverage=coverage, people=people
        )
        scores = judge_held_out(
            *(pair.measured, fitted.held_out, fitted.mean_held_out, fitted.folds),
            subjects=people,
        )
        parcellation = recognize_parcellation(pair.target.parcellation)
        classes = classify_edges(
            fitted.calibration.mean_measured, parcellation.hemispheres if parcellation else ()
        )
        reached = cover_classes(covered, {name: own[judged] for name, own in classes.items()})
        record = self._record(pair, scores)
        self.found[pair.source, pair.target] = PairCalibration(
            tuple(flavor.name for flavor in self._list_inputs(pair)),
            self._find_units(pair),
            fitted.calibration,
            without=share_lines(fitted),
            intervals=intervals,
            latent_center=center,
            folds=fitted.folds,
            subjects=tuple(key_subject(around.members[row]) for row in rows),
            connectomes=tuple(key_connectome(around.digests, pair.target, row) for row in rows),
            people=record_subjects(pair, scores, covered, coverage),
            record=replace(record, **describe_coverage(covered, reached, coverage)),
        )

    def _list_inputs(self, pair: CalibratedPair) -> list[Flavor]:
        """List the inputs that most of the subjects fitted on have."""
        source = self.around.sources[pair.source]
        rows = list(pair.subjects)
        return [f for f in source.flavors if source.has_input[f][rows].mean() > 1 / 2]

    def _list_left_out(self, pair: CalibratedPair) -> list[str]:
        """List, also in the log, sessions whose target was measured, though not whole."""
        members = self.around.members
        there = [index for index in pair.lacking if pair.target in members[index].connectomes]
        labels = [members[index].label for index in there]
        if labels:
            logger.info(
                "%s from %s: not calibrated on %s, whose measured connectome lacks regions",
                *(pair.target, pair.source, ", ".join(labels)),
            )
        return labels

    def _find_units(self, pair: CalibratedPair) -> str:
        """Find the units of the measured connectomes: those of most of them."""
        members = (self.around.members[row] for row in pair.subjects)
        units = Counter(units_of(member, pair.target) for member in members)
        return units.most_common(1)[0][0]

    def _record(self, pair: CalibratedPair, scores: HeldOutScores) -> CalibratedPairRecord:
        subjects = [self.around.members[row].subject for row in pair.subjects]
        kinship = Kinship.of(subjects, [self.families[row] for row in pair.subjects])
        gain, (low, high) = scores.score_gain(kinship), scores.spread_subjects()
        calibration, left_out = pair.fitted.calibration, self._list_left_out(pair)
        return CalibratedPairRecord(
            pair.source,
            pair.target.name,
            left_out=", ".join(left_out),
            n=len(subjects),
            n_subjects=len(set(subjects)),
            n_in_training=self._count_trained(subjects),
            n_folds=len(pair.fitted.without),
            slope=float(np.median(calibration.slope)),
            correlation=calibration.correlation,
            kept=calibration.kept,
            gain=gain.value,
            gain_low=known(gain.low),
            gain_high=known(gain.high),
            gain_p=known(gain.p),
            gain_people_low=low,
            gain_people_high=high,
            r2=scores.r2,
        )

    def _count_trained(self, subjects: Sequence[str]) -> int | None:
        found = find_trained(self.around.provenance, subjects)
        return None if found is None else len(found)


def add_ceiling(pair: PairCalibration, shares: Mapping[tuple[str, str], float]) -> PairCalibration:
    """Add the share of the ceiling that a pair reaches, by source and target, where known."""
    share = known(shares.get((pair.record.source, pair.record.target), float("nan")))
    people = tuple(replace(one, ceiling_share=share) for one in pair.people)
    return replace(pair, people=people, record=replace(pair.record, ceiling_share=share))


def describe_coverage(
    covered: NDArray[np.bool_], reached: Mapping[str, float], promised: float
) -> dict[str, Any]:
    """Give the fields of a pair's record that say how much intervals held."""
    weakest = min(reached, key=lambda name: reached[name])
    return {
        "promised": promised,
        "coverage": float(covered.mean()),
        **{f"coverage_q{k + 1}": reached.get(name) for k, name in enumerate(QUARTERS)},
        "coverage_within": reached.get(SIDES[0]),
        "coverage_between": reached.get(SIDES[1]),
        "coverage_weakest_class": reached[weakest],
        "weakest_class": weakest,
        "coverage_lowest_person": float(covered.mean(axis=1).min()),
    }


def record_subjects(
    pair: CalibratedPair, scores: HeldOutScores, covered: NDArray[np.bool_], promised: float
) -> tuple[CalibratedRecord, ...]:
    """Say of everyone whom a calibration was fitted on what the one without the own fold does."""
    fitted, n = pair.fitted, scores.n_ranked
    kept = np.array([one.kept for one in fitted.without])
    assert fitted.increments is not None
    margin = NORMAL_95 * fitted.increments.spread_gains(kept)
    slopes = [float(np.median(one.slope)) for one in fitted.without]
    gains, shares = scores.gains, covered.mean(axis=1)
    return tuple(
        CalibratedRecord(
            held_out=1,
            gain=float(gains[row]),
            gain_low=float(gains[row] - margin[row]),
            gain_high=float(gains[row] + margin[row]),
            rank=int(scores.ranks[row]),
            rank_n=int(n[row]),
            null_percentile=float((n[row] - scores.ranks[row]) / (n[row] - 1)),
            coverage=float(shares[row]),
            interval_coverage=promised,
            n_fitted=fitted.without[fold].n_fitted,
            slope=slopes[fold],
        )
        for row, fold in enumerate(fitted.folds.tolist())
    )


def known(value: float) -> float | None:
    """Give a number, or None where it is NaN."""
    return float(value) if np.isfinite(value) else None
