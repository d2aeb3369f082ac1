"""What foreign HDF5 files hold, read in the process for foreign files."""

import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kraken_bids.io.bounds import check_growth
from kraken_bids.io.foreign import read_apart
from kraken_bids.io.foreign_kinds import Kind

SMALL_BYTES = 1 << 20
"""Values up to here come with the list of what a file holds."""
EVERYTHING = 1 << 62
ALL = slice(None)
Attributes = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """A group or a dataset of an HDF5 file."""

    attributes: Attributes
    """Words, numbers and arrays; other attributes are left out."""
    shape: tuple[int, ...] | None = None
    """None of a group."""
    dtype: np.dtype[Any] | None = None
    """None of a group, and of text."""
    value: Any = None
    """Array, or words; None where it is too large to come along."""
    n_chunked: int = 1
    """How far its chunks reach on the first axis."""


def list_hdf5(kind: Kind, path: Path, *, up_to: int = SMALL_BYTES) -> dict[str, Stored]:
    """List what an HDF5 file holds by its path inside; ``""`` is the whole.

    What is stored under several names comes by one, and links by name are not followed.

    Values of ``up_to`` bytes come along.

    Raises
    ------
    KrakenBidsError
        Of ``kind``: if it cannot be read (:func:`~kraken_bids.io.foreign.read_apart`), a dataset
        lies in another file, holds references, or declares more than it stores.
    """
    found = read_apart(kind, _list, path, up_to)
    return {name: Stored(*values) for name, values in found.items()}


def read_dataset(
    kind: Kind,
    path: Path,
    name: str,
    rows: slice = ALL,
    *,
    is_last: bool = False,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Read a dataset of an HDF5 file, or some of its rows.

    Parameters
    ----------
    kind : Kind
        For the message.
    name : str
        Its path inside.
    rows : slice, optional
        Of the first axis.
    is_last : bool, optional
        Whether the rows are of the last axis instead.
    dtype : dtype, optional
        Into which its numbers are turned while they are read.

    Raises
    ------
    KrakenBidsError
        As of :func:`list_hdf5`.
    """
    return read_apart(kind, _read, path, name, (..., rows) if is_last else rows, dtype)


def read_hdf5(kind: Kind, path: Path) -> dict[str, NDArray[Any]]:
    """Read every dataset of numbers of an HDF5 file, by its path inside (:func:`list_hdf5`)."""
    content = list_hdf5(kind, path, up_to=EVERYTHING)
    return {
        name: np.asarray(one.value)
        for name, one in content.items()
        if one.dtype is not None and one.dtype.kind in "biuf" and one.value is not None
    }


def load_stored(kind: Kind, path: Path, name: str, stored: Stored) -> NDArray[Any]:
    """Array of a dataset that was listed, read if it has not come along (:func:`list_hdf5`)."""
    value = stored.value
    return np.asarray(read_dataset(kind, path, name) if value is None else value)


def check_hdf5(dataset: Any) -> None:
    """Check an HDF5 dataset before it is read.

    Raises
    ------
    ValueError
        If its values lie in other files, it holds references, or it declares more than
        :func:`~kraken_bids.io.bounds.check_growth` allows for the bytes that it stores.
    """
    import h5py  # here and below: only the process that reads needs it

    if dataset.external or dataset.is_virtual:
        raise ValueError(f"a dataset {dataset.name} whose values lie in other files")
    if h5py.check_ref_dtype(dataset.dtype) is not None:
        raise ValueError(f"a dataset {dataset.name} of references")
    n_declared = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    check_growth(n_declared, dataset.id.get_storage_size(), f"a dataset {dataset.name}")


def _list(path: Path, up_to: int) -> dict[str, tuple[Any, ...]]:
    import h5py

    found: dict[str, tuple[Any, ...]] = {}

    def keep(name: str | bytes, node: Any) -> None:
        if isinstance(name, bytes):
            raise ValueError(f"the name {name!r}, which is no UTF-8")
        found[name] = (_read_attributes(node),)
        if isinstance(node, h5py.Dataset):
            check_hdf5(node)
            is_text = h5py.check_string_dtype(node.dtype) is not None
            is_small = node.size is not None and node.size * node.dtype.itemsize <= up_to
            value = (node.asstr() if is_text else node)[()] if is_small else None
            found[name] += (node.shape or (), None if is_text else node.dtype, value)
            found[name] += ((node.chunks or (1,))[0],)

    with h5py.File(path, "r") as file:
        keep("", file)
        file.visititems(keep)
    return found


def _read(path: Path, name: str, index: Any, dtype: np.dtype[Any] | None) -> NDArray[Any]:
    import h5py

    with h5py.File(path, "r") as file:
        node = file[name]
        check_hdf5(node)
        is_text = h5py.check_string_dtype(node.dtype) is not None
        view = node.asstr() if is_text else node.astype(dtype or node.dtype)
        return np.asarray(view[index if node.ndim else ()])


def _read_attributes(node: Any) -> Attributes:
    """Words, numbers, and arrays of numbers: what others there are may be references."""
    found = {}
    for name in node.attrs:
        with suppress(TypeError, OSError):  # of a type that numpy has not
            value = node.attrs[name]
            if isinstance(value, str | bytes) or np.asarray(value).dtype.kind in "biufSU":
                found[name] = value
    return found
