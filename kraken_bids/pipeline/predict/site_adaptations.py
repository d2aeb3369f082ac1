"""Adaptation site by site: whom each is fitted on, who has none, and what is said of them."""

import logging
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.projections import Projected, list_blocks
from kraken_bids.cohort.session_sites import SessionSites
from kraken_bids.cohort.warned import Warned
from kraken_bids.exceptions import SettingsError, name_few
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import Adaptation
from kraken_bids.models.krakencoder.adapted_sites import (
    SiteAdaptation,
    SiteMeans,
    add_sites,
    fit_each_site,
    fit_sites,
    solve_site_means,
)
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.scores.covariates import find_odd_number
from kraken_bids.scores.edge_regression import EdgeRegression
from kraken_bids.scores.site_design import (
    SiteDesign,
    check_design,
    check_groups,
    design_sites,
    encode_all,
)

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
TOO_FEW = (
    "{flavors}: measured, and NOT used as an input, since {why}, and an input that is not adapted "
    "does not fit those that are. Fit on the site's people once there are enough (at least "
    "--adaptation-min-subjects, and two), or adapt to a mean of the site alone with "
    "--adaptation-mean FLAVOR=FILE."
)

UNKNOWN_EDGES = (
    "{flavors}: taken from the training mean, since the site's own is not known: nobody there has "
    "the edge, or those who have it cannot tell its sites from covariates. The site's mark stays."
)


def fit_site_adaptation(
    model: Model, cohort: Projected, sites: SessionSites, mode: str, *, min_people: int
) -> SiteAdaptation | None:
    """Fit an adaptation for each site of a cohort; None where no site has enough subjects.

    The connectomes of those who are fitted on are read again. Of each flavor those subjects count
    who have it, so that a site may have some flavors and lack others.

    Parameters
    ----------
    cohort : Projected
        Who is fitted on, and what each has.
    sites : SessionSites
        Of its rows.
    min_people : int
        Fewest subjects of a site.

    Raises
    ------
    SettingsError
        If effects of covariates cannot be told from those of sites.
    CheckpointError, ConnectomeError
        As of :func:`~kraken_bids.models.krakencoder.adaptation.fit_adaptation`.
    """
    found: dict[Flavor, SiteMeans] = {}
    for flavor in cohort.found:
        design = _design(cohort, flavor, sites, min_people=min_people)
        try:
            check_design(design, sites.column, of=flavor.name)
        except SettingsError as error:
            logger.warning("%s is not adapted, and not used as an input: %s", flavor, error)
            continue
        if design.sites:
            regression = EdgeRegression(design.values, design.weights, model.n_edges(flavor))
            _read_into(regression, cohort, flavor)
            found[flavor] = solve_site_means(design, regression)
            _say_fitted(flavor, sites.column, design)
    if not found:
        return None
    training = model.training_means()
    return fit_sites(found, training, mode, column=sites.column, model_sha256=model.sha256)


def check_run_design(
    sites: SessionSites,
    fitted_on: Collection[int],
    *,
    min_people: int,
    is_chosen: bool = False,
) -> SiteDesign:
    """Check that a run's sites, covariates and groups can be told apart, whoever has which flavor.

    Parameters
    ----------
    fitted_on : collection of int
        Rows that are fitted on.
    is_chosen : bool
        Whether somebody has named them; else groups of subjects are looked at.

    Raises
    ------
    SettingsError
        If they cannot.
    """
    rows = np.arange(len(sites.labels))
    for name, groups in sites.groups.items():
        if not is_chosen and name not in sites.covariates:
            among = sorted(fitted_on)
            own = [sites.sites[row] for row in among], [groups[row] for row in among]
            check_groups(*own, sites.column, group_column=name)
    _check_spelling(sites, fitted_on)
    _say_unknown(sites, fitted_on)
    design = design_sites(
        sites.sites,
        sites.people,
        sites.covariates,
        is_fitted=np.isin(rows, [*fitted_on]),
        min_people=min_people,
    )
    check_design(design, sites.column)
    return design


def _check_spelling(sites: SessionSites, fitted_on: Collection[int]) -> None:
    for name, values in sites.covariates.items():
        odd = find_odd_number([values[row] for row in sorted(fitted_on)])
        if odd:
            raise SettingsError(
                f"--adaptation-covariates: expected {name} as numbers, with a point and no "
                f"other signs, or as words; found {odd!r}, which would make every number a word. "
                "Spell it as a number in participants.tsv, or put n/a in its place."
            )


def _say_unknown(sites: SessionSites, fitted_on: Collection[int]) -> None:
    for name, values in {sites.column: sites.sites, **sites.covariates}.items():
        lacking = [sites.labels[row] for row in sorted(fitted_on) if not values[row]]
        if lacking:
            logger.warning(
                "%d session(s) are not fitted on, since their %s is not known: %s",
                len(lacking), name, name_few(lacking),
            )  # fmt: skip


