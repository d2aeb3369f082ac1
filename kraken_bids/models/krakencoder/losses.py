"""Losses of the published recipe: what a loss string weighs, and the one of all flavors at once.

Those of a batch are in :mod:`kraken_bids.models.krakencoder.pair_losses`.
"""

import re
from dataclasses import dataclass

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.devices import Values, namespace

PUBLISHED_LOSS = "correye+enceye.w10+neidist+encdist.w10+mse.w1000+latentsimloss.w10000"
LATENT_SIMILARITY = "latentsimloss"
TERM_PATTERN = re.compile(r"(?P<name>[a-z]+)(?:\.w(?P<weight>[0-9]+(\.[0-9]*)?(e-?[0-9]{1,2})?))?")
BY_PREDICTION = {"correye": "correlation", "neidist": "neighbor", "mse": "error"}
"""Terms on targets and predictions, and what each weighs in :class:`PairWeights`."""
BY_LATENT = {"enceye": "correlation", "encdist": "distance", "encmse": "error"}
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
                f"+, each with an optional weight from 0 on (mse.w1000); found {part!r}."
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


def weigh_flavors(present: Values, n_latent: int) -> Values:
    """Weights of squared differences in the latent-similarity loss, ``[n_flavors, n_flavors]``.

    Twice the mean over numbers and who has both flavors; below the diagonal, 0 above.
    """
    xp = namespace(present)
    has = xp.asarray(present, dtype=xp.float64)
    return xp.tril(2 / (n_latent * (has @ has.T).clip(1)), -1)


def compute_similarity_loss(
    latents: Values, references: Values, present: Values, weights: Values
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
    weights : array of shape (n_flavors, n_flavors)
        Of pairs; of everybody, where these are some of the subjects.

    Returns
    -------
    loss : number
    by_latents : array, shape of latents
    """
    xp = namespace(latents)
    n_flavors = len(latents)
    has = xp.asarray(present, dtype=latents.dtype)
    weights = xp.asarray(weights, dtype=latents.dtype)
    fixed = references * has[:, :, None]
    sums = (weights @ fixed.reshape(n_flavors, -1)).reshape(latents.shape)
    fixed *= fixed
    squares = weights @ fixed.sum(axis=2)
    own = (weights @ has) * has
    # half the derivative: own * latents - sums
    sums *= -has[:, :, None]
    by_latents = own[:, :, None] * latents
    by_latents += sums
    sums += by_latents
    sums *= latents
    by_latents *= 2
    return sums.sum() + (squares * has).sum(), by_latents
