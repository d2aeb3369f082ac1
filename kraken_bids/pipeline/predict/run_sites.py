"""Sites of a run of the app: read from ``participants.tsv``, fitted, saved and taken up again."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.participant_columns import find_participant_table
from kraken_bids.cohort.projections import Projected
from kraken_bids.cohort.session_sites import SessionSites, add_groups, read_session_sites
from kraken_bids.exceptions import SettingsError
from kraken_bids.models.krakencoder.adaptation import DEFAULT_MODE, Adaptation
from kraken_bids.models.krakencoder.adapted_sites import SiteAdaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.saved_adaptation import write_adaptation
from kraken_bids.pipeline.predict.fitted_subjects import fit_on_whom
from kraken_bids.pipeline.predict.site_adaptations import (
    add_new_sites,
    check_run_design,
    fit_site_adaptation,
)
from kraken_bids.settings import DataSettings, PredictionSettings, Settings

logger = logging.getLogger(__name__)

OPTION = "--adaptation-by"


def list_tables(data: DataSettings) -> list[Path]:
    """List the datasets of a run that may say where subjects were measured, in order."""
    inside = data.bids_dir / "derivatives"
    derivatives = sorted(inside.iterdir()) if inside.is_dir() else []
    folders = [data.bids_dir, *data.derivatives.values(), *derivatives, data.output_dir]
    return [folder for folder in folders if folder.is_dir()]


def read_run_sites(
    data: DataSettings, labels: Sequence[str], column: str, covariates: Sequence[str]
) -> SessionSites:
    """Read the site and the covariates of a run's sessions.

    Raises
    ------
    InputError
        If no dataset of the run has a ``participants.tsv``.
    SettingsError
        If none has the columns.
    """
    folders = list_tables(data)
    table = find_participant_table(folders, [column, *covariates], OPTION)
    return add_groups(read_session_sites(table, labels, column, covariates), folders, OPTION)


def read_scored_sites(
    settings: Settings, adaptation: Adaptation | None, labels: Sequence[str]
) -> tuple[SessionSites | None, tuple[str, ...]]:
    """Read sites, and covariates that may go along with them, to see what became of both.

    Returns
    -------
    sites : SessionSites or None
        None where nothing is adapted by site. With the covariates of the adaptation, and age and
        sex where the table has them.
    kept : tuple of str
        Covariates whose effects the adaptation keeps.
    """
    if not isinstance(adaptation, SiteAdaptation):
        return None, ()
    kept = adaptation.covariate_names
    table = find_participant_table(list_tables(settings.data), [adaptation.column, *kept], OPTION)
    others = [n for n in table.rows[0] if n.casefold() in {"age", "sex"} and n not in kept]
    return read_session_sites(table, labels, adaptation.column, [*kept, *others]), kept


def check_site_table(settings: Settings, subjects: Sequence[str]) -> None:
    """Check before the long work that a table says of the subjects what is asked for.

    Raises
    ------
    InputError, SettingsError
        As of :func:`read_run_sites`.
    """
    if settings.prediction.adaptation_by:
        _read_asked(settings, subjects)


def check_sites(settings: Settings, members: Sequence[Member]) -> None:
    """Check before the long work that sites can be told from covariates and from groups.

    Raises
    ------
    InputError, SettingsError
        As of :func:`read_run_sites`; and if they cannot.
    """
    prediction = settings.prediction
    if prediction.adaptation_by and prediction.adaptation == "auto":
        fit_on = fit_on_whom(settings, members)
        labels = [member.label for member in members]
        rows = [row for row, member in enumerate(members) if fit_on(member)]
        _check_design(settings, _read_asked(settings, labels), rows)


def _read_asked(settings: Settings, labels: Sequence[str]) -> SessionSites:
    asked = settings.prediction
    return read_run_sites(settings.data, labels, asked.adaptation_by, asked.adaptation_covariates)


def _check_design(settings: Settings, sites: SessionSites, rows: Collection[int]) -> None:
    check_run_design(
        sites,
        rows,
        min_people=settings.prediction.adaptation_min_subjects,
        is_chosen=bool(settings.prediction.adaptation_subjects),
    )


def fit_run_sites(settings: Settings, model: Model, cohort: Projected) -> SiteAdaptation | None:
    """Fit on the subjects of a run an adaptation for each site; None where none has enough.

    Raises
    ------
    InputError, SettingsError
        As of :func:`check_sites`.
    """
    prediction = settings.prediction
    sites = _read_asked(settings, cohort.cohort.subjects)
    _check_design(settings, sites, cohort.fitted_on)
    return fit_site_adaptation(
        model,
        cohort,
        sites,
        prediction.adaptation_mode,
        min_people=prediction.adaptation_min_subjects,
    )


def has_mode(adaptation: Adaptation, mode: str) -> bool:
    """Whether a saved adaptation has the mode that was asked for; by default any will do."""
    return mode in {DEFAULT_MODE, adaptation.mode}


def fits_request(adaptation: Adaptation, asked: PredictionSettings, path: Path) -> bool:
    """Whether a saved adaptation is by what was asked for; without a request any is."""
    by, mode = asked.adaptation_by, asked.adaptation_mode
    if not has_mode(adaptation, mode):
        logger.warning(
            "%s was fitted with %s, not %s, and is not used", path, adaptation.mode, mode
        )
        return False
    column = adaptation.column if isinstance(adaptation, SiteAdaptation) else ""
    if by and column != by:
        own = f"by {column}" if column else "for a cohort as a whole"
        logger.warning("%s was fitted %s, not by %s, and is not used", path, own, by)
        return False
    return True


def bind_sites(settings: Settings, adaptation: Adaptation, labels: Sequence[str]) -> Adaptation:
    """Say of an adaptation by site where each session of the run was measured."""
    if not isinstance(adaptation, SiteAdaptation):
        return adaptation
    sites = read_run_sites(settings.data, labels, adaptation.column, ())
    return adaptation.bind(sites.site_of)


def extend_given(
    settings: Settings, model: Model, cohort: Projected, given: Adaptation, *, saves: bool
) -> Adaptation:
    """Take up a given adaptation; of one by site, fit the sites that it lacks on this run.

    Parameters
    ----------
    saves : bool
        Whether one with further sites is saved for later participant runs.

    Raises
    ------
    SettingsError
        If ``--adaptation-by`` asks for sites and the file has none, or another column's.
    """
    prediction = settings.prediction
    check_request(given, prediction.adaptation_by, prediction.adaptation)
    if not isinstance(given, SiteAdaptation):
        return given
    sites = read_run_sites(
        settings.data, cohort.cohort.subjects, given.column, given.covariate_names
    )
    minimum = prediction.adaptation_min_subjects
    extended = add_new_sites(given, model, cohort, sites, min_people=minimum)
    if saves and set(extended.sites) != set(given.sites):
        path = write_adaptation(extended, group_path(settings.data.output_dir, "adaptation.h5"))
        logger.info("adaptation with the new sites: %s", path)
    return extended.bind(sites.site_of)


def check_request(given: Adaptation, by: str, path: Path | str) -> None:
    """Check that a file that was given is by the column that was asked for.

    Raises
    ------
    SettingsError
        If it is not.
    """
    column = given.column if isinstance(given, SiteAdaptation) else ""
    if by and column != by:
        raise SettingsError(
            f"--adaptation-by {by}: expected an adaptation that was fitted by {by}; found {path}, "
            f"fitted {f'by {column}' if column else 'on a cohort as a whole'}. Leave "
            "--adaptation-by out, or fit one by it (group)."
        )
