"""How well a network predicts the subjects it is trained on, and others, while it is trained."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.subject_names import subject_of
from kraken_bids.flavors import Flavor
from kraken_bids.io.records import to_sidecar
from kraken_bids.models.devices import single_thread
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.reduced_predictions import ReducedPredictor
from kraken_bids.models.training_record import EvaluationRecord
from kraken_bids.pipeline.train.reduced_cohort import ReducedCohort, ReducedFlavor
from kraken_bids.scores.component_metrics import (
    PairCorrelations,
    correlate_edges,
    correlate_rows,
    correlate_scores,
)
from kraken_bids.scores.metrics import find_ranked

Rows = NDArray[np.intp]
Space = Literal["edges", "transform"]

MAX_WATCHED = 100
"""Training subjects who are looked at; more would cost more than they tell."""
MODEL, SHUFFLED, GROUP_MEAN = "model", "shuffled", "group mean"
BEST_METRIC = "avgcorr_resid"
"""What the best epoch is the best in: over all paths, in edge space, of validation subjects."""
ALL = "all"
"""Source of what does not depend on one."""


@dataclass(frozen=True)
class Figure:
    """One number on how well subjects are predicted."""

    source: str
    target: str
    split: str
    """``train``, ``validation`` or ``test``."""
    metric: str
    space: str
    """``edges`` or ``transform``: numbers of the two are never comparable."""
    predictor: str
    """``model``; ``shuffled``: its predictions dealt out to other subjects; ``group mean``."""
    value: float
    n: int
    """Subjects compared."""


class Validator:
    """Judges states of a network on the subjects of a cohort.

    Rows are sessions: a prediction is ranked among those of other subjects, not among those of the
    subject's other sessions.
    """

    def __init__(self, cohort: ReducedCohort) -> None:
        self._cohort = cohort
        self._people = np.array(list(map(subject_of, cohort.subjects)))
        n_train = len(cohort.split.train)
        step = np.linspace(0, n_train, min(n_train, MAX_WATCHED), endpoint=False).astype(np.intp)
        self._rows: dict[str, Rows] = {
            "train": cohort.split.train[step],
            "validation": cohort.split.validation,
            "test": cohort.split.test,
        }
        self._middles = {
            flavor: _find_middle(one, cohort.split.train) for flavor, one in cohort.flavors.items()
        }

    @property
    def has_validation(self) -> bool:
        """Whether there are subjects to choose an epoch by."""
        return self._count_subjects(self._rows["validation"]) > 1

    def judge(self, weights: Weights, *splits: str) -> list[Figure]:
        """Every path's metrics in both spaces, of the model and of its predictions shuffled."""
        found: list[Figure] = []
        with single_thread():
            for split in splits or ("train", "validation"):
                rows = self._rows[split]
                predictor = ReducedPredictor(weights, self._cohort.take_scores(rows))
                for target in self._cohort.flavors:
                    found += self._judge_target(predictor, target, split)
        return found

    def judge_group_mean(self, *splits: str) -> list[Figure]:
        """Metrics of the training subjects' mean connectome, predicted for everyone.

        Where some lack the source of a path, also of those alone whom the path is judged on.
        """
        found: list[Figure] = []
        for split in splits or ("train", "validation"):
            rows = self._rows[split]
            for flavor, one in self._cohort.flavors.items():
                for source, able in self._list_judged(one, rows).items():
                    mean = np.tile(self._middles[flavor], (1, len(rows), 1))
                    mean[:, ~able] = np.nan
                    for space, pairs, n in self._compare(flavor, rows, mean):
                        found += [
                            Figure(
                                source,
                                flavor.name,
                                split,
                                name,
                                space,
                                GROUP_MEAN,
                                value.item(),
                                n,
                            )
                            for name, value in pairs.summarise().items()
                        ]
        return found

    def _list_judged(self, target: ReducedFlavor, rows: Rows) -> dict[str, NDArray[np.bool_]]:
        """Whom the paths to a flavor are judged on: all who have it, and by source if fewer."""
        theirs = target.present[rows]
        found = {ALL: theirs}
        for source, one in self._cohort.flavors.items():
            able = theirs & one.present[rows]
            if not np.array_equal(able, theirs):
                found[source.name] = able
        return found

    def _judge_target(
        self, predictor: ReducedPredictor, target: Flavor, split: str
    ) -> Iterator[Figure]:
        """Judge all paths to a flavor, those of the same subjects at once."""
        rows = self._rows[split]
        predicted = {s.name: predictor.predict(s.name, target.name) for s in self._cohort.flavors}
        alike: dict[bytes, list[str]] = {}
        for source, scores in predicted.items():
            # edges of several sources at once would be too many
            key = source.encode() if self._cohort.flavors[target].frame is None else b""
            alike.setdefault(key + np.isfinite(scores[:, 0]).tobytes(), []).append(source)
        for sources in alike.values():
            stacked = np.stack([predicted[source] for source in sources])
            for space, pairs, n in self._compare(target, rows, stacked):
                for name, metrics in (
                    (MODEL, pairs.summarise()),
                    (SHUFFLED, pairs.summarise_shuffled()),
                ):
                    for metric, values in metrics.items():
                        for source, value in zip(sources, values.tolist(), strict=True):
                            yield Figure(source, target.name, split, metric, space, name, value, n)

    def _compare(
        self, flavor: Flavor, rows: Rows, predicted: NDArray[np.floating]
    ) -> Iterator[tuple[Space, PairCorrelations, int]]:
        """Compare observed and predicted ``[n_sources, n_subjects, n_values]`` in each space.

        Those are compared who have both; they are the same for all sources.
        """
        one = self._cohort.flavors[flavor]
        both = one.present[rows] & np.isfinite(predicted[0, :, 0])
        if self._count_subjects(rows[both]) < 2:
            return
        ranked = find_ranked(self._people[rows[both]].tolist())
        kept = predicted[:, both].astype(np.float64)
        for space, pairs in _correlate(one, self._middles[flavor], rows[both], kept):
            yield space, replace(pairs, ranked=ranked), int(both.sum())

    def _count_subjects(self, rows: Rows) -> int:
        return len(np.unique(self._people[rows]))


