"""Adaptation of several sites, each with its own mean, of subjects who are alike in covariates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError, name_few
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import (
    Adaptation,
    FlavorAdaptation,
    fit_adaptation,
)
from kraken_bids.scores.covariates import Covariate
from kraken_bids.scores.edge_regression import EdgeRegression
from kraken_bids.scores.site_design import SiteDesign

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SiteAdaptation(Adaptation):
    """What adapts the sites of a cohort to one model, each by its own map.

    ``flavors`` are those of all sites together: of the mean of all subjects who were fitted on, at
    the covariates' averages. They adapt nobody.
    """

    column: str
    """Column of ``participants.tsv`` that names the sites."""
    sites: Mapping[str, Adaptation]
    """By site; a flavor that too few subjects of a site have is not in its own."""
    covariates: Mapping[Flavor, tuple[Covariate, ...]] = field(default_factory=dict)
    """How covariates were encoded, of the subjects who have each flavor."""
    slopes: Mapping[Flavor, NDArray[np.float32]] = field(default_factory=dict)
    """What a unit of each column of covariates adds to every edge ``[n_columns, n_edges]``."""
    site_of: Mapping[str, str] = field(default_factory=dict)
    """Site of every session of a run, by its label; not saved."""

    @property
    def covariate_names(self) -> tuple[str, ...]:
        """Columns of ``participants.tsv`` whose effects are kept."""
        names = (one.name for own in self.covariates.values() for one in own)
        return tuple(dict.fromkeys(names))

    def of(self, flavor: Flavor) -> FlavorAdaptation | None:
        """Raise, since which map adapts a connectome depends on its site.

        Raises
        ------
        CheckpointError
            Always; :meth:`of_session` gives what adapts a session.
        """
        raise CheckpointError(
            f"expected an adaptation of one site; found one of {len(self.sites)} sites "
            f"({self.column}: {name_few([*self.sites])}), for {flavor}. Use kraken-bids, or "
            "kraken-tools predict --participants FILE, which say who is from where; or fit an "
            "adaptation on one site."
        )

    def of_session(self, label: str) -> Adaptation | None:
        """Give what adapts a session: that of its site; None where the site has none."""
        return self.sites.get(self.site_of.get(label, ""))

    def bind(self, site_of: Mapping[str, str]) -> Self:
        """Say at which site every session of a run was measured."""
        return replace(self, site_of=dict(site_of))


@dataclass(frozen=True)
class SiteMeans:
    """Means of one flavor: what the connectomes of a site are on average, at equal covariates."""

    design: SiteDesign
    means: Floats
    """[n_sites, n_edges]; NaN for an edge that nobody of the site has."""
    slopes: Floats
    """[n_columns, n_edges], per unit of the encoded columns."""


def solve_site_means(design: SiteDesign, regression: EdgeRegression) -> SiteMeans:
    """Solve the regression of connectomes on site and covariates.

    The mean of a site is its intercept: covariates are centred on the average of everyone fitted
    on, so that differences of age or sex between sites are no differences of their means.
    """
    found, n_sites = regression.solve(), len(design.sites)
    return SiteMeans(design, found[:n_sites], found[n_sites:])


def fit_sites(
    found: Mapping[Flavor, SiteMeans],
    training_means: Mapping[Flavor, NDArray[np.floating]],
    mode: str,
    *,
    column: str,
    model_sha256: str,
) -> SiteAdaptation:
    """Fit an adaptation for each site from the means of its flavors.

    An edge that nobody of a site has takes the training mean, as without sites.

    Raises
    ------
    CheckpointError, ConnectomeError
        As of :func:`~kraken_bids.models.krakencoder.adaptation.fit_adaptation`.
    """
    pooled = {flavor: _pool(one, training_means.get(flavor)) for flavor, one in found.items()}
    everyone = fit_adaptation(
        pooled, training_means, mode, model_sha256=model_sha256, judges=False
    )
    return SiteAdaptation(
        **vars(everyone),
        column=column,
        sites=fit_each_site(found, training_means, mode, model_sha256=model_sha256),
        covariates={flavor: one.design.covariates for flavor, one in found.items()},
        slopes={flavor: one.slopes.astype(np.float32) for flavor, one in found.items()},
    )


def fit_each_site(
    found: Mapping[Flavor, SiteMeans],
    training_means: Mapping[Flavor, NDArray[np.floating]],
    mode: str,
    *,
    model_sha256: str,
) -> dict[str, Adaptation]:
    """Fit an adaptation for each site alone, of the flavors whose means it has.

    Raises
    ------
    CheckpointError, ConnectomeError
        As of :func:`~kraken_bids.models.krakencoder.adaptation.fit_adaptation`.
    """
    sites: dict[str, Adaptation] = {}
    for site in sorted({site for one in found.values() for site in one.design.sites}):
        own = {
            flavor: _take_site(one, site, training_means.get(flavor))
            for flavor, one in found.items()
            if site in one.design.sites
        }
        sites[site] = fit_adaptation(
            own, training_means, mode, model_sha256=model_sha256, judges=False
        )
    return sites


def add_sites(known: SiteAdaptation, further: Mapping[str, Adaptation]) -> SiteAdaptation:
    """Join an adaptation of further sites; those that are known stay as they are."""
    return replace(known, sites={**further, **known.sites})


def list_sites(adaptation: SiteAdaptation, flavor: Flavor) -> dict[str, FlavorAdaptation]:
    """List the fits of a flavor by site; a site that lacks it is not among them."""
    return {
        site: own.flavors[flavor]
        for site, own in sorted(adaptation.sites.items())
        if flavor in own.flavors
    }


def group_sessions(
    adaptation: SiteAdaptation, labels: Sequence[str], flavor: Flavor
) -> list[tuple[FlavorAdaptation, NDArray[np.intp]]]:
    """Group the rows of a run by the fit of a flavor that they take; others have none."""
    rows: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(adaptation.site_of.get(label, ""), []).append(row)
    fits = list_sites(adaptation, flavor)
    return [(fits[site], np.array(rows[site], np.intp)) for site in sorted(set(rows) & set(fits))]


def _take_site(
    one: SiteMeans, site: str, training_mean: NDArray[np.floating] | None
) -> tuple[Floats, int]:
    place = one.design.sites.index(site)
    return _fill(one.means[place], training_mean), one.design.n_people[place]


def _pool(one: SiteMeans, training_mean: NDArray[np.floating] | None) -> tuple[Floats, int]:
    n_people = np.array(one.design.n_people, float)
    known = np.isfinite(one.means)
    total = n_people @ np.where(known, one.means, 0.0)
    counts = n_people @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(counts > 0, total / counts, np.nan)
    return _fill(mean, training_mean), int(n_people.sum())


def _fill(mean: Floats, training_mean: NDArray[np.floating] | None) -> Floats:
    return mean if training_mean is None else np.where(np.isnan(mean), training_mean, mean)
