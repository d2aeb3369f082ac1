"""Weights of the release, by the names that its files give them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError
from kraken_bids.io.foreign_hdf5 import read_hdf5
from kraken_bids.io.foreign_kinds import Kind
from kraken_bids.io.pickles import read_object_array
from kraken_bids.models.volumes.architecture import (
    LSTM_SIZE,
    PUBLISHED_STATES,
    VolumeArchitecture,
)
from kraken_bids.models.volumes.network import VolumeNetwork, build_network

Array = NDArray[np.float32]
VARIABLE = re.compile(r"model/(?P<name>[^:']+)(?::\d+)?")
DIRECTIONS = {"lstm_fw_26": "", "lstm_bw_27": "_reverse"}
LAYER = re.compile(r"(?P<kind>conv3d|batch_normalization)(?:_(?P<number>\d+))?/(?P<name>\w+):0$")
NORM_NAMES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
SLICES = "model-2D_DeepLight_desc-pretrained_model.npy"
KERAS = Kind(
    "weights of the 3D release, as Keras saves them",
    "Give model-3D_DeepLight_desc-pretrained_model.hdf5, or a model that was fitted from it.",
    CheckpointError,
)


def read_published_weights(path: Path) -> VolumeNetwork:
    """Read weights of the release: 2D from ``.npy``, 3D from ``.hdf5`` or ``.h5``.

    Raises
    ------
    CheckpointError
        If it is another file, or weights are missing or of another shape.
    """
    if not path.is_file():
        raise CheckpointError(
            f"expected weights of the published decoder; found no file {path}. Check the path."
        )
    if path.suffix.lower() in {".hdf5", ".h5"}:
        return read_cube_weights(path)
    return read_slice_weights(path)


def read_slice_weights(path: Path) -> VolumeNetwork:
    """Read the 2D release's ``.npy``: a pickled dictionary, of which nothing is run.

    Raises
    ------
    CheckpointError
        If it is another file, or weights are missing or of another shape.
    """
    found = read_object_array(path, f"weights of the 2D release ({SLICES})")
    found = found.item() if isinstance(found, np.ndarray) and found.ndim == 0 else found
    if not isinstance(found, Mapping):
        raise CheckpointError(
            f"expected the weights of the 2D release in {path}, a dictionary of variables; found "
            f"{type(found).__name__}. Give {SLICES}."
        )
    arrays = {
        match["name"]: np.asarray(values)
        for key, values in found.items()
        if (match := VARIABLE.search(str(key)))
    }
    return _fill("2d", _place_slice_weights(arrays, path), path)


def read_cube_weights(path: Path) -> VolumeNetwork:
    """Read the 3D release's ``.hdf5``; layers are taken in the order of their numbers.

    Raises
    ------
    CheckpointError
        If it is another file, or weights are missing or of another shape.
    """
    layers: dict[str, dict[int, dict[str, Array]]] = {"conv3d": {}, "batch_normalization": {}}
    for name, values in read_hdf5(KERAS, path).items():
        if (match := LAYER.search(name)) and "optimizer" not in name:
            number = int(match["number"] or 0)
            layers[match["kind"]].setdefault(number, {})[match["name"]] = values
    convolutions = [own for _, own in sorted(layers["conv3d"].items())]
    norms = [own for _, own in sorted(layers["batch_normalization"].items())]
    if (len(convolutions), len(norms)) != (13, 12):
        raise KERAS.refuse(
            path,
            f"{len(convolutions)} convolutions and {len(norms)} normalisations, not 13 and 12",
        )
    state = {}
    try:
        for k, own in enumerate(convolutions):
            name = f"convolutions.{k}" if k < len(norms) else "output"
            # its axes are z, y, x, in, out
            state[f"{name}.weight"] = own["kernel"].transpose(4, 3, 2, 1, 0)
            state[f"{name}.bias"] = own["bias"]
        for k, own in enumerate(norms):
            for theirs, ours in NORM_NAMES.items():
                state[f"norms.{k}.{ours}"] = own[theirs]
    except (KeyError, ValueError) as error:
        raise KERAS.refuse(path, error) from error
    return _fill("3d", state, path)


def _fill(kind: Literal["2d", "3d"], state: Mapping[str, Array], path: Path) -> VolumeNetwork:
    """Put weights into a network of the published shape."""
    n_states = len(state["output.bias"])
    names = PUBLISHED_STATES if n_states <= len(PUBLISHED_STATES) else ()
    states = names[:n_states] or tuple(f"state{k}" for k in range(n_states))
    network = build_network(VolumeArchitecture(kind, states))
    for name, values in network.state_dict().items():
        found = state.get(name)
        if name.endswith("num_batches_tracked"):
            continue
        if found is None or found.shape != tuple(values.shape):
            raise CheckpointError(
                f"expected {list(values.shape)} for {name} in {path}; found "
                f"{'nothing' if found is None else list(found.shape)}. Give weights of the "
                f"{kind.upper()} release."
            )
        values.copy_(torch.from_numpy(np.ascontiguousarray(found, np.float32)))
    return network.eval()


def _place_slice_weights(arrays: Mapping[str, Array], path: Path) -> dict[str, Array]:
    """Turn TensorFlow's order of axes, and of the LSTM's gates, into torch's."""

    def take(name: str) -> Array:
        if name not in arrays:
            known = ", ".join(sorted(arrays)[:4]) or "no variables"
            raise CheckpointError(
                f"expected the variable {name} in {path}; found {known}. Give weights of the 2D "
                "release."
            )
        return arrays[name]

    state: dict[str, Array] = {}
    for k in range(12):
        name = f"conv2d_{2 * k + 1}"
        state[f"convolutions.{k}.weight"] = take(f"{name}/weights").transpose(3, 2, 0, 1)
        state[f"convolutions.{k}.bias"] = take(f"{name}/biases")
    for name, direction in DIRECTIONS.items():
        for ours, theirs in (("ih", "xh"), ("hh", "hh")):
            state[f"lstm.weight_{ours}_l0{direction}"] = _order_gates(
                take(f"{name}/weights_{theirs}")
            )
            state[f"lstm.bias_{ours}_l0{direction}"] = _order_gates(
                take(f"{name}/biases_{theirs}")
            )
        # the release adds 1 to the forget gate when it computes
        state[f"lstm.bias_ih_l0{direction}"][LSTM_SIZE : 2 * LSTM_SIZE] += 1.0
    state["output.weight"] = take("linear_29/weights").T
    state["output.bias"] = take("linear_29/biases")
    return state


def _order_gates(rows: Array) -> Array:
    """Order rows of gates as torch does: input, forget, candidate, output."""
    given, candidate, forget, output = np.split(np.array(rows, np.float32), 4)
    return np.concatenate([given, forget, candidate, output])
