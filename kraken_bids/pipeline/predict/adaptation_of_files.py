"""Which adaptation predictions from connectome files get."""

import logging
from collections.abc import Callable, Iterable

from kraken_bids.cohort.projections import Cohort, Projected
from kraken_bids.cohort.subject_names import subject_of
from kraken_bids.exceptions import ConnectomeError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import MIN_SUBJECTS, Adaptation
from kraken_bids.models.krakencoder.adapted_sites import SiteAdaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.saved_adaptation import write_adaptation
from kraken_bids.pipeline.predict.choice_of_adaptation import (
    count_subjects,
    fit_cohort_adaptation,
)
from kraken_bids.pipeline.predict.file_sites import adapt_known_sites, fit_file_sites
from kraken_bids.pipeline.predict.prediction_options import AUTO, PredictionOptions

logger = logging.getLogger(__name__)


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
    SettingsError
        If subjects are named to fit on beside a saved adaptation without sites.
    """
    if isinstance(given, SiteAdaptation):
        return adapt_known_sites(options, model, cohort, given)
    if isinstance(given, Adaptation):
        if options.adaptation_subjects:
            raise SettingsError(
                "--adaptation-subjects: expected an adaptation that is fitted on these people; "
                f"found {options.adaptation}, which is fitted already and has no sites to add. "
                "Leave one of the two options out."
            )
        _warn_of_few(given, cohort.found)
        return given
    if options.adaptation_by:
        return fit_file_sites(options, model, cohort, project(given) if given else cohort)
    people = set(map(subject_of, (given or cohort.cohort).subjects))
    mode, n_subjects = options.adaptation_mode, len(people)
    if mode == AUTO and n_subjects < MIN_SUBJECTS:
        logger.warning(
            "%d subjects are too few to fit an adaptation (at least %d): none is applied%s. Give "
            "--adaptation FILE, --adaptation-source FLAVOR=FILE, or an --adaptation-mode.",
            n_subjects, MIN_SUBJECTS, ", and none saved" if options.save_adaptation else "",
        )  # fmt: skip
        return None
    fitted_on = project(given) if given else cohort
    if mode == AUTO:
        counts = count_subjects(fitted_on)
        _check_counts({flavor: counts[flavor] for flavor in sorted(cohort.found)})
    adaptation = fit_cohort_adaptation(model, fitted_on, options.fitted_mode)
    if options.save_adaptation:
        write_adaptation(adaptation, options.save_adaptation)
    return adaptation


def _warn_of_few(adaptation: Adaptation, flavors: Iterable[Flavor]) -> None:
    fits = [fit for flavor in flavors if (fit := adaptation.of(flavor)) is not None]
    counts = [fit.n_subjects or MIN_SUBJECTS for fit in fits if fit.mode != "none"]
    fewest = min(counts, default=MIN_SUBJECTS)
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
