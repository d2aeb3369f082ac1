"""How well each source predicts each target over the cohort: metrics, and each person's rank."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import group_path
from kraken_bids.bids.write import write_json, write_table
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.flavors import Flavor
from kraken_bids.model.adaptation import Adaptation
from kraken_bids.model.judging.metrics import (
    compute_metrics,
    own_correlations,
    row_correlations,
)
from kraken_bids.model.judging.verdicts import Evidence, explain_people
from kraken_bids.model.predict import Model
from kraken_bids.pipeline.predictions.cohort import Member, read_measured
from kraken_bids.pipeline.predictions.predict import Source

logger = logging.getLogger(__name__)

MIN_MEMBERS = 3
METRIC_WORDS = {
    "top1acc": "share of people whose own prediction is the closest to their measured connectome",
    "top2acc": "share of people whose own prediction is among the two closest",
    "avgrank": "mean of 1 - rank/n of the own prediction; 1 is perfect, (n+1)/2n chance",
    "avgcorr": "mean correlation of measured and predicted edges",
    "avgcorr_resid": "the same after the cohort's mean is subtracted from both",
    "explainedvar": "1 - variance of the error over variance, over people, all edges",
    "n": "sessions that were compared",
}
CROSS_MODAL = {"FC": "fusionSC", "SC": "fusionFC"}


@dataclass(frozen=True)
class CrossModalScore:
    """How a measured connectome compares with its prediction from the other modality."""

    correlation: float
    correlation_resid: float
    rank: int
    """1: no other person's prediction is closer to this person's measured connectome."""
    n: int
    """People compared."""


@dataclass(frozen=True)
class Scores:
    """How predictions of a cohort compare with what was measured."""

    cross_modal: dict[tuple[int, Flavor], CrossModalScore] = field(default_factory=dict)
    """By index of the member, and flavor."""
    evidence: dict[tuple[str, Flavor], Evidence] = field(default_factory=dict)
    """By name of the source, a fusion, and target."""


def write_scores(
    output_dir: Path,
    model: Model,
    members: Sequence[Member],
    sources: Sequence[Source],
    *,
    adaptation: Adaptation | None = None,
    judged: Sequence[str] = (),
) -> Scores:
    """Compute and write ``group/metrics.tsv``, target by target so that memory stays flat.

    Parameters
    ----------
    output_dir : Path
    model : Model
    members : sequence of Member
    sources : sequence of Source
        All are scored.
    adaptation : Adaptation, optional
        What brings measured connectomes into the range of the predictions.
    judged : sequence of str
        Sources besides the fusions of which it is also kept how they do for each person.
    """
    rows: list[tuple[str, str, str, float]] = []
    scores = Scores()
    for target in model.flavors:
        observed = _read_observed(model, members, target)
        for source in sources:
            both = [k for k in observed if source.n_inputs[k]]
            if len(both) < MIN_MEMBERS:
                continue
            measured = np.stack([observed[k] for k in both])
            predicted = source.predict(model, target, both)
            pair = _Pair(both, measured, predicted, row_correlations(measured, predicted))
            metrics = compute_metrics(measured, predicted, correlations=pair.correlations) | {
                "n": float(len(both))
            }
            rows += [(source.name, target.name, name, value) for name, value in metrics.items()]
            if source.name == CROSS_MODAL[target.group]:
                found = _score_people(pair, model.training_means().get(target))
                scores.cross_modal.update({(k, target): score for k, score in found.items()})
            if source.single is None or source.name in judged:
                fit = adaptation.flavors.get(target) if adaptation else None
                scores.evidence[source.name, target] = _weigh(pair, 1.0 if fit is None else fit.b0)
    path = group_path(output_dir, "metrics.tsv")
    names = ("source", "target", "metric", "value")
    columns = zip(*rows, strict=True) if rows else [[] for _ in names]
    write_table(path, dict(zip(names, map(list, columns), strict=True)))
    write_json(path.with_suffix(".json"), {
        "Description": "How well predictions from each source match measured connectomes",
        "metric": {"Levels": METRIC_WORDS},
    })  # fmt: skip
    return scores


def _read_observed(
    model: Model, members: Sequence[Member], target: Flavor
) -> dict[int, NDArray[np.float32]]:
    """Complete measured connectomes of a flavor, by index of the member."""
    observed = {}
    for index, member in enumerate(members):
        path = member.connectomes.get(target)
        if path is None:
            continue
        try:
            measured = read_measured(path, target, model.n_edges(target))
        except KrakenBidsError as error:
            logger.debug("%s is left out of the metrics: %s", path, error)
            continue
        if not measured.missing.any():
            observed[index] = measured.edges.astype(np.float32)
    return observed


@dataclass(frozen=True)
class _Pair:
    """Measured and predicted connectomes of the people who have both [n_people, n_edges]."""

    people: Sequence[int]
    measured: NDArray[np.float32]
    predicted: NDArray[np.float32]
    correlations: NDArray[np.float64]
    """Measured in rows, predicted in columns [n_people, n_people]."""

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Of the own prediction among everyone's [n_people]; 1 is best."""
        own = np.diag(self.correlations)[:, None]
        return np.asarray(1 + (self.correlations > own).sum(axis=1), np.int64)


def _weigh(pair: _Pair, slope: float) -> Evidence:
    """Say how much of what sets people apart is predicted, once measured edges are scaled."""
    total, explained = explain_people(pair.measured, pair.predicted, slope=slope)
    ranks = pair.ranks
    people = zip(pair.people, explained.tolist(), ranks.tolist(), strict=True)
    return Evidence(
        explained=total,
        average_rank=float(np.mean(1 - (ranks - 1) / len(ranks))),
        people={k: (share, rank) for k, share, rank in people},
        nearest={
            k: pair.people[best]
            for k, best in zip(pair.people, pair.correlations.argmax(axis=1), strict=True)
        },
    )


def _score_people(
    pair: _Pair, training_mean: NDArray[np.float32] | None
) -> dict[int, CrossModalScore]:
    """Score everyone; measured edges lose the cohort's mean, predicted ones the training mean."""
    own_mean = pair.measured.mean(axis=0, dtype=np.float64)
    expected = own_mean if training_mean is None else training_mean
    residual = own_correlations(
        pair.measured, pair.predicted, observed_mean=own_mean, predicted_mean=expected
    )
    own = np.diag(pair.correlations)
    people = zip(pair.people, own, residual, pair.ranks, strict=True)
    return {k: CrossModalScore(float(c), float(r), int(n), len(own)) for k, c, r, n in people}
