"""The published targets of the search for a ridge: mean precision of the training subjects."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor
from kraken_bids.published.cache import PublishedFile, check_copy, explain_by_hand
from kraken_bids.published.models import find_file, list_published

PREFIX = "kraken_regtarget_"
NAMES = ("C", "FC")
"""What the reference calls the matrix in the files that it writes and reads."""


def list_targets() -> tuple[PublishedFile, ...]:
    """Every published target."""
    return tuple(file for name, file in list_published().items() if name.startswith(PREFIX))


def find_target(flavor: Flavor) -> Path | None:
    """Where the target of a flavor lies in the cache; None if there is none or it is not fetched.

    Raises
    ------
    InputError
        If the file there is damaged.
    """
    wanted = f"{PREFIX}{flavor.name}_"
    file = next((f for f in list_targets() if f.name.startswith(wanted)), None)
    path = None if file is None else find_file(file)
    if file is not None and path is not None and (found := check_copy(path, file.sha256)):
        raise InputError(
            f"expected {path} with SHA-256 {file.sha256}; found {found}. Run kraken-tools fetch "
            f"{file.name}, or remove it. {explain_by_hand(file, path.parent)}"
        )
    return path


def read_target(path: Path, n_regions: int) -> NDArray[np.float64]:
    """Precision matrix of a ``.mat``: its variable ``C`` or ``FC``, else its only square matrix.

    Parameters
    ----------
    path : path
    n_regions : int
        Rows that it must have.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no such matrix of finite numbers.
    """
    from kraken_bids.io.named_arrays import read_arrays

    arrays = read_arrays(path)
    shape = (n_regions, n_regions)
    fitting = {name: a for name, a in arrays.items() if a.shape == shape and a.dtype.kind in "fiu"}
    named = [fitting[name] for name in NAMES if name in fitting]
    found = named or (list(fitting.values()) if len(fitting) == 1 else [])
    if not found or not np.isfinite(found[0]).all() or not np.allclose(found[0], found[0].T):
        seen = ", ".join(f"{name} {a.shape}" for name, a in arrays.items()) or "nothing"
        raise InputError(
            f"expected one symmetric precision matrix {shape} of finite numbers in {path}, named "
            f"C; found {seen}. Is it the file of another atlas?"
        )
    return found[0].astype(np.float64)
