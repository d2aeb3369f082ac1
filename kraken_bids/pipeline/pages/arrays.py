"""Mean connectomes in OUTPUT_DIR, read back for the reports."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import OUTPUT, group_path
from kraken_bids.io.foreign_hdf5 import read_hdf5
from kraken_bids.pipeline.pages.tables import read_or_none

Floats = NDArray[np.float64]


def read_means(output_dir: Path) -> dict[str, tuple[Floats | None, Floats | None]]:
    """Read the mean measured edges of the cohort, and of the training data, by flavor.

    Empty before the group level has run.
    """
    path = group_path(output_dir, "mean_connectomes.h5")
    found = read_or_none(lambda: read_hdf5(OUTPUT, path)) if path.exists() else None
    content = {name: array.astype(np.float64) for name, array in (found or {}).items()}
    return {
        name: (content.get(f"{name}/measured"), content.get(f"{name}/training"))
        for name in sorted({name.partition("/")[0] for name in content})
    }
