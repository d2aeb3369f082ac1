"""Arrays by name from ``.npz``, ``.npy``, ``.mat`` and ``.h5`` files."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kraken_bids.bounds import check_hdf5
from kraken_bids.exceptions import InputError
from kraken_bids.pipeline.mat_files import MatlabObject, open_mat
from kraken_bids.pipeline.mat_hdf5 import is_version_73, open_mat73
from kraken_bids.pipeline.tools.stored_rows import (
    BROKEN,
    Hdf5Rows,
    Rows,
    load_array,
    open_npy,
    open_npz,
)

SUFFIXES = (".npz", ".npy", ".mat", ".h5", ".hdf5")
SINGLE = "data"
"""Name of the array of a file that holds only one."""


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read every array of a file, by name, but for objects that only MATLAB reads.

    None of these formats runs code when read here.

    Parameters
    ----------
    path : Path
        ``.npz``, ``.npy``, ``.mat``, ``.h5`` or ``.hdf5``.

    Raises
    ------
    InputError
        If the file is of another kind, incomplete, or holds Python objects.
    """
    rows = open_arrays(path)
    return {
        name: load_array(own) for name, own in rows.items() if not isinstance(own, MatlabObject)
    }


def open_arrays(path: Path) -> dict[str, Rows]:
    """Arrays of a file, by name: matrices stay on disk, where the format lets them.

    Parameters
    ----------
    path : Path
        As :func:`read_arrays` takes it.

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
        if path.suffix != ".mat":
            return _open_h5(path)
        return open_mat73(path) if is_version_73(path) else open_mat(path)
    except BROKEN as error:
        raise InputError(
            f"expected arrays of numbers in {path}; found: {error}. The file is incomplete or of "
            "another kind: save it again."
        ) from error


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
