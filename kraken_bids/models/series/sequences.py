"""Sequences of volumes in one array, how they are drawn from runs, and trials of classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.repetition_time import TOLERANCE
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.series.architecture import MAX_SECONDS, N_TIMES, TIME_STEP

Values = NDArray[np.float32]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Sequences:
    """Sequences of volumes without padding."""

    values: Values
    """[n_volumes, n_regions], one sequence after the other."""
    lengths: Indices
    """Volumes of each sequence."""
    time_ids: Indices
    """Place of each volume on the grid of times, counted from the start of its sequence."""
    runs: Indices | None = None
    """Run that each sequence was drawn from; None where it was not drawn."""
    counts: NDArray[np.bool_] | None = None
    """Whether each volume counts, and may be asked for; None: all do."""

    @property
    def starts(self) -> Indices:
        """Row of the first volume of each sequence."""
        return np.cumsum(self.lengths) - self.lengths


def join_sequences(
    values: Sequence[NDArray[np.floating]], repetition_times: Sequence[float]
) -> Sequences:
    """Put sequences one after the other.

    Parameters
    ----------
    values : sequence of ndarray
        [n_volumes, n_regions] each.
    repetition_times : sequence of float
        Of each sequence, in seconds.

    Raises
    ------
    ConnectomeError
        If there is none, a value is not finite, they differ in their regions, or a sequence goes
        beyond the times that can be embedded.
    """
    if not len(values) or len(values) != len(repetition_times):
        raise ConnectomeError(
            "expected sequences of volumes, each with its repetition time; found "
            f"{len(values)} sequences and {len(repetition_times)} times."
        )
    shapes = {np.shape(one)[1:] for one in values}
    lengths = np.array([len(one) for one in values], np.intp)
    if len(shapes) != 1 or len(next(iter(shapes))) != 1 or not lengths.min():
        raise ConnectomeError(
            "expected sequences of at least one volume, all of the same regions; found shapes "
            f"{sorted({np.shape(one) for one in values})[:4]}."
        )
    rows = np.concatenate([np.asarray(one, np.float32) for one in values])
    if not np.isfinite(rows).all():
        _, region = np.argwhere(~np.isfinite(rows))[0]
        raise ConnectomeError(
            f"expected finite series; found NaN or infinite values in region {region + 1} (of "
            f"{rows.shape[1]}). Leave the region or the run out."
        )
    time_ids = [
        find_time_ids(int(n), time) for n, time in zip(lengths, repetition_times, strict=True)
    ]
    return Sequences(rows, lengths, np.concatenate(time_ids))


def find_time_ids(n_volumes: int, repetition_time: float) -> Indices:
    """Place of volumes on the grid of embedded times, 0.2 s apart.

    The quotient is rounded in float32, ties to even, as the release does.

    Raises
    ------
    ConnectomeError
        If the repetition time is no positive number, or the volumes last 300 s or more.
    """
    if not 0 < repetition_time < MAX_SECONDS:
        raise ConnectomeError(
            f"expected a repetition time in seconds, above 0; found {repetition_time:g}."
        )
    seconds = np.arange(n_volumes) * np.float32(repetition_time)
    ids: Indices = np.rint(seconds.astype(np.float32) / np.float32(TIME_STEP)).astype(np.intp)
    if ids[-1] >= N_TIMES:
        most = int(np.floor((MAX_SECONDS - TIME_STEP) / repetition_time)) + 1
        raise ConnectomeError(
            f"expected sequences of less than {MAX_SECONDS:g} s, which is what the embedding of "
            f"time covers; found {n_volumes} volumes at a repetition time of "
            f"{repetition_time:g} s. Give sequences of at most {most} volumes."
        )
    return ids


def group_times(repetition_times: Sequence[float]) -> Indices:
    """Give repetition times, in seconds, numbers; those a hundredth apart or less have one.

    Returns
    -------
    ndarray of int, shape (n_times,)
        From 0, by size of the times.
    """
    times = np.asarray(repetition_times, np.float64)
    order = np.argsort(times, kind="stable")
    is_other = np.diff(times[order]) > TOLERANCE * times[order][1:]
    groups = np.empty(len(times), np.intp)
    groups[order] = np.append(0, np.cumsum(is_other))[: len(times)]
    return groups


def draw_windows(
    rng: np.random.Generator, lengths: Indices, *, shortest: int, longest: int
) -> tuple[Indices, Indices]:
    """Draw a window of each run: its length, then one of the places that are multiples of it.

    Parameters
    ----------
    lengths : ndarray
        Volumes of each run, at least ``shortest``.

    Returns
    -------
    firsts, sizes : ndarray
        First volume, and number of volumes.

    Source: the release, whose upper bounds leave out the longest window and the last place.
    """
    sizes = rng.integers(shortest, np.minimum(longest, lengths), endpoint=True)
    return sizes * rng.integers(0, lengths // sizes), sizes


@dataclass(frozen=True)
class LabelledSeries:
    """Trials, all lists of one length."""

    values: Sequence[NDArray[np.floating]]
    """[n_volumes, n_regions] each."""
    repetition_times: Sequence[float]
    """Seconds."""
    labels: Indices
    """Numbers of classes."""
