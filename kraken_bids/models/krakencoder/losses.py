"""Losses of the published recipe, on batches in the reduced space; lower is better.

Every batch loss compares rows ``x`` with rows ``y`` of the same subjects: targets with
predictions, or latents with latents. All of them depend on the inner products, means and lengths
of the rows alone, so one product of matrices serves them all, for many paths at once; and their
derivatives by ``y`` are a combination of the rows of ``x``, of ``y`` itself and of a constant.
Written by the names that numpy and torch share. The latent-similarity loss stands apart, since it
takes all subjects and flavors at once.
"""

import re
from dataclasses import dataclass

import numpy as np

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.krakencoder.devices import Values, namespace

PUBLISHED_LOSS = "correye+enceye.w10+neidist+encdist.w10+mse.w1000+latentsimloss.w10000"
LATENT_SIMILARITY = "latentsimloss"
TERM_PATTERN = re.compile(r"(?P<name>[a-z]+)(?:\.w(?P<weight>[0-9.eE+-]*[0-9]))?")
BY_PREDICTION = {"correye": "correlation", "neidist": "neighbor", "mse": "error"}
"""Terms on targets and predictions, and what each weighs in :class:`PairWeights`."""
BY_LATENT = {"enceye": "correlation", "encdist": "distance"}
"""Terms on latents."""
LOSSES = (*BY_PREDICTION, *BY_LATENT, LATENT_SIMILARITY)


@dataclass(frozen=True)
class LossTerm:
    """One term of a weighted sum."""

    name: str
    """``correye``, ``enceye``, ``neidist``, ``encdist``, ``mse`` or ``latentsimloss``."""
    weight: float
    """Factor."""


@dataclass(frozen=True)
class PairWeights:
    """Weights of the losses between two sets of rows."""

    correlation: float = 0.0
    """Of the Frobenius norm of row correlations minus the identity."""
    neighbor: float = 0.0
    """Of the mean distance to one's own row minus that to the nearest other row."""
    distance: float = 0.0
    """Of the mean distance to one's own row minus that to all others."""
    error: float = 0.0
    """Of the mean squared error."""

    @property
    def has_distances(self) -> bool:
        """Whether distances of rows are needed."""
        return bool(self.neighbor or self.distance or self.error)


@dataclass(frozen=True)
class LossWeights:
    """Weights of all terms of a loss string, terms of one name added up."""

    prediction: PairWeights
    """Between targets and predictions."""
    latent: PairWeights
    """Between latents."""
    similarity: float
    """Of the latent-similarity loss."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What the losses need of rows beside their inner products."""

    means: Values
    """``[…, n]`` over the numbers of each row."""
    squares: Values
    """``[…, n]`` squared lengths."""
    lengths: Values
    """``[…, n]`` one by the length of the row with its mean removed; 0 for constant rows."""
    width: int
    """Numbers in a row."""

    def take(self, which: Values) -> "Rows":
        """Those of some rows."""
        return Rows(self.means[which], self.squares[which], self.lengths[which], self.width)

    def repeat(self, n_paths: int) -> "Rows":
        """Give the same rows to several paths."""
        xp = namespace(self.means)
        means, squares, lengths = (
            xp.stack([part] * n_paths) for part in (self.means, self.squares, self.lengths)
        )
        return Rows(means, squares, lengths, self.width)


@dataclass(frozen=True, eq=False)
class Slopes:
    """Derivatives by rows y: ``by_y = matrix @ x_centered + scale * y + shift``."""

    matrix: Values
    """``[n_paths, n, n]``; rows of y by rows of x."""
    scale: Values
    """``[n_paths, n]``."""
    shift: Values
    """``[n_paths, n]``."""


def parse_loss(text: str) -> tuple[LossTerm, ...]:
    """Terms of a loss string such as ``correye+enceye.w10+latentsimloss.w10000``.

    Raises
    ------
    SettingsError
        If a term is unknown or its weight is no number.
    """
    terms = []
    for part in text.split("+"):
        match = TERM_PATTERN.fullmatch(part.strip())
        if match is None or match["name"] not in LOSSES:
            raise SettingsError(
                f"expected loss terms {', '.join(LOSSES)} joined by "
                f"+, each with an optional weight (mse.w1000); found {part!r}."
            )
        terms.append(LossTerm(match["name"], float(match["weight"] or 1.0)))
    return tuple(terms)


def weigh_losses(text: str) -> LossWeights:
    """Weights of a loss string.

    Raises
    ------
    SettingsError
        If a term is unknown or its weight is no number.
    """
    terms = parse_loss(text)

    def add_up(kinds: dict[str, str]) -> PairWeights:
        return PairWeights(
            **{
                kind: sum(term.weight for term in terms if term.name == name)
                for name, kind in kinds.items()
            }
        )

    similarity = sum(term.weight for term in terms if term.name == LATENT_SIMILARITY)
    return LossWeights(add_up(BY_PREDICTION), add_up(BY_LATENT), similarity)


