"""Which axis of an array is that of the subjects, where programs disagree: told by the sizes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.io.hdf5_rows import Hdf5Rows
from kraken_bids.io.matlab_rows import ColumnRows
from kraken_bids.io.stored_rows import Rows, load_array, load_rows
from kraken_bids.region_orders import count_regions


def put_subjects_first(array: Rows, n_regions: int | None, where: str) -> Rows:
    """Array with the subjects on its first axis, as [n_subjects, …]; others are left as they are.

    Parameters
    ----------
    array : array
        Squares or edges of a cohort, one square, or the edges of one subject. MATLAB users keep
        subjects on the last axis as often as on the first.
    n_regions : int or None
        Of the parcellation; None where the file alone says it.
    where : str
        File and key, for the message.

    Raises
    ------
    ConnectomeError
        If the file does not say which axis comes first (MATLAB 7.3), and there are as many
        subjects as regions or edges.
    """
    shape = array.shape
    n_edges = None if n_regions is None else n_regions * (n_regions - 1) // 2
    if _is_one(shape, n_regions, n_edges):
        return np.asarray(load_array(array))[None]
    is_first, is_last = (_are_subjects(own, n_regions, n_edges) for own in (shape, shape[::-1]))
    if not getattr(array, "is_reversed", False):
        return _move_last(array) if is_last and not is_first else array
    if is_first and is_last:
        raise ConnectomeError(
            f"{where}: expected sizes that tell subjects from regions; found {list(shape)}, which "
            "may be either way round in a MATLAB file of version 7.3. Save it with -v7, or as "
            ".npz."
        )
    return _move_last(array) if is_last else array


def _is_one(shape: Sequence[int], n_regions: int | None, n_edges: int | None) -> bool:
    """Whether an array is one subject's square or edges."""
    if len(shape) == 1:
        return shape[0] == n_edges or (n_edges is None and count_regions(shape[0]) > 2)
    return len(shape) == 2 and shape[0] == shape[1] and n_regions in {None, shape[0]}


def _are_subjects(shape: Sequence[int], n_regions: int | None, n_edges: int | None) -> bool:
    """Whether an array of this shape has people first, then regions or edges."""
    if len(shape) == 3:
        return shape[1] == shape[2] and n_regions in {None, shape[1]}
    if len(shape) != 2:
        return False
    return shape[1] == n_edges if n_edges is not None else count_regions(shape[1]) > 2


def _move_last(array: Rows) -> Rows:
    if isinstance(array, np.ndarray):
        return np.moveaxis(array, -1, 0)
    if isinstance(array, ColumnRows):
        return array.turn()
    return replace(array, axis=-1) if isinstance(array, Hdf5Rows) else MovedRows(array)


@dataclass(frozen=True)
class MovedRows:
    """Array whose subjects are on the last axis."""

    array: Rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths, subjects first."""
        return (self.array.shape[-1], *self.array.shape[:-1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers."""
        return self.array.dtype

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        return np.moveaxis(load_rows(self.array)[..., rows], -1, 0)
