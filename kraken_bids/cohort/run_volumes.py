"""What is known of the volumes of a run: which of them count, and how the head moved."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import format_name, parse_name
from kraken_bids.bids.outputs import FRAMES, sidecar_path
from kraken_bids.cohort.sidecar_records import VOLUMES_KEPT
from kraken_bids.exceptions import InputError
from kraken_bids.io.facts import read_facts
from kraken_bids.io.tables import read_columns

NOT_OF_RUN = {"atlas", "desc", "space", "cohort", "res", "suffix", "extension"}
"""Of a name: what does not tell one run from another."""
KEPT, DISPLACEMENT = "kept", "framewise_displacement"
"""Columns of tables of volumes: 1 where a volume counts; mm."""
OF_VOLUMES = (FRAMES, "confounds")
"""``desc-`` of tables of volumes: ours, and fMRIPrep's."""


def read_counts(path: Path, n_volumes: int) -> NDArray[np.float64] | None:
    """Read which volumes of a scan count, from the sidecar or the table of volumes beside it.

    Parameters
    ----------
    path : Path
        Region series of the scan.

    Returns
    -------
    ndarray of shape (n_volumes,) or None
        1 or 0; None where nothing is known.

    Raises
    ------
    InputError
        If the sidecar knows of another number of volumes.
    """
    said = read_facts(sidecar_path(path)).numbers(VOLUMES_KEPT)
    if said and len(said) != n_volumes:
        raise InputError(
            f"expected as many volumes in {path} as its sidecar has (VolumesKept: {len(said)}); "
            f"found {n_volumes}. One of them is of another run: make both again with --force."
        )
    return np.asarray(said, np.float64) if said else _read_column(path, KEPT, n_volumes)


def read_displacement(path: Path, n_volumes: int) -> NDArray[np.float64] | None:
    """Read the framewise displacement of a scan from the table of volumes beside it.

    Parameters
    ----------
    path : Path
        Region series of the scan, or another file of the same run.

    Returns
    -------
    ndarray of shape (n_volumes,) or None
        mm, NaN where undefined; None where there is no table of so many volumes.
    """
    return _read_column(path, DISPLACEMENT, n_volumes)


def find_volume_tables(path: Path) -> list[Path]:
    """Find the tables of the volumes of the run that a region series is of, ours first."""
    own = list_run_entities(path)
    if "atlas" not in parse_name(path):
        return []
    start = format_name({"sub": own.get("sub", "")}, suffix="", extension="").rstrip("_")
    return [
        table
        for desc in OF_VOLUMES
        for table in sorted(path.parent.glob(f"{start}*_desc-{desc}_timeseries.tsv"))
        if list_run_entities(table) == own
    ]


def list_run_entities(path: Path) -> dict[str, str]:
    """List the entities of a name that say which run it is of, such as subject and task."""
    return {key: value for key, value in parse_name(path).items() if key not in NOT_OF_RUN}


def _read_column(path: Path, name: str, n_volumes: int) -> NDArray[np.float64] | None:
    for table in find_volume_tables(path):
        values = read_columns(table).get(name)
        if values is not None and len(values) == n_volumes and values.dtype.kind == "f":
            return np.asarray(values, np.float64)
    return None
