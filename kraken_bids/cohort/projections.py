"""One pass over a flavor's connectomes: their projections and their mean are all that is kept."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

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


def project_blocks(
    model: Model,
    flavor: Flavor,
    blocks: Iterable[Edges],
    *,
    fit_on: Callable[[int], bool] = lambda _index: True,
) -> Projection:
    """Project connectomes and take their mean, block by block.

    Parameters
    ----------
    model : Model
    flavor : Flavor
    blocks : iterable of ndarray of shape (n_rows, n_edges)
        Taken in another thread. NaN for missing regions, or a whole row of it where a subject
        lacks the flavor.
    fit_on : callable
        Whether a subject, by its place, counts in the mean.
    """
    mean = EdgeMean(model.n_edges(flavor))
    check = InputCheck(flavor, model.training_means().get(flavor))
    is_affine = model.reductions[flavor].is_affine
    reread: set[int] = set()

    def fill() -> Iterator[Edges]:
        """Blocks as the model takes them, whose mean is taken on the way."""
        index = 0
        for block in blocks:
            filled = block
            for row, edges in enumerate(block):
                is_whole = bool(np.isfinite(edges.sum()))
                if not is_whole and np.isnan(edges).all():
                    continue
                varies = check.add(index + row, edges)
                if varies and fit_on(index + row):
                    mean.add(edges, is_whole=is_whole)
                if not (varies and is_whole):
                    filled = filled.copy() if filled is block else filled
                if not varies:
                    filled[row] = np.nan
                    continue
                if not is_whole:
                    filled[row] = fill_missing(edges, model.training_means().get(flavor), None)
                if not (is_whole and is_affine):
                    reread.add(index + row)
            yield filled
            index += len(block)

    # the next block is read and filled while this one is multiplied
    projected = [model.project(flavor, filled) for filled in read_ahead(fill())]
    return Projection(np.concatenate(projected), frozenset(reread), mean, check)


def encode_projection(
    model: Model,
    flavor: Flavor,
    projected: NDArray[np.float32],
    *,
    adaptation: Adaptation | None,
    reread: Collection[int],
    read: Callable[[int], Edges],
) -> NDArray[np.float32]:
    """Latents ``[n_subjects, n_latent]`` of projections; NaN where a subject lacks the flavor.

    Parameters
    ----------
    model : Model
    flavor : Flavor
    projected : ndarray of shape (n_subjects, n_hidden)
        Not adapted, of :func:`project_blocks`.
    adaptation : Adaptation or None
    reread : collection of int
        Subjects whose connectome must be read again to be adapted.
    read : callable
        Their edges ``[n_edges]``, by the subject's place; NaN where they cannot be read.

    Raises
    ------
    CheckpointError
        If the adaptation lacks the flavor.
    """
    is_anybody = bool(np.isfinite(projected).any())
    fit = adaptation.of(flavor) if adaptation and is_anybody else None
    if fit is None or fit.mode == "none":
        return model.encode_projected(flavor, projected)
    if model.reductions[flavor].is_affine:
        projected = model.adapt_projected(flavor, projected, adaptation)
    latents = model.encode_projected(flavor, projected)
    for index in sorted(reread):
        edges = read(index)
        if np.isnan(edges).all():  # it was there, and cannot be read any more
            latents[index] = np.nan
            continue
        edges = fill_missing(edges, model.training_means().get(flavor), fit)
        latents[index] = model.encode_judged(flavor, edges[None], adaptation)[0]
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