def _correlate(
    one: ReducedFlavor, middle: NDArray[np.float64], rows: Rows, predicted: NDArray[np.float64]
) -> Iterator[tuple[Space, PairCorrelations]]:
    """Correlate rows of a flavor with predicted scores of several sources, in each space."""
    scores = one.scores[rows].astype(np.float64)
    if one.frame is not None and one.observed is not None:
        yield "transform", correlate_scores(scores, predicted, middle)
        observed = one.observed.take(rows)
        yield "edges", correlate_edges(one.frame, observed, predicted / one.scale)
        return
    yield "transform", _correlate_one(scores, predicted[0], middle)
    center = one.reduction.to_affine().center.astype(np.float64)
    yield "edges", _correlate_one(scores + center, predicted[0] + center, _find_mean(one))


def _correlate_one(
    observed: NDArray[np.float64], predicted: NDArray[np.float64], mean: NDArray[np.float64]
) -> PairCorrelations:
    """Correlate rows of edges, from one source."""
    pairs = correlate_rows(observed, predicted, mean)
    return PairCorrelations(pairs.plain[None], pairs.demeaned[None])


def average(figures: Sequence[Figure], split: str, metric: str) -> float:
    """Mean over all paths of a metric of the model, over edges; NaN where there is none."""
    values = [
        figure.value
        for figure in figures
        if (figure.split, figure.metric, figure.space, figure.predictor)
        == (split, metric, "edges", MODEL)
    ]
    return float(np.mean(values)) if values else float("nan")


def _find_middle(one: ReducedFlavor, training: Rows) -> NDArray[np.float64]:
    """Mean of the training subjects' scores; of components it is 0, and not only nearly."""
    if one.frame is not None:
        return np.zeros(one.scores.shape[1])
    return np.asarray(np.nanmean(one.scores[training], axis=0, dtype=np.float64))


def _find_mean(one: ReducedFlavor) -> NDArray[np.float64]:
    mean = one.reduction.training_mean
    assert mean is not None  # what was fitted keeps it
    return mean.astype(np.float64)


def summarise_directions(
    figures: Sequence[Figure], groups: Mapping[str, str]
) -> list[dict[str, object]]:
    """Mean over the paths of each direction, beside the group mean and shuffled predictions.

    Parameters
    ----------
    groups : mapping of str to str
        ``FC`` or ``SC`` by flavor id.

    Returns
    -------
    list of dict
        Plain values: split, direction, space, metric, value, group mean, shuffled, subjects.
    """
    baselines = {
        (f.source, f.target, f.split, f.space, f.metric): f.value
        for f in figures
        if f.predictor == GROUP_MEAN
    }
    collected: dict[tuple[str, str, str, str], dict[str, list[float]]] = {}
    subjects: dict[tuple[str, str, str, str], int] = {}
    for one in (figure for figure in figures if figure.predictor != GROUP_MEAN):
        direction = f"{groups[one.source]}->{groups[one.target]}"
        key = (one.split, direction, one.space, one.metric)
        by_predictor = collected.setdefault(key, {MODEL: [], SHUFFLED: [], GROUP_MEAN: []})
        by_predictor[one.predictor].append(one.value)
        subjects[key] = max(subjects.get(key, 0), one.n)
        if one.predictor == MODEL:
            place = (one.target, one.split, one.space, one.metric)
            values = [
                baselines[k] for k in ((one.source, *place), (ALL, *place)) if k in baselines
            ]
            by_predictor[GROUP_MEAN] += values[:1]
    return [
        to_sidecar(
            EvaluationRecord(
                *key,
                value=_mean(values[MODEL]),
                group_mean=_mean(values[GROUP_MEAN]),
                shuffled=_mean(values[SHUFFLED]),
                subjects=subjects[key],
            )
        )
        for key, values in collected.items()
    ]


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 6) if values else None
