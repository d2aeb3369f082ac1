"""The published formats: a ``.pt`` checkpoint and its ``kraken_ioxfm_*`` transforms."""

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.digests import compute_sha256
from kraken_bids.io.pickles import read_torch_file
from kraken_bids.models.devices import resolve_device
from kraken_bids.models.krakencoder.architecture import Architecture, Weights
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.published_transforms import find_transforms, read_reductions
from kraken_bids.models.krakencoder.reduction import Reduction
from kraken_bids.models.training_record import TRAINING

logger = logging.getLogger(__name__)

KEPT_PROVENANCE = (
    "krakencoder_version",
    "epoch",
    "input_transformation_info",
    "merged_checkpointfile_list",
    "merged_source_net_idx",
    "merged_source_input_idx",
)
PROVENANCE_KEY = "kraken_bids_provenance"
"""Holds what a checkpoint that this package wrote knew of its origin beside these."""
IDENTITY_KEY = "kraken_bids_sha256"
"""Holds the identity of the model that this package wrote as a checkpoint."""


def read_upstream(
    checkpoint: Path, transforms: Iterable[Path] = (), device: str = "auto"
) -> Model:
    """Model of a published checkpoint and its transforms; no code inside the files is run.

    Parameters
    ----------
    checkpoint : Path
        The ``.pt`` file.
    transforms : iterable of Path
        Files ``.npy``, ``.npz`` or ``.h5`` that together cover its flavors; without any, files
        named ``kraken_ioxfm_*`` beside the checkpoint are tried.
    device : str
        ``auto``, ``cpu`` or ``cuda[:N]``.

    Raises
    ------
    CheckpointError
        If a file is not what it should be, or transforms are missing.
    """
    content = _check_content(read_torch_file(checkpoint), checkpoint)
    architecture = _read_architecture(content, checkpoint)
    _check_extent(architecture, content["state_dict"], checkpoint)
    weights = _rename_weights(architecture, content["state_dict"], checkpoint)
    flavors = tuple(parse_flavor(name) for name in architecture.flavors)
    sizes = dict(zip(flavors, architecture.input_sizes, strict=True))
    given = tuple(transforms)
    found = given or find_transforms(checkpoint, str(content.get("input_transformation_info", "")))
    reductions, used = read_reductions(found, sizes, is_guess=not given)
    _check_cover(checkpoint, flavors, reductions, given)
    return Model(
        name=checkpoint.stem,
        sha256=_find_identity(content.get(IDENTITY_KEY)) or compute_sha256(checkpoint),
        flavors=flavors,
        latent_size=architecture.latent_size,
        network=Weights(architecture, weights),
        reductions=reductions,
        provenance=_describe_origin(content, checkpoint, used),
        device=resolve_device(device),
    )


def _describe_origin(
    content: Mapping[str, Any], checkpoint: Path, transforms: Iterable[Path]
) -> dict[str, Any]:
    earlier = _to_plain(content.get(PROVENANCE_KEY))
    return {
        **_count_training(content.get("training_params")),
        **(earlier if isinstance(earlier, dict) else {}),
        "Source": checkpoint.name,
        "Transforms": [path.name for path in transforms],
        **{key: _to_plain(content[key]) for key in KEPT_PROVENANCE if key in content},
    }


def _check_content(content: Any, checkpoint: Path) -> Mapping[str, Any]:
    required = ("state_dict", "input_size_list", "latentsize", "input_name_list")
    missing = [key for key in required if not isinstance(content, Mapping) or key not in content]
    if missing:
        raise CheckpointError(
            f"expected a Krakencoder checkpoint in {checkpoint}; it lacks {', '.join(missing)}. "
            "It may be another program's .pt file."
        )
    weights = content["state_dict"]
    if not isinstance(weights, Mapping) or not all(
        isinstance(key, str) and isinstance(values, np.ndarray) for key, values in weights.items()
    ):
        raise CheckpointError(
            f"expected arrays by name in the state_dict of {checkpoint}; found other things. It "
            "may be another program's .pt file."
        )
    return content  # type: ignore[no-any-return]


def _read_architecture(content: Mapping[str, Any], checkpoint: Path) -> Architecture:
    """Our names for the published keys, with the defaults that older files rely on."""
    try:
        dropout = float(content.get("dropout", 0.0))
        inner_dropout = content.get("intergroup_dropout")
        paths = content.get("intergroup_transform_index_dict") or {}
        final = content.get("dropout_final_layer_list")
        if final is None and content.get("dropout_final_layer") is not None:
            final = [content["dropout_final_layer"]] * len(content["input_name_list"])
        has_groups = bool(content.get("intergroup", False))
        return Architecture(
            flavors=tuple(parse_flavor(str(name)).name for name in content["input_name_list"]),
            input_sizes=tuple(int(size) for size in content["input_size_list"]),
            latent_size=int(content["latentsize"]),
            hidden_sizes=tuple(int(size) for size in content.get("hiddenlayers") or ()),
            skip_activation=bool(content.get("skip_relu", False)),
            negative_slope=float(content.get("leakyrelu_negative_slope", 0.0)),
            alternate_tanh=bool(content.get("relu_tanh_alternate", False)),
            latent_activation=content.get("latent_activation") or "none",
            latent_normalize=bool(content.get("latent_normalize", False)),
            bias=bool(content.get("linear_include_bias", True)),
            outer_bias=not content.get("no_bias_for_outer_layers", False),
            dropout=dropout,
            final_dropouts=tuple(float(p) for p in final) if final is not None else (),
            groups=tuple(str(g).lower() for g in content["intergroup_inputgroup_list"])
            if has_groups
            else (),
            group_paths=tuple(sorted(paths, key=paths.__getitem__)) if has_groups else (),
            group_sizes=tuple(int(size) for size in content.get("intergroup_layers") or ()),
            group_activation=bool(content.get("intergroup_relu", True)),
            group_dropout=dropout if inner_dropout is None else float(inner_dropout),
        )
    except (
        TypeError, ValueError, KeyError, AttributeError, OverflowError, CheckpointError,
    ) as error:  # fmt: skip
        raise CheckpointError(
            f"expected a Krakencoder checkpoint in {checkpoint}; its description of the network "
            f"cannot be used: {error}."
        ) from error


