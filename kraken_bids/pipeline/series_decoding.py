"""Decoding of trials: region series and events in, a model and what it is worth out."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from kraken_bids.cohort.output_checks import check_no_input
from kraken_bids.cohort.series_store import gather_series
from kraken_bids.models.decoding_records import DecodingScore
from kraken_bids.models.network_folders import digest_weights
from kraken_bids.models.series.checkpoint import read_series_model, write_series_model
from kraken_bids.models.series.model import SeriesModel
from kraken_bids.pipeline.decoding.decoding_folder import DecodingFolder, decode_folds
from kraken_bids.pipeline.decoding.decoding_tables import write_decoded
from kraken_bids.pipeline.decoding.held_out_trials import Decoded
from kraken_bids.pipeline.decoding.training_course import TrainingCourse, describe_training
from kraken_bids.pipeline.decoding.trial_folds import HeldOut, hold_subjects_out, tell_known
from kraken_bids.pipeline.model_training import find_families
from kraken_bids.pipeline.series.decoding_methods import (
    DecodedByNetwork,
    Design,
    TrialSet,
    decode_held_out,
    fit_network,
)
from kraken_bids.pipeline.series.decoding_options import DecodingOptions
from kraken_bids.pipeline.series.labelled_trials import check_subjects, gather_trials
from kraken_bids.pipeline.series.relevance_maps import (
    RelevanceSums,
    add_relevance,
    map_relevance,
    write_relevance,
)
from kraken_bids.report.series_page import draw_series_page

logger = logging.getLogger(__name__)


def decode_series(
    sources: Sequence[str | Path],
    output: Path,
    options: DecodingOptions,
    reading: Mapping[str, Any] | None = None,
) -> list[DecodingScore]:
    """Decode trials in subjects held out, by a network and by what it is compared with.

    The folder gets ``predictions.tsv``, ``confusion.tsv``, ``scores.tsv``, ``splits.tsv``,
    ``relevance.tsv``, ``history.tsv``, ``report.html`` and the model that was trained on everyone,
    whose worth the scores of the folds tell.

    Parameters
    ----------
    sources : sequence of str or Path
        As of :func:`~kraken_bids.cohort.series_store.gather_series`.
    output : Path
        Folder to write.
    reading : mapping, optional
        Words of :func:`~kraken_bids.cohort.series_store.gather_series`.

    Returns
    -------
    list of DecodingScore
        Over all repeats, the method in question first; none where the folder was complete.

    Raises
    ------
    KrakenBidsError
        As the stages do: options, files, trials, numbers, a full disk.
    """
    inputs = [*sources, options.events, options.model, options.participants]
    check_no_input([("--output", output)], inputs)
    pretrained = read_series_model(options.model) if options.model else None
    trials = _gather(sources, output, options, reading or {}, pretrained=pretrained)
    design = _design(trials, pretrained, options)
    folder = DecodingFolder(output, _describe(trials, options))
    if folder.open(resume=options.resume):
        draw_series_page(output)
        logger.info("%s is complete: nothing but its page is drawn", output)
        return []
    if pretrained:
        tell_known(pretrained.provenance, trials.subjects)
    parts = hold_subjects_out(
        trials, output,
        n_folds=options.n_folds, n_repeats=options.n_repeats, seed=options.steps.seed,
    )  # fmt: skip
    results = decode_folds(
        design.methods, lambda method, part: decode_and_explain(method, trials, design, part),
        parts, folder,
    )  # fmt: skip
    explained = [
        RelevanceSums.from_arrays(found.extra)
        for _, found in results[design.methods[0]]
        if found.extra
    ]
    write_relevance(trials, add_relevance(explained), output)
    scores = write_decoded(trials, results, output, seed=options.steps.seed)
    write_decoder(trials, design, pretrained, scores, output=output)
    folder.close(
        Method=design.methods[0], NumberOfTrials=len(trials.trials),
        NumberOfSubjects=len({*trials.subjects}), Classes=trials.classes,
    )  # fmt: skip
    draw_series_page(output)
    return scores


def _gather(
    sources: Sequence[str | Path],
    output: Path,
    options: DecodingOptions,
    reading: Mapping[str, Any],
    *,
    pretrained: SeriesModel | None,
) -> TrialSet:
    """Read the series of all runs, and cut them into trials."""
    store = gather_series(
        sources, output, like=pretrained.data if pretrained else None,
        learns_times=True, **reading,
    )  # fmt: skip
    subjects = check_subjects(store)
    families = find_families(
        subjects, list(map(str, sources)), options.families, options.participants
    )
    return gather_trials(store, dict(zip(subjects, families, strict=True)), options)


def _design(trials: TrialSet, pretrained: SeriesModel | None, options: DecodingOptions) -> Design:
    n_classes = len(trials.classes)
    if pretrained is None:
        architecture = options.recipe.design(trials.store.data.n_regions, n_classes)
    else:
        architecture = replace(pretrained.architecture, n_classes=n_classes)
    return Design(
        architecture,
        pretrained.network if pretrained else None,
        options.steps,
        options.recipe.batch_size,
        pretrained.longest if pretrained else options.recipe.longest,
    )


def _describe(trials: TrialSet, options: DecodingOptions) -> dict[str, Any]:
    """Say all that a decoding follows from."""
    content = hashlib.sha256()
    for row, one in enumerate(trials.trials):
        run = trials.store.runs[one.run]
        known = f"{run.name} {run.repetition_time} {one} {trials.families[row]}"
        content.update(known.encode())
        content.update(np.ascontiguousarray(trials.take(np.array([row])).values[0]).data)
    given = asdict(options)
    for name in ("resume", "participants"):
        del given[name]
    return {
        **given,
        "trials": content.hexdigest(),
        "weights": digest_weights(options.model) if options.model else "",
    }


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
