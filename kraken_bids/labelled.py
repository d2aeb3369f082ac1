"""Connectomes for people: squares, and pandas tables that bear the names of the regions."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kraken_bids.connectome.matrices import edges_to_square, n_regions_of, square_to_edges
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.parcellations import load_parcellation, recognize_parcellation

if TYPE_CHECKING:
    import pandas as pd


def region_names(flavor: Flavor | str) -> tuple[str, ...]:
    """Names of the regions of a flavor, in the order of its rows and columns.

    Parameters
    ----------
    flavor : Flavor or str

    Raises
    ------
    FlavorError
        If the package has no table of its parcellation.

    Examples
    --------
    >>> names = kraken_bids.region_names("FCcorr_fs86_hpf")
    >>> len(names), names[0], names[-1]
    (86, 'Left-Cerebellum-Cortex', 'ctx-rh-insula')
    """
    return load_parcellation(_to_flavor(flavor).parcellation).region_names


def to_square(edges: ArrayLike, flavor: Flavor | str) -> NDArray[np.floating]:
    """Square connectomes of edge vectors, as matrix plots and graph measures take them.

    Parameters
    ----------
    edges : array of shape (..., n_edges)
        As :meth:`Model.predict` gives them: the upper triangle, row by row. (nilearn's
        ``vec_to_sym_matrix`` takes the lower one and would give another matrix.)
    flavor : Flavor or str
        Says what the diagonal holds: 1 for FC, 0 for SC.

    Returns
    -------
    ndarray of shape (..., n_regions, n_regions)

    Raises
    ------
    ConnectomeError
        If it is not the number of edges of the flavor's parcellation.

    Examples
    --------
    >>> edges = np.linspace(-1, 1, 3655)
    >>> square = kraken_bids.to_square(edges, "FCcorr_fs86_hpf")
    >>> square.shape, float(square[0, 0]), bool((kraken_bids.to_edges(square) == edges).all())
    ((86, 86), 1.0, True)
    """
    flavor = _to_flavor(flavor)
    values = np.asarray(edges)
    _count_regions(flavor, values)
    return edges_to_square(values, diagonal=flavor.diagonal)


def to_edges(square: ArrayLike) -> NDArray[np.floating]:
    """Edge vectors of square connectomes, as models take them; see :func:`to_square`.

    Parameters
    ----------
    square : array of shape (..., n_regions, n_regions)
        Its diagonal and lower triangle are not read.

    Returns
    -------
    ndarray of shape (..., n_edges)

    Raises
    ------
    ConnectomeError
        If it is not square.

    Examples
    --------
    >>> kraken_bids.to_edges([[1.0, 0.2, 0.3], [0.2, 1.0, 0.5], [0.3, 0.5, 1.0]])
    array([0.2, 0.3, 0.5])
    """
    return square_to_edges(np.asarray(square))


def to_frame(
    edges: ArrayLike, flavor: Flavor | str, *, regions: Iterable[str] = ()
) -> "pd.DataFrame":
    """One connectome as a square table whose rows and columns are named by region.

    Parameters
    ----------
    edges : array of shape (n_edges,)
        One subject's.
    flavor : Flavor or str
    regions : iterable of str, optional
        Names of the regions, for a parcellation that the package has no table of.

    Returns
    -------
    DataFrame of shape (n_regions, n_regions)

    Raises
    ------
    ConnectomeError
        If edges or names are not as many as they should be.
    FlavorError
        If the package has no table of the parcellation and no names are given.

    Examples
    --------
    >>> frame = kraken_bids.to_frame(np.linspace(-1, 1, 3655), "FCcorr_fs86_hpf")
    >>> float(frame.loc["ctx-lh-insula", "ctx-rh-insula"].round(3))
    0.693
    """
    import pandas as pd

    flavor, values = _to_flavor(flavor), np.asarray(edges)
    if values.ndim != 1:
        raise ConnectomeError(
            f"{flavor}: expected the edges of one subject [n_edges]; found shape {values.shape}. "
            "Take one row, or to_table for a cohort."
        )
    names = _names(flavor, values, regions)
    return pd.DataFrame(to_square(values, flavor), index=names, columns=names)


def to_table(
    edges: ArrayLike,
    flavor: Flavor | str,
    *,
    subjects: Iterable[str] | None = None,
    regions: Iterable[str] = (),
) -> "pd.DataFrame":
    """Connectomes of a cohort as a table: a row per subject, a column per pair of regions.

    Parameters
    ----------
    edges : array of shape (n_subjects, n_edges)
    flavor : Flavor or str
    subjects : iterable of str, optional
        Names of the rows.
    regions : iterable of str, optional
        As in :func:`to_frame`.

    Returns
    -------
    DataFrame of shape (n_subjects, n_edges)
        Its columns have two levels, ``region_1`` and ``region_2``.

    Raises
    ------
    ConnectomeError
        If edges or names are not as many as they should be.
    FlavorError
        If the package has no table of the parcellation and no names are given.

    Examples
    --------
    >>> table = kraken_bids.to_table(np.zeros((2, 3655)), "FCcorr_fs86_hpf", subjects=["01", "02"])
    >>> table.shape, table.columns[0]
    ((2, 3655), ('Left-Cerebellum-Cortex', 'Left-Thalamus-Proper'))
    """
    import pandas as pd

    flavor, values = _to_flavor(flavor), np.asarray(edges)
    if values.ndim != 2:
        raise ConnectomeError(
            f"{flavor}: expected connectomes [n_subjects, n_edges]; found shape {values.shape}."
        )
    names = np.array(_names(flavor, values, regions))
    first, second = np.triu_indices(len(names), 1)
    columns = pd.MultiIndex.from_arrays(
        [names[first], names[second]], names=["region_1", "region_2"]
    )
    index = None if subjects is None else pd.Index(list(subjects), name="subject")
    if index is not None and len(index) != len(values):
        raise ConnectomeError(
            f"{flavor}: expected a name for each of {len(values)} rows; found {len(index)}."
        )
    return pd.DataFrame(values, index=index, columns=columns)


def _to_flavor(flavor: Flavor | str) -> Flavor:
    return parse_flavor(flavor) if isinstance(flavor, str) else flavor


def _count_regions(flavor: Flavor, edges: NDArray[np.floating]) -> int:
    """Regions that so many edges have; those of the parcellation where there is a table of it."""
    n_edges = edges.shape[-1] if edges.ndim else 0
    parcellation = recognize_parcellation(flavor.parcellation)
    if parcellation is None:
        return n_regions_of(n_edges)
    if n_edges != parcellation.n_edges:
        raise ConnectomeError(
            f"{flavor}: expected {parcellation.n_edges} edges of {parcellation.n_regions} "
            f"regions; found {n_edges}. Check that they belong to this parcellation."
        )
    return parcellation.n_regions


def _names(flavor: Flavor, edges: NDArray[np.floating], regions: Iterable[str]) -> tuple[str, ...]:
    names = tuple(regions) or region_names(flavor)
    n_regions = _count_regions(flavor, edges)
    if len(names) != n_regions:
        raise ConnectomeError(
            f"{flavor}: expected a name for each of {n_regions} regions; found {len(names)}."
        )
    return names
