"""Predictions as one file: ``.npz``, ``.mat`` in the published layout, or ``.h5``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import SettingsError
from kraken_bids.files import atomic_path

ARROW = "->"
ENCODED = "encoded"
SUBJECTS = "subjects"
OUTPUT_SUFFIXES = (".npz", ".mat", ".h5")


def write_predictions(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write what ``predict_files`` returns; no half-written file is left.

    Parameters
    ----------
    arrays : mapping
    path : Path
        ``.npz`` (the keys as they are), ``.mat`` of version 5
        (``predicted_alltypes.SOURCE.TARGET``,
        as the published tools write) or ``.h5`` (groups ``SOURCE/TARGET``).

    Raises
    ------
    SettingsError
        If the name ends otherwise.
    InputError
        If the disk is full or the folder cannot be written.
    """
    check_output(path)
    writers = {".npz": _write_npz, ".mat": _write_mat, ".h5": _write_h5}
    with atomic_path(path) as temporary:
        writers[path.suffix](arrays, temporary)


def check_output(path: Path) -> None:
    """Raise SettingsError unless predictions can be written under this name."""
    if path.suffix not in OUTPUT_SUFFIXES:
        raise SettingsError(
            f"expected --output FILE with {', '.join(OUTPUT_SUFFIXES)}; found {path}."
        )


def _split_key(key: str) -> tuple[str, str]:
    source, _, target = key.partition(ARROW)
    return source, target


def _write_npz(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _write_mat(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    from scipy.io import savemat

    nested: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in arrays.items():
        if key != SUBJECTS:
            source, target = _split_key(key)
            nested.setdefault(source, {})[target] = array
    inputs = [source for source, targets in nested.items() if ENCODED in targets and "_" in source]
    outputs = list(
        dict.fromkeys(t for targets in nested.values() for t in targets if t != ENCODED)
    )
    content = {
        "predicted_alltypes": nested,
        "subjects": np.array(arrays[SUBJECTS], dtype=object),
        "inputtypes": np.array(inputs, dtype=object),
        "outputtypes": np.array(outputs, dtype=object),
        "fusionmode_inputtypes": np.array(inputs, dtype=object),
    }
    savemat(path, content, long_field_names=True, do_compression=False)


def _write_h5(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            if key == SUBJECTS:
                file.create_dataset(
                    SUBJECTS, data=[str(s) for s in array], dtype=h5py.string_dtype()
                )
            else:
                file["/".join(_split_key(key))] = array