def describe_rows(values: Values) -> Rows:
    """Describe rows ``[…, n, width]``."""
    xp = namespace(values)
    width = values.shape[-1]
    means = values.mean(axis=-1)
    squares = xp.einsum("...j,...j->...", values, values)
    spread = squares - width * means * means
    # below this a spread is rounding: the row is constant
    is_flat = spread <= 4 * xp.finfo(values.dtype).eps * squares
    lengths = xp.where(is_flat, 0.0, 1 / xp.sqrt(xp.where(is_flat, 1.0, spread)))
    return Rows(means, squares, lengths, width)


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
        Inner products of rows of y with rows of x whose means were removed. Used up.
    x : Rows of n rows
    y : Rows of n_paths x n rows
    present : boolean array of shape (n_paths, n), optional
        Subjects that count; everybody by default. Paths of fewer than two subjects have no loss.
    is_self : bool
        Rows x are rows y: their derivatives are in it as well, and one's own distance is 0.

    Returns
    -------
    losses : array of shape (n_paths,)
        Weighted sums. A term that is not a number counts as 0; constant rows correlate with
        nothing (in the reference they make the term not a number).
    Slopes
        For ``y`` of everybody, 0 for those who do not count.
    """
    xp = namespace(products)
    if present is None and products.shape[-1] < 2:
        present = y.means > np.inf  # nobody
    slopes = Slopes(xp.zeros_like(products), xp.zeros_like(y.means), xp.zeros_like(y.means))
    people = _count_people(products, present)
    losses = xp.zeros_like(products[:, 0, 0])
    if weights.has_distances:
        losses += _add_distances(
            weights, products, (x, y), people=people, slopes=slopes, is_self=is_self
        )
    if weights.correlation:
        losses += _add_correlation(
            weights.correlation, products, (x, y), people=people, slopes=slopes
        )
    if is_self:
        for part in (slopes.matrix, slopes.scale, slopes.shift):
            part[:] *= 2
    return losses, slopes


@dataclass(frozen=True, eq=False)
class _People:
    """Who counts."""

    present: Values | None
    """``[n_paths, n]``; None where everybody does."""
    pairs: Values | None
    """``[n_paths, n, n]``."""
    count: Values
    """How many do, ``[n_paths, 1]`` or a number; at least 2, so that one may divide."""

    def keep(self, values: Values) -> Values:
        """Values ``[n_paths, n]``, 0 of those who do not count."""
        return values if self.present is None else values * self.present


def _count_people(products: Values, present: Values | None) -> _People:
    if present is None:
        return _People(None, None, products.shape[-1])
    count = present.sum(axis=1, keepdims=True)
    present = present & (count >= 2)
    count = namespace(products).asarray(count.clip(2), dtype=products.dtype)
    return _People(present, present[:, :, None] & present[:, None, :], count)


def _add_correlation(
    weight: float, products: Values, rows: tuple[Rows, Rows], *, people: _People, slopes: Slopes
) -> Values:
    """Norm of row correlations minus the identity; adds its derivatives to slopes."""
    xp, (x, y) = namespace(products), rows
    factors = y.lengths[:, :, None] * x.lengths
    correlations = products * factors
    off = correlations + 0
    _diagonal(off)[:] -= 1
    if people.pairs is not None:
        off *= people.pairs
    norms = xp.sqrt(xp.einsum("pij,pij->p", off, off))
    off *= (weight / xp.where(norms > 0, norms, xp.ones_like(norms)))[:, None, None]
    along = xp.einsum("pij,pij->pi", off, correlations) * y.lengths * y.lengths
    slopes.scale[:] -= along
    slopes.shift[:] += along * y.means
    off *= factors
    slopes.matrix[:] += off
    return xp.nan_to_num(weight * norms)


def _add_distances(
    weights: PairWeights,
    products: Values,
    rows: tuple[Rows, Rows],
    *,
    people: _People,
    slopes: Slopes,
    is_self: bool,
) -> Values:
    """Losses of distances and of squared distances; adds their derivatives to slopes."""
    xp, (x, y) = namespace(products), rows
    lengths = y.squares[:, :, None] + x.squares
    squares = lengths - 2 * products
    squares -= (2 * x.width * y.means)[:, :, None] * x.means
    # what is smaller is rounding
    floor = lengths * (4 * xp.finfo(lengths.dtype).eps)
    squares = xp.where(squares > floor, squares, floor)
    own = _diagonal(squares) + 0
    # derivatives by squared distances, twice: those by y are pulls times (y - x)
    pulls = xp.zeros_like(products)
    share = people.keep(xp.ones_like(own)) / people.count
    losses = xp.zeros_like(products[:, 0, 0])
    if weights.neighbor:
        losses += _pull_to_self(weights.neighbor, own, share, pulls)
        losses += _push_from_nearest(weights.neighbor, squares, people, share=share, pulls=pulls)
    if weights.distance:
        if not is_self:
            losses += _pull_to_self(weights.distance, own, share, pulls)
        losses += _push_from_all(weights.distance, squares, people, pulls)
    if weights.error:
        losses += (weights.error / x.width) * (own * share).sum(axis=1)
        _diagonal(pulls)[:] += share * (2 * weights.error / x.width)
    slopes.matrix[:] -= pulls
    slopes.scale[:] += pulls.sum(axis=2)
    slopes.shift[:] -= pulls @ x.means
    return xp.nan_to_num(losses)


def _pull_to_self(weight: float, own: Values, share: Values, pulls: Values) -> Values:
    """Mean distance to one's own row."""
    roots, inverse = _roots(own)
    _diagonal(pulls)[:] += weight * share * inverse
    return weight * (share * roots).sum(axis=1)


