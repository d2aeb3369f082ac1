"""One measured connectome as the model takes it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.recalled_matrices import recall_relmat
from kraken_bids.cohort.shape_hints import explain_shape
from kraken_bids.connectome.matrices import fill_square, find_missing_regions
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.settings import MAX_IMPUTED_SHARE


@dataclass(frozen=True)
class Measured:
    """One measured connectome as the model takes it."""

    edges: NDArray[np.float64]
    """[n_edges]; NaN where a region is missing."""
    missing: NDArray[np.bool_]
    """[n_regions]: regions without data."""
    is_mirrored: bool = False
    """Whether one triangle of the matrix is empty, and the other was taken for both."""

    @property
    def is_usable(self) -> bool:
        """Whether few enough regions are missing for the model to take it."""
        return bool(self.missing.mean() <= MAX_IMPUTED_SHARE)


def read_measured(path: Path, flavor: Flavor, n_edges: int) -> Measured:
    """Read a measured connectome.

    Raises
    ------
    InputError
        If the file cannot be read.
    ConnectomeError
        If single cells are NaN, fewer than two regions hold numbers, the size is wrong, or the
        matrix is neither symmetric nor one triangle.
    """
    square = recall_relmat(path)
    n_found = len(square) * (len(square) - 1) // 2
    if n_found != n_edges:
        raise ConnectomeError(
            f"{path}: expected {n_edges} edges of {flavor}; found {n_found}, a matrix of "
            f"{len(square)} regions. {explain_shape(square.shape, flavor.parcellation)}"
        )
    square, edges, is_mirrored = fill_square(square, str(path))
    missing = find_missing_regions(square, str(path))
    if np.isinf(edges).any():
        raise ConnectomeError(
            f"{path}: expected finite edges; found {np.isinf(edges).sum()} infinite ones. Leave "
            "that connectome out, or measure it again."
        )
    return Measured(edges, missing, is_mirrored)
