"""A cohort, of a dataset or of files: read once, of which projections and means are kept."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.edge_columns import EdgeColumns
from kraken_bids.cohort.edge_mean import EdgeMean
from kraken_bids.cohort.flavors_at_once import work_on_flavors
from kraken_bids.cohort.read_ahead import read_ahead
from kraken_bids.cohort.subject_names import subject_of
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import FlavorAdaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.row_groups import GROUP
from kraken_bids.scores.column_check import ColumnCheck, sum_columns
from kraken_bids.scores.plausibility import InputCheck
from kraken_bids.scores.site_design import weigh_sessions
from kraken_bids.shared_work import check_wanted, while_wanted

Edges = NDArray[np.floating]

BLOCK = 2 * GROUP
"""Connectomes of one flavor that are in memory at once: whole groups, as they are multiplied."""


class EdgeRows(Protocol):
    """Connectomes of one flavor, a row per subject and session, read when asked for."""

    def read(self, start: int, stop: int) -> Edges:
        """Edges ``[n_rows, n_edges]``; NaN for missing regions, a row of it where none is."""

    def list_columns(self) -> list[tuple[NDArray[np.int64], EdgeColumns]]:
        """List files that hold many rows edge by edge, with the number of each of their rows."""

    def list_mirrored(self) -> list[int]:
        """List the rows whose matrix, once read, was found to hold one triangle only."""

    def list_present(self) -> NDArray[np.bool_]:
        """Whether each row has a file, or a row of one; what it holds is known once read."""


@dataclass(frozen=True)
class Cohort:
    """Connectomes of many subjects, of a dataset or of files."""

    subjects: tuple[str, ...]
    """Label of each row; ``01_ses-1`` where there are sessions."""
    rows: Mapping[Flavor, EdgeRows]


@dataclass(frozen=True)
class Projection:
    """What is kept of a flavor's connectomes: small, whatever the number of edges."""

    rows: NDArray[np.float32]
    """First-layer projections [n_subjects, n_hidden]; NaN where a subject lacks the flavor."""
    reread: frozenset[int]
    """Subjects whose connectome is read again once the adaptation is known."""
    mean: EdgeMean
    """Mean of those who are fitted on; a subject counts as one, sessions together."""
    check: InputCheck
    """What is to be said of everyone's values and of the order of their edges."""


@dataclass(frozen=True)
class Projected:
    """A cohort after one read of every connectome."""

    cohort: Cohort
    found: Mapping[Flavor, Projection]
    fitted_on: frozenset[int] = frozenset()
    """Rows that count in the means."""

    @property
    def projections(self) -> dict[Flavor, NDArray[np.float32]]:
        """Projections ``[n_subjects, n_hidden]``; NaN rows where a subject lacks the flavor."""
        return {flavor: one.rows for flavor, one in self.found.items()}

    @property
    def checks(self) -> dict[Flavor, InputCheck]:
        """What is to be said of everyone's values, by flavor."""
        return {flavor: one.check for flavor, one in self.found.items()}

    def take_means(self, model: Model) -> dict[Flavor, tuple[NDArray[np.float64], int]]:
        """Mean edges ``[n_edges]`` of the subjects who are fitted on, their number, by flavor."""
        training = model.training_means()
        return {
            flavor: (one.mean.result(training.get(flavor)), one.mean.n_subjects)
            for flavor, one in self.found.items()
            if one.mean.n_subjects
        }

    def leave_out(self, flavors: Collection[Flavor]) -> Self:
        """Give the cohort without some flavors."""
        return replace(self, found={f: one for f, one in self.found.items() if f not in flavors})


Projector = Callable[[Model, Cohort, Flavor, Collection[int]], Projection]


def project_cohort(
    model: Model,
    cohort: Cohort,
    *,
    fit_on: Callable[[int], bool] = lambda _row: True,
    project: "Projector | None" = None,
) -> Projected:
    """Read every connectome once: project it, judge it, and add it to the mean of its flavor.

    Parameters
    ----------
    model : Model
        It must know the cohort's flavors.
    fit_on : callable
        Whether a row, by its number, counts in the means.
    project : callable, optional
        In place of :func:`project_flavor`: recalls what it would give.
    """
    fitted_on = frozenset(filter(fit_on, range(len(cohort.subjects))))
    project = project or project_flavor
    # the largest first, so that none of them is begun last
    by_size = sorted(cohort.rows, key=model.n_edges, reverse=True)
    found = work_on_flavors(
        lambda flavor: project(model, cohort, flavor, fitted_on), by_size, model.device
    )
    for flavor, one in found.items():
        one.check.mirrored += cohort.rows[flavor].list_mirrored()
    return Projected(cohort, {flavor: found[flavor] for flavor in cohort.rows}, fitted_on)


def project_flavor(
    model: Model, cohort: Cohort, flavor: Flavor, fitted_on: Collection[int]
) -> Projection:
    """Read what lies edge by edge so, and everybody else's connectomes by themselves."""
    rows, people = cohort.rows[flavor], list(map(subject_of, cohort.subjects))
    is_fitted = np.isin(np.arange(len(people)), list(fitted_on))
    reader = _FlavorReader(model, flavor, weigh_sessions(people, is_fitted & rows.list_present()))
    left = set(range(len(people)))
    for subjects, columns in rows.list_columns() if reader.is_affine else ():
        left -= reader.take_columns(subjects, columns)
    reader.take_rows(rows, sorted(left))
    reader.weigh_again(rows, weigh_sessions(people, is_fitted & reader.counts))
    order = np.argsort(np.concatenate(reader.subjects))
    projected = np.concatenate(reader.projected)[order]
    return Projection(projected, frozenset(reader.reread), reader.mean, reader.check)


