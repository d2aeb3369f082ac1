"""Sums over subjects from which linear regressions between scores are fitted and judged."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Sums of products of inputs ``x`` and outcomes ``y`` over some subjects."""

    n: int
    """Subjects."""
    x: Matrix
    """Sum of inputs ``[n_inputs]``."""
    y: Matrix
    """Sum of outcomes ``[n_outcomes]``."""
    xx: Matrix
    """``[n_inputs, n_inputs]``"""
    xy: Matrix
    """``[n_inputs, n_outcomes]``"""
    yy: float
    """Sum of squared outcomes."""

    @classmethod
    def of(cls, x: Matrix, y: Matrix, *, xx: Matrix | None = None) -> Self:
        """Take the sums of inputs ``[n, n_inputs]`` and outcomes ``[n, n_outcomes]``.

        Parameters
        ----------
        xx : ndarray of shape (n_inputs, n_inputs), optional
            The inputs' sums of products, where they are known.
        """
        xx = x.T @ x if xx is None else xx
        return cls(len(x), x.sum(axis=0), y.sum(axis=0), xx, x.T @ y, float(np.vdot(y, y)))

    def __add__(self, other: Self) -> Self:
        """Subjects of both."""
        return type(self)(
            self.n + other.n,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
        )

    def __sub__(self, other: Self) -> Self:
        """Subjects who are not among the others."""
        return type(self)(
            self.n - other.n,
            self.x - other.x,
            self.y - other.y,
            self.xx - other.xx,
            self.xy - other.xy,
            self.yy - other.yy,
        )

    @property
    def mean_x(self) -> Matrix:
        """Mean input ``[n_inputs]``."""
        return self.x / max(self.n, 1)

    @property
    def mean_y(self) -> Matrix:
        """Mean outcome ``[n_outcomes]``."""
        return self.y / max(self.n, 1)

    def around(self, x: Matrix, y: Matrix) -> Self:
        """Take the sums of the same subjects' deviations from an input and an outcome.

        Parameters
        ----------
        x : ndarray of shape (n_inputs,)
        y : ndarray of shape (n_outcomes,)
        """
        n = self.n
        moved_x, moved_y = self.x - n * x, self.y - n * y
        sides = np.stack([self.x, x], axis=1)
        xx, xy = sides @ np.stack([x, moved_x]), sides @ np.stack([y, moved_y])
        return type(self)(
            n,
            moved_x,
            moved_y,
            np.subtract(self.xx, xx, out=xx),
            np.subtract(self.xy, xy, out=xy),
            self.yy - float(2 * self.y @ y - n * y @ y),
        )

    def centered(self) -> Self:
        """Take the sums of deviations from these subjects' own means."""
        return self.around(self.mean_x, self.mean_y)
