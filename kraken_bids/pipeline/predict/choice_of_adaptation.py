"""Which adaptation predictions get: a saved one, one fitted on a cohort, or none."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.projections import Projected
from kraken_bids.cohort.subject_names import subject_of
from kraken_bids.exceptions import CheckpointError, ConnectomeError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import (
    DEFAULT_MODE,
    Adaptation,
    check_adaptation,
    check_covers,
    check_lengths,
    fit_adaptation,
    list_lacking,
)
from kraken_bids.models.krakencoder.adapted_sites import SiteAdaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.saved_adaptation import read_adaptation, write_adaptation
from kraken_bids.pipeline.predict.given_means import fit_given_means
from kraken_bids.pipeline.predict.run_sites import (
    bind_sites,
    extend_given,
    fit_run_sites,
    fits_request,
    has_mode,
)
from kraken_bids.pipeline.predict.site_adaptations import keep_large_sites
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)


def read_given_adaptation(
    path: Path, model: Model, flavors: Collection[Flavor] = (), *, mode: str = DEFAULT_MODE
) -> Adaptation:
    """Read a saved adaptation and check that it was fitted for this model and these inputs.

    Parameters
    ----------
    mode : str, optional
        The one that was asked for; by default any will do.

    Raises
    ------
    CheckpointError
        If it was fitted for another model, its means have other lengths than the model's edges,
        or it lacks one of the flavors.
    SettingsError
        If it has another mode than was asked for, since a file has its own.
    """
    adaptation = read_adaptation(path)
    try:
        check_adaptation(adaptation, model.sha256, model.sizes)
        check_covers(adaptation, flavors)
    except CheckpointError as error:
        raise CheckpointError(f"--adaptation {path}: {error}") from error
    logger.info("adaptation: %s", path)
    if not has_mode(adaptation, mode):
        raise SettingsError(
            f"--adaptation-mode {mode}: expected an adaptation of this mode; found {path}, fitted "
            f"with {adaptation.mode}. Leave one of the two options out."
        )
    return adaptation


def fit_cohort_adaptation(
    model: Model, cohort: Projected, mode: str, *, flavors: Collection[Flavor] | None = None
) -> Adaptation:
    """Fit an adaptation on the means of a cohort.

    Parameters
    ----------
    flavors : collection of Flavor, optional
        Those to fit (all that somebody has).

    Raises
    ------
    CheckpointError
        If the model keeps no training mean of a flavor.
    ConnectomeError
        If one subject alone has a flavor, in however many sessions.
    """
    means = cohort.take_means(model)
    means = {f: found for f, found in means.items() if flavors is None or f in flavors}
    alone = [flavor.name for flavor, (_, n) in means.items() if n == 1]
    if alone and mode != "none":
        raise ConnectomeError(
            f"{', '.join(alone)}: expected several subjects to fit the adaptation {mode}; found "
            "one, whose adapted connectome would be the training mean itself. Use "
            "--adaptation-mode none, or --adaptation-source with a cohort of the same site."
        )
    adaptation = fit_adaptation(
        means, model.training_means(), mode, model_sha256=model.sha256, judges=False
    )
    for flavor, fit in adaptation.flavors.items() if mode != "none" else ():
        logger.info(
            "adaptation of %s: %s, b0 %.3g, b1 %.3g, R² %.2f, %d subject(s)",
            flavor, mode, fit.b0, fit.b1, fit.r2, fit.n_subjects,
        )  # fmt: skip
    return adaptation


def choose_adaptation(
    settings: Settings, model: Model, cohort: Projected, *, fits_first: bool = False
) -> tuple[Adaptation | None, str]:
    """Adaptation of a run, and a sentence for sidecars and report where that needs saying.

    ``auto`` takes the one that a group run saved in OUTPUT_DIR for this model, else fits one on
    the subjects of this run, else none. Nothing counts that rests on fewer subjects than
    ``--adaptation-min-subjects``, flavor by flavor.

    Parameters
    ----------
    fits_first : bool
        At the group level: what is fitted on this run comes before what was saved, and is saved
        for later participant runs.

    Raises
    ------
    CheckpointError
        If a file that was asked for is of another model, or lacks a flavor that is measured.
    SettingsError
        If it has another mode than was asked for.
    """
    prediction, labels = settings.prediction, cohort.cohort.subjects
    if prediction.adaptation == "none" or prediction.adaptation_mode == "none":
        logger.info("adaptation: none is applied, as asked for")
        return None, ""  # sidecars say the mode, pages that nothing is adapted
    if prediction.adaptation_mean:
        mode, measured = prediction.adaptation_mode, list_measured(cohort)
        return fit_given_means(prediction.adaptation_mean, model, mode, measured), ""
    if prediction.adaptation != "auto":
        path, mode = Path(prediction.adaptation), prediction.adaptation_mode
        given = read_given_adaptation(path, model, list_measured(cohort), mode=mode)
        return extend_given(settings, model, cohort, given, saves=fits_first), ""
    if fits_first:
        adaptation = _fit_and_save(settings, model, cohort) or _take_saved(settings, model, cohort)
    else:
        adaptation = _take_saved(settings, model, cohort) or _fit_here(settings, model, cohort)
    if adaptation is not None:
        bound = bind_sites(settings, adaptation, labels)
        return bound, _note_left_out(adaptation, cohort)
    notice = _explain_none(settings, cohort, is_group=fits_first)
    logger.warning(notice)
    return None, notice


def _take_saved(settings: Settings, model: Model, cohort: Projected) -> Adaptation | None:
    """Take the one that a group run saved, its flavors that rest on enough subjects."""
    saved = group_path(settings.data.output_dir, "adaptation.h5")
    if not saved.exists():
        return None
    try:
        adaptation = read_adaptation(saved)
        if adaptation.model_sha256 == model.sha256:
            check_lengths(adaptation, model.sizes)
    except CheckpointError as error:
        logger.warning("the saved adaptation %s is passed over: %s", saved, error)
        return None
    if adaptation.model_sha256 != model.sha256:
        logger.warning("%s was fitted for another model and is not used", saved)
        return None
    if not fits_request(adaptation, settings.prediction, saved):
        return None
    minimum = settings.prediction.adaptation_min_subjects
    few = {f: fit for f, fit in adaptation.flavors.items() if fit.n_subjects < minimum}
    if few:
        logger.warning(
            "%s is not used for %s: it was fitted on %d subject(s) at least, fewer than the %d "
            "that it takes. To use it all the same, ask for it: --adaptation %s, or "
            "--adaptation-min-subjects",
            saved, _join(few), min(fit.n_subjects for fit in few.values()), minimum, saved,
        )  # fmt: skip
    kept = {f: fit for f, fit in adaptation.flavors.items() if f not in few}
    if not set(kept) & list_measured(cohort):
        return None
    logger.info("adaptation: the one saved by the group level, %s", saved)
    known = replace(adaptation, flavors=kept)
    return keep_large_sites(known, minimum) if isinstance(known, SiteAdaptation) else known


def _fit_here(settings: Settings, model: Model, cohort: Projected) -> Adaptation | None:
    """Fit on the subjects of this run those flavors that enough of them have."""
    if settings.prediction.adaptation_by:
        return fit_run_sites(settings, model, cohort)
    minimum = settings.prediction.adaptation_min_subjects
    counts = count_subjects(cohort)
    # one subject, adapted to itself, would become the training mean
    several = {flavor for flavor, one in cohort.found.items() if one.mean.n_subjects > 1}
    enough = {flavor for flavor in several if counts[flavor] >= minimum}
    if not enough:
        return None
    logger.info("adaptation: fitted on %d subjects of this run", max(counts.values()))
    return fit_cohort_adaptation(
        model, cohort, settings.prediction.adaptation_mode, flavors=enough
    )


def _fit_and_save(settings: Settings, model: Model, cohort: Projected) -> Adaptation | None:
    fitted = _fit_here(settings, model, cohort)
    if fitted is None:
        return None
    # what later participant runs will read, to the last bit
    path = group_path(settings.data.output_dir, "adaptation.h5")
    return read_adaptation(write_adaptation(fitted, path))


def list_measured(cohort: Projected) -> set[Flavor]:
    """Give the flavors of the model that somebody has."""
    return {flavor for flavor, rows in cohort.projections.items() if np.isfinite(rows).any()}


def count_subjects(cohort: Projected) -> dict[Flavor, int]:
    """Count those whom an adaptation of each flavor would be fitted on, sessions together."""
    labels = cohort.cohort.subjects
    whom = {index: subject_of(labels[index]) for index in cohort.fitted_on}
    return {
        flavor: len({who for k, who in whom.items() if np.isfinite(rows[k]).all()})
        for flavor, rows in cohort.projections.items()
    }


def _note_left_out(adaptation: Adaptation, cohort: Projected) -> str:
    lacking = list_lacking(adaptation, list_measured(cohort))
    if not lacking:
        return ""
    notice = (
        f"{_join(lacking)}: measured, and NOT used as an input, since the adaptation has no "
        "such flavor (or too few subjects of it), and an input that is not adapted does not fit "
        "those that are. Run `kraken-bids BIDS_DIR OUTPUT_DIR group` once enough participants "
        "have it, or leave the adaptation out with --adaptation none."
    )
    logger.warning(notice)
    return notice


def _explain_none(settings: Settings, cohort: Projected, *, is_group: bool) -> str:
    minimum = settings.prediction.adaptation_min_subjects
    n_subjects = max(count_subjects(cohort).values(), default=0)
    by = settings.prediction.adaptation_by
    few = (
        f"no site ({by}) has so many of the {n_subjects} subject(s) of this run to fit one on as"
        if by
        else f"the {n_subjects} subject(s) of this run to fit one on are fewer than"
    )
    ask = (
        "Measure more participants and run `group` again; to fit on so few all the same, ask for "
        "it with --adaptation-min-subjects."
        if is_group
        else "Run `kraken-bids BIDS_DIR OUTPUT_DIR group` once all participants are measured; it "
        "fits an adaptation and predicts everyone again."
    )
    return (
        "These predictions are NOT adapted to this site's data: there is no saved adaptation that "
        f"can be used, and {few} the {max(minimum, 2)} that it takes. {ask}"
    )


def _join(flavors: Iterable[Flavor]) -> str:
    return ", ".join(flavor.name for flavor in sorted(flavors))
