"""Principal components of connectomes that stay on disk: read in blocks of subjects.

The smaller side decides: inner products of subjects ``[n, n]``, or of edges, add up in float64
and give components that are those of a full singular value decomposition. Where both sides are
large, the leading subspace is iterated instead. No more than two blocks of subjects are in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.io.stored_rows import Rows
from kraken_bids.models.devices import single_thread

Matrix = NDArray[np.float64]

BLOCK_VALUES = 1 << 25
"""Edges of subjects in memory at once: 128 MB in float32."""
CHUNK = 4096
"""Edges of them that are made float64 at once."""
LARGEST_EXACT = 4096
"""Up to so many subjects, or edges, components are exact."""
N_SPARE = 20
"""Directions that are iterated beyond the components asked for."""
N_ITERATIONS = 6
"""Times that the subspace is multiplied with everyone's connectomes."""
FLAT = 1e-6
"""Spread of connectomes, relative to their length, that float32 cannot tell from none."""


@dataclass(frozen=True)
class PrincipalComponents:
    """What is common to connectomes, and how they differ."""

    mean: Matrix
    """``[n_edges]``."""
    components: Matrix
    """Orthonormal rows ``[n_components, n_edges]``; the largest entry of each is positive."""
    singular_values: Matrix
    """``[n_components]``, descending: lengths of everyone's scores."""
    total: float
    """Sum of squares of all edges less their mean."""


def fit_components(rows: Rows, n_components: int) -> PrincipalComponents:
    """Fit principal components.

    Parameters
    ----------
    rows : array of shape (n_subjects, n_edges)
        In memory, or on disk and read in blocks; finite.
    n_components : int
        At most the number of subjects and of edges. As many as subjects give a last component
        that nobody varies along.

    Raises
    ------
    ConnectomeError
        If there are fewer subjects than components, the connectomes are all alike, or they
        differ in fewer directions than components.

    Notes
    -----
    Exact up to rounding where subjects or edges are at most :data:`LARGEST_EXACT`; beyond, the
    variance explained is that of the exact components to about 0.1 %.
    """
    n_subjects, n_edges = rows.shape
    largest = min(n_subjects, n_edges)
    if largest < n_components:
        raise ConnectomeError(
            f"expected at least {n_components} training subjects for {n_components} principal "
            f"components; found {n_subjects} with {n_edges} edges each. Ask for fewer components "
            f"(--transform pca{largest}) or give more subjects."
        )
    with single_thread():  # another number of threads would round differently
        mean = compute_mean(rows)
        if n_subjects <= min(n_edges, LARGEST_EXACT):
            squares, components, total = _by_subjects(rows, mean, n_components)
        elif n_edges <= LARGEST_EXACT:
            squares, components, total = _by_edges(rows, mean, n_components)
        else:
            squares, components, total = _by_iteration(rows, mean, n_components)
    _check_rank(squares, mean, n_subjects)
    peaks = np.abs(components).argmax(axis=1)
    components *= np.sign(components[np.arange(len(components)), peaks])[:, None]
    return PrincipalComponents(mean, components, np.sqrt(squares), total)


def compute_mean(rows: Rows) -> Matrix:
    """Mean row ``[n_edges]`` in float64, read in blocks."""
    total = np.zeros(rows.shape[1])
    for block in list_row_blocks(rows):
        total += rows[block].sum(axis=0, dtype=np.float64)
    return np.asarray(total / rows.shape[0])


