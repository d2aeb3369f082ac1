"""A cohort as training sees it: transforms fitted on some, and everyone's scores."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from kraken_bids.cohort.projections import Cohort
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.models.devices import single_thread
from kraken_bids.models.krakencoder.reduction import Reduction, fit_reduction, parse_transform
from kraken_bids.models.splits import Split
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.train.edge_files import EdgeFile, EdgeFiles, store_edges
from kraken_bids.scores.component_metrics import EdgeFrame, ObservedEdges, make_frame

logger = logging.getLogger(__name__)

Scores = NDArray[np.float32]

MIN_SHARED, FEW_SHARED = 2, 10
"""Training subjects with both flavors of a path: without whom there is none; who are few."""
PEOPLE = 32
"""Connectomes that are reduced at once."""


@dataclass(frozen=True)
class ReducedFlavor:
    """One flavor after its transform."""

    reduction: Reduction
    scores: Scores
    """``[n_subjects, n_components]``; a row of NaN where a subject lacks the flavor."""
    frame: EdgeFrame | None
    """How edges follow from scores; None where the transform keeps edges."""
    observed: ObservedEdges | None
    """What is kept of observed edges; NaN where a subject lacks the flavor."""
    digest: str
    """SHA-256 of the connectomes that went in."""

    @property
    def present(self) -> NDArray[np.bool_]:
        """Who has the flavor ``[n_subjects]``."""
        return ~np.isnan(self.scores[:, 0])

    @property
    def scale(self) -> float:
        """What scores were multiplied with, so that they have the norm of the published ones."""
        return float(self.reduction.to_affine().scale[0])


@dataclass(frozen=True)
class ReducedCohort:
    """Everyone's scores, and how the subjects are split."""

    subjects: tuple[str, ...]
    families: tuple[str, ...]
    """Family of each subject."""
    split: Split
    flavors: Mapping[Flavor, ReducedFlavor]

    @property
    def reductions(self) -> dict[Flavor, Reduction]:
        """Transform of every flavor."""
        return {flavor: one.reduction for flavor, one in self.flavors.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Length of the scores of every flavor, by its id."""
        return {flavor.name: one.scores.shape[1] for flavor, one in self.flavors.items()}

    @property
    def groups(self) -> dict[str, str]:
        """``FC`` or ``SC`` of every flavor, by its id."""
        return {flavor.name: flavor.group for flavor in self.flavors}

    def take_scores(self, rows: NDArray[np.intp]) -> dict[str, Scores]:
        """Scores of some subjects, by flavor id."""
        return {flavor.name: one.scores[rows] for flavor, one in self.flavors.items()}


def reduce_cohort(
    cohort: Cohort, split: Split, families: tuple[str, ...], *, transform: str, folder: Path
) -> ReducedCohort:
    """Fit the transform of every flavor on the training subjects, and reduce everyone.

    Connectomes pass through files in ``folder``, one flavor after the other; only scores and the
    transforms stay in memory.

    Parameters
    ----------
    families : tuple of str
        Family of each subject.
    transform : str
        ``pcaK``, ``cfeat`` or ``none``.
    folder : Path
        For the files, which are removed.

    Raises
    ------
    ConnectomeError
        If a flavor has too few training subjects, or they do not vary.
    InputError
        If connectomes cannot be read, or the disk is full.
    """
    n_components, n_subjects = parse_transform(transform), len(cohort.subjects)
    progress = Progress("transforms fitted:", len(cohort.rows))
    found = {}
    for flavor in cohort.rows:
        with store_edges(cohort, flavor, split.train.tolist(), folder) as files:
            _check_numbers(flavor, files, n_components)
            with _naming(flavor):
                found[flavor] = _reduce_flavor(files, transform, n_subjects)
        progress.advance()
    return ReducedCohort(cohort.subjects, families, split, found)


def check_shared_subjects(cohort: ReducedCohort) -> None:
    """Refuse flavors that no training subjects connect, and warn of paths of few.

    Raises
    ------
    ConnectomeError
        If flavors fall apart into sets without subjects in common: latents of the one would say
        nothing of the other.
    """
    names = [flavor.name for flavor in cohort.flavors]
    present = np.stack([one.present[cohort.split.train] for one in cohort.flavors.values()])
    shared = present.astype(np.intp) @ present.T.astype(np.intp)
    n_parts, part = connected_components(shared >= MIN_SHARED, directed=False)
    if n_parts > 1:
        sets = [", ".join(np.array(names)[part == k].tolist()) for k in range(n_parts)]
        raise ConnectomeError(
            f"expected at least {MIN_SHARED} training subjects who have flavors of both sides, "
            f"wherever flavors are set apart; found fewer between {' and '.join(sets)}: nothing "
            "of the one can be predicted from the other. Give connectomes of "
            "the same subjects, or train a model of each."
        )
    few = [
        f"{names[a]} and {names[b]} ({shared[a, b]})"
        for a, b in zip(*np.triu_indices(len(names), 1), strict=True)
        if shared[a, b] < FEW_SHARED
    ]
    if few:
        shown = "; ".join(few[:5]) + ("; …" if len(few) > 5 else "")
        logger.warning(
            "fewer than %d training subjects have both flavors of a path, which hardly learns "
            "from them: %s", FEW_SHARED, shown,
        )  # fmt: skip


@contextmanager
def _naming(flavor: Flavor) -> Iterator[None]:
    """Say of which flavor an error is."""
    try:
        yield
    except ConnectomeError as error:
        raise ConnectomeError(f"{flavor}: {error}") from error


def _check_numbers(flavor: Flavor, files: EdgeFiles, n_components: int | None) -> None:
    largest = min(files.training.rows.shape)
    if n_components is not None and largest < n_components:
        raise ConnectomeError(
            f"expected at least {n_components} training subjects with {flavor} for as many "
            f"principal components; found {files.training.rows.shape[0]} with "
            f"{files.training.rows.shape[1]} edges each. Give --transform pca{largest}, or more "
            "subjects."
        )


def _reduce_flavor(files: EdgeFiles, transform: str, n_subjects: int) -> ReducedFlavor:
    reduction = fit_reduction(files.training.rows, transform)
    matrix = reduction.to_affine().matrix
    scores = np.full((n_subjects, reduction.n_components), np.nan, np.float32)
    kept = np.full((3, n_subjects), np.nan)
    mean = reduction.training_mean
    assert mean is not None  # what is fitted here keeps it
    with single_thread():
        for file in (files.training, files.others):
            _reduce_file(file, reduction, mean.astype(np.float64), into=(scores, kept))
    if matrix is None:
        return ReducedFlavor(reduction, scores, None, None, files.digest)
    unscaled = scores / np.float64(reduction.to_affine().scale[0])
    observed = ObservedEdges(unscaled, *kept)
    return ReducedFlavor(reduction, scores, make_frame(mean, matrix), observed, files.digest)


def _reduce_file(
    file: EdgeFile,
    reduction: Reduction,
    mean: NDArray[np.float64],
    *,
    into: tuple[Scores, NDArray[np.float64]],
) -> None:
    """Scores, sums, squares, and products with the mean, of all rows of a file."""
    scores, kept = into
    for start in range(0, len(file.subjects), PEOPLE):
        edges = file.rows[start : start + PEOPLE]
        rows = file.subjects[start : start + PEOPLE]
        scores[rows] = reduction.forward(edges)
        deviations = edges - mean
        kept[:, rows] = (
            deviations.sum(axis=1),
            np.einsum("ne,ne->n", deviations, deviations),
            deviations @ mean,
        )
