"""Arrays by name from ``.npz``, ``.npy``, ``.mat`` (v5) and ``.h5`` files."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kraken_bids.bounds import check_hdf5
from kraken_bids.exceptions import InputError
from kraken_bids.pipeline.mat_bounds import check_mat
from kraken_bids.pipeline.tools.stored_rows import (
    BROKEN,
    Hdf5Rows,
    Rows,
    load_rows,
    open_npy,
    open_npz,
)

SUFFIXES = (".npz", ".npy", ".mat", ".h5", ".hdf5")
SINGLE = "data"
"""Name of the array of a file that holds only one."""


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read every array of a file, by name; none of these formats runs code when read here.

    Parameters
    ----------
    path : Path
        ``.npz``, ``.npy``, ``.mat`` of version 5 to 7, ``.h5`` or ``.hdf5``.

    Raises
    ------
    InputError
        If the file is of another kind, incomplete, or holds Python objects.
    """
    return {name: load_rows(rows) for name, rows in open_arrays(path).items()}


def open_arrays(path: Path) -> dict[str, Rows]:
    """Arrays of a file, by name: matrices stay on disk, where the format lets them.

    Parameters
    ----------
    path : Path
        As :func:`read_arrays` takes it; a ``.mat`` comes into memory.

    Raises
    ------
    InputError
        As of :func:`read_arrays`; and from the rows, if they cannot be read later.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"expected connectomes in a file {', '.join(SUFFIXES)} or .tsv; found {path}."
        )
    try:
        if path.suffix == ".npz":
            return open_npz(path)
        if path.suffix == ".npy":
            return {SINGLE: open_npy(path)}
        return dict(_read_mat(path)) if path.suffix == ".mat" else _open_h5(path)
    except NotImplementedError as error:
        raise InputError(
            f"expected a MATLAB file of version 7 or older in {path}; found version 7.3. Save "
            "it in MATLAB with -v7, or convert it to .npz."
        ) from error
    except BROKEN as error:
        raise InputError(
            f"expected arrays of numbers in {path}; found: {error}. The file is incomplete or of "
            "another kind: save it again."
        ) from error


def _read_mat(path: Path) -> dict[str, NDArray[Any]]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    check_mat(path)
    try:
        content = loadmat(path, simplify_cells=True)
    except MatReadError as error:
        raise ValueError(error) from error
    arrays = {
        name: np.asarray(value) for name, value in content.items() if not name.startswith("__")
    }
    return {name: _stack_cells(array) for name, array in arrays.items()}


def _stack_cells(array: NDArray[Any]) -> NDArray[Any]:
    """Stack a cell array of equal matrices; leave anything else as it is."""
    if array.dtype.kind != "O" or array.ndim != 1:
        return array
    shapes = {np.shape(cell) for cell in array}
    if len(shapes) == 1 and all(np.asarray(cell).dtype.kind in "fiuU" for cell in array):
        return np.stack([np.asarray(cell) for cell in array])
    return array


def _open_h5(path: Path) -> dict[str, Rows]:
    arrays: dict[str, Rows] = {}

    def keep(name: str, node: object) -> None:
        if not isinstance(node, h5py.Dataset):
            return
        check_hdf5(node)
        last = name.rsplit("/", 1)[-1]
        is_text = h5py.check_string_dtype(node.dtype) is not None
        if node.ndim >= 2 and not is_text:
            arrays[last] = Hdf5Rows(path, name, node.shape, node.dtype)
        else:
            arrays[last] = np.asarray(node.asstr()[()] if is_text else node[()])

    with h5py.File(path, "r") as file:
        file.visititems(keep)
    return arrays
