"""Sites of connectome files: read from a table of participants, fitted or taken up again."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kraken_bids.cohort.participant_columns import find_asked, find_participant_table
from kraken_bids.cohort.projections import Projected
from kraken_bids.cohort.session_sites import SessionSites, read_session_sites, to_member
from kraken_bids.cohort.subject_names import match_labels
from kraken_bids.exceptions import ConnectomeError, SettingsError, name_few
from kraken_bids.models.krakencoder.adaptation import MIN_SUBJECTS
from kraken_bids.models.krakencoder.adapted_sites import SiteAdaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.saved_adaptation import write_adaptation
from kraken_bids.pipeline.predict.prediction_options import AUTO, PredictionOptions
from kraken_bids.pipeline.predict.run_sites import OPTION
from kraken_bids.pipeline.predict.site_adaptations import (
    add_new_sites,
    check_run_design,
    fit_site_adaptation,
    warn_of_sites,
)

logger = logging.getLogger(__name__)


def fit_file_sites(
    options: PredictionOptions, model: Model, cohort: Projected, fitted_on: Projected
) -> SiteAdaptation:
    """Fit an adaptation for each site of a cohort of files, and bind it to the inputs.

    Parameters
    ----------
    cohort : Projected
        The inputs.
    fitted_on : Projected
        Whom it is fitted on: the inputs, or those of ``--adaptation-source``.

    Raises
    ------
    ConnectomeError
        If no site has enough subjects.
    InputError, SettingsError
        If there is no table, it lacks a column, or sites and covariates cannot be told apart.
    """
    minimum = MIN_SUBJECTS if options.adaptation_mode == AUTO else 2
    by = options.adaptation_by
    sites = _read_sites(options, fitted_on.cohort.subjects, by, options.adaptation_covariates)
    chosen = replace(fitted_on, fitted_on=_choose_rows(options, fitted_on.cohort.subjects))
    check_run_design(
        sites,
        chosen.fitted_on,
        min_people=minimum,
        is_chosen=bool(options.adaptation_subjects),
    )
    adaptation = fit_site_adaptation(model, chosen, sites, options.fitted_mode, min_people=minimum)
    if adaptation is None:
        raise ConnectomeError(
            f"{OPTION} {by}: expected at least {minimum} people of a site, to fit its adaptation; "
            "found none with so many. Give --adaptation FILE or --adaptation-mean FLAVOR=FILE"
            f"{', or name an --adaptation-mode to fit on as few as two' * (minimum > 2)}."
        )
    if options.save_adaptation:
        write_adaptation(adaptation, options.save_adaptation)
    return _bind(options, cohort, adaptation)


def adapt_known_sites(
    options: PredictionOptions, model: Model, cohort: Projected, given: SiteAdaptation
) -> SiteAdaptation:
    """Take up a saved adaptation by site, and fit the sites that it lacks on the inputs."""
    subjects = cohort.cohort.subjects
    sites = _read_sites(options, subjects, given.column, given.covariate_names)
    chosen = replace(cohort, fitted_on=_choose_rows(options, subjects))
    extended = add_new_sites(given, model, chosen, sites, min_people=MIN_SUBJECTS)
    bound = extended.bind(sites.site_of)
    warn_of_sites(bound, cohort)
    return bound


def _bind(
    options: PredictionOptions, cohort: Projected, adaptation: SiteAdaptation
) -> SiteAdaptation:
    sites = _read_sites(options, cohort.cohort.subjects, adaptation.column, ())
    bound = adaptation.bind(sites.site_of)
    warn_of_sites(bound, cohort)
    return bound


def _read_sites(
    options: PredictionOptions, labels: Sequence[str], column: str, covariates: Sequence[str]
) -> SessionSites:
    table = find_participant_table(list_file_tables(options), [column, *covariates], OPTION)
    return read_session_sites(table, labels, column, covariates)


def list_file_tables(options: PredictionOptions) -> list[Path]:
    """List where a table of participants may be: the one named, else folders of inputs."""
    if options.participants:
        return [options.participants]
    folders = [Path(text) for text in (*options.inputs, *options.adaptation_sources)]
    return [folder for folder in folders if folder.is_dir()]


def _choose_rows(options: PredictionOptions, labels: Sequence[str]) -> frozenset[int]:
    """Rows of those whom ``--adaptation-subjects`` names; everyone without it."""
    words, option = options.adaptation_subjects, "--adaptation-subjects"
    everyone = frozenset(range(len(labels)))
    if not words:
        return everyone
    people = [to_member(label).subject for label in labels]
    folders = list_file_tables(options)
    asked = find_asked(words, lambda column: find_participant_table(folders, [column], option))
    found = match_labels(sorted(asked.labels), people, say=logger.warning)
    unknown = sorted(found - set(people))
    if unknown and not asked.is_condition:
        raise SettingsError(
            f"{option}: expected subjects of the inputs; found {name_few(unknown)}. Leave them "
            "out, or spell them as the inputs do."
        )
    return frozenset(row for row, who in enumerate(people) if who in found)
