"""Whose latents a model's latents can be averaged with."""

from kraken_bids.exceptions import CheckpointError
from kraken_bids.models.krakencoder.model import Model

LATENT_SPACE = "LatentSpace"
"""Key of the provenance: the SHA-256 of the model whose latent space it shares, or :data:`OWN`."""
OWN = "own"
"""The model has a latent space of its own."""


def find_space(model: Model) -> str:
    """SHA-256 of the model whose latent space this one shares; its own where none is stated."""
    stated = str(model.provenance.get(LATENT_SPACE, OWN))
    return model.sha256 if stated == OWN else stated


def check_spaces(first: Model, other: Model) -> None:
    """Check that nothing is known against averaging the latents of two models.

    Published models do not say whose latent space is theirs: against them nothing is known.

    Raises
    ------
    CheckpointError
        If what either says of its latent space contradicts the other one.
    """
    theirs = other.provenance.get(LATENT_SPACE)
    merged = {str(one.get("SHA256")) for one in first.provenance.get("MergedFrom", ())}
    if find_space(other) in {find_space(first), *merged}:
        return
    if theirs is None and first.provenance.get(LATENT_SPACE) != OWN:
        return
    raise CheckpointError(
        f"expected models of one latent space, the first model's; found {first.name} "
        f"({_say_space(first)}) and {other.name} ({_say_space(other)}): a mean of their latents "
        "means nothing. Merge a model with flavors that were added to it (kraken-tools "
        "add-flavor), the model first."
    )


def check_one_space(model: Model, act: str) -> None:
    """Check that a model translates no latents between groups of flavors.

    Parameters
    ----------
    act : str
        What is to be done instead to one without: ``Fine-tune``, ``Add to``.

    Raises
    ------
    CheckpointError
        If it does.
    """
    if model.network.architecture.group_paths:
        raise CheckpointError(
            f"expected a model of one latent space; found that {model.name} translates latents "
            f"between groups of flavors. {act} one without such translations."
        )


def _say_space(model: Model) -> str:
    stated = model.provenance.get(LATENT_SPACE)
    if stated == OWN:
        return "a latent space of its own"
    return f"that of the model with SHA-256 {find_space(model)[:12]}…"
