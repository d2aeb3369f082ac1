"""Estimates from several completed cohorts as one, by Rubin's rules."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kraken_bids.exceptions import SettingsError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PooledEstimates:
    """What draws say together; every field has the shape of one draw's estimates."""

    estimate: Floats
    """Mean over draws."""
    variance: Floats
    """Squared standard error: within draws, and between them."""
    dof: Floats
    """Degrees of freedom of Student's t."""
    low: Floats
    """Lower end of the interval."""
    high: Floats
    """Upper end."""
    p: Floats
    """Of the hypothesis that the estimated number is 0, two-sided."""
    fraction_missing: Floats
    """Share of the information that is lost by what was not measured, 0 to 1."""


def pool_estimates(
    estimates: ArrayLike,
    variances: ArrayLike,
    *,
    dof: ArrayLike = np.inf,
    confidence: float = 0.95,
) -> PooledEstimates:
    """Pool what the same analysis found in each draw of an imputed cohort.

    Parameters
    ----------
    estimates : array of shape (n_draws, ...)
        For example regression slopes, one of each draw.
    variances : array of the same shape
        Their squared standard errors, as the analysis of each draw gives them.
    dof : array, optional
        Degrees of freedom that the analysis would have had, if everyone had been measured
        (subjects less parameters); infinite by default, as for large cohorts.
    confidence : float
        Of the intervals.

    Raises
    ------
    SettingsError
        If there are fewer than two draws, shapes differ, a number is not finite, a variance
        negative, or ``confidence`` not between 0 and 1.

    Examples
    --------
    >>> found = kraken_bids.pool_estimates([1.0, 1.2, 1.1], [0.04, 0.05, 0.045], dof=48)
    >>> print(f"{found.estimate:.2f} ± {found.variance**0.5:.2f}, {found.dof:.0f} dof")
    1.10 ± 0.24, 18 dof

    Source: Rubin 1987, Multiple imputation for nonresponse in surveys; degrees of freedom of
    Barnard and Rubin 1999, Biometrika 86:948.
    """
    q, u = np.asarray(estimates, np.float64), np.asarray(variances, np.float64)
    complete = np.asarray(dof, np.float64)
    _check(q, u, complete, confidence)
    n_draws = len(q)
    mean, within = q.mean(axis=0), u.mean(axis=0)
    between = (1 + 1 / n_draws) * q.var(axis=0, ddof=1)
    total = within + between
    share = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_draws = (n_draws - 1) / share**2
        # of infinitely many complete degrees of freedom the shares are the limits
        shrunk = np.where(np.isinf(complete), 1.0, (complete + 1) / (complete + 3))
        observed = np.where(share < 1, shrunk * complete * (1 - share), 0.0)
        pooled = 1 / (1 / by_draws + 1 / observed)
        ratio = np.where(share < 1, share / (1 - share), np.inf)
        lost = np.where(np.isinf(ratio), 1.0, (ratio + 2 / (pooled + 3)) / (ratio + 1))
    low, high, p = _find_intervals(mean, np.sqrt(total), pooled, confidence)
    return PooledEstimates(mean, total, pooled, low, high, p, np.where(share > 0, lost, 0.0))


def _find_intervals(
    mean: Floats, error: Floats, dof: Floats, confidence: float
) -> tuple[Floats, Floats, Floats]:
    """Compute the ends of the intervals, and p-values."""
    from scipy.stats import t

    margin = t.ppf((1 + confidence) / 2, dof) * error
    statistic = np.divide(np.abs(mean), error, out=np.full_like(error, np.inf), where=error > 0)
    p = np.where((error == 0) & (mean == 0), 1.0, 2 * t.sf(statistic, dof))
    return mean - margin, mean + margin, p


def _check(q: Floats, u: Floats, dof: Floats, confidence: float) -> None:
    if q.ndim < 1 or len(q) < 2 or q.shape != u.shape:
        raise SettingsError(
            "expected estimates and variances of the same shape, of at least 2 draws; found the "
            f"shapes {q.shape} and {u.shape}."
        )
    if not (np.isfinite(q).all() and np.isfinite(u).all() and (u >= 0).all()):
        raise SettingsError(
            "expected finite estimates, and variances that are no less than 0; found "
            f"{int((~np.isfinite(q) | ~np.isfinite(u)).sum())} not finite and "
            f"{int((u < 0).sum())} below 0."
        )
    if not (dof > 0).all() or not 0 < confidence < 1:
        raise SettingsError(
            "expected degrees of freedom above 0 and a confidence between 0 and 1; found "
            f"{dof.min() if dof.size else 'none'} and {confidence}."
        )
