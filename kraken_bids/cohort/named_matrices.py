"""One matrix of a file as a table whose rows and columns bear the names of the regions."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kraken_bids.bids.names import parse_name
from kraken_bids.exceptions import FlavorError, InputError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.stored_rows import BROKEN
from kraken_bids.io.tables import read_columns
from kraken_bids.io.text_matrices import parse_text_matrix
from kraken_bids.parcellations import load_parcellation

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

FOLDERS_UP = 5
"""So far above a matrix, at most, lies the table of its regions."""


def read_matrix(path: Path | str) -> "pd.DataFrame":
    """Read one connectome from a text file, with the names of its regions.

    Connectomes that kraken-bids writes have no header, so that ``pandas.read_csv`` would take
    the first region for one: it needs ``header=None``. This function reads them as they are, and
    those with a header too (``--matrix-header``).

    Parameters
    ----------
    path : Path or str
        ``*_relmat.dense.tsv``, or a square matrix of another name with tabs, commas or blanks
        between its numbers.

    Returns
    -------
    DataFrame of shape (n_regions, n_regions)
        NaN where a region has no data. Names are those of the header, else of the parcellation
        that the file's name states, else of ``atlas-<A>_dseg.tsv`` in a folder above, else
        numbers from 1.

    Raises
    ------
    InputError
        If the file is missing, or is no square matrix of numbers.

    Examples
    --------
    >>> path = "sub-01/func/sub-01_task-rest_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv"
    >>> frame = kraken_bids.read_matrix(path)  # doctest: +SKIP
    >>> frame.loc["ctx-lh-insula", "ctx-rh-insula"]  # doctest: +SKIP
    """
    import pandas as pd

    path = Path(path)
    header, values = _read_square(path)
    names = header or _find_names(path)
    if len(names) != len(values):
        names = [str(number) for number in range(1, len(values) + 1)]
    return pd.DataFrame(values, index=list(names), columns=list(names))


def _read_square(path: Path) -> tuple[Sequence[str] | None, "NDArray[np.float64]"]:
    """Give the names above a square matrix, if there are any, and its numbers."""
    try:
        header, values = parse_text_matrix(path.read_bytes())
    except BROKEN as error:
        raise InputError(
            f"expected a square matrix of numbers in {path}; found: {error}. Check the path and "
            "the file."
        ) from error
    if values.shape[0] != values.shape[1]:
        raise InputError(
            f"expected a square matrix in {path}; found {values.shape[0]} rows of "
            f"{values.shape[1]} numbers. Edges of several subjects are read by "
            "kraken_bids.read_connectomes."
        )
    return header, values


def _find_names(path: Path) -> Sequence[str]:
    """Names of the regions of the parcellation that a file's name states, if it does."""
    atlas = parse_name(path).get("atlas", "")
    try:
        return load_parcellation(atlas or parse_flavor(path.stem).parcellation).region_names
    except FlavorError:
        pass
    for folder in path.absolute().parents[:FOLDERS_UP] if atlas else ():
        table = folder / f"atlas-{atlas}_dseg.tsv"
        if table.is_file():
            return list(map(str, read_columns(table, texts=("name",)).get("name", ())))
    return ()