class _FlavorReader:
    """What is kept of one flavor's connectomes while they are read."""

    def __init__(self, model: Model, flavor: Flavor, weights: NDArray[np.float64]) -> None:
        self._model, self._flavor, self._weights = model, flavor, weights
        self.counts = np.zeros(len(weights), bool)
        """Whose edges were read and vary."""
        self.is_affine = model.reductions[flavor].is_affine
        self.mean = EdgeMean(model.n_edges(flavor))
        self.check = InputCheck(flavor, model.training_means().get(flavor))
        self.subjects: list[NDArray[np.int64]] = []
        self.projected: list[NDArray[np.float32]] = []
        """Of these subjects."""
        self.reread: set[int] = set()

    def take_columns(self, subjects: NDArray[np.int64], columns: EdgeColumns) -> set[int]:
        """Project the connectomes of one file edge by edge; returns of whom that was possible."""
        weights = self._weights[subjects]
        groups = np.stack([weights, np.ones(len(weights))])
        check = ColumnCheck(self.check, columns.n_edges, groups)
        aside: set[int] = set()
        blocks = read_ahead(check.watch(while_wanted(columns.read(aside))))
        projected = self._model.project_parts(self._flavor, blocks)
        is_plain = check.vary
        is_plain[list(aside)] = False
        is_unlike = check.tell(subjects, is_plain)
        groups = np.stack([weights, is_unlike, ~is_unlike]) * is_plain
        sums = check.sums[[0, 1, 1]]
        if not is_plain.all() or 0 < is_unlike.sum() < len(is_unlike):
            # who belongs together is known only now: once more over the file, for the sums alone
            sums = sum_columns(columns.read(set()), groups)
        self.mean.add_total(sums[0], float(groups[0].sum()))
        self.counts[subjects[is_plain]] = True
        for place, unlike in ((1, True), (2, False)):
            if groups[place].any():
                self.check.add_total(sums[place], is_unlike=unlike)
        self._keep(subjects[is_plain], projected[is_plain])
        return set(subjects[is_plain].tolist())

    def take_rows(self, rows: EdgeRows, left: Sequence[int]) -> None:
        """Project connectomes block by block; the next is read while one is multiplied."""
        blocks = (
            (start, self._fill(start, rows.read(start, stop))) for start, stop in list_blocks(left)
        )
        for start, block in read_ahead(blocks):
            check_wanted()
            projected = self._model.project(self._flavor, block)
            self._keep(np.arange(start, start + len(block)), projected)

    def weigh_again(self, rows: EdgeRows, weights: NDArray[np.float64]) -> None:
        """Let the sessions that are left of a subject count for those that could not be used."""
        missing = np.where(weights > 0, weights - self._weights, 0.0)
        for start, stop in list_blocks(np.flatnonzero(missing).tolist()):
            check_wanted()
            for row, edges in enumerate(rows.read(start, stop), start=start):
                if not np.isnan(edges).all():  # it was there, and cannot be read any more
                    self.mean.add(edges, float(missing[row]))

    def _keep(self, subjects: NDArray[np.int64], projected: NDArray[np.float32]) -> None:
        self.subjects.append(subjects)
        self.projected.append(projected)

    def _fill(self, start: int, block: Edges) -> Edges:
        """Give a block as the model takes it, and add it to the mean on the way."""
        filled = block
        for row, edges in enumerate(block):
            is_whole = bool(np.isfinite(edges.sum()))
            if not is_whole and np.isnan(edges).all():
                continue
            varies = self.check.add(start + row, edges)
            self.counts[start + row] = varies
            if varies and self._weights[start + row]:
                self.mean.add(edges, self._weights[start + row], is_whole=is_whole)
            if not (varies and is_whole):
                filled = filled.copy() if filled is block else filled
            if not varies:
                filled[row] = np.nan
                continue
            if not is_whole:
                filled[row] = fill_missing(edges, self.check.training_mean, None)
            if not (is_whole and self.is_affine):
                self.reread.add(start + row)
        return filled


def list_blocks(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """List start and stop of blocks of rows that follow each other, :data:`BLOCK` at most."""
    start = 0
    for place in range(1, len(rows) + 1):
        is_end = place == len(rows) or rows[place] != rows[place - 1] + 1
        if is_end or place - start == BLOCK:
            yield rows[start], rows[place - 1] + 1
            start = place


def fill_missing(
    edges: Edges, training_mean: NDArray[np.float32] | None, fit: FlavorAdaptation | None
) -> Edges:
    """Edges whose missing ones become the training mean once they are adapted.

    Parameters
    ----------
    edges : ndarray of shape (..., n_edges)
        NaN where missing.
    training_mean : ndarray of shape (n_edges,) or None
        None where the flavor's transform keeps no mean.
    fit : FlavorAdaptation or None
        What will be applied to the result.

    Raises
    ------
    ConnectomeError
        If there is no training mean to fill in.
    """
    missing = np.isnan(edges)
    if not missing.any():
        return edges
    if training_mean is None:
        raise ConnectomeError(
            "expected a connectome without missing regions, since this model keeps no training "
            f"mean to fill them; found {int(missing.sum())} missing edges."
        )
    wanted = training_mean.astype(np.float64)
    if fit is not None and fit.mode != "none" and fit.b0 != 0:
        wanted = (wanted - fit.shift) / fit.b0
    return np.where(missing, wanted, edges)
