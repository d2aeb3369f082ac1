"""Calibrated predictions and intervals of single sessions, as arrays and records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.measured_matrices import read_measured
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.flavors import Flavor
from kraken_bids.models.calibration.intervals import span_predictions
from kraken_bids.models.calibration.saved_calibrations import PairCalibration
from kraken_bids.pipeline.calibrate.choice_of_calibration import ChosenCalibration
from kraken_bids.pipeline.calibrate.fitted_pairs import (
    NORMAL_95,
    Surroundings,
    key_connectome,
    key_subject,
)
from kraken_bids.scores.calibrated_records import CalibratedRecord

Edges = NDArray[np.float32]
Key = tuple[str, Flavor]
"""Source and target."""

BLOCK = 16
"""Sessions whose predictions of one target are decoded at once."""


@dataclass(frozen=True, eq=False)
class CalibratedEdges:
    """A calibrated prediction of one session."""

    values: Edges
    """[n_edges]"""
    low: Edges
    high: Edges
    record: CalibratedRecord


@dataclass(frozen=True)
class SessionCalibrator:
    """Calibrates predictions of the sessions of a run."""

    plan: PredictionPlan
    around: Surroundings
    chosen: ChosenCalibration

    def list_pairs(self, index: int) -> list[Key]:
        """List what can be calibrated of a session: sources and targets that are written."""
        sources = {source.name: source for source in self.plan.written_sources}
        return [
            (source, target)
            for source, target in self.chosen.saved.pairs
            if source in sources
            and sources[source].n_inputs[index]
            and target in self.plan.targets
        ]

    def calibrate(
        self, indices: Sequence[int]
    ) -> Iterator[tuple[int, dict[Key, CalibratedEdges]]]:
        """Calibrate some sessions; yields each with what was calibrated, some at a time."""
        for start in range(0, len(indices), BLOCK):
            block = indices[start : start + BLOCK]
            found: dict[int, dict[Key, CalibratedEdges]] = {index: {} for index in block}
            for source, target in self.chosen.saved.pairs:
                rows = [index for index in block if (source, target) in self.list_pairs(index)]
                if not rows:
                    continue
                predicted = self.around.sources[source].predict(self.plan.model, target, rows)
                for index, own in zip(rows, predicted, strict=True):
                    found[index][source, target] = self._calibrate_one(index, source, target, own)
            yield from found.items()

    def _calibrate_one(
        self, index: int, source: str, target: Flavor, predicted: Edges
    ) -> CalibratedEdges:
        """Calibrate one prediction: of a subject who was fitted on, without the own fold."""
        pair = self.chosen.saved.pairs[source, target]
        features = self.around.describe(source, pair.latent_center, [index])
        fold, row = self.find_fitted(index, source, target)
        if fold is not None:
            difficulty = pair.intervals.judge(features, np.array([fold]))
            low = high = values = pair.without[fold].apply(predicted)
        else:
            difficulty = pair.intervals.judge(features)
            values = pair.calibration.apply(predicted)
            low, high = span_predictions(predicted, pair.without)
        margin = np.float32(difficulty[0]) * pair.intervals.error
        low, high = low - margin, high + margin
        if row is not None:
            return CalibratedEdges(values, low, high, pair.people[row])
        measured = self._read_measured(index, target)
        if measured is None:
            return CalibratedEdges(values, low, high, _record_unmeasured(pair, fold))
        record = _record_measured(pair, fold, predicted, measured=measured, bounds=(low, high))
        return CalibratedEdges(values, low, high, record)

    def find_fitted(
        self, index: int, source: str, target: Flavor
    ) -> tuple[int | None, int | None]:
        """Fold and row of a session among those that a pair was fitted on; None each if not.

        In the dataset of the fit, a subject is known by label, and other sessions of this subject
        are of the same fold; elsewhere by the measured connectome alone.
        """
        pair = self.chosen.saved.pairs[source, target]
        connectome = key_connectome(self.around.digests, target, index)
        row = pair.find_row(connectome) if connectome else None
        own = key_subject(self.around.members[index])
        if self.chosen.is_own:
            if row is not None and pair.subjects[row] != own:
                row = None  # the same matrix of another subject
            return pair.find_fold(own), row
        return (None, None) if row is None else (int(pair.folds[row]), row)

    def _read_measured(self, index: int, target: Flavor) -> NDArray[np.float64] | None:
        """Measured edges of a session; None where they are not there, or not of every region."""
        path = self.around.members[index].connectomes.get(target)
        if path is None:
            return None
        try:
            measured = read_measured(path, target, self.plan.model.n_edges(target))
        except KrakenBidsError:  # said when it was to be an input
            return None
        return None if measured.missing.any() else measured.edges


def _record_unmeasured(pair: PairCalibration, fold: int | None) -> CalibratedRecord:
    """Record what subjects in whom the target was measured say of a prediction of it."""
    record = pair.record
    return CalibratedRecord(
        held_out=int(fold is not None),
        gain=record.gain,
        gain_low=record.gain_people_low,
        gain_high=record.gain_people_high,
        ceiling_share=record.ceiling_share,
        interval_coverage=pair.intervals.coverage,
        **_describe_fit(pair, fold),
    )


def _record_measured(
    pair: PairCalibration,
    fold: int | None,
    predicted: Edges,
    *,
    measured: NDArray[np.float64],
    bounds: tuple[Edges, Edges],
) -> CalibratedRecord:
    """Compare a calibrated prediction with the measured connectome, which was not fitted on."""
    used = pair.calibration if fold is None else pair.without[fold]
    gain = _gain(measured, used.apply(predicted), pair.calibration.mean_measured)
    refits = np.array(
        [
            _gain(measured, one.apply(predicted), pair.calibration.mean_measured)
            for one in pair.without
        ]
    )
    n_folds = len(refits)
    margin = NORMAL_95 * np.sqrt((n_folds - 1) / n_folds * ((refits - refits.mean()) ** 2).sum())
    low, high = bounds
    return CalibratedRecord(
        held_out=int(fold is not None),
        gain=gain,
        gain_low=gain - float(margin),
        gain_high=gain + float(margin),
        ceiling_share=pair.record.ceiling_share,
        coverage=float(((measured >= low) & (measured <= high)).mean()),
        interval_coverage=pair.intervals.coverage,
        **_describe_fit(pair, fold),
    )


def _describe_fit(pair: PairCalibration, fold: int | None) -> dict[str, Any]:
    used = pair.calibration if fold is None else pair.without[fold]
    return {"n_fitted": used.n_fitted, "slope": float(np.median(used.slope))}


def _gain(measured: NDArray[np.float64], calibrated: Edges, mean: Edges) -> float:
    total = float(((measured - mean) ** 2).sum())
    return 1 - float(((measured - calibrated) ** 2).sum()) / total if total > 0 else 0.0


def summarize(
    records: Sequence[CalibratedRecord],
) -> dict[str, Any]:
    """Mean gain and coverage of sessions that were judged and not fitted on."""
    judged = [one for one in records if one.coverage is not None and not one.held_out]
    if not judged:
        return {}
    return {
        "n_judged": len(judged),
        "gain_judged": float(np.mean([one.gain for one in judged if one.gain is not None])),
        "coverage_judged": float(np.mean([one.coverage for one in judged])),
    }
