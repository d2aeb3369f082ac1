"""Draws of a flavor that some members lack, beside those that were measured: one HDF5 file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import OUTPUT, group_path, sidecar_path
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.files import atomic_path
from kraken_bids.io.foreign_hdf5 import list_hdf5, read_dataset
from kraken_bids.io.hdf5 import lay_out_hdf5
from kraken_bids.io.writing import write_json

Edges = NDArray[np.float32]

LABELS, FLAVOR = "subjects", "flavor"
IS_MEASURED, WEIGHTS, MEASURED = "is_measured", "weights", "measured"
DRAW = "draws/{:03d}"


@dataclass(frozen=True)
class ImputedConnectomes:
    """Connectomes of one flavor of a whole cohort; those that were not measured, several times."""

    path: Path
    flavor: Flavor
    subjects: tuple[str, ...]
    """Label of each row, ``sub-01`` or ``sub-01_ses-1``."""
    is_measured: NDArray[np.bool_]
    """[n_subjects]; the others are draws."""
    weights: NDArray[np.float64]
    """[n_subjects]: 1 where measured; else the share of the variance between subjects that
    prediction and covariates explain."""
    n_draws: int

    def complete(self, draw: int) -> Edges:
        """Read the cohort as one draw completes it, ``[n_subjects, n_edges]``.

        Raises
        ------
        InputError
            If the file cannot be read.
        SettingsError
            If there is no such draw; they are numbered from 0.
        """
        if not 0 <= draw < self.n_draws:
            raise SettingsError(
                f"expected a draw from 0 to {self.n_draws - 1} of {self.path}; found {draw}."
            )
        measured = read_dataset(OUTPUT, self.path, MEASURED)
        found = np.empty((len(self.subjects), measured.shape[1]), np.float32)
        found[self.is_measured] = measured
        found[~self.is_measured] = read_dataset(OUTPUT, self.path, DRAW.format(draw))
        return found


def read_imputed(path: Path | str) -> ImputedConnectomes:
    """Open draws of connectomes that ``kraken-bids … group --impute M`` wrote.

    Do the analysis on ``complete(0)``, ``complete(1)`` … as if everyone had been measured, and
    pool what it finds with :func:`kraken_bids.pool_estimates`. Variables of the analysis must be
    among ``--covariates``, else what it finds of them is too small.

    Parameters
    ----------
    path : Path or str
        ``group/imputed_FLAVOR.h5``.

    Raises
    ------
    InputError
        If it is missing, damaged, or another kind of file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"expected draws, group/imputed_FLAVOR.h5 of kraken-bids … group --impute; found no "
            f"{path}. Check the path."
        )
    content = list_hdf5(OUTPUT, path)
    wanted = (LABELS, FLAVOR, IS_MEASURED, WEIGHTS, MEASURED, DRAW.format(0))
    lacking = [name for name in wanted if name not in content]
    values = {name: content[name].value for name in wanted[:4] if name in content}
    if lacking or any(value is None for value in values.values()):
        raise InputError(
            f"expected draws of kraken-bids … group --impute in {path}; found no "
            f"{', '.join(lacking) or 'labels that could be read'}. Make it again with --force."
        )
    is_measured = np.asarray(values[IS_MEASURED]).reshape(-1) > 0
    return ImputedConnectomes(
        path,
        parse_flavor(str(np.asarray(values[FLAVOR]).reshape(-1)[0])),
        tuple(str(label) for label in values[LABELS]),
        is_measured,
        np.asarray(values[WEIGHTS], np.float64).reshape(-1),
        sum(name.startswith("draws/") for name in content),
    )


def write_imputed(  # noqa: PLR0913 - everything that such a file holds
    output_dir: Path,
    flavor: Flavor,
    measured: Mapping[str, Edges],
    *,
    lacking: Sequence[str],
    weight: float,
    draws: Iterable[tuple[int, Edges]],
    n_draws: int,
    facts: Mapping[str, Any],
) -> Path:
    """Write draws as they come, and what they are in a sidecar; returns the file.

    Parameters
    ----------
    measured : mapping of str to ndarray of shape (n_edges,)
        Measured edges by label of the session.
    lacking : sequence of str
        Labels of those who are drawn.
    weight : float
        Of these.
    draws : iterable of (int, ndarray of shape (n_rows, n_edges))
        Number of a draw and its next rows, in the order of ``lacking``.
    facts : mapping
        For the sidecar.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written to.
    """
    labels = sorted([*measured, *lacking])
    n_edges = len(next(iter(measured.values())))
    names = [DRAW.format(number) for number in range(n_draws)]
    shapes = {IS_MEASURED: (len(labels), 1), WEIGHTS: (len(labels), 1)}
    shapes |= {MEASURED: (len(measured), n_edges)}
    shapes |= dict.fromkeys(names, (len(lacking), n_edges))
    is_measured = np.array([label in measured for label in labels])
    # rows of the file are in the order of the labels, whoever was drawn first
    places = {label: k for k, label in enumerate(sorted(lacking))}
    order = [places[label] for label in lacking]
    path = imputed_path(output_dir, flavor)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        starts = lay_out_hdf5(file, shapes, {LABELS: labels, FLAVOR: [flavor.name]})

        def put(name: str, row: int, values: NDArray[Any]) -> None:
            file.seek(starts[name] + 4 * row * shapes[name][1])
            file.write(np.ascontiguousarray(values, "<f4").data)

        put(IS_MEASURED, 0, is_measured)
        put(WEIGHTS, 0, np.where(is_measured, 1.0, weight))
        for row, label in enumerate(sorted(measured)):
            put(MEASURED, row, measured[label])
        n_written = [0] * n_draws
        for number, rows in draws:
            for values in rows:
                put(names[number], order[n_written[number]], values)
                n_written[number] += 1
    write_json(sidecar_path(path), facts)
    return path


def imputed_path(output_dir: Path, flavor: Flavor) -> Path:
    """Give the path of the draws of a flavor."""
    return group_path(output_dir, f"imputed_{flavor.name}.h5")
