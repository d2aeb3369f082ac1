"""Losses between rows of the same subjects, on batches in the reduced space; lower is better.

They compare rows ``x`` with rows ``y``: targets with predictions, or latents with latents. All of
them depend on the inner products, means and lengths of the rows alone, so one product of matrices
serves them all, for many paths at once; and their derivatives by ``y`` are a combination of the
rows of ``x``, of ``y`` itself and of a constant. Written by the names that numpy and torch share.

Matrices are ``[n, n_paths, n]``: rows of x, paths, rows of y. What belongs to a row of y is then
contiguous over all paths, and what belongs to a row of x is one number for many.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from kraken_bids.models.devices import Values, namespace
from kraken_bids.models.krakencoder.losses import PairWeights

Pair = tuple["Rows", "Rows"]

LEAST = 1e-20
"""Added to a norm, so that one of 0 has derivatives of 0."""


class Rows(NamedTuple):
    """What the losses need of rows beside their inner products."""

    means: Values
    """``[n_paths, n]``, or 1 x n for all paths, over the numbers of each row."""
    squares: Values
    """Likewise: squared lengths."""
    inverse: Values
    """Likewise: one by the length of the row with its mean removed; 0 for constant rows."""
    lengths: Values
    """Likewise: that length."""
    width: int
    """Numbers in a row."""

    def take(self, which: Values) -> "Rows":
        """Take the figures of some rows."""
        means, squares, inverse, lengths = (part[which] for part in self[:-1])
        return Rows(means, squares, inverse, lengths, self.width)

    def standardize(self, values: Values) -> Values:
        """Remove the rows' means and make them of length 1; constant rows become 0."""
        return (values - self.means[..., None]) * self.inverse[..., None]


class Slopes(NamedTuple):
    """Derivatives by rows y: ``by_y = matrix' @ x_standard + scale * y + shift``."""

    matrix: Values
    """``[n, n_paths, n]``; rows of x by rows of y."""
    scale: Values
    """``[n_paths, n]``."""
    shift: Values
    """``[n_paths, n]``."""


def describe_rows(values: Values, sums: Values | None = None) -> Rows:
    """Describe rows ``[…, n, width]``; their sums are added up where they are not given."""
    xp = namespace(values)
    width = values.shape[-1]
    sums = values.sum(axis=-1) if sums is None else sums
    means = sums / width
    # rows times themselves: no array of all squares is made
    squares = (values[..., None, :] @ values[..., :, None])[..., 0, 0]
    spread = squares - sums * means
    # below this a spread is rounding: the row is constant
    is_flat = spread <= 4 * xp.finfo(values.dtype).eps * squares
    inverse = xp.where(is_flat, np.inf, spread) ** -0.5
    return Rows(means, squares, inverse, spread * inverse, width)


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
    products : array of shape (n, n_paths, n)
        Inner products of standardized rows of x with rows of y; the matrix of the derivatives
        takes their place.
    x : Rows of 1 x n, or of n_paths x n
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
    if present is None and products.shape[-1] < 2:
        present = y.means > np.inf  # nobody
    people = _count_subjects(products, present)
    found, nearer = 0.0, None
    if weights.has_distances:
        found, nearer = _measure_distances(weights, products, (x, y), people, is_self=is_self)
    losses, slopes = _correlate(weights.correlation, products, y, people, n_sides=1 + is_self)
    losses += found
    if nearer is not None:
        slopes.scale[:] -= nearer.sum(axis=0)
        slopes.shift[:] += (nearer * _stand(x.means)).sum(axis=0)
        nearer *= _stand(x.lengths)
        slopes.matrix[:] += nearer
    losses[losses != losses] = 0.0  # noqa: PLR0124 - what is no number
    return losses, slopes


class _Subjects(NamedTuple):
    """Who counts."""

    present: Values | None
    """``[n_paths, n]``; None where everybody does."""
    pairs: Values | None
    """``[n, n_paths, n]``."""
    share: Values
    """One by how many do, 0 of those who do not; ``[n_paths, n]`` or a number."""
    pair_share: Values
    """One by how many ordered pairs do; ``[n_paths]`` or a number."""


def _count_subjects(products: Values, present: Values | None) -> _Subjects:
    if present is None:
        n = products.shape[-1]
        return _Subjects(None, None, 1 / n, 1 / (n * (n - 1)))
    count = present.sum(axis=1, keepdims=True)
    present = present & (count >= 2)
    count = namespace(products).asarray(count.clip(2), dtype=products.dtype)
    pairs = _stand(present) & present
    return _Subjects(present, pairs, present / count, 1 / (count * (count - 1))[:, 0])


