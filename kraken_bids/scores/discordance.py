"""Where measured connectomes differ from what was predicted of them, and how rarely they do so.

Residuals are measured minus predicted edges, the prediction being calibrated without the subject.
Two measures of each group of edges are compared with those of controls, by linear regression on
the covariates: ``shift``, the mean residual, and ``size``, the logarithm of the root mean square
of the residuals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.edge_groups import EdgeGroups
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.scores.covariates import Covariates

Floats = NDArray[np.float64]
MEASURES = ("shift", "size")
MIN_FREEDOM = 10
"""Controls less columns of the regression: with fewer, their spread is too uncertain."""
RATE = 0.05
"""False discovery rate of what is called found."""
ROUNDING = 1e-9
"""Share of a measure's magnitude below which its spread among controls is rounding."""
ROWS = 16
"""Subjects whose residuals are in memory at once."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """One session compared with its controls, group of edges by group of edges."""

    expected: Floats
    """[n_groups]: what the regression over the controls predicts for this session."""
    statistic: Floats
    """[n_groups]: externally studentised residual; NaN where controls do not vary."""
    freedom: int
    """Degrees of freedom of the t distribution that the statistic has where nothing differs."""
    n_controls: int

    @cached_property
    def p(self) -> Floats:
        """Two-sided p [n_groups]: exact where residuals of the regression are normal."""
        from scipy.special import stdtr

        return np.asarray(2 * stdtr(self.freedom, -np.abs(self.statistic)))

    @cached_property
    def q(self) -> Floats:
        """Smallest false discovery rate at which each group is found (Benjamini and Hochberg)."""
        from scipy.stats import false_discovery_control

        p, adjusted = self.p, np.full(self.statistic.shape, np.nan)
        tested = np.isfinite(p)
        if tested.any():
            adjusted[tested] = false_discovery_control(p[tested])
        return adjusted

    @property
    def z(self) -> Floats:
        """Standard normal deviate of the same p as the statistic, with its sign [n_groups].

        Comparable between sessions with different numbers of controls, as the statistic is not.
        """
        from scipy.special import ndtri, stdtr

        size = -ndtri(np.maximum(stdtr(self.freedom, -np.abs(self.statistic)), 1e-300))
        return np.asarray(np.copysign(size, self.statistic))


def measure_residuals(
    measured: NDArray[np.floating], predicted: NDArray[np.floating], groups: EdgeGroups
) -> dict[str, Floats]:
    """Shift and size of the residuals in every group of edges.

    Parameters
    ----------
    measured, predicted : ndarray of shape (n_subjects, n_edges)
    groups : EdgeGroups

    Returns
    -------
    dict of str to ndarray of shape (n_subjects, n_groups)
        ``shift``, in units of the edges; ``size``, natural logarithm, NaN where nothing is left.
    """
    found = {name: np.empty((len(measured), len(groups.names))) for name in MEASURES}
    for start in range(0, len(measured), ROWS):
        rows = slice(start, start + ROWS)
        residuals = measured[rows].astype(np.float64) - predicted[rows]
        found["shift"][rows] = groups.average(residuals)
        squares = groups.average(np.square(residuals, out=residuals))
        found["size"][rows] = 0.5 * np.log(np.where(squares > 0, squares, np.nan))
    return found


def choose_controls(
    row: int,
    subjects: Sequence[str],
    sessions: Sequence[str | None],
    candidates: Sequence[int],
) -> list[int]:
    """Rows that a session is compared with: one session of every other subject.

    Of each subject the session of the same label, else the first one: sessions of one person are
    alike, and must not count as several controls.

    Parameters
    ----------
    row : int
        The session that is compared; none of its subject's sessions is a control.
    subjects, sessions : sequence of str
        Labels of every row.
    candidates : sequence of int
        Rows of the controls, the own subject's among them or not.
    """
    chosen: dict[str, int] = {}
    for one in candidates:
        subject = subjects[one]
        if subject == subjects[row]:
            continue
        if subject not in chosen or (sessions[one] == sessions[row] != sessions[chosen[subject]]):
            chosen[subject] = one
    return list(chosen.values())


def compare_with_controls(
    values: NDArray[np.floating],
    covariates: Covariates,
    *,
    row: int,
    controls: Sequence[int],
) -> Comparison:
    """Compare one row with controls that it is not among.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_groups)
    covariates : Covariates
        Of all rows.
    row : int
    controls : sequence of int
        Rows; those whose covariates are not known are left out.

    Raises
    ------
    ConnectomeError
        If a covariate of the row is not known, controls are too few for the covariates, or they
        do not say what to expect at the row's covariates.

    Source
    ------
    Cook & Weisberg 1982, Residuals and Influence in Regression, 2.2.1: the residual of an
    observation from a fit without it, over its standard error, has Student's t distribution.
    """
    if covariates.unknown[row]:
        raise ConnectomeError(
            f"expected a value of every covariate; {covariates.unknown[row]} is not known. Add it "
            "to participants.tsv, or leave it out of --covariates."
        )
    known = [one for one in controls if not covariates.unknown[one]]
    basis, weights = _decompose(covariates, row, known)
    freedom = len(known) - basis.shape[1]
    if freedom < MIN_FREEDOM:
        n_columns = basis.shape[1]
        raise ConnectomeError(
            f"expected at least {n_columns + MIN_FREEDOM} controls for {n_columns} column(s) of "
            f"the regression ({', '.join(('intercept', *covariates.names))}); found {len(known)}. "
            "It takes more people, more --controls or fewer --covariates."
        )
    own, others = (np.asarray(values[one], np.float64) for one in (row, known))
    middle = others.mean(axis=0)
    loads = basis.T @ (others - middle)
    left = others - middle - basis @ loads
    scale = np.sqrt((left**2).sum(axis=0) / freedom)
    expected = middle + weights @ loads
    error = scale * np.sqrt(1 + weights @ weights)
    size = np.abs(others).max(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(scale > ROUNDING * size, (own - expected) / error, np.nan)
    return Comparison(expected, statistic, freedom, len(known))


def _decompose(covariates: Covariates, row: int, controls: Sequence[int]) -> tuple[Floats, Floats]:
    """Orthonormal basis of the controls' columns [n, rank], and the row in terms of it [rank].

    The weights give the prediction at the row's covariates from loads on the basis; their squared
    length is the leverage of the row.
    """
    design, own = covariates.values[list(controls)], covariates.values[row]
    basis, sizes, turn = np.linalg.svd(design, full_matrices=False)
    kept = sizes > 1e-9 * max(sizes.max(initial=0.0), 1e-300)
    basis, sizes, turn = basis[:, kept], sizes[kept], turn[kept]
    coordinates = turn @ own
    beyond = np.abs(own - coordinates @ turn)
    if len(controls) and beyond.max() > 1e-6 * max(1.0, float(np.abs(own).max())):
        names = [
            name for name, far in zip(covariates.names, beyond[1:], strict=True) if far > 1e-6
        ]
        raise ConnectomeError(
            "expected controls that tell what to expect at this session's covariates; none of "
            f"them varies as it would take in {', '.join(names) or 'these'}. Leave that out of "
            "--covariates, or name controls that have it."
        )
    return basis, coordinates / sizes
