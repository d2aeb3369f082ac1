"""Losses between rows of the same subjects, on batches in the reduced space; lower is better.

They compare rows ``x`` with rows ``y``: targets with predictions, or latents with latents. All of
them depend on the inner products, means and lengths of the rows alone, so one product of matrices
serves them all, for many paths at once; and their derivatives by ``y`` are a combination of the
rows of ``x``, of ``y`` itself and of a constant. Written by the names that numpy and torch share.
"""

from typing import NamedTuple

import numpy as np

from kraken_bids.models.krakencoder.devices import Values, namespace
from kraken_bids.models.krakencoder.losses import PairWeights

Pair = tuple["Rows", "Rows"]


class Rows(NamedTuple):
    """What the losses need of rows beside their inner products."""

    means: Values
    """``[n_paths, n]``, or 1 x n for all paths, over the numbers of each row."""
    squares: Values
    """Likewise: squared lengths."""
    inverse: Values
    """Likewise: one by the length of the row with its mean removed; 0 for constant rows."""
    width: int
    """Numbers in a row."""

    def take(self, which: Values) -> "Rows":
        """Those of some rows."""
        return Rows(self.means[which], self.squares[which], self.inverse[which], self.width)


class Slopes(NamedTuple):
    """Derivatives by rows y: ``by_y = matrix @ x_centered + scale * y + shift``."""

    matrix: Values
    """``[n_paths, n, n]``; rows of y by rows of x."""
    scale: Values
    """``[n_paths, n]``."""
    shift: Values
    """``[n_paths, n]``."""


def describe_rows(values: Values) -> Rows:
    """Describe rows ``[…, n, width]``."""
    xp = namespace(values)
    width = values.shape[-1]
    means = values.sum(axis=-1) / width
    squares = xp.einsum("...j,...j->...", values, values)
    spread = squares - width * means * means
    # below this a spread is rounding: the row is constant
    is_flat = spread <= 4 * xp.finfo(values.dtype).eps * squares
    return Rows(means, squares, xp.where(is_flat, np.inf, spread) ** -0.5, width)


def compute_pair_losses(
    weights: PairWeights,
    products: Values,
    x: Rows,
    y: Rows,
    *,
    present: Values | None = None,
    is_self: bool = False,
) -> tuple[Values, Slopes]:
    """Losses between rows x and rows y of several paths, and their derivatives by y.

    Parameters
    ----------
    weights : PairWeights
    products : array of shape (n_paths, n, n)
        Inner products of rows of y with rows of x whose means were removed.
    x : Rows of 1 x n, or of n_paths x n
    y : Rows of n_paths x n rows
    present : boolean array of shape (n_paths, n), optional
        Subjects that count; everybody by default. Paths of fewer than two subjects have no loss.
    is_self : bool
        Rows x are rows y: their derivatives are in it as well, and one's own distance is 0.

    Returns
    -------
    losses : array of shape (n_paths,)
        Weighted sums; 0 where that is not a number. Constant rows correlate with
        nothing (in the reference they make the term not a number).
    Slopes
        For ``y`` of everybody, 0 for those who do not count.
    """
    xp = namespace(products)
    if present is None and products.shape[-1] < 2:
        present = y.means > np.inf  # nobody
    people = _count_people(products, present)
    losses, matrix = 0.0 * y.means[:, 0], xp.zeros_like(products)
    if weights.has_distances:
        losses = _measure_distances(
            weights, products, (x, y), people, matrix=matrix, is_self=is_self
        )
    scale = -(matrix @ xp.ones_like(y.means[0]))
    shift = (matrix @ x.means[:, :, None])[:, :, 0]
    if weights.correlation:
        found, along = _correlate(weights.correlation, products, (x, y), people, matrix=matrix)
        losses = losses + found
        scale -= along
        shift += along * y.means
    if is_self:
        matrix, scale, shift = 2 * matrix, 2 * scale, 2 * shift
    losses = xp.where(losses == losses, losses, 0.0)  # noqa: PLR0124 - what is no number
    return losses, Slopes(matrix, scale, shift)


class _People(NamedTuple):
    """Who counts."""

    present: Values | None
    """``[n_paths, n]``; None where everybody does."""
    pairs: Values | None
    """``[n_paths, n, n]``."""
    share: Values
    """One by how many do, 0 of those who do not; ``[n_paths, n]`` or a number."""
    pair_share: Values
    """One by how many ordered pairs do; ``[n_paths]`` or a number."""


