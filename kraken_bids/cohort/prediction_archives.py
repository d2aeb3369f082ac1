"""Predictions as one file, written as they come: ``.npz``, ``.mat`` as published, or ``.h5``."""

import logging
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from kraken_bids.cohort.read_ahead import write_behind
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.flavors import Flavor, recognize_flavor
from kraken_bids.io.files import atomic_path
from kraken_bids.io.hdf5 import lay_out_hdf5
from kraken_bids.io.output_streams import send_to_disk
from kraken_bids.io.stored_members import StoredMember
from kraken_bids.io.stored_rows import Rows, load_rows

logger = logging.getLogger(__name__)

ARROW = "->"
ENCODED = "encoded"
SUBJECTS = "subjects"
NESTED = "predicted_alltypes"
"""Struct of a ``.mat`` file that holds all arrays, ``SOURCE.TARGET``."""
OUTPUT_SUFFIXES = (".npz", ".mat", ".h5")
DATASET_SUFFIXES = ("", ".zip")
"""What :mod:`kraken_bids.cohort.prediction_dataset` writes: a folder, or one zipped."""
LARGE_BYTES = 1 << 30


class Predictions(Protocol):
    """Predictions that are computed while they are written."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """Labels of the rows."""

    def shapes(self) -> Mapping[str, tuple[int, int]]:
        """Shape of every array ``SOURCE->TARGET``, in the order in which they come."""

    def blocks(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Rows of the arrays: one array after the other, its rows from first to last."""


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write predictions while they are computed; no half-written file is left.

    Parameters
    ----------
    path : Path
        ``.npz`` (the keys as they are), ``.h5`` (groups ``SOURCE/TARGET``), or ``.mat`` of version
        5 (``predicted_alltypes.SOURCE.TARGET``, as the published tools write), which is held in
        memory before it is written.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written to.
    """
    writers = {".npz": _write_npz, ".mat": _write_mat, ".h5": _write_h5}
    with atomic_path(path) as temporary:
        writers[path.suffix](predictions, temporary)


def check_output(path: Path) -> None:
    """Raise SettingsError unless predictions can be written under this name."""
    if path.suffix not in (*OUTPUT_SUFFIXES, *DATASET_SUFFIXES):
        raise SettingsError(
            f"expected --output FILE with {', '.join(OUTPUT_SUFFIXES)} or .zip, or a folder; "
            f"found {path}."
        )
    if not path.suffix and path.exists() and not path.is_dir():
        found = "a file" if path.is_file() else "a pipe or device"
        raise SettingsError(
            f"expected a folder for --output {path}; found {found} of that name. A pipe needs a "
            f"name that says the format ({', '.join(OUTPUT_SUFFIXES)})."
        )


def collect_arrays(predictions: Predictions) -> dict[str, NDArray[Any]]:
    """All arrays in memory: ``SOURCE->TARGET`` and ``subjects``."""
    rows: dict[str, list[NDArray[np.float32]]] = {}
    for key, block in predictions.blocks():
        rows.setdefault(key, []).append(block)
    arrays: dict[str, NDArray[Any]] = {
        key: blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        for key, blocks in rows.items()
    }
    arrays[SUBJECTS] = np.array(predictions.subjects)
    return arrays


def split_key(key: str) -> tuple[str, str]:
    """Source and target of ``SOURCE->TARGET``."""
    source, _, target = key.partition(ARROW)
    return source, target


def list_nested(nested: Any) -> list[tuple[str, str, NDArray[Any]]]:
    """List source, target and array of a struct :data:`NESTED`; none of anything else."""
    is_struct = isinstance(nested, np.ndarray) and nested.ndim == 0
    content = nested.item() if is_struct else {}
    return [
        (source, target, np.asarray(array))
        for source, targets in (content.items() if isinstance(content, Mapping) else ())
        for target, array in (targets.items() if isinstance(targets, Mapping) else ())
    ]


def find_only_prediction(
    arrays: Mapping[str, Rows], flavor: Flavor, path: Path
) -> tuple[str, Rows]:
    """Find the one array of ``predicted_alltypes.SOURCE.TARGET``, and what it is called.

    Raises
    ------
    InputError
        If there are several, or it is of another flavor.
    """
    entries = list_nested(load_rows(arrays[NESTED]))
    if len(entries) != 1 or recognize_flavor(str(entries[0][1])) != flavor:
        found = ", ".join(f"{source}.{target}" for source, target, _ in entries[:5])
        raise InputError(
            f"expected one array for {flavor} in {NESTED} of {path}; found "
            f"{found or 'nothing'}{', …' if len(entries) > 5 else ''}. Save that array alone, "
            f"as {flavor}."
        )
    source, target, array = entries[0]
    return f"{NESTED}.{source}.{target}", array


def _write_npz(predictions: Predictions, path: Path) -> None:
    shapes = predictions.shapes()
    with path.open("wb") as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        with archive.open(f"{SUBJECTS}.npy", "w", force_zip64=True) as stream:
            npy.write_array(stream, np.array(predictions.subjects), allow_pickle=False)
        with _open_members(archive, shapes) as members:

            def write(item: tuple[str, NDArray[np.float32]]) -> None:
                key, block = item
                members(key).write(np.ascontiguousarray(block, np.float32).data)
                send_to_disk(file)

            write_behind(predictions.blocks(), write)


@contextmanager
def _open_members(
    archive: zipfile.ZipFile, shapes: Mapping[str, tuple[int, int]]
) -> Iterator[Callable[[str], StoredMember]]:
    """Give a function that returns the open member of a key; only one is open at a time."""
    current: dict[str, StoredMember] = {}

    def close() -> None:
        for stream in current.values():
            stream.close()
        current.clear()

    def find(key: str) -> StoredMember:
        if key not in current:
            close()
            current[key] = StoredMember(archive, f"{key}.npy")
            header = {"descr": "<f4", "fortran_order": False, "shape": shapes[key]}
            npy.write_array_header_1_0(current[key], header)
        return current[key]

    try:
        yield find
    finally:
        close()


def _write_h5(predictions: Predictions, path: Path) -> None:
    names = {key: "/".join(split_key(key)) for key in predictions.shapes()}
    shapes = {names[key]: shape for key, shape in predictions.shapes().items()}
    with path.open("wb") as file:
        places = lay_out_hdf5(file, shapes, {SUBJECTS: list(predictions.subjects)})

        def write(item: tuple[str, NDArray[np.float32]]) -> None:
            key, block = item
            file.seek(places[names[key]])
            file.write(np.ascontiguousarray(block, "<f4").data)
            places[names[key]] = file.tell()
            send_to_disk(file)

        write_behind(predictions.blocks(), write)


def _write_mat(predictions: Predictions, path: Path) -> None:
    from scipy.io import savemat

    n_bytes = sum(4 * rows * columns for rows, columns in predictions.shapes().values())
    if n_bytes > LARGE_BYTES:
        logger.warning(
            "a .mat file is held in memory before it is written: %.1f GB; .npz and .h5 are not",
            n_bytes / 1e9,
        )
    arrays = collect_arrays(predictions)
    nested: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in arrays.items():
        if key != SUBJECTS:
            source, target = split_key(key)
            nested.setdefault(source, {})[target] = array
    inputs = [source for source, targets in nested.items() if ENCODED in targets and "_" in source]
    outputs = list(
        dict.fromkeys(t for targets in nested.values() for t in targets if t != ENCODED)
    )
    content = {
        NESTED: nested,
        "subjects": np.array(arrays[SUBJECTS], dtype=object),
        "inputtypes": np.array(inputs, dtype=object),
        "outputtypes": np.array(outputs, dtype=object),
        "fusionmode_inputtypes": np.array(inputs, dtype=object),
    }
    savemat(path, content, long_field_names=True, do_compression=False)
