"""How well each source predicts each target over the cohort: metrics, and each person's rank."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import group_path
from kraken_bids.bids.write import write_json, write_table
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.flavors import Flavor
from kraken_bids.model.judging.metrics import (
    compute_metrics,
    own_correlations,
    row_correlations,
)
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


def write_scores(
    output_dir: Path, model: Model, members: Sequence[Member], sources: Sequence[Source]
) -> dict[tuple[int, Flavor], CrossModalScore]:
    """Compute and write ``group/metrics.tsv``, target by target so that memory stays flat.

    Returns
    -------
    dict
        Cross-modal score per member (its index) and flavor.
    """
    rows: list[tuple[str, str, str, float]] = []
    scores: dict[tuple[int, Flavor], CrossModalScore] = {}
    for target in model.flavors:
        observed = _read_observed(model, members, target)
        for source in sources:
            both = [k for k in observed if source.n_inputs[k]]
            if len(both) < MIN_MEMBERS:
                continue
            measured = np.stack([observed[k] for k in both])
            predicted = source.predict(model, target, both)
            correlations = row_correlations(measured, predicted)
            metrics = compute_metrics(measured, predicted, correlations=correlations)
            metrics["n"] = float(len(both))
            rows += [(source.name, target.name, name, value) for name, value in metrics.items()]
            if source.name == CROSS_MODAL[target.group]:
                expected = model.training_means().get(target)
                found = _score_people(measured, predicted, expected, correlations)
                scores |= {(k, target): score for k, score in zip(both, found, strict=True)}
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


def _score_people(
    measured: NDArray[np.float32],
    predicted: NDArray[np.float32],
    training_mean: NDArray[np.float32] | None,
    correlations: NDArray[np.float64],
) -> list[CrossModalScore]:
    """Score everyone; measured edges lose the cohort's mean, predicted ones the training mean."""
    own_mean = measured.mean(axis=0, dtype=np.float64)
    expected = own_mean if training_mean is None else training_mean
    residual = own_correlations(
        measured, predicted, observed_mean=own_mean, predicted_mean=expected
    )
    own = np.diag(correlations)
    ranks = 1 + (correlations > own[:, None]).sum(axis=1)
    return [
        CrossModalScore(float(c), float(r), int(rank), len(own))
        for c, r, rank in zip(own, residual, ranks, strict=True)
    ]