def _count_people(products: Values, present: Values | None) -> _People:
    if present is None:
        n = products.shape[-1]
        return _People(None, None, 1 / n, 1 / (n * (n - 1)))
    count = present.sum(axis=1, keepdims=True)
    present = present & (count >= 2)
    count = namespace(products).asarray(count.clip(2), dtype=products.dtype)
    pairs = present[:, :, None] & present[:, None, :]
    return _People(present, pairs, present / count, 1 / (count * (count - 1))[:, 0])


def _correlate(
    weight: float, products: Values, rows: Pair, people: _People, *, matrix: Values
) -> tuple[Values, Values]:
    """Norm of row correlations minus the identity; adds its derivatives to matrix.

    Also gives how fast it grows along each row of y, which does not change a correlation.
    """
    xp, (x, y) = namespace(products), rows
    factors = y.inverse[:, :, None] * x.inverse[:, None]
    correlations = products * factors
    off = correlations + 0
    _diagonal(off)[:] -= 1
    if people.pairs is not None:
        off *= people.pairs
    norms = xp.einsum("pij,pij->p", off, off) ** 0.5
    off *= (weight / xp.where(norms > 0, norms, np.inf))[:, None, None]
    along = xp.einsum("pij,pij->pi", off, correlations) * y.inverse * y.inverse
    off *= factors
    matrix += off
    return weight * norms, along


def _measure_distances(
    weights: PairWeights,
    products: Values,
    rows: Pair,
    people: _People,
    *,
    matrix: Values,
    is_self: bool,
) -> Values:
    """Losses of distances and of squared distances; adds their derivatives to matrix.

    With ``matrix`` M the derivative by a row of y is the sum of M (x - y) over the rows of x.
    """
    x, y = rows
    squares = y.squares[:, :, None] + x.squares[:, None]
    squares -= 2 * products
    squares -= (2 * x.width * y.means)[:, :, None] * x.means[:, None]
    losses = 0.0
    if weights.error or not is_self:
        own, share = _diagonal(squares), people.share
        roots, inverse = _roots(own, y.squares + x.squares)
        pull = weights.neighbor + (0.0 if is_self else weights.distance)
        _diagonal(matrix)[:] -= share * (pull * inverse + 2 * weights.error / x.width)
        losses = (share * (pull * roots + weights.error / x.width * own)).sum(axis=1)
    if weights.distance:
        losses = losses + _push_from_all(weights.distance, squares, rows, people, matrix=matrix)
    if weights.neighbor:
        losses = losses + _push_from_nearest(
            weights.neighbor, squares, rows, people, matrix=matrix
        )
    return losses


def _push_from_nearest(
    weight: float, squares: Values, rows: Pair, people: _People, *, matrix: Values
) -> Values:
    """Mean of the distances of each row of x, and of each of y, to the nearest other."""
    xp, (x, y) = namespace(squares), rows
    far = squares if people.pairs is None else xp.where(people.pairs, squares, np.inf)
    _diagonal(far)[:] = np.inf
    paths, each = xp.arange(len(far))[:, None], xp.arange(far.shape[1])[None]
    own_x = paths if len(x.squares) > 1 else 0 * paths
    total = 0.0
    for place in ((paths, each, far.argmin(axis=2)), (paths, far.argmin(axis=1), each)):
        nearest = far[place]
        if people.present is not None:
            nearest = xp.where(people.present, nearest, 0.0)
        roots, inverse = _roots(nearest, y.squares[place[:2]] + x.squares[own_x, place[2]])
        matrix[place] += (0.5 * weight) * people.share * inverse
        total = total - (0.5 * weight) * (people.share * roots).sum(axis=1)
    return total


def _push_from_all(
    weight: float, squares: Values, rows: Pair, people: _People, *, matrix: Values
) -> Values:
    """Mean distance of rows to all others."""
    x, y = rows
    roots, inverse = _roots(squares, y.squares[:, :, None] + x.squares[:, None])
    for part in (roots, inverse):
        _diagonal(part)[:] = 0
        if people.pairs is not None:
            part[:] *= people.pairs
    factor = weight * people.pair_share
    matrix += inverse * (factor if people.pairs is None else factor[:, None, None])
    return roots.sum(axis=(1, 2)) * -factor


def _diagonal(values: Values) -> Values:
    """View of the diagonals of contiguous square matrices, ``[n_paths, n]``."""
    n_paths, n, _ = values.shape
    return values.reshape(n_paths, n * n)[:, :: n + 1]


def _roots(squares: Values, lengths: Values) -> tuple[Values, Values]:
    """Distances of rows of these added squared lengths, and one by them."""
    xp = namespace(squares)
    limits = xp.finfo(lengths.dtype)
    # what is smaller is rounding
    roots = xp.maximum(squares, lengths * (4 * limits.eps) + limits.tiny) ** 0.5
    return roots, 1 / roots
