"""A method fitted on a fold and explained, and the model that is trained on everyone."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kraken_bids.models.decoding_records import DecodingScore
from kraken_bids.models.series.checkpoint import write_series_model
from kraken_bids.models.series.model import SeriesModel
from kraken_bids.pipeline.decoding.held_out_trials import Decoded
from kraken_bids.pipeline.decoding.training_course import TrainingCourse, describe_training
from kraken_bids.pipeline.decoding.trial_folds import HeldOut
from kraken_bids.pipeline.series.decoding_methods import (
    DecodedByNetwork,
    Design,
    TrialSet,
    decode_held_out,
    fit_network,
)
from kraken_bids.pipeline.series.relevance_maps import map_relevance

logger = logging.getLogger(__name__)


def decode_and_explain(method: str, trials: TrialSet, design: Design, part: HeldOut) -> Decoded:
    """Decode a fold; the method in question is explained in the first repeat."""
    found = decode_held_out(method, trials, design, part)
    is_explained = method == design.methods[0] and part.repeat == 1
    if is_explained and isinstance(found, DecodedByNetwork):
        mapped = map_relevance(
            found.network, trials, part.test, longest=design.longest, seed=design.steps.seed
        )
        return replace(found, extra=mapped.to_arrays())
    return found


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
    course = TrainingCourse(design.steps.n_steps)
    network = fit_network(
        trials.take(np.arange(len(trials.trials))), design, seed=design.steps.seed,
        is_pretrained=pretrained is not None, watch=course,
    )  # fmt: skip
    course.write(output)
    provenance = describe_training(
        trials, design.steps, scores,
        batch_size=design.batch_size, pretraining=pretrained.provenance if pretrained else None,
    )  # fmt: skip
    data = trials.store.data
    model = SeriesModel(network, data, design.longest, trials.classes, provenance)
    write_series_model(model, output)
