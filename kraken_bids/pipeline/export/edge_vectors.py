"""Connectomes as rows of a table: one column per pair of regions."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.files import atomic_path
from kraken_bids.pipeline.export.stack import Stack

ORDERS = {
    "rows": "upper triangle row by row, (1,2) (1,3) … (2,3): numpy.triu_indices(n, 1)",
    "columns": "upper triangle column by column, (1,2) (1,3) (2,3) (1,4) …: "
    "MATLAB's find(triu(ones(n), 1)), and the lower triangle row by row",
}
"""Where an edge stands in a vector."""
BETWEEN = "~"


def find_pairs(n_regions: int, order: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and second region of each edge [n_edges], the first before the second."""
    if order == "rows":
        return np.triu_indices(n_regions, 1)
    second, first = np.tril_indices(n_regions, -1)
    return first, second


def write_vectors(stack: Stack, path: Path, *, order: str) -> None:
    """Write a row per session, its columns called ``REGION~REGION``; NaN is ``n/a``."""
    names = np.array(stack.regions.region_names, object)
    first, second = find_pairs(len(names), order)
    has_sessions = any(stack.sessions)
    header = [
        "participant_id",
        *["session_id"] * has_sessions,
        *(names[first] + BETWEEN + names[second]),
    ]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("\t".join(header) + "\n")
        for row, square in enumerate(map(stack.square, range(len(stack.subjects)))):
            whose = [stack.subjects[row], *[stack.sessions[row] or "n/a"] * has_sessions]
            cells = ("n/a" if v != v else repr(v) for v in square[first, second].tolist())  # noqa: PLR0124
            file.write("\t".join([*whose, *cells]) + "\n")
