"""Which adaptation predictions get: a saved one, one fitted on a cohort, or none."""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.projections import Cohort, Projected
from kraken_bids.exceptions import CheckpointError, ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import (
    DEFAULT_MODE,
    MIN_SUBJECTS,
    Adaptation,
    check_adaptation,
    check_covers,
    check_lengths,
    fit_adaptation,
    list_lacking,
)
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.saved_adaptation import read_adaptation, write_adaptation
from kraken_bids.pipeline.predict.prediction_options import AUTO, PredictionOptions
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)


def read_given_adaptation(
    path: Path, model: Model, flavors: Collection[Flavor] = ()
) -> Adaptation:
    """Read a saved adaptation and check that it was fitted for this model and these inputs.

    Raises
    ------
    CheckpointError
        If it was fitted for another model, its means have other lengths than the model's edges,
        or it lacks one of the flavors.
    """
    adaptation = read_adaptation(path)
    try:
        check_adaptation(adaptation, model.sha256, model.sizes)
        check_covers(adaptation, flavors)
    except CheckpointError as error:
        raise CheckpointError(f"--adaptation {path}: {error}") from error
    logger.info("adaptation: %s", path)
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
        If there is one connectome of a flavor only.
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
            "adaptation of %s: %s, b0 %.3g, b1 %.3g, R² %.2f, %d session(s)",
            flavor, mode, fit.b0, fit.b1, fit.r2, fit.n_subjects,
        )  # fmt: skip
    return adaptation


def choose_for_files(
    options: PredictionOptions,
    model: Model,
    cohort: Projected,
    *,
    given: Adaptation | Cohort | None,
    project: Callable[[Cohort], Projected],
) -> Adaptation | None:
    """Adaptation of connectome files: saved, fitted on another cohort, or fitted on the inputs.

    Parameters
    ----------
    cohort : Projected
        The inputs.
    given : Adaptation or Cohort or None
        That of ``--adaptation`` or ``--adaptation-source``.
    project : callable
        Reads the latter, once it is known to be large enough.

    Raises
    ------
    ConnectomeError
        If it would be fitted on one subject, or, unless a mode is asked for, on fewer than
        :data:`MIN_SUBJECTS` of a flavor.
    CheckpointError
        If the model keeps no training mean of an input flavor.
    """
    if isinstance(given, Adaptation):
        _warn_of_few(given, cohort.found)
        return given
    mode, n_subjects = options.adaptation_mode, len((given or cohort.cohort).subjects)
    if mode == AUTO and n_subjects < MIN_SUBJECTS:
        logger.warning(
            "%d subjects are too few to fit an adaptation (at least %d): none is applied%s. Give "
            "--adaptation FILE, --adaptation-source FLAVOR=FILE, or an --adaptation-mode.",
            n_subjects, MIN_SUBJECTS, ", and none saved" if options.save_adaptation else "",
        )  # fmt: skip
        return None
    fitted_on = project(given) if given else cohort
    if mode == AUTO:
        _check_counts({f: fitted_on.found[f].mean.n_subjects for f in sorted(cohort.found)})
    adaptation = fit_cohort_adaptation(model, fitted_on, DEFAULT_MODE if mode == AUTO else mode)
    if options.save_adaptation:
        write_adaptation(adaptation, options.save_adaptation)
    return adaptation


def _warn_of_few(adaptation: Adaptation, flavors: Iterable[Flavor]) -> None:
    fits = [fit for flavor in flavors if (fit := adaptation.of(flavor)) is not None]
    fewest = min((fit.n_subjects for fit in fits if fit.mode != "none"), default=MIN_SUBJECTS)
    if fewest < MIN_SUBJECTS:
        logger.warning(
            "the saved adaptation was fitted on %d subject(s), fewer than %d: their own "
            "differences from others are taken for those of the site. Fit it on more subjects.",
            fewest, MIN_SUBJECTS,
        )  # fmt: skip


def _check_counts(counts: dict[Flavor, int]) -> None:
    few = ", ".join(f"{n} of {f}" for f, n in counts.items() if 0 < n < MIN_SUBJECTS)
    if few:
        raise ConnectomeError(
            f"expected at least {MIN_SUBJECTS} subjects of every input flavor, to fit the "
            f"adaptation; found {few}. Leave the flavor out, give --adaptation FILE or "
            "--adaptation-source, or name an --adaptation-mode to fit it on so few all the same."
        )


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
    """
    prediction = settings.prediction
    if prediction.adaptation == "none" or prediction.adaptation_mode == "none":
        logger.info("adaptation: none is applied, as asked for")
        return None, ""  # sidecars say the mode, pages that nothing is adapted
    if prediction.adaptation != "auto":
        path = Path(prediction.adaptation)
        return read_given_adaptation(path, model, list_measured(cohort)), ""
    if fits_first:
        adaptation = _fit_and_save(settings, model, cohort) or _take_saved(settings, model, cohort)
    else:
        adaptation = _take_saved(settings, model, cohort) or _fit_here(settings, model, cohort)
    if adaptation is not None:
        return adaptation, _note_left_out(adaptation, cohort)
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
    minimum = settings.prediction.adaptation_min_subjects
    few = {f: fit for f, fit in adaptation.flavors.items() if fit.n_subjects < minimum}
    if few:
        logger.warning(
            "%s is not used for %s: it was fitted on %d session(s) at least, fewer than the %d "
            "subjects that it takes. To use it all the same, ask for it: --adaptation %s, or "
            "--adaptation-min-subjects",
            saved, _join(few), min(fit.n_subjects for fit in few.values()), minimum, saved,
        )  # fmt: skip
    kept = {f: fit for f, fit in adaptation.flavors.items() if f not in few}
    if not set(kept) & list_measured(cohort):
        return None
    logger.info("adaptation: the one saved by the group level, %s", saved)
    return replace(adaptation, flavors=kept)


def _fit_here(settings: Settings, model: Model, cohort: Projected) -> Adaptation | None:
    """Fit on the subjects of this run those flavors that enough of them have."""
    minimum = settings.prediction.adaptation_min_subjects
    counts = _count_subjects(cohort)
    # one session, adapted to itself, would become the training mean
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


def _count_subjects(cohort: Projected) -> dict[Flavor, int]:
    """Count those whom an adaptation of each flavor would be fitted on, sessions together."""
    labels = cohort.cohort.subjects
    whom = {index: labels[index].partition("_ses-")[0] for index in cohort.fitted_on}
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
    n_subjects = max(_count_subjects(cohort).values(), default=0)
    ask = (
        "Measure more participants and run `group` again; to fit on so few all the same, ask for "
        "it with --adaptation-min-subjects."
        if is_group
        else "Run `kraken-bids BIDS_DIR OUTPUT_DIR group` once all participants are measured; it "
        "fits an adaptation and predicts everyone again."
    )
    return (
        "These predictions are NOT adapted to this site's data: there is no saved adaptation that "
        f"can be used, and the {n_subjects} subject(s) of this run to fit one on are fewer than "
        f"the {max(minimum, 2)} that it takes. {ask}"
    )


def _join(flavors: Iterable[Flavor]) -> str:
    return ", ".join(flavor.name for flavor in sorted(flavors))