def _correlate(
    weight: float, products: Values, y: Rows, people: _Subjects, *, n_sides: int
) -> tuple[Values, Slopes]:
    """Norm of row correlations minus the identity; its derivatives take the products' place."""
    off = products
    off *= y.inverse
    diagonal = _diagonal(off)
    diagonal -= 1
    if people.pairs is not None:
        off *= people.pairs
    # of each row of y; products with correlations are those with what is off, and once the latter
    squares = (off * off).sum(axis=0)
    norms = squares.sum(axis=1)[:, None] ** 0.5
    factor = y.inverse * (n_sides * weight / (norms + LEAST))
    # how fast the norm grows along each row of y, which does not change a correlation
    along = (squares + diagonal) * factor * y.inverse
    off *= factor
    return weight * norms[:, 0], Slopes(off, -along, along * y.means)


def _measure_distances(
    weights: PairWeights, products: Values, rows: Pair, people: _Subjects, *, is_self: bool
) -> tuple[Values, Values]:
    """Losses of distances and of squared distances, and their derivatives.

    With derivatives M the derivative by a row of y is the sum of M (x - y) over the rows of x.
    """
    xp, (x, y) = namespace(products), rows
    limits = xp.finfo(products.dtype)
    squares = products * _stand(-2 * x.lengths)
    squares += _stand(x.squares)
    squares += y.squares
    squares -= _stand((2 * x.width) * x.means) * y.means
    # what is smaller is rounding
    squares = xp.maximum(squares, (8 * limits.eps) * y.squares + limits.tiny)
    matrix = xp.zeros_like(products)
    losses = 0.0
    if weights.error or not is_self:
        own, share = _diagonal(squares), people.share
        roots = own**0.5
        pull = weights.neighbor + (0.0 if is_self else weights.distance)
        diagonal = _diagonal(matrix)
        pull, error = share * pull, share * (weights.error / x.width)
        diagonal -= pull / roots + 2 * error
        losses = (pull * roots + error * own).sum(axis=1)
    if weights.distance:
        found, inverse = _push_from_all(weights.distance, squares, people)
        losses = losses + found
        matrix += inverse
    if weights.neighbor:
        losses = losses + _push_from_nearest(weights.neighbor, squares, people, matrix=matrix)
    if is_self:
        matrix *= 2
    return losses, matrix


def _push_from_nearest(
    weight: float, squares: Values, people: _Subjects, *, matrix: Values
) -> Values:
    """Mean of the distances of each row of x, and of each of y, to the nearest other."""
    xp = namespace(squares)
    far = squares if people.pairs is None else xp.where(people.pairs, squares, np.inf)
    _diagonal(far)[:] = np.inf
    n, n_paths, _ = far.shape
    size = n_paths * n
    flat, by_flat = far.reshape(-1), matrix.reshape(-1)
    where = {} if xp is np else {"device": far.device}
    first_x, first_y = _list_places(xp, n, n_paths, **where)
    push = (0.5 * weight) * people.share
    total = 0.0
    for place in (
        far.argmin(axis=0) * size + first_x,
        (far.argmin(axis=2) + first_y).T,
    ):
        roots = flat[place] ** 0.5
        if people.present is not None:
            roots = xp.where(people.present, roots, 1.0)  # of nobody: weighed by 0
        by_flat[place] += push / roots
        total = total - (push * roots).sum(axis=1)
    return total


@lru_cache(maxsize=8)
def _list_places(xp: Any, n: int, n_paths: int, **where: Any) -> tuple[Values, Values]:
    """Flat places of each row of y with the first row of x, and of each row of x likewise.

    Parameters
    ----------
    where : dict
        The device, where the library has several.
    """
    places = xp.arange(n * n_paths * n, **where)
    return places[: n_paths * n].reshape(n_paths, n), places[::n].reshape(n, n_paths)


def _push_from_all(weight: float, squares: Values, people: _Subjects) -> tuple[Values, Values]:
    """Mean distance of rows to all others, and its derivatives."""
    roots = squares**0.5
    factor = weight * people.pair_share
    if people.pairs is None:
        inverse = factor / roots
    else:
        factor = factor[:, None]
        roots *= people.pairs
        inverse = people.pairs * factor / squares**0.5
    for part in (roots, inverse):
        _diagonal(part)[:] = 0
    roots *= factor
    return -roots.sum(axis=(0, 2)), inverse


def _stand(values: Values) -> Values:
    """Let numbers of rows x ``[n_paths, n]`` stand beside matrices ``[n, n_paths, n]``."""
    return values.T[:, :, None]


def _diagonal(values: Values) -> Values:
    """View of what belongs to a row of x and the same one of y, ``[n_paths, n]``."""
    view = values.diagonal(0, 0, 2)
    if isinstance(view, np.ndarray):
        view.flags.writeable = True
    return view