def _check_extent(
    architecture: Architecture, weights: Mapping[str, NDArray[Any]], checkpoint: Path
) -> None:
    """Check that there are weights for as many layers as are described, before they are made."""
    if architecture.n_layers > len(weights):
        raise CheckpointError(
            f"expected weights of {architecture.n_layers} linear layers in {checkpoint}, as it "
            f"describes its network; found {len(weights)} arrays. The checkpoint is incomplete."
        )


def _rename_weights(
    architecture: Architecture, weights: Mapping[str, NDArray[Any]], checkpoint: Path
) -> dict[str, NDArray[np.float32]]:
    """Our names for the published weights."""
    prefixes = name_branches(architecture)
    theirs = {
        f"{branch}.linears.{layer}": f"{prefixes[branch]}{number}"
        for branch, layers in architecture.branches().items()
        for layer, number in enumerate(
            _number_layers(weights, prefixes[branch], len(layers), checkpoint)
        )
    }
    renamed, used = {}, set()
    for name, shape in architecture.weight_shapes().items():
        layer, _, part = name.rpartition(".")
        key = f"{theirs[layer]}.{part}"
        values = weights.get(key)
        if values is None or tuple(values.shape) != shape:
            raise CheckpointError(
                f"expected {key} of shape {list(shape)} in {checkpoint}; found "
                f"{'nothing' if values is None else list(values.shape)}. "
                "The checkpoint is incomplete."
            )
        renamed[name] = np.array(values, np.float32)
        used.add(key)
    unused = sorted(set(weights) - used)
    if unused:
        raise CheckpointError(
            f"expected only the weights that the network of {checkpoint} describes; found also "
            f"{', '.join(unused[:3])}. The checkpoint describes another network."
        )
    return renamed


def name_branches(architecture: Architecture) -> dict[str, str]:
    """Prefixes of the published weights, by our branches."""
    lists = {
        "encoder_list": [f"encoders.{name}" for name in architecture.flavors],
        "decoder_list": [f"decoders.{name}" for name in architecture.flavors],
        "intergroup_transform_list": [f"translations.{p}" for p in architecture.group_paths],
    }
    return {
        branch: f"{kind}.{index}."
        for kind, branches in lists.items()
        for index, branch in enumerate(branches)
    }


def _number_layers(
    weights: Iterable[str], prefix: str, n_linears: int, checkpoint: Path
) -> list[int]:
    """Find the published numbers of linear layers, which also count layers without weights."""
    found = {key[len(prefix) :].split(".")[0] for key in weights if key.startswith(prefix)}
    layers = sorted(int(number) for number in found if number.isdecimal())
    if len(layers) != n_linears:
        raise CheckpointError(
            f"expected {n_linears} linear layers {prefix}* in {checkpoint}; found "
            f"{len(layers)}. The checkpoint is incomplete or describes another network."
        )
    return layers


def _check_cover(
    checkpoint: Path,
    flavors: Iterable[Flavor],
    reductions: Mapping[Flavor, Reduction],
    given: tuple[Path, ...],
) -> None:
    missing = [flavor.name for flavor in flavors if flavor not in reductions]
    if missing:
        where = (
            f"in {', '.join(str(p) for p in given)}"
            if given
            else f"beside it in {checkpoint.parent}"
        )
        raise CheckpointError(
            f"expected transforms for every flavor of {checkpoint}; found none {where} for "
            f"{', '.join(missing)}. Give the kraken_ioxfm_* files that hold them with "
            "--transforms FILE [FILE …], or put them beside the checkpoint."
        )


def _find_identity(value: Any) -> str:
    """Identity that a checkpoint says; empty where it says none."""
    return value if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) else ""


def _count_training(parameters: Any) -> dict[str, int]:
    """Count the subjects that the transforms were fitted on, where the file says so."""
    known = parameters if isinstance(parameters, Mapping) else {}
    number = known.get("numsubjects_train", np.size(known.get("subjidx_train", ())))
    is_count = isinstance(number, int | np.integer) and number > 0
    return {TRAINING.number_of_subjects: int(number)} if is_count else {}


def _to_plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_to_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): _to_plain(part) for key, part in value.items()}
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
