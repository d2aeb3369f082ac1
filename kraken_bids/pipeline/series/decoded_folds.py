"""Every fold decoded by every method, and the model that is trained on everyone."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from kraken_bids import __version__
from kraken_bids.io.records import write_records
from kraken_bids.models.series.checkpoint import write_series_model
from kraken_bids.models.series.classification import Watch
from kraken_bids.models.series.model import SeriesModel
from kraken_bids.models.series.series_records import (
    PRETRAINED,
    SCRATCH,
    DecodingScore,
    TrainingPoint,
)
from kraken_bids.pipeline.series.decoding_folder import DecodingFolder
from kraken_bids.pipeline.series.decoding_methods import (
    Decoded,
    Design,
    TrialSet,
    decode_held_out,
    fit_network,
)
from kraken_bids.pipeline.series.decoding_tables import Results
from kraken_bids.pipeline.series.relevance_maps import (
    RelevanceSums,
    add_relevance,
    map_relevance,
)
from kraken_bids.pipeline.series.trial_folds import HeldOut

logger = logging.getLogger(__name__)


def decode_folds(
    trials: TrialSet, design: Design, parts: Sequence[HeldOut], folder: DecodingFolder
) -> tuple[Results, RelevanceSums]:
    """Decode every fold by every method; what an interrupted decoding has found is recalled."""
    results: dict[str, list[tuple[HeldOut, Decoded]]] = {name: [] for name in design.methods}
    relevance = []
    for part in parts:
        logger.info(
            "repeat %d, fold %d: %d trials to learn from, %d held out",
            part.repeat, part.fold, len(part.train), len(part.test),
        )  # fmt: skip
        for method in design.methods:
            arrays = _decode_once(method, trials, design, part, folder=folder)
            found = Decoded(arrays["predicted"].astype(np.intp), arrays["probabilities"])
            results[method].append((part, found))
            if "relevance_sums" in arrays:
                relevance.append(RelevanceSums.from_arrays(arrays))
    return results, add_relevance(relevance)


def _decode_once(
    method: str, trials: TrialSet, design: Design, part: HeldOut, *, folder: DecodingFolder
) -> Mapping[str, Any]:
    name = f"{method}_repeat-{part.repeat}_fold-{part.fold}"
    known = folder.recall(name)
    if known is not None:
        return known
    found = decode_held_out(method, trials, design, part)
    arrays: dict[str, Any] = {
        "predicted": found.predicted, "probabilities": found.probabilities
    }  # fmt: skip
    if method == design.methods[0] and part.repeat == 1 and found.network is not None:
        mapped = map_relevance(
            found.network, trials, part.test, longest=design.longest, seed=design.steps.seed
        )
        arrays |= mapped.to_arrays()
    folder.keep(name, arrays)
    return arrays


def write_decoder(
    trials: TrialSet,
    design: Design,
    pretrained: SeriesModel | None,
    scores: Sequence[DecodingScore],
    *,
    output: Path,
) -> None:
    """Train on everyone, and write the model with its history."""
    logger.info("on everyone: the model that is kept")
    points: list[TrainingPoint] = []
    network = fit_network(
        trials.take(np.arange(len(trials.trials))), design, seed=design.steps.seed,
        is_pretrained=pretrained is not None, watch=_follow(points, design.steps.n_steps),
    )  # fmt: skip
    write_records(
        output / "history.tsv", [TrainingPoint], [[one] for one in points],
        description="Course of the training on everyone, which gave the model",
    )  # fmt: skip
    provenance = {
        "Method": PRETRAINED if pretrained else SCRATCH,
        "Subjects": sorted({*trials.people}),
        "Steps": asdict(design.steps),
        "BatchSize": design.batch_size,
        "HeldOutScores": [asdict(one) for one in scores],
        "Pretraining": dict(pretrained.provenance) if pretrained else None,
        "SoftwareVersion": __version__,
    }
    data = trials.store.describe()
    model = SeriesModel(network, data, design.longest, trials.classes, provenance)
    write_series_model(model, output)


def _follow(points: list[TrainingPoint], n_steps: int) -> Watch:
    """Note the mean loss and the rate a hundred times in a training."""
    losses: list[float] = []

    def watch(_: object, result: Any) -> bool:
        losses.append(result.loss)
        if result.step % max(1, n_steps // 100) == 0 or result.step == n_steps:
            points.append(TrainingPoint(result.step, "train", "loss", float(np.mean(losses))))
            points.append(
                TrainingPoint(result.step, "train", "learning_rate", result.learning_rate)
            )
            losses.clear()
        return False

    return watch
