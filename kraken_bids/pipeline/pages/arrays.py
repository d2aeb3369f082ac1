"""HDF5 files in OUTPUT_DIR, read back for the reports: predictions, mean connectomes."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import group_path
from kraken_bids.hdf5 import read_hdf5
from kraken_bids.pipeline.pages.tables import read_or_none

Floats = NDArray[np.float64]


def read_means(output_dir: Path) -> dict[str, tuple[Floats | None, Floats | None]]:
    """Read the mean measured edges of the cohort, and of the training data, by flavor.

    Empty before the group level has run.
    """
    path = group_path(output_dir, "mean_connectomes.h5")
    if not path.exists():
        return {}

    def read(file: h5py.File) -> dict[str, tuple[Floats | None, Floats | None]]:
        return {
            name: (_read_array(group, "measured"), _read_array(group, "training"))
            for name, group in file.items()
        }

    return read_or_none(lambda: read_hdf5(path, read)) or {}


def _read_array(group: h5py.Group, name: str) -> Floats | None:
    return np.asarray(group[name], np.float64) if name in group else None


def list_datasets(file: h5py.File) -> set[str]:
    """Names of the datasets in the groups of a file."""
    return {name for group in file.values() for name in group}


def read_square(file: h5py.File, key: str) -> Floats | None:
    """Read a dataset; None where there is none."""
    return np.asarray(file[key], np.float64) if key in file else None