def list_row_blocks(rows: Rows) -> Iterator[slice]:
    """Slices of subjects, as many as may be in memory at once."""
    n_rows, n_edges = rows.shape
    step = max(1, BLOCK_VALUES // n_edges)
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def _by_subjects(rows: Rows, mean: Matrix, n_components: int) -> tuple[Matrix, Matrix, float]:
    """Eigenvectors of the subjects' inner products, carried to edges."""
    gram = _multiply_subjects(rows, mean)
    squares, vectors = _lead(gram, n_components)
    components = np.zeros((n_components, len(mean)))
    lengths = np.sqrt(squares)
    weights = vectors / np.where(lengths > 0, lengths, 1.0)
    for block in list_row_blocks(rows):
        people = rows[block]
        for chunk in _list_chunks(len(mean)):
            components[:, chunk] += weights[block].T @ (people[:, chunk] - mean[chunk])
    if n_components == rows.shape[0]:  # nobody varies along the last one
        squares[-1], components[-1] = 0.0, _complete(components[:-1])
    return squares, components, float(np.trace(gram))


def _multiply_subjects(rows: Rows, mean: Matrix) -> Matrix:
    gram = np.empty((rows.shape[0], rows.shape[0]))
    blocks = list(list_row_blocks(rows))
    for number, first in enumerate(blocks):
        people = rows[first]
        for second in blocks[number:]:
            others = people if second is first else rows[second]
            products = np.zeros((len(people), len(others)))
            for chunk in _list_chunks(len(mean)):
                left = people[:, chunk] - mean[chunk]
                right = left if second is first else others[:, chunk] - mean[chunk]
                products += left @ right.T
            gram[first, second] = products
            gram[second, first] = products.T
    return gram


def _by_edges(rows: Rows, mean: Matrix, n_components: int) -> tuple[Matrix, Matrix, float]:
    """Eigenvectors of the edges' inner products."""
    gram = np.zeros((len(mean), len(mean)))
    for block in list_row_blocks(rows):
        people = rows[block] - mean
        gram += people.T @ people
    squares, vectors = _lead(gram, n_components)
    return squares, vectors.T.copy(), float(np.trace(gram))


def _by_iteration(rows: Rows, mean: Matrix, n_components: int) -> tuple[Matrix, Matrix, float]:
    """Leading subspace, iterated from random directions that are always the same.

    Source: Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1 (doi:10.1137/090771806).
    """
    width = min(n_components + N_SPARE, *rows.shape)
    basis = np.random.default_rng(0).standard_normal((len(mean), width))
    total = 0.0
    for _ in range(N_ITERATIONS + 1):
        basis = np.linalg.qr(basis)[0]
        product = np.zeros_like(basis)
        total = 0.0
        for block in list_row_blocks(rows):
            people = rows[block] - mean
            product += people.T @ (people @ basis)
            total += float(np.vdot(people, people))
        inner = basis.T @ product
        previous = basis
        basis = product
    squares, vectors = _lead(inner, n_components)
    return squares, (previous @ vectors).T.copy(), total


def _lead(gram: Matrix, n_components: int) -> tuple[Matrix, Matrix]:
    """Largest eigenvalues, descending, and their eigenvectors in columns."""
    values, vectors = np.linalg.eigh(gram)
    return np.maximum(values[::-1][:n_components], 0.0), vectors[:, ::-1][:, :n_components]


def _complete(components: Matrix) -> Matrix:
    """One more row of unit length, orthogonal to the others."""
    row = np.random.default_rng(0).standard_normal((components.shape[1],))
    for _ in range(2):  # once more takes away what rounding left
        row -= components.T @ (components @ row)
    return np.asarray(row / np.linalg.norm(row))


def _list_chunks(n_edges: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, n_edges, CHUNK))


def _check_rank(squares: Matrix, mean: Matrix, n_subjects: int) -> None:
    """Refuse connectomes that differ in fewer directions than are asked for."""
    floor = (FLAT * np.linalg.norm(mean)) ** 2
    rank = int((squares > max(floor, FLAT**2 * squares[0])).sum())
    if not rank:
        raise ConnectomeError(
            f"expected connectomes that differ from person to person; found {n_subjects} that are "
            "all alike. Give the measured connectomes of this flavor, or leave it out."
        )
    if rank < min(len(squares), n_subjects - 1):
        raise ConnectomeError(
            f"expected connectomes that differ in {len(squares)} directions for as many principal "
            f"components; found {rank} among {n_subjects} subjects (are some of them copies?). "
            f"Ask for fewer: --transform pca{rank}."
        )
