"""What is given to a model: arrays that it can take, or an error that says what it needs."""

import sys

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor

Numbers = NDArray[np.floating]


def to_array(values: Numbers) -> Numbers:
    """Array of what can be one; NaN where a mask hides a number.

    Raises
    ------
    ConnectomeError
        If it holds anything but numbers.
    """
    # whoever has a masked array has imported what it takes milliseconds to import
    if "numpy.ma" in sys.modules and isinstance(values, np.ma.MaskedArray):
        return np.asarray(np.ma.filled(values.astype(np.float64), np.nan))
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise ConnectomeError(f"expected an array of numbers; found one of {array.dtype}.")
    return array


def check_edges(flavor: Flavor, edges: Numbers, n_edges: int) -> None:
    """Check connectomes before they are encoded.

    Parameters
    ----------
    flavor : Flavor
        For the message.
    edges : ndarray of shape (n_subjects, n_edges)
    n_edges : int
        What the model takes.

    Raises
    ------
    ConnectomeError
        If the number of edges is another, or a row is NaN or infinite only in part.
    """
    if edges.ndim != 2 or edges.shape[1] != n_edges:
        raise ConnectomeError(
            f"{flavor}: expected connectomes [n_subjects, {n_edges}]; found {list(edges.shape)}. "
            "Check that they belong to this parcellation; kraken_bids.to_edges takes the edges "
            "of square matrices."
        )
    # a sum is finite only where every edge is: one pass, where nothing is missing
    for row in np.flatnonzero(~np.isfinite(edges.sum(axis=1))):
        n_bad = int((~np.isfinite(edges[row])).sum())
        if n_bad and not np.isnan(edges[row]).all():
            raise ConnectomeError(
                f"{flavor}: expected finite edges (or a whole row of NaN for a subject without "
                f"it); found {n_bad} edges that are NaN or infinite in row {row}. "
                "Fill or drop that connectome before encoding."
            )


def check_latents(latents: Numbers, latent_size: int, model: str) -> None:
    """Check latents before they are decoded.

    Parameters
    ----------
    latents : ndarray of shape (n_subjects, n_latent)
    latent_size : int
        What the model takes.
    model : str
        Its name, for the message.

    Raises
    ------
    ConnectomeError
        If they have another length, or are infinite.
    """
    is_infinite = bool(np.isinf(latents).any())
    if latents.ndim != 2 or latents.shape[1] != latent_size or is_infinite:
        raise ConnectomeError(
            f"expected latents [n_subjects, {latent_size}] for {model}, finite or rows of NaN; "
            f"found the shape {list(latents.shape)}{', some of them infinite' * is_infinite}."
        )


def check_same_subjects(rows: dict[Flavor, Numbers]) -> None:
    """Check that inputs of several flavors may be of the same subjects.

    Raises
    ------
    ConnectomeError
        If they differ in their number; or, of tables of pandas, in the names of their rows.
    """
    if len({len(values) for values in rows.values()}) > 1:
        sizes = ", ".join(f"{flavor}: {len(values)}" for flavor, values in rows.items())
        raise ConnectomeError(
            f"expected the same subjects for every flavor, in one order; found {sizes} rows. Give "
            "a row of NaN where a subject lacks a flavor."
        )
    labels = {flavor: _list_labels(values) for flavor, values in rows.items()}
    named = {flavor: own for flavor, own in labels.items() if own is not None}
    first = next(iter(named), None)
    for flavor, own in named.items():
        if first is not None and own != named[first]:
            row = next(k for k, label in enumerate(own) if label != named[first][k])
            raise ConnectomeError(
                f"expected the same subjects for every flavor, in one order; found {own[row]!r} "
                f"in row {row} of {flavor} and {named[first][row]!r} in that of {first}. Put the "
                "tables into one order: table.loc[other.index]."
            )


def _list_labels(values: Numbers) -> list[object] | None:
    """Names of the rows of a pandas table; None for arrays, and for rows that are counted."""
    index = getattr(values, "index", None)
    if index is None or callable(index) or type(index).__name__ == "RangeIndex":
        return None
    return list(index)
