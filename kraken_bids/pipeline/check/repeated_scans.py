"""Second measurements of a cohort: further sessions, further runs, or halves of cleaned series."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import sidecar_path, timeseries_path
from kraken_bids.cohort.measured_matrices import read_measured
from kraken_bids.cohort.measurements import CLEANING, FUNCTIONAL, RUN
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sidecar_records import REGIONS, VOLUMES_KEPT
from kraken_bids.connectome.functional.correlations import (
    CORRELATION,
    PARTIAL_CORRELATION,
    compute_correlation,
    compute_partial_correlation,
    concatenate_runs,
)
from kraken_bids.connectome.matrices import square_to_edges
from kraken_bids.exceptions import ConnectomeError, KrakenBidsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.facts import read_facts
from kraken_bids.io.matrix_rows import parse_rows
from kraken_bids.io.tables import split_header
from kraken_bids.io.texts import read_bytes
from kraken_bids.pipeline.check.kept_results import digest_file
from kraken_bids.scores.second_measurements import MIN_TWICE, pair_sessions

logger = logging.getLogger(__name__)

Edges = NDArray[np.float32]
Squares = tuple[NDArray[np.float64], NDArray[np.float64]]

MAX_HALVED = 20
"""So many subjects' series are read; more would say the same and take longer."""
CLEANED = "hpf"
"""Processing of the flavors that the cleaned series are of."""


@dataclass(frozen=True)
class Repeats:
    """Where the second measurements of a flavor are."""

    basis: str
    """As in :data:`~kraken_bids.scores.second_measurements.BASES`."""
    files: Mapping[int, tuple[Path, ...]] = field(default_factory=dict)
    """By index of the member: the second run's connectome, or the cleaned series of each run."""

    def digest(self) -> list[object]:
        """Digests of everything that is read beside the connectomes of the cohort."""
        return [
            self.basis,
            [(index, [digest_file(path) for path in own]) for index, own in self.files.items()],
        ]


def choose_repeats(members: Sequence[Member], flavor: Flavor) -> Repeats:
    """Choose what says how alike two measurements of a subject are; sessions say most."""
    own = [index for index, member in enumerate(members) if flavor in member.connectomes]
    if len(pair_sessions([members[index].subject for index in own])) >= MIN_TWICE:
        return Repeats("sessions")
    first = {members[index].subject: index for index in reversed(own)}.values()
    runs = {
        k: (members[k].repeats[flavor],) for k in sorted(first) if flavor in members[k].repeats
    }
    if len(runs) >= MIN_TWICE:
        return Repeats("runs", runs)
    series = {k: find_series(members[k].connectomes[flavor], flavor) for k in sorted(first)}
    whole = [k for k, files in series.items() if files]
    if len(whole) < MIN_TWICE:
        return Repeats("unknown")
    chosen = np.linspace(0, len(whole) - 1, min(MAX_HALVED, len(whole))).round().astype(int)
    return Repeats("halves", {whole[k]: series[whole[k]] for k in chosen.tolist()})


def find_series(connectome: Path, flavor: Flavor) -> tuple[Path, ...]:
    """Find the cleaned series of each run of a functional connectome; nothing if one is not there.

    Parameters
    ----------
    connectome : Path
        Measured file, without missing regions. There is nothing for measures that
        :func:`correlate_series` does not compute.
    """
    is_known = flavor.measure in {CORRELATION, PARTIAL_CORRELATION}
    if not is_known or flavor.processing != CLEANED:
        return ()
    series = f"*atlas-{flavor.parcellation}_desc-{CLEANED}_timeseries.tsv"
    if not any(connectome.parent.glob(series)):
        return ()  # as of connectomes that were measured elsewhere: no sidecar is opened for it
    facts = read_facts(sidecar_path(connectome))
    if facts.texts(REGIONS.missing_regions):
        return ()
    runs = [
        parse_name(Path(run.text(RUN.file)))
        for run in facts.parts(CLEANING.runs)
        if run.text(RUN.file)
    ]
    names = [
        timeseries_path(Path(), {"sub": "x"} | run, flavor.parcellation, is_clean=True).name
        for run in runs
    ]
    paths = tuple(connectome.parent / name for name in names)
    return paths if all(path.is_file() for path in paths) else ()


