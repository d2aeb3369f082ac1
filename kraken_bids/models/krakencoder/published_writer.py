"""Writes the published formats: a ``.pt`` checkpoint and its ``kraken_ioxfm_*`` transforms."""

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.io.files import atomic_path
from kraken_bids.models.krakencoder.architecture import Architecture, Weights
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.published_checkpoint import (
    IDENTITY_KEY,
    KEPT_PROVENANCE,
    PROVENANCE_KEY,
    name_branches,
)
from kraken_bids.models.krakencoder.published_transforms import name_transforms
from kraken_bids.models.krakencoder.reduction import COMPONENTS, Reduction

ROWS = {"cfeat", "cfeat+norm", "cfeat+varnorm", "zfeat"}
"""Types whose statistics over edges the reference release takes as ``[1, n_edges]``."""
PICKLE_PROTOCOL = 3
"""The last one that spells the names it needs as plain text."""
NEW_NAME, OLD_NAME = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
LARGEST_SPELLED = 1 << 16


def write_upstream(model: Model, checkpoint: Path) -> tuple[Path, Path]:
    """Write a model as the reference release does; returns the checkpoint and its transforms.

    Parameters
    ----------
    checkpoint : Path
        The ``.pt`` file. The transforms lie beside it under the name that the reference release
        expects of them (``name_transforms``). They are
        written first, so that a checkpoint that is there is complete.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.

    Source: the keys that the reference release reads to load, run, merge and describe a model.
    """
    import torch

    transforms = name_transforms(checkpoint)
    with atomic_path(transforms) as temporary:
        _write_transforms(model, temporary)
    with atomic_path(checkpoint) as temporary:
        torch.save(_describe(model), temporary)
    return checkpoint, transforms


def _describe(model: Model) -> dict[str, Any]:
    n_flavors = len(model.flavors)
    provenance = dict(model.provenance)
    kept = {key: provenance.pop(key) for key in KEPT_PROVENANCE if key in provenance}
    return {
        "state_dict": _number_weights(model.network),
        "krakencoder_version": f"kraken_bids {__version__}",
        **_describe_architecture(model.network.architecture),
        "input_name_list": [flavor.name for flavor in model.flavors],
        "orig_input_size_list": [model.n_edges(flavor) for flavor in model.flavors],
        "input_transformation_info": name_reductions(model),
        "trainpath_encoder_index_list": [i for i in range(n_flavors) for _ in range(n_flavors)],
        "trainpath_decoder_index_list": [j for _ in range(n_flavors) for j in range(n_flavors)],
        "training_params": {"total_parameter_count": model.network.n_parameters},
        "epoch": 0,
        **kept,
        PROVENANCE_KEY: provenance,
        **({IDENTITY_KEY: model.sha256} if model.sha256 else {}),
    }


def name_reductions(model: Model) -> str:
    """Name the transforms of a model in one word: ``pc256``, ``none``, ``cfeat+pc10``."""
    reductions = (model.reductions[flavor] for flavor in model.flavors)
    return "+".join(dict.fromkeys(_name_reduction(reduction) for reduction in reductions))


def _name_reduction(reduction: Reduction) -> str:
    short = {"pca": "pc", "tsvd": "tsvd"}
    if reduction.kind in short:
        return f"{short[reduction.kind]}{reduction.n_components}"
    return reduction.kind


def _describe_architecture(arch: Architecture) -> dict[str, Any]:
    """Their names for our fields; the inverse of ``upstream.py``."""
    finals = list(arch.final_dropouts)
    return {
        "input_size_list": list(arch.input_sizes),
        "latentsize": arch.latent_size,
        "hiddenlayers": list(arch.hidden_sizes),
        "skip_relu": arch.skip_activation,
        "dropout": arch.dropout,
        "leakyrelu_negative_slope": arch.negative_slope,
        "relu_tanh_alternate": arch.alternate_tanh,
        "latent_activation": None if arch.latent_activation == "none" else arch.latent_activation,
        "latent_normalize": arch.latent_normalize,
        "linear_include_bias": arch.bias,
        "no_bias_for_outer_layers": not arch.outer_bias,
        "dropout_final_layer": finals[0] if finals else None,
        "dropout_final_layer_list": finals or None,
        "intergroup": bool(arch.group_paths),
        "intergroup_layers": list(arch.group_sizes),
        "intergroup_inputgroup_list": list(arch.groups),
        "intergroup_transform_index_dict": {path: i for i, path in enumerate(arch.group_paths)},
        "intergroup_relu": arch.group_activation,
        "intergroup_dropout": arch.group_dropout,
        "adversarial_boolean_list": [False] * len(arch.flavors),
    }


def _number_weights(network: Weights) -> dict[str, Any]:
    """Weights under the published layer numbers, which count layers without weights too."""
    import torch

    arch = network.architecture
    step = 1 + (arch.dropout > 0) + (not arch.skip_activation)
    steps = {
        "encoders": step + (arch.latent_activation != "none"),
        "decoders": step,
        "translations": 1 + (arch.group_dropout > 0) + arch.group_activation,
    }
    return {
        f"{prefix}{layer * steps[branch.partition('.')[0]]}.{part}": torch.tensor(values)
        for branch, prefix in name_branches(arch).items()
        for layer, linear in enumerate(network.linears(branch))
        for part, values in (("weight", linear.weight), ("bias", linear.bias))
        if values is not None
    }


def _write_transforms(model: Model, path: Path) -> None:
    """Write the dictionary by flavor in an object array of shape (), as numpy pickles it."""
    content = {
        flavor.name: _describe_reduction(model.reductions[flavor]) for flavor in model.flavors
    }
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    boxed = np.empty((), dtype=object)
    boxed[()] = content
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(boxed, _OldNames(file), protocol=PICKLE_PROTOCOL)


def _describe_reduction(reduction: Reduction) -> dict[str, Any]:
    arrays: dict[str, NDArray[np.float32]] = {
        name: _shape_statistic(reduction, values) if name not in COMPONENTS.values() else values
        for name, values in reduction.arrays.items()
    }
    sizes = {"input_dimension": reduction.n_edges, "output_dimension": reduction.n_components}
    if reduction.kind in COMPONENTS:
        sizes["reduce_dimension"] = reduction.n_components
    return {**arrays, **sizes, "type": reduction.kind}


def _shape_statistic(reduction: Reduction, values: NDArray[np.float32]) -> NDArray[np.float32]:
    is_row = reduction.kind in ROWS and values.size == reduction.n_edges
    return values.reshape(1, -1) if is_row else values.reshape(-1)


class _OldNames:
    """A file whose pickled arrays numpy 1 finds too: numpy 2 moved the function that it names."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        """Write a piece of a pickle; large pieces are one array's bytes and stay as they are."""
        spelled = data if len(data) > LARGEST_SPELLED else bytes(data).replace(NEW_NAME, OLD_NAME)
        self._file.write(spelled)
        return len(data)
