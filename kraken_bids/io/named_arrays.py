"""Arrays by name from ``.npz``, ``.npy``, ``.mat``, ``.h5`` and ``.gii`` files."""

from collections import Counter
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.foreign import read_apart
from kraken_bids.io.foreign_hdf5 import list_hdf5, load_stored
from kraken_bids.io.hdf5_rows import Hdf5Rows
from kraken_bids.io.matlab import MatlabObject, open_mat
from kraken_bids.io.matlab_bounds import is_version_73
from kraken_bids.io.matlab_hdf5 import open_mat73
from kraken_bids.io.npz_rows import open_npz
from kraken_bids.io.stored_rows import ARRAYS, BROKEN, Rows, load_array, open_npy

SUFFIXES = (".npz", ".npy", ".mat", ".h5", ".hdf5", ".gii")
SINGLE = "data"
"""Name of the array of a file that holds only one."""


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read every array of a file, by name, but for objects that only MATLAB reads.

    None of these formats runs code when read here.

    Parameters
    ----------
    path : Path
        ``.npz``, ``.npy``, ``.mat``, ``.h5``, ``.hdf5`` or ``.gii``.

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
        if path.suffix == ".gii":
            return {SINGLE: _read_gifti(path)}
        if path.suffix != ".mat":
            return _open_h5(path)
        return open_mat73(path) if is_version_73(path) else open_mat(path)
    except InputError:
        raise
    except BROKEN as error:
        raise ARRAYS.refuse(path, error) from error


def _read_gifti(path: Path) -> NDArray[Any]:
    from kraken_bids.io.gifti_child import load_matrix

    return read_apart(ARRAYS, load_matrix, path)


def _open_h5(path: Path) -> dict[str, Rows]:
    arrays: dict[str, Rows] = {}
    listed = list_hdf5(ARRAYS, path)
    number = Counter(name.rsplit("/", 1)[-1] for name in listed)
    for name, stored in listed.items():
        last = name.rsplit("/", 1)[-1]
        last = last if number[last] == 1 else name
        if stored.shape is None:
            continue
        if len(stored.shape) >= 2 and stored.dtype is not None:
            arrays[last] = Hdf5Rows(
                path, name, stored.shape, stored.dtype, n_chunked=stored.n_chunked
            )
        else:
            arrays[last] = load_stored(ARRAYS, path, name, stored)
    return arrays
