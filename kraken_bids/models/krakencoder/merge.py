"""Joins models that share one latent space: the first one, and what the others have beyond it."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.architecture import Architecture, Weights
from kraken_bids.models.krakencoder.latent_space import LATENT_SPACE, check_spaces, find_space
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.model_regions import list_own_regions
from kraken_bids.models.training_record import TRAINING

logger = logging.getLogger(__name__)

REGIONS = TRAINING.regions
"""Key of the provenance: names of regions by atlas."""
SHARED = {
    "latent_size": "latent size",
    "latent_normalize": "scaling of latents to unit length",
    "hidden_sizes": "hidden layers",
    "skip_activation": "activation between layers",
    "negative_slope": "slope of the activation",
    "alternate_tanh": "alternating activation",
    "latent_activation": "latent activation",
    "bias": "bias",
    "outer_bias": "bias of the outer layers",
}
"""What the network has once for all flavors, and how people call it."""


def merge_models(models: Sequence[Model], name: str = "merged") -> Model:
    """Join models whose flavors were trained onto one latent space.

    Parameters
    ----------
    models : sequence of Model
        The first gives all its flavors; each other one those that are not there yet.
    name : str
        Name of the merged model.

    Returns
    -------
    Model
        Encodes and decodes each flavor as the model does that it comes from. It has no identity
        of its own (``sha256`` is empty) before it is written.

    Raises
    ------
    CheckpointError
        If there are fewer than two models, they differ in what the network has once for all
        flavors, have atlases of one name that differ, say that their latent spaces are not the
        same one, or one translates latents between groups (its translations know its own flavors
        only). That two latent spaces of one size are the same one cannot be seen from the files.

    Source: ``merge_checkpoints.py`` of the reference release: first come wins.
    """
    _check_mergeable(models)
    origins = _choose_origins(models)
    _check_regions(models, origins)
    return Model(
        name=name,
        sha256="",
        flavors=tuple(origins),
        latent_size=models[0].latent_size,
        network=Weights(_join_architectures(models, origins), _join_weights(models, origins)),
        reductions={f: models[owner].reductions[f] for f, owner in origins.items()},
        provenance=_join_provenance(models, origins),
        device=models[0].device,
    )


def _check_mergeable(models: Sequence[Model]) -> None:
    if len(models) < 2:
        raise CheckpointError(f"expected at least two models to merge; found {len(models)}.")
    first = models[0]
    for model in models:
        if model.network.architecture.group_paths:
            raise CheckpointError(
                f"expected models of one latent space; found that {model.name} translates latents "
                "between groups of its own flavors, which other flavors cannot take part in. "
                "Merge models without such translations."
            )
        if model is not first:
            check_spaces(first, model)
        ours, theirs = asdict(first.network.architecture), asdict(model.network.architecture)
        for key, words in SHARED.items():
            if ours[key] != theirs[key]:
                raise CheckpointError(
                    f"expected models with one latent space and one kind of layers; found the "
                    f"{words} {_say(ours[key])} in {first.name} and {_say(theirs[key])} in "
                    f"{model.name}. Merge models that were trained onto each other's latents."
                )


def _check_regions(models: Sequence[Model], origins: dict[Flavor, int]) -> None:
    """Refuse atlases of one name that are not the same regions in the same order."""
    sizes: dict[str, tuple[int, Model]] = {}
    tables: dict[str, tuple[list[str], Model]] = {}
    for flavor, owner in origins.items():
        model, name = models[owner], flavor.parcellation
        n_edges = model.n_edges(flavor)
        known, first = sizes.setdefault(name, (n_edges, model))
        if known != n_edges:
            raise CheckpointError(
                f"expected one atlas of the name {name}; found matrices of {known} edges in "
                f"{first.name} and of {n_edges} in {model.name}. Train one of them under another "
                "name."
            )
        regions = list_own_regions(model).get(name)
        if not regions:
            continue
        ours, first = tables.setdefault(name, (regions, model))
        differing = [pair for pair in zip(ours, regions, strict=False) if pair[0] != pair[1]]
        if differing:
            raise CheckpointError(
                f"expected one atlas of the name {name}; found region {differing[0][0]} in "
                f"{first.name} where {model.name} has {differing[0][1]} ({len(differing)} regions "
                "differ). Train one of them under another name, or with regions in the other's "
                "order."
            )


def _say(value: object) -> str:
    return str(list(value) or "none") if isinstance(value, tuple) else str(value)


def _choose_origins(models: Sequence[Model]) -> dict[Flavor, int]:
    """Which model each flavor is taken from, in the order met."""
    origins: dict[Flavor, int] = {}
    for index, model in enumerate(models):
        new = [flavor for flavor in model.flavors if flavor not in origins]
        kept = [flavor.name for flavor in model.flavors if flavor in origins]
        if kept:
            logger.warning("%s: already there, not taken: %s", model.name, ", ".join(kept))
        origins |= dict.fromkeys(new, index)
    return origins


def _join_architectures(models: Sequence[Model], origins: dict[Flavor, int]) -> Architecture:
    architectures = [model.network.architecture for model in models]
    places = [(architectures[i], models[i].flavors.index(f)) for f, i in origins.items()]
    has_finals = any(arch.final_dropouts for arch in architectures)
    finals = (a.final_dropouts[place] if a.final_dropouts else a.dropout for a, place in places)
    return replace(
        architectures[0],
        flavors=tuple(flavor.name for flavor in origins),
        input_sizes=tuple(arch.input_sizes[place] for arch, place in places),
        final_dropouts=tuple(finals) if has_finals else (),
        groups=(),
    )


def _join_weights(models: Sequence[Model], origins: dict[Flavor, int]) -> dict[str, Any]:
    weights: dict[str, Any] = {}
    for flavor, owner in origins.items():
        parts = tuple(f"{kind}.{flavor.name}." for kind in ("encoders", "decoders"))
        owned = models[owner].network.arrays
        weights |= {key: owned[key] for key in owned if key.startswith(parts)}
    return weights


def _join_provenance(models: Sequence[Model], origins: dict[Flavor, int]) -> dict[str, Any]:
    """Where each flavor comes from, for us and under the names of the reference release."""
    stated = any(LATENT_SPACE in model.provenance for model in models)
    regions: dict[str, list[str]] = {}
    for model in reversed(models):
        regions |= list_own_regions(model)
    return {
        **({LATENT_SPACE: find_space(models[0])} if stated else {}),
        **({REGIONS: regions} if regions else {}),
        "MergedFrom": [
            {
                "Name": model.name,
                "SHA256": model.sha256,
                "Flavors": [flavor.name for flavor, owner in origins.items() if owner == index],
                "Provenance": dict(model.provenance),
            }
            for index, model in enumerate(models)
        ],
        "merged_checkpointfile_list": [
            str(model.provenance.get("Source", model.name)) for model in models
        ],
        "merged_source_net_idx": list(origins.values()),
        "merged_source_input_idx": [models[i].flavors.index(f) for f, i in origins.items()],
    }
