"""Latents as inputs of ``kraken-tools predict``: read back, and decoded as they are."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.decoding import CohortPredictions, Prediction
from kraken_bids.cohort.latent_tables import is_latent_table, read_latent_tables
from kraken_bids.cohort.prediction_archives import ARROW, ENCODED, NESTED, list_nested
from kraken_bids.cohort.row_names import find_subjects
from kraken_bids.exceptions import ConnectomeError, FlavorError, InputError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.foreign_hdf5 import list_hdf5, load_stored
from kraken_bids.io.foreign_kinds import Kind
from kraken_bids.io.matlab import MatlabObject
from kraken_bids.io.named_arrays import open_arrays
from kraken_bids.io.stored_rows import load_array
from kraken_bids.io.tables import TABLE_SUFFIXES
from kraken_bids.io.text_matrices import read_text_matrix
from kraken_bids.models.krakencoder.fusion import EACH
from kraken_bids.models.krakencoder.model import Model

logger = logging.getLogger(__name__)

PREFIX = f"{ENCODED}="

LATENTS_H5 = Kind("latents (HDF5)", "The file is incomplete or of another kind: write it again.")
MAX_LENGTH = 1.001
"""Of a latent that is normalized; a mean of several is shorter."""

Array = NDArray[np.float32]


def are_latents(inputs: Sequence[str]) -> bool:
    """Whether the inputs are latents, ``encoded=FILE``.

    Raises
    ------
    SettingsError
        If only some are, or there are several.
    """
    latents = [text for text in map(str, inputs) if text.startswith(PREFIX)]
    if latents and len(inputs) > 1:
        raise SettingsError(
            f"expected one --input {PREFIX}FILE by itself, or connectomes; found "
            f"{', '.join(map(str, inputs))}. Decode latents and encode connectomes in two runs."
        )
    return bool(latents)


def open_latents(
    inputs: Sequence[str], model: Model, *, sources: Sequence[str], targets: Sequence[Flavor]
) -> CohortPredictions:
    """Latents of a file, and the connectomes that are predicted from them when asked for.

    Parameters
    ----------
    inputs : sequence of str
        One ``encoded=FILE``: ``.npy`` or text [n_subjects, n_latent]; ``.npz``, ``.mat`` or
        ``.h5`` with one such array called ``encoded`` (or any name, where it is the only one); or
        what ``kraken-tools predict`` or the published tools wrote, where each ``SOURCE->encoded``
        is a source again; or tables as :func:`~.latent_tables.read_latent_tables` takes them, such
        as a folder that kraken-bids wrote.
    sources : sequence of str
        Those to decode (all).
    targets : sequence of Flavor
        Flavors to predict.

    Raises
    ------
    InputError, ConnectomeError
        If the file is missing or broken, or its arrays are no latents of this model.
    FlavorError
        If a source is not in the file.
    """
    path = Path(str(inputs[0]).removeprefix(PREFIX))
    if not path.is_file() and not path.is_dir():
        raise InputError(f"expected latents in {path}; found no such file. Check the path.")
    subjects, latents = read_latents(path)
    chosen = {name: latents[name] for name in _choose_sources(sources, latents, path)}
    for name, rows in chosen.items():
        _check_latents(rows, model, f"{path}, {name}")
    labels = _label_rows(chosen, subjects, path)
    _say_absent(chosen)
    _warn_of_size(chosen, model, path)
    return CohortPredictions(model, labels, chosen, _list_predictions(model, chosen, targets))


def _list_predictions(
    model: Model, latents: Mapping[str, Array], targets: Sequence[Flavor]
) -> tuple[Prediction, ...]:
    flavors = {flavor.name: flavor for flavor in model.flavors}
    return tuple(
        Prediction(name, target, rows, flavors.get(name))
        for name, rows in latents.items()
        for target in targets
    )


def _label_rows(
    latents: Mapping[str, NDArray[Any]], subjects: tuple[str, ...] | None, path: Path
) -> tuple[str, ...]:
    """Labels of the rows, else numbers from 1; refuse sources of other numbers of rows."""
    n_subjects = len(next(iter(latents.values())))
    labels = subjects or tuple(str(number) for number in range(1, n_subjects + 1))
    if any(len(rows) != len(labels) for rows in latents.values()):
        raise InputError(
            f"expected latents of {len(labels)} subjects in {path}; found arrays of "
            f"{sorted({len(rows) for rows in latents.values()})} rows."
        )
    return labels


def _choose_sources(
    asked: Sequence[str], latents: Mapping[str, Array], path: Path
) -> tuple[str, ...]:
    if not asked or EACH in asked:
        return tuple(latents)
    missing = [name for name in asked if name not in latents]
    if missing:
        raise FlavorError(
            f"expected sources among those of {path} ({', '.join(latents)}); found "
            f"{', '.join(missing)}."
        )
    return tuple(asked)


def _check_latents(rows: NDArray[Any], model: Model, where: str) -> None:
    if rows.ndim != 2 or rows.shape[1] != model.latent_size or rows.dtype.kind not in "fiu":
        raise ConnectomeError(
            f"{where}: expected latents [n_subjects, {model.latent_size}] for {model.name}; found "
            f"{rows.dtype} of shape {list(rows.shape)}. Give latents that this model encoded."
        )
    if np.isinf(rows).any():
        raise ConnectomeError(
            f"{where}: expected finite latents, or rows of NaN for subjects without them; found "
            "infinite ones. Encode them again."
        )


def _say_absent(latents: Mapping[str, Array]) -> None:
    """Log which sources some subjects lack, in one line."""
    absent = {name: int((~np.isfinite(rows).all(axis=1)).sum()) for name, rows in latents.items()}
    counts = [f"{name} of {n} of {len(latents[name])}" for name, n in absent.items() if n]
    if counts:
        logger.warning(
            "latents are absent, or incomplete, and what is predicted from them is NaN: "
            "%s subjects", ", ".join(counts),
        )  # fmt: skip


def _warn_of_size(latents: Mapping[str, Array], model: Model, path: Path) -> None:
    """Warn of latents that a model with latents of length 1 cannot have encoded, in one line."""
    if not model.network.architecture.latent_normalize:
        return
    longest = {name: float(_list_lengths(rows).max(initial=0.0)) for name, rows in latents.items()}
    odd = [name for name, length in longest.items() if length > MAX_LENGTH]
    if odd:
        logger.warning(
            "%s: latents of %s are up to %.3g long, and those of %s are no longer than 1: they "
            "are of another model, or were scaled since. Decode latents as they were encoded.",
            path, ", ".join(odd), max(longest.values()), model.name,
        )  # fmt: skip
    empty = {name: int((_list_lengths(rows) == 0).sum()) for name, rows in latents.items()}
    if any(empty.values()):
        logger.warning(
            "%s: latents are 0 in all places, which none is (of %s): everybody's prediction is "
            "the same there. Write NaN where somebody has no latent.",
            path, ", ".join(name for name, n in empty.items() if n),
        )  # fmt: skip


def _list_lengths(rows: Array) -> NDArray[np.float64]:
    """Length of each latent; -1 of those that are absent."""
    lengths = np.linalg.norm(np.asarray(rows, np.float64), axis=1)
    return np.where(np.isnan(lengths), -1.0, lengths)


def read_latents(path: Path) -> tuple[tuple[str, ...] | None, dict[str, Array]]:
    """Read latents by source, and the subjects where the file names them.

    Parameters
    ----------
    path : Path
        A file or folder, as :func:`open_latents` takes it.

    Raises
    ------
    InputError
        If it is broken, or holds no latents.
    """
    is_text = path.suffix in TABLE_SUFFIXES and path.is_file()
    if path.is_dir() or path.suffix == ".zip" or (is_text and is_latent_table(path)):
        return read_latent_tables(path)
    if is_text:
        return None, {ENCODED: np.asarray(read_text_matrix(path), np.float32)}
    arrays = _read_h5(path) if path.suffix in {".h5", ".hdf5"} else _read_arrays(path)
    subjects = find_subjects(arrays)
    ending = f"{ARROW}{ENCODED}"
    found = {k.removesuffix(ending): v for k, v in arrays.items() if k.endswith(ending)}
    if ENCODED in arrays:
        found[ENCODED] = arrays[ENCODED]
    if not found:
        alone = {key: array for key, array in arrays.items() if array.ndim == 2}
        found = {ENCODED: next(iter(alone.values()))} if len(alone) == 1 else {}
    if not found:
        raise InputError(
            f"expected latents in {path}, called {ENCODED} or SOURCE{ending}; found "
            f"{', '.join(arrays) or 'no arrays'}. Name them so, or keep one array in the file."
        )
    return subjects, found


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays by name; those of ``predicted_alltypes`` as ``SOURCE->TARGET``."""
    rows = open_arrays(path)
    arrays = {
        key: load_array(array)
        for key, array in rows.items()
        if (ARROW not in key or key.endswith(ENCODED)) and not isinstance(array, MatlabObject)
    }
    for source, target, array in list_nested(rows.get(NESTED)):
        if target == ENCODED:
            # MATLAB has no arrays of one row: they come back without that axis
            arrays[f"{source}{ARROW}{ENCODED}"] = np.atleast_2d(array)
    if path.suffix == ".mat" and ENCODED in arrays:
        arrays[ENCODED] = np.atleast_2d(arrays[ENCODED])
    return {key: array for key, array in arrays.items() if key != NESTED}


def _read_h5(path: Path) -> dict[str, NDArray[Any]]:
    """Datasets ``SOURCE/encoded`` and those without a group."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, stored in list_hdf5(LATENTS_H5, path).items():
        source, _, target = name.rpartition("/")
        if stored.shape is not None and (not source or target == ENCODED):
            arrays[name.replace("/", ARROW)] = load_stored(LATENTS_H5, path, name, stored)
    return arrays
