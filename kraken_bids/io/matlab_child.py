"""MATLAB files of version 4 to 7 through scipy, in the process for foreign files."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadWarning
from scipy.sparse import issparse

from kraken_bids.io.bounds import MAX_VALUES
from kraken_bids.io.matlab_bounds import HEADER_BYTES

WORKSPACE = "__function_workspace__"
"""What scipy calls the part without a name."""


def load_variables(path: Path, names: Sequence[str] | None) -> dict[str, Any]:
    """Variables by name (None: all): arrays, words, dicts of structs.

    What is none of these (a function, an object of a class) becomes an empty array.
    """
    with warnings.catch_warnings():
        # two variables of one name; one that is given as the text of an error
        warnings.simplefilter("error", MatReadWarning)
        warnings.filterwarnings("error", "Unreadable variable")
        content = loadmat(path, simplify_cells=True, variable_names=names)
    return {
        name: _to_plain(value)
        for name, value in content.items()
        if not name.startswith("__") and (names is None or name in names)
    }


def load_objects(path: Path) -> list[NDArray[Any]]:
    """Cells in which MATLAB keeps what all objects hold; the first says what is where."""
    packed = loadmat(path, variable_names=[WORKSPACE])[WORKSPACE].tobytes()
    # a file of its own, but for most of its header
    inner = io.BytesIO(b" " * (HEADER_BYTES - 4) + packed[:4] + packed[8:])
    held = loadmat(inner, variable_names=[WORKSPACE])[WORKSPACE]
    cells = held[0, 0]["MCOS"].reshape(-1)[0].item()[-1]  # its fields' names differ by version
    return [np.asarray(_to_plain(cell)) for cell in cells.reshape(-1)]


def _to_plain_cells(values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    cells = np.empty(len(values), dtype=object)
    for place, one in enumerate(values):
        cells[place] = _to_plain(one)
    return cells


def _to_plain(value: Any) -> Any:
    if issparse(value):
        is_small = np.prod(value.shape, dtype=np.int64) <= MAX_VALUES
        return value.toarray() if is_small else np.empty(0)
    if isinstance(value, dict):
        return {name: _to_plain(one) for name, one in value.items()}
    if isinstance(value, list):  # several structs
        return _to_plain_cells(value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return _to_plain_cells(value.reshape(-1)).reshape(value.shape)
    if isinstance(value, str | bytes | int | float | complex | np.generic):
        return value
    is_numbers = isinstance(value, np.ndarray) and value.dtype.kind != "V"
    return np.array(value) if is_numbers else np.empty(0)
