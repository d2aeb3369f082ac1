"""Training of a decoder of volumes: BOLD and events in, a model and what it is worth out."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from kraken_bids.bids.volume_runs import find_confounds_beside
from kraken_bids.cohort.output_checks import check_no_input
from kraken_bids.cohort.trials import label_trials
from kraken_bids.exceptions import SettingsError
from kraken_bids.io.digests import compute_sha256
from kraken_bids.models.decoding_records import DecodingScore
from kraken_bids.models.network_folders import digest_weights
from kraken_bids.models.step_training import find_device
from kraken_bids.models.volumes.architecture import VolumeArchitecture, VolumeCleaning
from kraken_bids.models.volumes.checkpoint import VolumeModel, write_volume_model
from kraken_bids.pipeline.decoding.decoding_folder import (
    PARTS,
    DecodingFolder,
    Results,
    decode_folds,
)
from kraken_bids.pipeline.decoding.decoding_tables import write_decoded
from kraken_bids.pipeline.decoding.training_course import (
    KeptSteps,
    TrainingCourse,
    describe_training,
)
from kraken_bids.pipeline.decoding.trial_folds import hold_subjects_out, tell_known
from kraken_bids.pipeline.model_training import find_families
from kraken_bids.pipeline.volume_confounds import choose_cleaning, prepare_confounds
from kraken_bids.pipeline.volumes.decoders import (
    TIMES,
    compare_times,
    place_labels,
    read_decoder,
    read_parcels,
)
from kraken_bids.pipeline.volumes.held_out_relevance import (
    HeldOutRelevance,
    add_relevance,
    write_held_out_relevance,
)
from kraken_bids.pipeline.volumes.labelled_volumes import (
    CachedVolumes,
    VolumeSet,
    leave_out,
    split_events,
    tell_size,
)
from kraken_bids.pipeline.volumes.training_options import RATES, VolumeTrainingOptions
from kraken_bids.pipeline.volumes.volume_cache import VolumeCache, cut_cubes, list_runs
from kraken_bids.pipeline.volumes.volume_methods import VolumeDesign, decode_part, fit_decoder
from kraken_bids.pipeline.volumes.voxel_cleaning import Preparations, Prepare
from kraken_bids.report.series_page import draw_series_page

logger = logging.getLogger(__name__)


def train_volumes(
    bold: Sequence[Path], output: Path, options: VolumeTrainingOptions
) -> list[DecodingScore]:
    """Train a decoder of volumes; in subjects held out, judge it beside what it has to beat.

    The folder gets ``predictions.tsv``, ``confusion.tsv``, ``scores.tsv``, ``splits.tsv``,
    ``history.tsv``, ``report.html``, relevance in subjects held out (``relevance/``,
    ``relevance_check.tsv``, ``deletion.tsv``) and the model that was trained on everyone.

    Parameters
    ----------
    bold : sequence of Path
        Preprocessed runs in MNI152NLin6Asym, each with its mask beside it.
    output : Path
        Folder to write; labelled volumes lie in it, 2 bytes a voxel, until all is done.

    Returns
    -------
    list of DecodingScore
        Over all repeats, the method in question first; none where the folder was complete.

    Raises
    ------
    KrakenBidsError
        As the stages do: options, files, events, numbers, a full disk.
    """
    inputs = [*bold, options.events, options.decoder, options.participants, options.labels]
    check_no_input([("--output", output)], inputs)
    find_device(options.steps.device)
    pretrained = read_decoder(options.decoder) if options.decoder else None
    volumes = _gather(bold, options)
    design = _design(volumes, pretrained, options)
    cleaning = choose_cleaning(pretrained, options.cleaning)
    preparations = _prepare(volumes, cleaning)
    folder = DecodingFolder(output, _describe(volumes, design, options, cleaning=cleaning))
    if folder.open(resume=options.resume):
        draw_series_page(output)
        logger.info("%s is complete: nothing but its page is drawn", output)
        return []
    if pretrained:
        _tell_unlike(pretrained, volumes)
    cached = _clean(
        volumes, design, options,
        cleaning=cleaning, preparations=preparations, folder=output / PARTS,
    )  # fmt: skip
    volumes = cached.volumes
    design = replace(design, folder=folder)
    parts = hold_subjects_out(
        volumes, output,
        n_folds=options.n_folds, n_repeats=options.n_repeats, seed=options.steps.seed,
    )  # fmt: skip
    results = decode_folds(
        design.methods, lambda method, part: decode_part(method, cached, design, part),
        parts, folder, examples="volumes",
    )  # fmt: skip
    scores = write_decoded(volumes, results, output, seed=options.steps.seed)
    _write_relevance(cached, design, results, output)
    _write_model(cached, design, pretrained, scores, cleaning=cleaning, folder=folder)
    _close(folder, volumes, design, options)
    draw_series_page(output)
    return scores


def _close(
    folder: DecodingFolder,
    volumes: VolumeSet,
    design: VolumeDesign,
    options: VolumeTrainingOptions,
) -> None:
    """Say that all is there, and what it was made from."""
    folder.close(
        Method=design.methods[0], Steps=options.steps.n_steps,
        NumberOfVolumes=len(volumes.trials), NumberOfSubjects=len({*volumes.subjects}),
        Classes=volumes.classes,
    )  # fmt: skip


def _gather(bold: Sequence[Path], options: VolumeTrainingOptions) -> VolumeSet:
    """Find the labelled volumes of all runs."""
    runs = list_runs(bold)
    events = label_trials(
        runs, options.events, options.window, column=options.column, classes=options.classes
    )
    subjects = sorted({run.subject for run in runs})
    families = find_families(
        subjects, [str(options.events)], options.families, options.participants
    )
    return split_events(runs, events, dict(zip(subjects, families, strict=True)))


def _design(
    volumes: VolumeSet, pretrained: VolumeModel | None, options: VolumeTrainingOptions
) -> VolumeDesign:
    if pretrained is None:
        architecture = VolumeArchitecture(
            options.architecture or "3d", volumes.classes, options.grid, options.channels,
            options.strides,
        )  # fmt: skip
    else:
        architecture = replace(pretrained.network.architecture, states=volumes.classes)
        if options.architecture not in {None, architecture.kind}:
            raise SettingsError(
                f"--architecture {options.architecture}: expected that of --decoder, "
                f"{architecture.kind}. Leave it out."
            )
    rate = RATES[architecture.kind] if options.learning_rate is None else options.learning_rate
    return VolumeDesign(
        architecture,
        pretrained.network if pretrained else None,
        replace(options.steps, learning_rate=rate),
        options.batch_size,
        options.n_threads,
    )


def _prepare(volumes: VolumeSet, cleaning: VolumeCleaning) -> dict[Path, Prepare]:
    """Find the confounds of every run, before the first is cleaned."""
    found = {run.path: prepare_confounds(cleaning, run.path) for run in volumes.runs}
    return {path: prepare for path, prepare in found.items() if prepare}


def _describe(
    volumes: VolumeSet,
    design: VolumeDesign,
    options: VolumeTrainingOptions,
    *,
    cleaning: VolumeCleaning,
) -> dict[str, Any]:
    """Say all that a training follows from."""
    given = asdict(options)
    resolved = ("architecture", "grid", "channels", "strides", "steps", "learning_rate")
    for name in ("resume", "participants", "n_threads", *resolved):
        del given[name]
    read = [path for run in volumes.runs for path in (run.path, run.mask)]
    if cleaning.takes_confounds:
        read += [find_confounds_beside(run.path) for run in volumes.runs]
    trials = "\n".join(
        f"{one} {family}" for one, family in zip(volumes.trials, volumes.families, strict=True)
    )
    return {
        **given,
        "architecture": asdict(design.architecture),
        "steps": asdict(design.steps),
        "cleaning": asdict(cleaning),
        "runs": [compute_sha256(path) for path in read],
        "trials": hashlib.sha256(trials.encode()).hexdigest(),
        "weights": digest_weights(options.decoder) if options.decoder else "",
        "labels": compute_sha256(options.labels) if options.labels else "",
    }


def _clean(
    volumes: VolumeSet,
    design: VolumeDesign,
    options: VolumeTrainingOptions,
    *,
    cleaning: VolumeCleaning,
    preparations: Preparations,
    folder: Path,
) -> CachedVolumes:
    """Clean all runs, and average their volumes for the linear model."""
    grid = design.architecture.grid
    tell_size(volumes, grid)
    cache = VolumeCache(
        volumes.runs,
        volumes.list_volumes(),
        cleaning=cleaning,
        folder=folder,
        grid=grid,
        preparations=preparations,
    )
    parcels = cut_cubes(grid)
    if options.labels:
        ((image, parcellation),) = place_labels({options.atlas: str(options.labels)}).values()
        parcels = read_parcels(image, parcellation, grid)
    patterns = cache.average(parcels)
    return leave_out(CachedVolumes(volumes, cache, patterns[:, patterns.any(axis=0)]))


def _tell_unlike(pretrained: VolumeModel, volumes: VolumeSet) -> None:
    """Say who was seen in the pretraining, and which runs are unlike those of it."""
    tell_known(pretrained.provenance, volumes.subjects)
    for text in compare_times(pretrained, volumes.repetition_times):
        logger.warning("--decoder: %s", text)


def _write_relevance(
    cached: CachedVolumes, design: VolumeDesign, results: Results, output: Path
) -> None:
    """Write the relevance that the folds have found."""
    found = [fold.extra for _, fold in results[design.methods[0]] if fold.extra]
    if found:  # an earlier version, which found none, may have begun the folder
        parts = [HeldOutRelevance.from_arrays(arrays) for arrays in found]
        kind = design.architecture.kind
        write_held_out_relevance(cached, add_relevance(parts), output, kind=kind)


def _write_model(
    cached: CachedVolumes,
    design: VolumeDesign,
    pretrained: VolumeModel | None,
    scores: Sequence[DecodingScore],
    *,
    cleaning: VolumeCleaning,
    folder: DecodingFolder,
) -> None:
    """Train on everyone, and write the model with its history."""
    logger.info("on everyone: the model that is kept")
    course = TrainingCourse(design.steps.n_steps)
    labels = cached.volumes.labels
    kept = KeptSteps(folder, "everyone", course)
    network = fit_decoder(
        cached, np.arange(len(labels)), labels, design, seed=design.steps.seed, kept=kept
    )
    course.write(folder.folder)
    provenance = describe_training(
        cached.volumes, design.steps, scores,
        batch_size=design.batch_size, pretraining=pretrained.provenance if pretrained else None,
        NumberOfVolumes=len(labels),
        **{TIMES: cached.volumes.repetition_times},
    )  # fmt: skip
    write_volume_model(VolumeModel(network, cleaning, provenance), folder.folder)
    kept.forget()
