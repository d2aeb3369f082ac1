"""Arrays by name from ``.npz``, ``.npy``, ``.mat`` (v5) and ``.h5`` files; matrices from text."""

import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError

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
    readers = {".npz": _read_npz, ".npy": _read_npy, ".mat": _read_mat}
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"expected connectomes in a file {', '.join(SUFFIXES)} or .tsv; found {path}."
        )
    try:
        return readers.get(path.suffix, _read_h5)(path)
    except NotImplementedError as error:
        raise InputError(
            f"expected a MATLAB file of version 7 or older in {path}; found version 7.3. Save "
            "it in MATLAB with -v7, or convert it to .npz."
        ) from error
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(
            f"expected arrays of numbers in {path}; found: {error}. The file is incomplete or of "
            "another kind: save it again."
        ) from error


def read_text_matrix(source: Path | IO[bytes]) -> NDArray[np.float64]:
    """Read a matrix of text without header: tabs, commas (``.csv``) or spaces between numbers.

    Raises
    ------
    InputError
        If a cell is not a number or rows differ in length.
    """
    name = getattr(source, "name", str(source))
    try:
        return np.loadtxt(source, delimiter="," if name.endswith(".csv") else None, ndmin=2)
    except (ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(
            f"expected a matrix of numbers without header in {name}; found: {error}. Write it "
            "with tabs between the numbers of a row."
        ) from error


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    # opened here, because numpy leaves a file open that turns out to be broken
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _read_npy(path: Path) -> dict[str, NDArray[Any]]:
    return {SINGLE: np.load(path, allow_pickle=False)}


def _read_mat(path: Path) -> dict[str, NDArray[Any]]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

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


def _read_h5(path: Path) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}

    def keep(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            is_text = h5py.check_string_dtype(node.dtype) is not None
            arrays[name.rsplit("/", 1)[-1]] = np.asarray(node.asstr()[()] if is_text else node[()])

    with h5py.File(path, "r") as file:
        file.visititems(keep)
    return arrays