class RepeatReader:
    """Reads second measurements; what two flavors of an atlas share is computed once."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._halves: dict[tuple[Path, ...], Squares] = {}

    def read(self, flavor: Flavor, n_edges: int, repeats: Repeats) -> tuple[list[int], Edges]:
        """Read both measurements of everyone who has two, one subject after the other.

        Parameters
        ----------
        repeats : Repeats
            Runs or halves.

        Returns
        -------
        indices : list of int
            Of the members, each once.
        edges : ndarray of shape (2 * n_members, n_edges)
            Without missing regions.
        """
        indices: list[int] = []
        rows: list[Edges] = []
        for index, files in repeats.files.items():
            path = self._members[index].connectomes[flavor]
            try:
                both = (
                    self._halve(path, files, flavor)
                    if repeats.basis == "halves"
                    else [read_measured(one, flavor, n_edges).edges for one in (path, *files)]
                )
            except KrakenBidsError as error:
                logger.debug("%s is left out of the ceiling: %s", path, error)
                continue
            if all(len(one) == n_edges and np.isfinite(one).all() for one in both):
                indices.append(index)
                rows += [one.astype(np.float32) for one in both]
        return indices, np.array(rows, np.float32).reshape(len(rows), n_edges)

    def _halve(
        self, path: Path, files: tuple[Path, ...], flavor: Flavor
    ) -> list[NDArray[np.floating]]:
        if files not in self._halves:
            self._halves[files] = correlate_halves(files)
        squares = self._halves[files]
        if flavor.measure == PARTIAL_CORRELATION:
            ridge = read_facts(sidecar_path(path)).number(FUNCTIONAL.lambda_)
            if ridge is None:
                raise ConnectomeError(f"expected Lambda in the sidecar of {path}; found none.")
            return [
                square_to_edges(compute_partial_correlation(square, ridge=ridge))
                for square in squares
            ]
        return [square_to_edges(square) for square in squares]


def correlate_halves(files: Sequence[Path]) -> Squares:
    """Correlate regions over either half of the cleaned series of a session.

    With an even number of runs a half is one part of the runs, else one part of every run.

    Parameters
    ----------
    files : sequence of Path
        ``desc-hpf_timeseries.tsv`` of each run.

    Returns
    -------
    tuple of two ndarrays of shape (n_regions, n_regions)

    Raises
    ------
    InputError, ConnectomeError
        If a file cannot be read, or does not say which volumes count.
    """
    runs = [_read_series(path) for path in files]
    n_runs = len(runs)
    parts = [runs[: n_runs // 2], runs[n_runs // 2 :]]
    if n_runs % 2:
        parts = [[(series, _half(kept, k)) for series, kept in runs] for k in range(2)]
    first, second = (_correlate(part) for part in parts)
    return first, second


def correlate_series(files: Sequence[Path]) -> NDArray[np.float64]:
    """Correlate regions ``[n_regions, n_regions]`` over the cleaned series of all runs.

    Raises
    ------
    InputError, ConnectomeError
        As of :func:`correlate_halves`.
    """
    return _correlate([_read_series(path) for path in files])


def _correlate(
    runs: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]],
) -> NDArray[np.float64]:
    return compute_correlation(concatenate_runs([s for s, _ in runs], [kept for _, kept in runs]))


def _half(kept: NDArray[np.bool_], part: int) -> NDArray[np.bool_]:
    """Either half of the volumes that count."""
    place = np.cumsum(kept)
    is_first = place <= place[-1] // 2 if len(place) else kept
    return np.asarray(kept & (is_first if part == 0 else ~is_first))


def _read_series(path: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Region series ``[n_volumes, n_regions]`` of a run, and which volumes count."""
    try:
        _, text = split_header(read_bytes(path).replace(b"n/a", b"nan"))
        values, lengths, _ = parse_rows(text)
        series = values.reshape(len(lengths), -1)
    except ValueError as error:
        raise ConnectomeError(f"expected a table of numbers in {path}; found: {error}.") from error
    kept = np.array(read_facts(sidecar_path(path)).numbers(VOLUMES_KEPT)) == 1
    if kept.shape != lengths.shape:
        raise ConnectomeError(
            f"expected VolumesKept of {len(lengths)} volumes in the sidecar of {path}; found "
            f"{len(kept)}."
        )
    return series, kept
