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
from kraken_bids.scores.metrics import EdgeArray

Floats = NDArray[np.float64]
MEASURES = ("shift", "size")
MIN_FREEDOM = 10
"""Controls less columns of the regression: with fewer, their spread is too uncertain."""
RATE = 0.05
"""False discovery rate of what is called found."""
ROUNDING = 1e-9
"""Share of a measure's magnitude below which its spread among controls is rounding."""
LOST = 1e-6
"""Share of a sum that is left after a subtraction, below which too many digits are lost."""
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
    measured: NDArray[np.floating], predicted: EdgeArray, groups: EdgeGroups
) -> dict[str, Floats]:
    """Shift and size of the residuals in every group of edges.

    Parameters
    ----------
    measured, predicted : ndarray of shape (n_subjects, n_edges)

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
    session: str | None,
    subjects: Sequence[str],
    sessions: Sequence[str | None],
    candidates: Sequence[int],
) -> list[int]:
    """Rows that sessions of one label are compared with: one session of every subject.

    Of each subject the session of the same label, else the first one: sessions of one subject are
    alike, and must not count as several controls.

    Parameters
    ----------
    session : str or None
        Label of the sessions that are compared.
    subjects, sessions : sequence of str
        Labels of every row.
    candidates : sequence of int
        Rows of the controls.
    """
    chosen: dict[str, int] = {}
    for one in candidates:
        subject = subjects[one]
        if subject not in chosen or (sessions[one] == session != sessions[chosen[subject]]):
            chosen[subject] = one
    return list(chosen.values())


class ControlRegression:
    """Regression of values on covariates over controls, and how single rows differ from it.

    A row that is among the controls is compared with the others, from the one fit of all of them.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_groups)
    covariates : Covariates
        Of all rows.
    controls : sequence of int
        Rows; those whose covariates are not known are left out.

    Source
    ------
    Cook & Weisberg 1982, Residuals and Influence in Regression, 2.2.1: the residual of an
    observation from a fit without it, over its standard error, has Student's t distribution; and
    2.2.2: the fit without an observation follows from its residual and leverage.
    """

    def __init__(
        self, values: NDArray[np.floating], covariates: Covariates, controls: Sequence[int]
    ) -> None:
        self.values, self.covariates = values, covariates
        self.controls = [one for one in controls if not covariates.unknown[one]]
        self.places = {row: place for place, row in enumerate(self.controls)}
        basis, sizes, turn = np.linalg.svd(covariates.values[self.controls], full_matrices=False)
        kept = sizes > 1e-9 * max(sizes.max(initial=0.0), 1e-300)
        self.basis, self.sizes, self.turn = basis[:, kept], sizes[kept], turn[kept]
        others = np.asarray(values[self.controls], np.float64)
        self.middle = others.mean(axis=0) if len(others) else np.zeros(values.shape[1])
        self.loads = self.basis.T @ (others - self.middle)
        self.residuals = others - self.middle - self.basis @ self.loads
        self.squares = (self.residuals**2).sum(axis=0)
        self.largest = np.abs(others).max(axis=0, initial=0)

    def compare(self, row: int) -> Comparison:
        """Compare a row with the controls, itself left out.

        Raises
        ------
        ConnectomeError
            If a covariate of the row is not known, controls are too few for the covariates, or
            they do not say what to expect at the row's covariates.
        """
        if self.covariates.unknown[row]:
            raise ConnectomeError(
                f"expected a value of every covariate; {self.covariates.unknown[row]} is not "
                "known. Add it to participants.tsv, or leave it out of --covariates."
            )
        if row not in self.places:
            return self._compare_other(row)
        found = self._leave_out(self.places[row])
        if found is None:
            others = [one for one in self.controls if one != row]
            found = ControlRegression(self.values, self.covariates, others)._compare_other(row)
        return found

    def _leave_out(self, place: int) -> Comparison | None:
        """Compare a control with the others; None where that would lose digits."""
        share = 1 - float(self.basis[place] @ self.basis[place])
        freedom = len(self.controls) - 1 - self.basis.shape[1]
        values = np.asarray(self.values[self.controls[place]], np.float64)
        if share < LOST or freedom < MIN_FREEDOM or np.isnan(values).any():
            return None
        own = self.residuals[place]
        squares = self.squares - own**2 / share
        # without any one of them too, controls do not vary where all do not, or one is NaN
        varies = np.sqrt(self.squares / freedom) > ROUNDING * self.largest
        if (varies & (squares <= LOST * self.squares)).any():
            return None
        statistic = np.full(own.shape, np.nan)
        statistic[varies] = own[varies] / np.sqrt(squares[varies] / freedom * share)
        expected = values - own / share
        return Comparison(expected, statistic, freedom, len(self.controls) - 1)

    def _compare_other(self, row: int) -> Comparison:
        """Compare a row that is not among the controls."""
        freedom = len(self.controls) - self.basis.shape[1]
        weights = self._weigh(row)
        if freedom < MIN_FREEDOM:
            n_columns = self.basis.shape[1]
            names = ", ".join(("intercept", *self.covariates.names))
            raise ConnectomeError(
                f"expected at least {n_columns + MIN_FREEDOM} controls for {n_columns} column(s) "
                f"of the regression ({names}); found {len(self.controls)}. It takes more people, "
                "more --controls or fewer --covariates."
            )
        scale = np.sqrt(self.squares / freedom)
        expected = self.middle + weights @ self.loads
        error = scale * np.sqrt(1 + weights @ weights)
        own = np.asarray(self.values[row], np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            varies = scale > ROUNDING * self.largest
            statistic = np.where(varies, (own - expected) / error, np.nan)
        return Comparison(expected, statistic, freedom, len(self.controls))

    def _weigh(self, row: int) -> Floats:
        """Weights of the loads in what is expected of a row; their squares add to its leverage."""
        own = self.covariates.values[row]
        coordinates = self.turn @ own
        beyond = np.abs(own - coordinates @ self.turn)
        if self.controls and beyond.max() > 1e-6 * max(1.0, float(np.abs(own).max())):
            far = zip(self.covariates.names, beyond[1:], strict=True)
            names = [name for name, distance in far if distance > 1e-6]
            raise ConnectomeError(
                "expected controls that tell what to expect at this session's covariates; none of "
                f"them varies as it would take in {', '.join(names) or 'these'}. Leave that out "
                "of --covariates, or name controls that have it."
            )
        return np.asarray(coordinates / self.sizes)
