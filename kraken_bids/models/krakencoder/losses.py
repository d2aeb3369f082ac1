"""Losses of the published recipe, on batches in the reduced space; lower is better.

``x`` is the target, ``y`` the prediction, ``z`` the latent: rows are subjects. Batch losses come
with their derivatives written out: a step works on arrays of 41 x 256 numbers, so nearly all its
time goes into starting operations, and this takes several times fewer than autograd. The
latent-similarity loss stands apart, since it takes all subjects and flavors at once.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kraken_bids.exceptions import SettingsError

PUBLISHED_LOSS = "correye+enceye.w10+neidist+encdist.w10+mse.w1000+latentsimloss.w10000"
LATENT_SIMILARITY = "latentsimloss"
TERM_PATTERN = re.compile(r"(?P<name>[a-z]+)(?:\.w(?P<weight>[0-9.eE+-]*[0-9]))?")
EPSILON = 1e-12

Gradients = tuple[Tensor, Tensor, Tensor]


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
        if match is None or match["name"] not in LOSSES:
            raise SettingsError(
                f"expected loss terms {', '.join(LOSSES)} joined by "
                f"+, each with an optional weight (mse.w1000); found {part!r}."
            )
        terms.append(LossTerm(match["name"], float(match["weight"] or 1.0)))
    return tuple(terms)


def compute_loss_and_gradients(
    terms: tuple[LossTerm, ...], x: Tensor, y: Tensor, z: Tensor
) -> Gradients:
    """Weighted batch loss and its derivatives by prediction and latent.

    Parameters
    ----------
    terms : tuple of LossTerm
        The latent-similarity term is passed over.
    x, y : Tensor of shape (n_subjects, n_components)
        Target and prediction.
    z : Tensor of shape (n_subjects, n_latent)
        Latent.

    Returns
    -------
    loss : Tensor of shape ()
    by_y : Tensor, shape of y
    by_z : Tensor, shape of z
        Direct derivative only: what flows from ``y`` to ``z`` through the decoder is not in it.
    """
    weights: dict[str, float] = {}
    for term in terms:
        weights[term.name] = weights.get(term.name, 0.0) + term.weight
    with torch.no_grad():
        loss = y.new_zeros(())
        by_y, by_z = torch.zeros_like(y), torch.zeros_like(z)
        for name, weight in weights.items():
            if name in BY_PREDICTION:
                value, derivative = BY_PREDICTION[name](x, y)
                by_y.add_(derivative, alpha=weight)
            elif name in BY_LATENT:
                value, derivative = BY_LATENT[name](z)
                by_z.add_(derivative, alpha=weight)
            else:
                continue
            loss += weight * value
    return loss, by_y, by_z


def _unit_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    centered = x - x.mean(dim=1, keepdim=True)
    norms = torch.linalg.vector_norm(centered, dim=1, keepdim=True).clamp_min_(EPSILON)
    return centered.div_(norms), norms


def _through_unit_rows(by_unit: Tensor, unit: Tensor, norms: Tensor) -> Tensor:
    """Carry a derivative by centered unit rows back to the rows."""
    along = (by_unit * unit).sum(dim=1, keepdim=True)
    tangent = (by_unit - by_unit.mean(dim=1, keepdim=True)).addcmul_(unit, along, value=-1)
    return tangent.div_(norms)


def _correlation_identity(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    unit_x, _ = _unit_rows(x)
    unit_y, norms = _unit_rows(y)
    difference = unit_x @ unit_y.T
    difference.diagonal().sub_(1)
    value = torch.linalg.vector_norm(difference)
    by_unit = difference.T @ unit_x / value
    return value, _through_unit_rows(by_unit, unit_y, norms)


def _self_correlation_identity(z: Tensor) -> tuple[Tensor, Tensor]:
    unit, norms = _unit_rows(z)
    difference = unit @ unit.T
    difference.diagonal().sub_(1)
    value = torch.linalg.vector_norm(difference)
    by_unit = difference @ unit * (2 / value)  # symmetric: both factors count
    return value, _through_unit_rows(by_unit, unit, norms)


def _neighbor_distance(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    n = len(x)
    distances = torch.cdist(x, y)
    own = distances.diagonal()
    far = distances.clone().fill_diagonal_(torch.inf)
    by_column, rows = far.min(dim=0)
    by_row, columns = far.min(dim=1)
    value = own.mean() - (by_column.mean() + by_row.mean()) / 2
    share = distances.new_full((1, n), -0.5 / n)
    by_distance = torch.zeros_like(distances)
    by_distance.diagonal().fill_(1 / n)
    by_distance.scatter_add_(0, rows[None], share)
    by_distance.scatter_add_(1, columns[:, None], share.T)
    pull = by_distance / distances.clamp_min(EPSILON)
    return value, pull.sum(dim=0)[:, None] * y - pull.T @ x


def _self_distance(z: Tensor) -> tuple[Tensor, Tensor]:
    n = len(z)
    distances = torch.cdist(z, z)
    distances.diagonal().zero_()
    value = -distances.sum() / (n * (n - 1))
    pull = distances.clamp_min(EPSILON).reciprocal_()
    pull.diagonal().zero_()
    by_z = (pull.sum(dim=1)[:, None] * z - pull @ z) * (-2 / (n * (n - 1)))
    return value, by_z


def _squared_error(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    difference = y - x
    return difference.square().mean(), difference * (2 / y.numel())


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


BY_PREDICTION: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "correye": _correlation_identity,
    "neidist": _neighbor_distance,
    "mse": _squared_error,
}
BY_LATENT: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
    "enceye": _self_correlation_identity,
    "encdist": _self_distance,
}
LOSSES = (*BY_PREDICTION, *BY_LATENT, LATENT_SIMILARITY)
