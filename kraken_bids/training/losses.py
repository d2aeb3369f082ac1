"""Losses of the published recipe, on batches in the reduced space; lower is better.

``x`` is the target, ``y`` the prediction, ``z`` the latent: rows are subjects. The
latent-similarity loss stands apart, since it takes all subjects and flavors at once.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kraken_bids.exceptions import SettingsError

PUBLISHED_LOSS = "correye+enceye.w10+neidist+encdist.w10+mse.w1000+latentsimloss.w10000"
LATENT_SIMILARITY = "latentsimloss"
TERM_PATTERN = re.compile(r"(?P<name>[a-z]+)(?:\.w(?P<weight>[0-9.eE+-]*[0-9]))?")
EPSILON = 1e-12


@dataclass(frozen=True)
class LossTerm:
    """One term of a weighted sum."""

    name: str
    """``correye``, ``enceye``, ``neidist``, ``encdist``, ``mse`` or ``latentsimloss``."""
    weight: float
    """Factor."""


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
        if match is None or match["name"] not in {*BATCH_LOSSES, LATENT_SIMILARITY}:
            raise SettingsError(
                f"expected loss terms {', '.join([*BATCH_LOSSES, LATENT_SIMILARITY])} joined by "
                f"+, each with an optional weight (mse.w1000); found {part!r}."
            )
        terms.append(LossTerm(match["name"], float(match["weight"] or 1.0)))
    return tuple(terms)


def compute_batch_loss(terms: tuple[LossTerm, ...], x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Weighted sum of the batch terms.

    Parameters
    ----------
    terms : tuple of LossTerm
        The latent-similarity term is passed over.
    x, y : Tensor of shape (n_subjects, n_components)
        Target and prediction.
    z : Tensor of shape (n_subjects, n_latent)
        Latent that the prediction comes from.
    """
    losses = [t.weight * BATCH_LOSSES[t.name](x, y, z) for t in terms if t.name in BATCH_LOSSES]
    return torch.stack(losses).sum() if losses else y.sum() * 0.0


def correlate_rows(x: Tensor, y: Tensor) -> Tensor:
    """Correlate every row of ``x`` with every row of ``y``; 0 for a row without variance."""
    x = functional.normalize(x - x.mean(dim=1, keepdim=True), dim=1, eps=EPSILON)
    y = functional.normalize(y - y.mean(dim=1, keepdim=True), dim=1, eps=EPSILON)
    return x @ y.T


def correlation_identity_loss(x: Tensor, y: Tensor) -> Tensor:
    """Frobenius norm of the row correlations less the identity."""
    difference = correlate_rows(x, y) - torch.eye(len(x), device=x.device)
    norm: Tensor = torch.linalg.matrix_norm(difference)
    return norm


def distance_loss(x: Tensor, y: Tensor) -> Tensor:
    """Mean distance of matching rows, less the mean distance of the others."""
    distances = torch.cdist(x, y)
    own = distances.diagonal().mean()
    n = len(x)
    others = (distances.sum() - n * own) / (n * (n - 1))
    return own - others


def neighbor_distance_loss(x: Tensor, y: Tensor) -> Tensor:
    """Mean distance of matching rows, less that to the nearest other row and column."""
    distances = torch.cdist(x, y)
    own = distances.diagonal().mean()
    far = distances + torch.diag_embed(distances.max().expand(len(x)))
    nearest = (far.amin(dim=0) + far.amin(dim=1)) / 2
    return own - nearest.mean()


def latent_similarity_loss(latents: Tensor, references: Tensor) -> Tensor:
    """Sum over pairs of flavors i > j of twice the mean squared difference of their latents.

    Parameters
    ----------
    latents : Tensor of shape (n_flavors, n_subjects, n_latent)
        In training mode; the gradient flows through these alone.
    references : Tensor of the same shape
        The same subjects in evaluation mode.

    Notes
    -----
    Written with running sums over j, so that no [n_flavors, n_flavors, …] array is made.
    """
    fixed = references.detach()
    counts = torch.arange(len(latents), device=latents.device, dtype=latents.dtype)[:, None, None]
    sums = fixed.cumsum(dim=0) - fixed
    squares = (fixed**2).cumsum(dim=0) - fixed**2
    per_entry = latents**2 * counts - 2 * latents * sums + squares
    return 2 * per_entry.sum() / latents[0].numel()


BatchLoss = Callable[[Tensor, Tensor, Tensor], Tensor]

BATCH_LOSSES: dict[str, BatchLoss] = {
    "correye": lambda x, y, _: correlation_identity_loss(x, y),
    "enceye": lambda _x, _y, z: correlation_identity_loss(z, z),
    "neidist": lambda x, y, _: neighbor_distance_loss(x, y),
    "encdist": lambda _x, _y, z: distance_loss(z, z),
    "mse": lambda x, y, _: functional.mse_loss(y, x),
}
