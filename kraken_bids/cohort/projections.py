"""A cohort, of a dataset or of files: read once, of which projections and means are kept."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.read_ahead import read_ahead
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import Adaptation, FlavorAdaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.scores.plausibility import InputCheck

Edges = NDArray[np.floating]

BLOCK = 32
"""Connectomes of one flavor that are in memory at once."""


class EdgeRows(Protocol):
    """Connectomes of one flavor, a row per subject and session, read when asked for."""

    def read(self, start: int, stop: int) -> Edges:
        """Edges ``[n_rows, n_edges]``; NaN for missing regions, a row of it where none is."""

    def list_mirrored(self) -> list[int]:
        """List the rows whose matrix, once read, was found to hold one triangle only."""


@dataclass(frozen=True)
class Cohort:
    """Connectomes of many subjects, of a dataset or of files."""

    subjects: tuple[str, ...]
    """Label of each row; ``01_ses-1`` where there are sessions."""
    rows: Mapping[Flavor, EdgeRows]


@dataclass
class EdgeMean:
    """Running mean over who has each edge; rows are added one by one, whatever the blocks."""

    n_edges: int
    n_subjects: int = 0
    _total: NDArray[np.float64] = field(init=False, repr=False)
    _absent: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._total = np.zeros(self.n_edges)
        self._absent = np.zeros(self.n_edges, np.int64)

    def add(self, edges: Edges, *, is_whole: bool = False) -> None:
        """Add one connectome ``[n_edges]``; NaN where a region is missing, unless it is whole."""
        self.n_subjects += 1
        if is_whole:
            self._total += edges
            return
        absent = np.isnan(edges)
        self._total += np.where(absent, 0.0, edges)
        self._absent += absent

    def result(self, training_mean: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Mean edges; an edge that nobody has takes the training mean."""
        counts = self.n_subjects - self._absent
        mean = self._total / np.maximum(counts, 1)
        return mean if training_mean is None else np.where(counts > 0, mean, training_mean)


@dataclass(frozen=True)
class Projection:
    """What is kept of a flavor's connectomes: small, whatever the number of edges."""

    rows: NDArray[np.float32]
    """First-layer projections [n_subjects, n_hidden]; NaN where a subject lacks the flavor."""
    reread: frozenset[int]
    """Subjects whose connectome is read again once the adaptation is known."""
    mean: EdgeMean
    """Mean of those who are fitted on."""
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
        """Mean edges ``[n_edges]`` of those who are fitted on, and their number, by flavor."""
        training = model.training_means()
        return {
            flavor: (one.mean.result(training.get(flavor)), one.mean.n_subjects)
            for flavor, one in self.found.items()
            if one.mean.n_subjects
        }

    def leave_out(self, flavors: Collection[Flavor]) -> Self:
        """Give the cohort without some flavors."""
        return replace(self, found={f: one for f, one in self.found.items() if f not in flavors})


def project_cohort(
    model: Model, cohort: Cohort, *, fit_on: Callable[[int], bool] = lambda _row: True
) -> Projected:
    """Read every connectome once: project it, judge it, and add it to the mean of its flavor.

    Parameters
    ----------
    model : Model
        It must know the cohort's flavors.
    cohort : Cohort
    fit_on : callable
        Whether a row, by its number, counts in the means.
    """
    fitted_on = frozenset(filter(fit_on, range(len(cohort.subjects))))
    found = {
        flavor: _project_rows(model, flavor, _list_blocks(cohort, flavor), fitted_on)
        for flavor in cohort.rows
    }
    for flavor, one in found.items():
        one.check.mirrored += cohort.rows[flavor].list_mirrored()
    return Projected(cohort, found, fitted_on)


def _list_blocks(cohort: Cohort, flavor: Flavor) -> Iterator[Edges]:
    n_rows = len(cohort.subjects)
    for start in range(0, n_rows, BLOCK):
        yield cohort.rows[flavor].read(start, min(start + BLOCK, n_rows))


def _project_rows(
    model: Model, flavor: Flavor, blocks: Iterator[Edges], fitted_on: Collection[int]
) -> Projection:
    """Project connectomes and take their mean, block by block; they are read in another thread."""
    mean = EdgeMean(model.n_edges(flavor))
    training_mean = model.training_means().get(flavor)
    check = InputCheck(flavor, training_mean)
    is_affine = model.reductions[flavor].is_affine
    reread: set[int] = set()

    def fill(start: int, block: Edges) -> Edges:
        """Give a block as the model takes it, and add it to the mean on the way."""
        filled = block
        for row, edges in enumerate(block):
            is_whole = bool(np.isfinite(edges.sum()))
            if not is_whole and np.isnan(edges).all():
                continue
            varies = check.add(start + row, edges)
            if varies and start + row in fitted_on:
                mean.add(edges, is_whole=is_whole)
            if not (varies and is_whole):
                filled = filled.copy() if filled is block else filled
            if not varies:
                filled[row] = np.nan
                continue
            if not is_whole:
                filled[row] = fill_missing(edges, training_mean, None)
            if not (is_whole and is_affine):
                reread.add(start + row)
        return filled

    # the next block is read and filled while this one is multiplied
    filled = (fill(number * BLOCK, block) for number, block in enumerate(blocks))
    projected = [model.project(flavor, block) for block in read_ahead(filled)]
    return Projection(np.concatenate(projected), frozenset(reread), mean, check)


def encode_cohort(
    model: Model, projected: Projected, adaptation: Adaptation | None
) -> dict[Flavor, NDArray[np.float32]]:
    """Latents ``[n_subjects, n_latent]`` of every flavor; NaN where a subject lacks it.

    Connectomes with missing regions, and those of a transform that is not affine, are read again,
    since they can be adapted only now.

    Raises
    ------
    CheckpointError
        If the adaptation lacks a flavor that somebody has.
    """
    return {flavor: _encode(model, projected, flavor, adaptation) for flavor in projected.found}


def _encode(
    model: Model, projected: Projected, flavor: Flavor, adaptation: Adaptation | None
) -> NDArray[np.float32]:
    found = projected.found[flavor]
    is_anybody = bool(np.isfinite(found.rows).any())
    fit = adaptation.of(flavor) if adaptation and is_anybody else None
    if fit is None or fit.mode == "none":
        return model.encode_projected(flavor, found.rows)
    is_affine = model.reductions[flavor].is_affine
    rows = model.adapt_projected(flavor, found.rows, fit) if is_affine else found.rows
    latents = model.encode_projected(flavor, rows)
    for index in sorted(found.reread):
        edges = projected.cohort.rows[flavor].read(index, index + 1)
        if np.isnan(edges).all():  # it was there, and cannot be read any more
            latents[index] = np.nan
            continue
        edges = fill_missing(edges, model.training_means().get(flavor), fit)
        latents[index] = model.encode_judged(flavor, edges, adaptation)[0]
    return latents


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
