"""Weights of the release, by the names that its files give them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError
from kraken_bids.io.pickles import read_object_array
from kraken_bids.models.volumes.architecture import (
    LSTM_SIZE,
    PUBLISHED_STATES,
    VolumeArchitecture,
)
from kraken_bids.models.volumes.network import SliceNetwork

Array = NDArray[np.float32]
VARIABLE = re.compile(r"model/(?P<name>[^:']+)(?::\d+)?")
DIRECTIONS = {"lstm_fw_26": "", "lstm_bw_27": "_reverse"}


def read_slice_weights(path: Path) -> SliceNetwork:
    """Read the 2D release's ``.npy``: a pickled dictionary, of which nothing is run.

    Raises
    ------
    CheckpointError
        If it is another file, or weights are missing or of another shape.
    """
    found = read_object_array(path)
    found = found.item() if isinstance(found, np.ndarray) and found.ndim == 0 else found
    if not isinstance(found, Mapping):
        raise CheckpointError(
            f"expected the weights of the 2D release in {path}, a dictionary of variables; found "
            f"{type(found).__name__}. Give model-2D_DeepLight_desc-pretrained_model.npy."
        )
    arrays = {
        match["name"]: np.asarray(values)
        for key, values in found.items()
        if (match := VARIABLE.search(str(key)))
    }
    state = _place_slice_weights(arrays, path)
    n_states = len(state["output.bias"])
    network = SliceNetwork(VolumeArchitecture("2d", PUBLISHED_STATES[:n_states]))
    expected = {name: tuple(values.shape) for name, values in network.state_dict().items()}
    for name, values in state.items():
        if tuple(values.shape) != expected[name]:
            raise CheckpointError(
                f"expected {list(expected[name])} for {name} in {path}; found "
                f"{list(values.shape)}. Give weights of the 2D release."
            )
    network.load_state_dict(state)
    return network.eval()


def _place_slice_weights(arrays: Mapping[str, Array], path: Path) -> dict[str, torch.Tensor]:
    """Turn TensorFlow's order of axes, and of the LSTM's gates, into torch's."""

    def take(name: str) -> Array:
        if name not in arrays:
            known = ", ".join(sorted(arrays)[:4]) or "no variables"
            raise CheckpointError(
                f"expected the variable {name} in {path}; found {known}. Give weights of the 2D "
                "release."
            )
        return arrays[name]

    state: dict[str, Any] = {}
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
    return {
        name: torch.from_numpy(np.ascontiguousarray(values, np.float32))
        for name, values in state.items()
    }


def _order_gates(rows: Array) -> Array:
    """Order rows of gates as torch does: input, forget, candidate, output."""
    given, candidate, forget, output = np.split(np.array(rows, np.float32), 4)
    return np.concatenate([given, forget, candidate, output])
