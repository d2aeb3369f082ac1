"""How well sites are told apart before and after adaptation, and whether effects were kept."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.projections import Projected
from kraken_bids.cohort.session_sites import SessionSites
from kraken_bids.cohort.sources import PredictionPlan, build_sources
from kraken_bids.flavors import Flavor
from kraken_bids.io.records import replace_records
from kraken_bids.models.krakencoder.adapted_sites import SiteAdaptation, group_sessions
from kraken_bids.scores.covariates import fit_covariates
from kraken_bids.scores.held_out_ridge import (
    Features,
    HeldOutScore,
    deal_subjects,
    fit_folds,
    score_labels,
    score_numbers,
    share_of_slope,
)
from kraken_bids.scores.site_design import design_sites, encode_all
from kraken_bids.scores.site_records import AFTER, BEFORE, MIN_PEOPLE, SiteScore

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

MAX_SESSIONS = 1000
"""Sessions that scores are of; of more, so many are drawn."""
FUSIONS = ("fusion", "fusionSC", "fusionFC")


def write_site_scores(
    plan: PredictionPlan, cohort: Projected, sites: SessionSites | None, kept: Sequence[str] = ()
) -> None:
    """Write ``group/sites.tsv``; where nothing is adapted by site, one that is there goes.

    Parameters
    ----------
    cohort : Projected
        The inputs.
    sites : SessionSites or None
        Of its rows, with the covariates to look at.
    kept : sequence of str
        Those of the covariates whose effects the adaptation keeps.
    """
    path = group_path(plan.settings.data.output_dir, "sites.tsv")
    rows: list[SiteScore] = []
    if sites is not None and isinstance(plan.adaptation, SiteAdaptation):
        rows = score_sites(plan, cohort, sites, kept)
    replace_records(
        path,
        [SiteScore],
        [[row] for row in rows],
        description="How well sites and covariates are told from connectomes and latents, before "
        "and after each site was adapted by itself",
    )


def score_sites(
    plan: PredictionPlan, cohort: Projected, sites: SessionSites, kept: Sequence[str]
) -> list[SiteScore]:
    """Score fusions and flavors; nothing where fewer than two sites have enough subjects."""
    rows = choose_sessions(plan, cohort, sites)
    own = [sites.sites[row] for row in rows]
    if len(set(own)) < 2:
        logger.info(
            "group/sites.tsv: expected two sites of %d people; found %d", MIN_PEOPLE, len(set(own))
        )
        return []
    view = _SiteView(plan, cohort, sites, rows=rows, kept=kept)
    return [
        score
        for names, features in view.list_features()
        for score in _score(view, names, features)
    ]


def choose_sessions(plan: PredictionPlan, cohort: Projected, sites: SessionSites) -> list[int]:
    """List the sessions that scores are of: of large sites, whole, with an adaptation.

    A connectome with missing regions is adapted edge by edge, so its projection is not what was
    encoded; such sessions are left out.
    """
    labels = cohort.cohort.subjects
    whole = [
        row
        for row, label in enumerate(labels)
        if plan.fits_of(label) and not any(row in one.reread for one in cohort.found.values())
    ]
    people: dict[str, set[str]] = {}
    for row in whole:
        people.setdefault(sites.sites[row], set()).add(sites.people[row])
    rows = [row for row in whole if len(people[sites.sites[row]]) >= MIN_PEOPLE]
    if len(rows) > MAX_SESSIONS:
        drawn = np.random.default_rng(0).choice(len(rows), MAX_SESSIONS, replace=False)
        rows = [rows[k] for k in sorted(drawn.tolist())]
    return rows


class _SiteView:
    """The projections of some sessions, adapted without those held out."""

    def __init__(
        self,
        plan: PredictionPlan,
        cohort: Projected,
        sites: SessionSites,
        *,
        rows: Sequence[int],
        kept: Sequence[str],
    ) -> None:
        assert isinstance(plan.adaptation, SiteAdaptation)
        self._plan, self._adaptation, self._rows = plan, plan.adaptation, rows
        self._kept = {name: _take(sites.covariates[name], rows) for name in kept}
        self.sites = _take(sites.sites, rows)
        self.people = _take(sites.people, rows)
        self.covariates = {name: _take(own, rows) for name, own in sites.covariates.items()}
        self.column = sites.column
        self._is_fitted = np.isin(rows, [*cohort.fitted_on])
        self._projected = {
            flavor: one.rows[list(rows)].astype(np.float64)
            for flavor, one in cohort.found.items()
            if plan.model.reductions[flavor].is_affine
        }
        self._labels = [cohort.cohort.subjects[row] for row in rows]

    def list_features(self) -> Iterator[tuple[tuple[str, str, str], Features]]:
        """List name of the source, kind of features and state, and what makes them."""
        sources = [name for name in FUSIONS if self._has(name)]
        flavors = sorted(self._projected)
        for state in (BEFORE, AFTER):
            for name in (*sources, *(flavor.name for flavor in flavors)):
                yield (name, "latent", state), self._latents(name, state)
            for flavor in flavors:
                yield (flavor.name, "connectome", state), self._connectomes(flavor, state)

    def _has(self, fusion: str) -> bool:
        groups = {flavor.group for flavor in self._projected}
        return len(groups) == 2 if fusion == "fusion" else fusion.removeprefix("fusion") in groups

    def _latents(self, name: str, state: str) -> Features:
        model = self._plan.model

        def make(known: NDArray[np.bool_]) -> Floats:
            latents = {
                flavor: model.encode_projected(flavor, self._adapt(flavor, state, known))
                for flavor in self._projected
                if name.startswith("fusion") or flavor.name == name
            }
            sources = build_sources(latents, (name,))
            if not sources:  # no site has enough people of those known
                return np.full((len(self.people), 1), np.nan)
            return sources[0].latents.astype(np.float64)

        return make

    def _connectomes(self, flavor: Flavor, state: str) -> Features:
        return lambda known: self._adapt(flavor, state, known).astype(np.float64)

    def _adapt(self, flavor: Flavor, state: str, known: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Adapt projections to site means of those known; NaN where a site has too few of them."""
        projected = self._projected[flavor]
        if state == BEFORE:
            return projected.astype(np.float32)
        design = design_sites(
            self.sites,
            self.people,
            self._kept,
            is_fitted=self._is_fitted & known & np.isfinite(projected).all(axis=1),
            min_people=2,
        )
        adapted = np.full_like(projected, np.nan)
        if not design.sites:
            return adapted.astype(np.float32)
        root = np.sqrt(design.weights)[:, None]
        used = np.where(design.weights[:, None] > 0, projected, 0.0)
        means = np.linalg.lstsq(design.values * root, used * root, rcond=None)[0]
        training = self._plan.model.training_means()[flavor]
        wanted = self._plan.model.project(flavor, training[None].astype(np.float32))[0]
        fitted = dict(zip(design.sites, means, strict=False))
        for fit, rows in group_sessions(self._adaptation, self._labels, flavor):
            mean = fitted.get(self.sites[rows[0]])
            if mean is not None:
                adapted[rows] = wanted + fit.b0 * (projected[rows] - mean)
        return adapted.astype(np.float32)


