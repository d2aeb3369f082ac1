"""The regression by which the mean of a site is told from effects of covariates."""

import logging
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import SettingsError, name_few
from kraken_bids.scores.covariates import Covariate, fit_covariates

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Column = Sequence[str | float | None]

RANK_TOLERANCE = 1e-8
"""Share of a column's length that has to be its own."""
MOST_NAMED = 6
LITTLE_WITHIN = 0.05
"""Share of a covariate's variance within sites below which its effect hangs on few subjects."""


@dataclass(frozen=True)
class SiteDesign:
    """Sites, covariates, and how much each session counts."""

    sites: tuple[str, ...]
    """Those with enough subjects, in order; a column of the regression each."""
    n_people: tuple[int, ...]
    """Subjects of each site who are fitted on."""
    covariates: tuple[Covariate, ...]
    values: Floats
    """[n_rows, n_sites + n_columns of covariates]; zeros in rows that are left out."""
    weights: Floats
    """[n_rows]; one over the sessions of the subject at the site, 0 for rows that are left out."""

    @property
    def covariate_columns(self) -> tuple[str, ...]:
        """Names of the columns of covariates."""
        return tuple(column for one in self.covariates for column in one.columns)


def design_sites(
    sites: Sequence[str],
    people: Sequence[str],
    columns: Mapping[str, Column],
    *,
    is_fitted: NDArray[np.bool_],
    min_people: int,
) -> SiteDesign:
    """Set up the regression of connectomes on site and covariates.

    A subject counts as one at each site, however many sessions there are. Whoever lacks the site
    or a covariate is not fitted on, nor is a site with fewer subjects than asked for.

    Parameters
    ----------
    sites : sequence of str of length n_rows
        Site of each session; '' where it is not known.
    people : sequence of str of length n_rows
        Whose session it is.
    columns : mapping of str to sequence of length n_rows
        Covariates.
    is_fitted : ndarray of bool of shape (n_rows,)
        Who may be fitted on.
    min_people : int
        Fewest subjects of a site; one alone is never enough.
    """
    known = is_fitted & np.array([bool(site) for site in sites], bool)
    for column in encode_all(fit_covariates(columns, known.astype(float)), columns, len(sites)).T:
        known &= np.isfinite(column)
    counts = count_subjects(sites, people, known)
    kept = tuple(sorted(site for site, n in counts.items() if n >= max(2, min_people)))
    known &= np.isin(np.array(sites, object), kept)
    weights = weigh_sessions([*zip(sites, people, strict=True)], known)
    covariates = fit_covariates(columns, weights)
    own = np.array([[site == name for name in kept] for site in sites], float)
    encoded = encode_all(covariates, columns, len(sites))
    values = np.hstack([own.reshape(len(sites), len(kept)), encoded])
    values[~known] = 0.0
    return SiteDesign(kept, tuple(counts[site] for site in kept), covariates, values, weights)


def encode_all(
    covariates: Sequence[Covariate], columns: Mapping[str, Column], n_rows: int
) -> Floats:
    """Encode covariates as columns ``[n_rows, n_columns]``; NaN where one is not known."""
    return np.hstack(
        [np.zeros((n_rows, 0)), *(one.encode(columns[one.name]) for one in covariates)]
    )


def count_subjects(
    sites: Sequence[str], people: Sequence[str], known: NDArray[np.bool_]
) -> dict[str, int]:
    """Count the subjects of each site, sessions together."""
    pairs = {(site, who) for site, who, own in zip(sites, people, known, strict=True) if own}
    counts: dict[str, int] = {}
    for site, _ in sorted(pairs):
        counts[site] = counts.get(site, 0) + 1
    return counts


def weigh_sessions(whose: Sequence[Hashable], known: NDArray[np.bool_]) -> Floats:
    """Weights ``[n_rows]`` by which everybody counts as one; 0 for rows that are left out.

    Parameters
    ----------
    whose : sequence of length n_rows
        Whose session it is: a subject, or a subject at a site.
    known : ndarray of bool of shape (n_rows,)
        Which rows count.
    """
    pairs = [*zip(whose, known, strict=True)]
    counts = Counter(who for who, own in pairs if own)
    return np.array([1 / counts[who] if own else 0.0 for who, own in pairs])


def check_design(design: SiteDesign, column: str, *, of: str = "") -> None:
    """Check that effects of covariates can be told from those of sites, and from each other.

    Parameters
    ----------
    column : str
        Of the table, which names the sites; for messages.
    of : str, optional
        Flavor whose subjects the design is of.

    Raises
    ------
    SettingsError
        If they cannot; the message names the columns and the sites.
    """
    n_sites, names = len(design.sites), design.covariate_columns
    values = design.values * np.sqrt(design.weights)[:, None]
    whose = f" of {of}" if of else ""
    basis = np.linalg.qr(values[:, :n_sites])[0] if n_sites else values[:, :0]
    for place, name in enumerate(names):
        own = values[:, n_sites + place]
        within = own - basis[:, :n_sites] @ (basis[:, :n_sites].T @ own)
        left = own - basis @ (basis.T @ own)
        length = float(np.linalg.norm(own))
        if np.linalg.norm(within) <= RANK_TOLERANCE * max(length, 1.0):
            raise SettingsError(
                f"--adaptation-by {column}: expected covariates that differ between people of one "
                f"site, so that their effect can be told from that of the site; found {name} the "
                f"same within each of the sites {name_few(design.sites)}{whose}. Leave it out of "
                "--adaptation-covariates; if it tells patients from controls, name the controls "
                "with --adaptation-subjects."
            )
        if np.linalg.norm(left) <= RANK_TOLERANCE * max(length, 1.0):
            raise SettingsError(
                f"--adaptation-covariates: expected columns that can be told apart; found {name} "
                f"given by {name_few([column, *names[:place]])} in all people fitted on{whose} "
                f"(sites {name_few(design.sites)}). Leave one of them out."
            )
        if np.linalg.norm(within) ** 2 < LITTLE_WITHIN * length**2:
            logger.warning(
                "--adaptation-covariates: %g %% of the variance of %s%s are within sites (%s), so "
                "that its effect and that of the sites are hard to tell apart",
                round(100 * float(np.linalg.norm(within) ** 2 / length**2), 1), name, whose,
                name_few(design.sites),
            )  # fmt: skip
        basis = np.column_stack([basis, left / np.linalg.norm(left)])


def check_groups(
    sites: Sequence[str], groups: Sequence[str], column: str, *, group_column: str
) -> None:
    """Check that groups of subjects can be told from sites, where the mean is of all of them.

    Parameters
    ----------
    groups : sequence of str
        Group of each subject, such as patient or control; '' where it is not known.

    Raises
    ------
    SettingsError
        If no site, or chain of sites, holds subjects of both sides of a difference of groups.
    """
    pairs = sorted({(a, b) for a, b in zip(sites, groups, strict=True) if a and b})
    names, kinds = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    if len(names) < 2 or len(kinds) < 2:
        return
    design = np.array(
        [[site == a for a in names] + [group == b for b in kinds] for site, group in pairs], float
    )
    if np.linalg.matrix_rank(design) == len(names) + len(kinds) - 1:
        return
    told = ", ".join(
        f"{name} only {name_few([b for a, b in pairs if a == name])}"
        for name in names[:MOST_NAMED]
    )
    raise SettingsError(
        f"--adaptation-by {column}: expected sites that share groups of people ({group_column}), "
        f"since a site's mean takes with it what its people have in common; found {told}. Site "
        "and group cannot be told apart. Name people who are alike at all sites with "
        "--adaptation-subjects (such as group==control), or leave --adaptation-by out."
    )
