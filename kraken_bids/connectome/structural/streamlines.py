"""Numbers of single streamlines."""

import numpy as np
from numpy.typing import NDArray


def compute_lengths(
    vertices: NDArray[np.floating], starts: NDArray[np.integer], stops: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Length of each track: its steps added up one by one in float32, as MRtrix does.

    Parameters
    ----------
    vertices : ndarray of shape (n_vertices, 3)
        mm.
    starts, stops : ndarray of int, shape (n_tracks,)
        Track i is ``vertices[starts[i]:stops[i]]``; the tracks follow each other.

    Returns
    -------
    ndarray of float32, shape (n_tracks,)
        mm; 0 for a track of one vertex, NaN for one of none.

    Source
    ------
    MRtrix3 ``Tractography::length``; the order x² + (y² + z²) is that of its build for Debian.
    """
    lengths = np.zeros(len(starts), np.float32)
    n_steps = np.maximum(stops - starts - 1, 0)
    owner = np.repeat(np.arange(len(starts)), n_steps)
    np.add.at(lengths, owner, step_lengths(vertices)[list_steps(starts, n_steps)])
    lengths[starts == stops] = np.nan
    return lengths


def step_lengths(vertices: NDArray[np.floating]) -> NDArray[np.float32]:
    """Distance of each vertex [n_vertices - 1] to the next, float32; any across separators."""
    with np.errstate(invalid="ignore", over="ignore"):
        squares = np.diff(vertices.astype(np.float32, copy=False), axis=0) ** 2
        return np.asarray(np.sqrt(squares[:, 0] + (squares[:, 1] + squares[:, 2])), np.float32)


def list_steps(starts: NDArray[np.integer], n_steps: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return ``starts[i], starts[i] + 1 …``, ``n_steps[i]`` of them for each i, in one array."""
    firsts = np.cumsum(n_steps) - n_steps
    offsets: NDArray[np.intp] = np.arange(int(n_steps.sum())) + np.repeat(starts - firsts, n_steps)
    return offsets