def _score(
    view: _SiteView, names: tuple[str, str, str], features: Features
) -> Iterator[SiteScore]:
    """Score sites, and each covariate with its slope."""
    fold_of = deal_subjects(view.people, view.sites)
    folds = fit_folds(features, fold_of)
    used = sorted({int(row) for fold in folds for row in fold.held_out})
    if len({view.sites[row] for row in used}) < 2:
        return
    counts = len(used), len({view.people[row] for row in used}), len(set(_take(view.sites, used)))
    yield _record(
        (*names, view.column, "balanced_accuracy"),
        counts,
        score_labels(folds, view.sites, view.people),
    )
    n_rows = len(view.people)
    covariates = fit_covariates(view.covariates, np.ones(n_rows))
    encoded = encode_all(covariates, view.covariates, n_rows)
    everyone = features(np.ones(n_rows, bool))
    for place, name in enumerate(name for one in covariates for name in one.columns):
        own, others = encoded[:, place], np.delete(encoded, place, axis=1)
        is_known = np.isfinite(own)
        if len(np.unique(own[is_known])) < 2:
            continue
        known_folds = folds
        if not is_known.all():
            known_folds = fit_folds(_of(features, is_known), fold_of)
        found = score_numbers(known_folds, np.where(is_known, own, 0.0), view.people)
        yield _record((*names, name, "correlation"), counts, found)
        share = share_of_slope(
            everyone, own, others=others, sites=view.sites, subjects=view.people
        )
        unknown = None, None, None, None
        yield SiteScore(*names, name, "slope_share", share, *unknown, *counts)


def _of(features: Features, is_known: NDArray[np.bool_]) -> Features:
    """Leave out the rows of whom a covariate is not known."""
    return lambda known: np.where(is_known[:, None], features(known), np.nan)


def _record(
    names: tuple[str, str, str, str, str], counts: tuple[int, int, int], score: HeldOutScore
) -> SiteScore:
    values = score.value, score.chance, score.low, score.high, score.p
    return SiteScore(*names, *values, *counts)


def _take(values: Sequence[str], rows: Sequence[int]) -> list[str]:
    return [values[row] for row in rows]
