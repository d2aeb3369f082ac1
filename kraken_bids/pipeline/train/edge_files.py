"""Connectomes of one flavor in files of our own: read once from the user's, often from these."""

import hashlib
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.edge_mean import EdgeMean
from kraken_bids.cohort.projections import BLOCK, Cohort
from kraken_bids.cohort.read_ahead import read_ahead
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.io.files import explaining_writes
from kraken_bids.io.stored_rows import FileRows
from kraken_bids.scores.doubt_words import describe_doubts, name_rows
from kraken_bids.scores.plausibility import InputCheck

logger = logging.getLogger(__name__)

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class EdgeFile:
    """Edges of some subjects, float32, a row each, without gaps."""

    rows: FileRows
    subjects: Indices
    """Row of the cohort that each row is of."""


@dataclass(frozen=True)
class EdgeFiles:
    """Edges of everyone who has a flavor."""

    training: EdgeFile
    others: EdgeFile
    digest: str
    """SHA-256 of all edges and whose they are."""


@contextmanager
def store_edges(
    cohort: Cohort, flavor: Flavor, training: Collection[int], folder: Path
) -> Iterator[EdgeFiles]:
    """Read everyone's connectomes of a flavor once into two files, which go when the block ends.

    A connectome without variance is none. Missing regions take the mean of the training subjects
    who have them.

    Parameters
    ----------
    training : collection of int
        Rows of the cohort to fit on.
    folder : Path
        On a disk with room for the edges in float32.

    Raises
    ------
    ConnectomeError
        If nobody of the training subjects has the flavor, or an edge of it.
    InputError
        If the disk is full, or connectomes cannot be read.
    """
    paths = (folder / f".{flavor}-training.f32", folder / f".{flavor}-others.f32")
    writer = _EdgeWriter(cohort, flavor, frozenset(training), paths)
    try:
        with explaining_writes(paths[0]):
            yield writer.write()
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def digest_edges(cohort: Cohort, flavor: Flavor) -> str:
    """Digest everyone's connectomes of a flavor as :func:`store_edges` does, without files."""
    digest = hashlib.sha256()
    for _ in _read_rows(cohort, flavor, InputCheck(flavor, None), digest):
        pass
    return digest.hexdigest()


def _read_rows(
    cohort: Cohort, flavor: Flavor, check: InputCheck, digest: "hashlib._Hash"
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield rows of the cohort that have a connectome of a flavor, and their edges."""
    n_rows, rows = len(cohort.subjects), cohort.rows[flavor]
    blocks = read_ahead(
        (start, rows.read(start, min(start + BLOCK, n_rows))) for start in range(0, n_rows, BLOCK)
    )
    for start, block in blocks:
        for row, edges in enumerate(block, start=start):
            if np.isnan(edges).all() or not check.add(row, edges):
                continue
            single = np.ascontiguousarray(edges, np.float32)
            digest.update(cohort.subjects[row].encode() + b"\n" + single.tobytes())
            yield row, single


class _EdgeWriter:
    def __init__(
        self, cohort: Cohort, flavor: Flavor, training: frozenset[int], paths: tuple[Path, Path]
    ) -> None:
        self._cohort, self._flavor, self._training, self._paths = cohort, flavor, training, paths
        self._subjects: tuple[list[int], list[int]] = ([], [])
        self._gaps: list[tuple[int, int]] = []
        self._mean: EdgeMean | None = None
        self._check = InputCheck(flavor, None)

    def write(self) -> EdgeFiles:
        """Write both files."""
        digest = hashlib.sha256()
        with self._paths[0].open("wb") as own, self._paths[1].open("wb") as rest:
            for row, edges in _read_rows(self._cohort, self._flavor, self._check, digest):
                (own, rest)[self._keep(row, edges)].write(edges.data)
        self._say_doubts()
        if self._mean is None:
            raise ConnectomeError(
                f"expected {self._flavor} of training subjects; found that none of "
                f"{len(self._training)} has it. Leave this flavor out, or split the subjects "
                "otherwise."
            )
        self._fill_gaps(self._mean)
        return EdgeFiles(self._open(0), self._open(1), digest.hexdigest())

    def _keep(self, row: int, edges: NDArray[np.float32]) -> int:
        """Note where a row goes: 0 for training subjects, 1 for others."""
        which = int(row not in self._training)
        if np.isnan(edges).any():
            self._gaps.append((which, len(self._subjects[which])))
        self._subjects[which].append(row)
        if not which:
            self._mean = self._mean or EdgeMean(len(edges))
            self._mean.add(edges)
        return which

    def _fill_gaps(self, mean: EdgeMean) -> None:
        middle = mean.result(np.full(mean.n_edges, np.nan, np.float32))
        if self._gaps and np.isnan(middle).any():
            raise ConnectomeError(
                f"{self._flavor}: expected every edge in at least one training subject, whose "
                f"mean fills it in others; found {int(np.isnan(middle).sum())} edges that nobody "
                "has. Leave those regions out of all matrices, or leave the flavor out."
            )
        for which, place in self._gaps:
            with self._paths[which].open("r+b") as file:
                file.seek(place * mean.n_edges * 4)
                edges = np.fromfile(file, np.float32, mean.n_edges)
                file.seek(place * mean.n_edges * 4)
                file.write(np.where(np.isnan(edges), middle, edges).astype(np.float32).data)

    def _say_doubts(self) -> None:
        self._check.mirrored += self._cohort.rows[self._flavor].list_mirrored()
        doubts = [*self._check.list_doubts({}), *self._check.list_duplicate_doubts()]
        for text in describe_doubts(doubts, name_rows(self._cohort.subjects)):
            logger.warning(text)
        if self._gaps:
            logger.info(
                "%s: missing regions of %d subjects take the training mean",
                self._flavor, len(self._gaps),
            )  # fmt: skip

    def _open(self, which: int) -> EdgeFile:
        assert self._mean is not None
        subjects = np.array(self._subjects[which], np.intp)
        shape = (len(subjects), self._mean.n_edges)
        return EdgeFile(FileRows(self._paths[which], 0, shape, np.dtype(np.float32)), subjects)
