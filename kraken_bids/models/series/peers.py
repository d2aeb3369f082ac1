"""Closed-form peers of pretraining, judged on the very entries that the network's loss is over.

The mean of the training volumes; the last volume that is shown; and a ridge regression of the
entries that are hidden on all that is shown around them, which for causal sequence modelling is a
vector autoregression.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from kraken_bids.io.records import column
from kraken_bids.models.series.tokens import Tokens

Floats = NDArray[np.floating[Any]]
Booleans = NDArray[np.bool_]

MEAN, LAST, RIDGE, NETWORK = "mean", "last volume", "ridge", "network"
PREDICTORS = {
    NETWORK: "the pretrained network",
    MEAN: "mean of the training volumes, region by region",
    LAST: "the region's last value that is shown; before the first one, the mean",
    RIDGE: "ridge regression on all values shown nearby, its penalty chosen on validation runs",
}
PENALTIES = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)
"""Of the ridge regression, in mean variances of what is regressed on."""
MAX_REACH, MAX_ENTRIES = 8, 1500
"""Volumes that a regression looks back, and values that it regresses on at most."""
MAX_OWN_ENTRIES = 300
"""Values on both sides of a volume where each pair hides regions of its own, and so has
coefficients of its own (``netbert``)."""
ALL_SUBJECTS = "all"


@dataclass(frozen=True)
class MaskedSeries:
    """Volumes of many sequences, one after the other, as an objective hides them."""

    values: Floats
    """[n_volumes, n_regions]: nothing hidden."""
    is_target: Booleans
    """[n_volumes, n_regions]: entries that the loss is over."""
    is_shown: Booleans
    """[n_volumes, n_regions]: entries that the network is given."""
    stretch: NDArray[np.integer[Any]]
    """[n_volumes]: a number for each stretch of consecutive volumes of one run; neighbouring
    stretches have different ones."""


@dataclass(frozen=True)
class PeerLoss:
    """Loss of one predictor in one subject: a row of ``peers.tsv``."""

    split: str = column("part of the runs")
    subject: str = column(f"whose runs; {ALL_SUBJECTS}: over the entries of all subjects")
    predictor: str = column("what predicts", levels=PREDICTORS)
    loss: float = column("mean absolute error over the hidden entries")
    n_values: int = column("hidden entries")


class Peers:
    """Peers of one objective; fitted run by run, in memory that does not grow with runs.

    Parameters
    ----------
    lags : sequence of int
        Volumes that the regression looks at, from the one predicted (0), such as -2, -1.
    """

    def __init__(self, n_regions: int, lags: Sequence[int]) -> None:
        self.lags = tuple(sorted({*lags, 0}))
        self.penalty = PENALTIES[0]
        self._n_regions = n_regions
        size = len(self.lags) * n_regions
        self._n_windows, self._sums = 0, np.zeros(size)
        self._products = np.zeros((size, size))

    def add_run(self, values: Floats, counts: Booleans | None = None) -> None:
        """Add a training run [n_volumes, n_regions] to the normal equations.

        Parameters
        ----------
        counts : ndarray of bool [n_volumes], optional
            Whether each volume counts; what is regressed on others is never one that does not.
        """
        first, n_windows = self.lags[0], len(values) - self.lags[-1] + self.lags[0]
        if n_windows < 1:
            return
        own = np.asarray(values, np.float64)
        windows = np.hstack([own[k - first :][:n_windows] for k in self.lags])
        if counts is not None:
            windows = windows[counts[-first:][:n_windows]]
        self._n_windows += len(windows)
        self._sums += windows.sum(axis=0)
        self._products += windows.T @ windows

    @property
    def mean(self) -> Floats:
        """Mean of the training volumes [n_regions]."""
        start = self.lags.index(0) * self._n_regions
        return self._window_mean[start : start + self._n_regions]

    def choose_penalty(self, hidden: MaskedSeries) -> float:
        """Take the penalty of the least loss on sequences of validation runs."""
        losses = [
            float(np.abs(self.regress(hidden, one) - hidden.values)[hidden.is_target].sum())
            for one in PENALTIES
        ]
        self.penalty = PENALTIES[int(np.argmin(losses))]
        return self.penalty

    def predict(self, hidden: MaskedSeries) -> dict[str, Floats]:
        """Predict the hidden entries of sequences.

        Returns
        -------
        dict of str to array [n_volumes, n_regions]
            By name of the peer; entries that are not hidden hold anything.
        """
        return {
            MEAN: np.broadcast_to(self.mean, hidden.values.shape),
            LAST: carry_last(hidden, self.mean),
            RIDGE: self.regress(hidden, self.penalty),
        }

    def regress(self, hidden: MaskedSeries, penalty: float) -> Floats:
        """Predict hidden entries from those shown around them; the mean where none is.

        Each pattern of what is shown and hidden has coefficients of its own, solved from the same
        normal equations.
        """
        rows = np.flatnonzero(hidden.is_target.any(axis=1))
        values, shown = self._take_windows(hidden, rows)
        targets = hidden.is_target[rows]
        patterns = np.packbits(np.hstack([shown, targets]), axis=1)
        _, firsts, which = np.unique(patterns, axis=0, return_index=True, return_inverse=True)
        predicted = np.tile(self.mean, (len(hidden.values), 1))
        for number, first in enumerate(firsts):
            own = np.flatnonzero(which.ravel() == number)
            given, wanted = np.flatnonzero(shown[first]), np.flatnonzero(targets[first])
            if given.size:
                known = values[np.ix_(own, given)] - self._window_mean[given]
                found = self.mean[wanted] + known @ self._solve(given, wanted, penalty)
                predicted[np.ix_(rows[own], wanted)] = found
        return predicted

    @property
    def _window_mean(self) -> Floats:
        mean: Floats = self._sums / max(self._n_windows, 1)
        return mean

    def _solve(self, given: NDArray[np.intp], wanted: NDArray[np.intp], penalty: float) -> Floats:
        """Coefficients [n_given, n_wanted] of hidden entries on those shown."""
        wanted = wanted + self.lags.index(0) * self._n_regions
        mean, n = self._window_mean, max(self._n_windows, 1)
        square, right = (
            self._products[np.ix_(given, k)] / n - np.outer(mean[given], mean[k])
            for k in (given, wanted)
        )
        variance = max(float(np.trace(square)) / len(given), np.finfo(float).tiny)
        square[np.diag_indices_from(square)] += penalty * variance
        solved: Floats = scipy.linalg.solve(square, right, assume_a="pos")
        return solved

    def _take_windows(
        self, hidden: MaskedSeries, rows: NDArray[np.intp]
    ) -> tuple[Floats, Booleans]:
        """Values, and which of them are shown, [n_rows, n_lags x n_regions] around volumes."""
        values, shown = [], []
        for lag in self.lags:
            at = np.clip(rows + lag, 0, len(hidden.values) - 1)
            is_near = (at == rows + lag) & (hidden.stretch[at] == hidden.stretch[rows])
            own = hidden.is_shown[at] & is_near[:, None]
            values.append(hidden.values[at])
            shown.append(own if lag else own & ~hidden.is_target[rows])
        return np.hstack(values, dtype=np.float64), np.hstack(shown)


def hide(tokens: Tokens) -> MaskedSeries:
    """Say what a network is shown of sequences, and what it has to fill in.

    The halves of a pair are two stretches, whatever run they are of.
    """
    n_volumes, n_regions = tokens.values.shape
    rows = tokens.sources.copy()
    if tokens.scored is not None and tokens.scored_rows is not None:
        rows[tokens.scored] = tokens.scored_rows
    is_volume = rows < n_volumes
    numbers = 2 * np.repeat(np.arange(len(tokens.lengths)), tokens.lengths)
    if tokens.types is not None:
        numbers += tokens.types
    stretch = np.full(n_volumes, -1)
    stretch[rows[is_volume]] = numbers[is_volume]
    shown, target = np.zeros((2, n_volumes, n_regions), bool)
    shown[tokens.sources[tokens.sources < n_volumes]] = True
    if tokens.hidden is not None:
        shown &= ~tokens.hidden
    target[tokens.scored_rows] = True if tokens.entries is None else tokens.entries
    return MaskedSeries(tokens.values, target, shown, stretch)


def join_batches(batches: Sequence[MaskedSeries]) -> MaskedSeries:
    """Put the sequences of several batches one after the other."""
    stretches = [2 * batch.stretch + k % 2 for k, batch in enumerate(batches)]
    return MaskedSeries(
        np.concatenate([batch.values for batch in batches]),
        np.concatenate([batch.is_target for batch in batches]),
        np.concatenate([batch.is_shown for batch in batches]),
        np.concatenate(stretches),
    )


def choose_lags(objective: str, n_regions: int) -> tuple[int, ...]:
    """Choose what the regression looks at: as much as an objective shows and memory allows.

    Parameters
    ----------
    objective : str
        ``csm`` and ``autoencoder`` look back; ``bert`` and ``netbert`` to both sides.
    """
    reach = max(1, min(MAX_REACH, MAX_ENTRIES // n_regions))
    if objective in {"csm", "autoencoder"}:
        return tuple(range(-reach, 0))
    if objective == "netbert":
        return (-1, 0, 1) if 3 * n_regions <= MAX_OWN_ENTRIES else (0,)
    side = max(1, min(2, reach // 2))
    return tuple(range(-side, side + 1))


def carry_last(hidden: MaskedSeries, mean: Floats) -> Floats:
    """Predict each entry by the region's last value that is shown before it in its stretch."""
    begins = np.append(True, np.diff(hidden.stretch) != 0)
    predicted = np.empty(hidden.values.shape)
    for row, is_first in enumerate(begins):
        if is_first:
            predicted[row] = mean
        else:
            shown = hidden.is_shown[row - 1]
            predicted[row] = np.where(shown, hidden.values[row - 1], predicted[row - 1])
    return predicted


def tabulate_losses(
    split: str, hidden: MaskedSeries, subjects: Sequence[str], predictions: Mapping[str, Floats]
) -> list[PeerLoss]:
    """Tabulate the loss of every predictor, over all subjects and in each.

    Parameters
    ----------
    split : str
        Part of the runs.
    subjects : sequence of str
        Whose each volume is.
    predictions : mapping of str to array [n_volumes, n_regions]
        By predictor: as :meth:`Peers.predict` gives them, and the network's.
    """
    names, numbers = np.unique(np.asarray(subjects), return_inverse=True)
    counts = np.bincount(numbers, hidden.is_target.sum(axis=1), len(names))
    rows = []
    for predictor, predicted in predictions.items():
        errors = np.where(hidden.is_target, np.abs(predicted - hidden.values), 0).sum(axis=1)
        sums = np.bincount(numbers, errors, len(names))
        whole = sums.sum() / counts.sum()
        rows.append(PeerLoss(split, ALL_SUBJECTS, predictor, float(whole), int(counts.sum())))
        rows += [
            PeerLoss(split, str(name), predictor, float(own / n), int(n))
            for name, own, n in zip(names, sums, counts, strict=True)
            if n
        ]
    return rows