def add_new_sites(
    known: SiteAdaptation,
    model: Model,
    cohort: Projected,
    sites: SessionSites,
    *,
    min_people: int,
) -> SiteAdaptation:
    """Fit those sites of a cohort that a saved adaptation lacks, with its effects of covariates.

    The mean of a new site is that of its subjects after the saved effects of their covariates are
    taken away, so a few subjects of one age are enough.
    """
    is_new = np.array([bool(site) and site not in known.sites for site in sites.sites], bool)
    if not is_new.any():
        return known
    found: dict[Flavor, SiteMeans] = {}
    for flavor in sorted(set(cohort.found) & set(known.flavors)):
        covariates = known.covariates.get(flavor, ())
        encoded = encode_all(covariates, sites.covariates, len(sites.labels))
        design = _design(
            cohort,
            flavor,
            replace(sites, covariates={}),
            min_people=min_people,
            may=is_new & np.isfinite(encoded).all(axis=1),
        )
        if not design.sites:
            continue
        regression = EdgeRegression(design.values, design.weights, model.n_edges(flavor))
        slopes = known.slopes.get(flavor)
        effects = None if slopes is None else (encoded, slopes.astype(np.float64))
        _read_into(regression, cohort, flavor, effects=effects)
        found[flavor] = solve_site_means(design, regression)
    further = fit_each_site(found, model.training_means(), known.mode, model_sha256=model.sha256)
    logger.info("adaptation: new sites %s", name_few([*further]) or "with enough people: none")
    return add_sites(known, further)


def keep_large_sites(adaptation: SiteAdaptation, min_people: int) -> SiteAdaptation:
    """Leave out what rests on fewer subjects than asked for, site by site and flavor by flavor."""
    kept = {
        site: replace(
            own,
            flavors={
                f: fit
                for f, fit in own.flavors.items()
                if fit.n_subjects >= min_people and f in adaptation.flavors
            },
        )
        for site, own in adaptation.sites.items()
    }
    return replace(adaptation, sites={site: own for site, own in kept.items() if own.flavors})


def warn_of_sites(adaptation: Adaptation | None, cohort: Projected) -> Warned:
    """Say in sidecars and log whose connectomes no site's adaptation covers, or not wholly."""
    if not isinstance(adaptation, SiteAdaptation):
        return Warned()
    own: dict[str, tuple[str, ...]] = {}
    whom: dict[str, list[str]] = {}
    unknown = {site: _describe_unknown(fitted) for site, fitted in adaptation.sites.items()}
    for row, label in enumerate(cohort.cohort.subjects):
        site = adaptation.site_of.get(label, "")
        fitted = adaptation.sites.get(site)
        has = [f for f in sorted(cohort.found) if np.isfinite(cohort.found[f].rows[row]).all()]
        lacking = [f.name for f in has if fitted is None or f not in fitted.flavors]
        if lacking:
            why = _explain_lacking(adaptation, site)
            own[label] = (TOO_FEW.format(flavors=", ".join(lacking), why=why),)
            whom.setdefault(why, []).append(label)
        if partly := [words for f, words in unknown.get(site, {}).items() if f in has]:
            own[label] = (*own.get(label, ()), UNKNOWN_EDGES.format(flavors=", ".join(partly)))
    for why, labels in whom.items():
        logger.warning(
            "%d session(s) have connectomes that are not used, since %s: %s",
            len(labels), why, name_few(labels),
        )  # fmt: skip
    for site in sorted(set(adaptation.site_of.values())):
        if partly := [*unknown.get(site, {}).values()]:
            logger.warning("site %s: %s", site, UNKNOWN_EDGES.format(flavors=", ".join(partly)))
    return Warned(own=own)


def _describe_unknown(fitted: Adaptation) -> dict[Flavor, str]:
    return {
        flavor: f"{fit.n_of_training} of {len(fit.mean_new)} edges of {flavor}"
        for flavor, fit in sorted(fitted.flavors.items())
        if fit.mode != "none" and fit.n_of_training
    }


def _explain_lacking(adaptation: SiteAdaptation, site: str) -> str:
    if not site:
        return f"participants.tsv does not say the site ({adaptation.column})"
    return f"the site {site} ({adaptation.column}) has no adaptation of it: too few people there"


def _design(
    cohort: Projected,
    flavor: Flavor,
    sites: SessionSites,
    *,
    min_people: int,
    may: NDArray[np.bool_] | None = None,
) -> SiteDesign:
    rows = cohort.found[flavor].rows
    is_fitted = np.isfinite(rows).all(axis=1) & np.isin(np.arange(len(rows)), [*cohort.fitted_on])
    return design_sites(
        sites.sites,
        sites.people,
        sites.covariates,
        is_fitted=is_fitted if may is None else is_fitted & may,
        min_people=min_people,
    )


def _read_into(
    regression: EdgeRegression,
    cohort: Projected,
    flavor: Flavor,
    *,
    effects: tuple[Floats, Floats] | None = None,
) -> None:
    """Add the connectomes of everyone who counts, less known effects of covariates."""
    for start, stop in list_blocks(np.flatnonzero(regression.weights).tolist()):
        block = cohort.cohort.rows[flavor].read(start, stop)
        for row, edges in enumerate(block, start=start):
            if np.isnan(edges).all():  # it was there, and cannot be read any more
                continue
            own = edges if effects is None else edges - effects[0][row] @ effects[1]
            regression.add(row, own)


def _say_fitted(flavor: Flavor, column: str, design: SiteDesign) -> None:
    counts = [f"{site} {n}" for site, n in zip(design.sites, design.n_people, strict=True)]
    logger.info(
        "adaptation of %s by %s: %s people%s", flavor, column, ", ".join(counts),
        f"; allowed for {', '.join(design.covariate_columns)}" if design.covariates else "",
    )  # fmt: skip