def _push_from_nearest(
    weight: float, squares: Values, people: _People, *, share: Values, pulls: Values
) -> Values:
    """Mean of the distances of each row of x, and of each of y, to the nearest other."""
    xp = namespace(squares)
    far = squares if people.pairs is None else xp.where(people.pairs, squares, np.inf)
    _diagonal(far)[:] = np.inf
    paths, each = xp.arange(len(far))[:, None], xp.arange(far.shape[1])[None]
    total = 0.0
    for place in ((paths, each, far.argmin(axis=2)), (paths, far.argmin(axis=1), each)):
        nearest = far[place]
        if people.present is not None:
            nearest = xp.where(people.present, nearest, 0.0)
        roots, inverse = _roots(nearest)
        pulls[place] -= (0.5 * weight) * share * inverse
        total = total - 0.5 * weight * (share * roots).sum(axis=1)
    return total


def _push_from_all(weight: float, squares: Values, people: _People, pulls: Values) -> Values:
    """Mean distance of rows to all others."""
    roots, inverse = _roots(squares)
    for part in (roots, inverse):
        _diagonal(part)[:] = 0
        if people.pairs is not None:
            part[:] *= people.pairs
    factor = weight / (people.count * (people.count - 1))
    inverse *= factor if people.present is None else factor[:, :, None]
    pulls -= inverse
    return -roots.sum(axis=(1, 2)) * (factor if people.present is None else factor[:, 0])


def _diagonal(values: Values) -> Values:
    """View of the diagonals of contiguous square matrices, ``[n_paths, n]``."""
    n_paths, n, _ = values.shape
    return values.reshape(n_paths, n * n)[:, :: n + 1]


def _roots(squares: Values) -> tuple[Values, Values]:
    """Square roots, and one by them; 0 by 0 is 0."""
    xp = namespace(squares)
    roots = xp.sqrt(squares)
    return roots, xp.where(roots > 0, 1 / xp.where(roots > 0, roots, 1.0), 0.0)


def compute_similarity_loss(
    latents: Values, references: Values, present: Values
) -> tuple[Values, Values]:
    """Latent-similarity loss: the sum over flavors i > j of twice the latents' squared error.

    Parameters
    ----------
    latents : array of shape (n_flavors, n_subjects, n_latent)
        In training mode; the derivative is by these alone.
    references : array of the same shape
        The same subjects in evaluation mode.
    present : boolean array of shape (n_flavors, n_subjects)
        Who has which flavor; a pair's mean is over those who have both.

    Returns
    -------
    loss : number
    by_latents : array, shape of latents
    """
    xp = namespace(latents)
    n_flavors, _, n_latent = latents.shape
    has = xp.asarray(present, dtype=latents.dtype)
    counts = has @ has.T
    weights = xp.tril(2 / (n_latent * counts.clip(1)), -1)
    fixed = references * has[:, :, None]
    sums = (weights @ fixed.reshape(n_flavors, -1)).reshape(latents.shape)
    squares = weights @ (fixed * fixed).sum(axis=2)
    own = (weights @ has) * has
    sums *= has[:, :, None]
    by_latents = 2 * (own[:, :, None] * latents - sums)
    loss = (
        (own * (latents * latents).sum(axis=2)).sum()
        - 2 * (sums * latents).sum()
        + (squares * has).sum()
    )
    return loss, by_latents
