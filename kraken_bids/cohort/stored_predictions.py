"""Predictions read back: files of ``kraken-tools predict`` and folders of ``kraken-bids``."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import format_name, parse_name
from kraken_bids.bids.outputs import CALIBRATED, PREDICTED
from kraken_bids.cohort.flavor_blocks import Part, to_part
from kraken_bids.cohort.joined_rows import join_parts
from kraken_bids.cohort.prediction_archives import ARROW, ENCODED, NESTED, list_nested
from kraken_bids.cohort.row_names import find_subjects, parse_subject
from kraken_bids.cohort.sidecars import is_of_run, read_digest
from kraken_bids.cohort.table_folders import list_tables
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor, parse_meas, recognize_flavor
from kraken_bids.io.foreign_hdf5 import list_hdf5, load_stored, read_dataset
from kraken_bids.io.foreign_kinds import Kind
from kraken_bids.io.named_arrays import read_arrays
from kraken_bids.io.text_matrices import read_text_matrix

Edges = NDArray[np.floating]
Key = tuple[str, Flavor]
"""Source and target."""

ARCHIVES = {"": "*_desc-kraken_relmats.h5", ".cal": "*_desc-krakencal_relmats.h5"}
"""Files of a session, by what follows the names of the sources in them."""
PREDICTED_H5 = Kind(
    "predictions (HDF5)", "The file is incomplete or of another kind: write it again."
)
CALIBRATED_MARK = ".cal"
"""After the source of predictions that were calibrated on a cohort."""
UNNAMED_SOURCE = "predicted"
"""Source of predictions in a file that says only their flavors."""


@dataclass(frozen=True)
class Predictions:
    """Predicted connectomes of a cohort; each array is read when asked for."""

    where: str
    """File or folder, for messages."""
    subjects: tuple[str, ...]
    readers: Mapping[Key, Callable[[], Part]]
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Other spellings of the subjects in the files."""

    def read(self, source: str, target: Flavor) -> Edges:
        """Predicted edges ``[n_subjects, n_edges]``, NaN for a subject without them.

        Raises
        ------
        InputError, ConnectomeError
            If the array cannot be read or has not the shape of its parcellation.
        """
        part = self.readers[source, target]()
        if self.renamed and part.subjects is not None:
            part = replace(part, subjects=tuple(self.renamed[label] for label in part.subjects))
        return join_parts(target, [part], self.subjects)

    def rename(self, labels: Mapping[str, str]) -> "Predictions":
        """Return the same predictions with subjects spelled as these labels say."""
        own = tuple(labels[label] for label in self.subjects)
        return replace(self, subjects=own, renamed=labels)


def read_predictions(path: Path) -> Predictions:
    """Find the predictions in a file or folder, by source and target.

    Parameters
    ----------
    path : Path
        ``.npz``, ``.mat`` or ``.h5`` as ``kraken-tools predict`` or the published tools write
        them; a file of any of these kinds whose keys are flavors; or a folder or ``.zip`` with
        ``*_desc-<source>kraken_relmat.dense.tsv``, or with one ``*_desc-kraken_relmats.h5`` per
        session (``kraken-bids --output-format h5``). Calibrated predictions in it
        (``…krakencal…``) are those of the source ``<source>.cal``.

    Raises
    ------
    InputError
        If there is no such file, it is broken, names no subjects, or holds no predictions.
    """
    if not path.exists():
        raise InputError(f"--predicted: expected predictions; found no {path}. Check the path.")
    archives = _list_archives(path) if path.is_dir() else []
    if any(not mark for mark, _ in archives):
        return _find_archives(path, archives)
    if path.is_dir() or path.suffix == ".zip":
        return _find_tables(path)
    if path.suffix in {".h5", ".hdf5"}:
        return _find_datasets(path)
    arrays = read_arrays(path)
    named = {
        f"{source}{ARROW}{target}": array
        for source, target, array in list_nested(arrays.get(NESTED))
    }
    return _collect(path, {**arrays, **named})


def _collect(path: Path, arrays: Mapping[str, NDArray[Any]]) -> Predictions:
    subjects = find_subjects(arrays)
    readers: dict[Key, Callable[[], Part]] = {}
    for name, array in arrays.items():
        key = _parse_key(name)
        if key is not None:
            readers[key] = partial(to_part, key[1], array, f"{path}, {name}", subjects)
    return _check(Predictions(str(path), subjects or (), readers))


def _find_datasets(path: Path) -> Predictions:
    """Datasets ``SOURCE/TARGET``, read one at a time."""
    content = list_hdf5(PREDICTED_H5, path)
    beside = {
        name: load_stored(PREDICTED_H5, path, name, stored)
        for name, stored in content.items()
        if "/" not in name and stored.shape is not None and len(stored.shape) == 1
    }
    subjects = find_subjects(beside)
    readers: dict[Key, Callable[[], Part]] = {}
    for name in (name for name, stored in content.items() if stored.shape is not None):
        key = _parse_key(name.replace("/", ARROW))
        if key is not None:
            readers[key] = partial(_read_dataset, path, name, key[1], subjects)
    return _check(Predictions(str(path), subjects or (), readers))


def _read_dataset(path: Path, name: str, flavor: Flavor, subjects: tuple[str, ...] | None) -> Part:
    array = read_dataset(PREDICTED_H5, path, name)
    return to_part(flavor, array, f"{path}, {name}", subjects)


def _list_archives(path: Path) -> list[tuple[str, Path]]:
    """List the HDF5 files of sessions below a folder, by what follows the names of sources."""
    read_run = cache(read_digest)
    found = ((mark, one) for mark, name in ARCHIVES.items() for one in path.rglob(name))
    return [(mark, one) for mark, one in found if _is_standing(one, one.parent, read_run)]


def _find_archives(path: Path, archives: Iterable[tuple[str, Path]]) -> Predictions:
    """Predictions of one HDF5 file per session, by source, target and subject."""
    found: dict[Key, dict[str, Path]] = {}
    for mark, archive in sorted(archives, key=lambda found: found[1].name):
        names = list_hdf5(PREDICTED_H5, archive, up_to=0)
        for source, target in filter(None, (_parse_key(n.replace("/", ARROW)) for n in names)):
            subject = parse_subject(parse_name(archive))
            found.setdefault((source + mark, target), {})[subject] = archive
    subjects = tuple(dict.fromkeys(s for archives in found.values() for s in archives))
    readers = {key: partial(_read_archives, key, archives) for key, archives in found.items()}
    return _check(Predictions(str(path), subjects, readers))


def _read_archives(key: Key, archives: Mapping[str, Path]) -> Part:
    source, target = key
    name = f"{source.removesuffix(CALIBRATED_MARK)}/{target}"
    squares = [read_dataset(PREDICTED_H5, path, name) for path in archives.values()]
    where = f"{next(iter(archives.values())).parent} …, {source}{ARROW}{target}"
    if len({square.shape for square in squares}) > 1:
        raise InputError(f"expected matrices of one size in {where}; found several.")
    return to_part(target, np.stack(squares), where, tuple(archives))


def _find_tables(path: Path) -> Predictions:
    """Tables of a folder or zip, by source, target and subject."""
    found: dict[Key, dict[str, str]] = {}
    read_run = cache(read_digest)
    for name, table in list_tables(path):
        entities = parse_name(name)
        source = _name_source(entities.get("desc", ""))
        if source is None or not {"sub", "atlas", "meas"} <= set(entities):
            continue
        if not path.is_dir() or _is_standing(table, table.parent.parent, read_run):
            target = parse_meas(entities["meas"], entities["atlas"])
            found.setdefault((source, target), {})[parse_subject(entities)] = name
    subjects = tuple(dict.fromkeys(s for tables in found.values() for s in tables))
    readers = {key: partial(_read_tables, path, key, tables) for key, tables in found.items()}
    return _check(Predictions(str(path), subjects, readers))


def _is_standing(path: Path, folder: Path, read_run: Callable[[Path], str | None]) -> bool:
    """Whether no later run of kraken-bids, by the latents in the folder, predicted otherwise."""
    entities = parse_name(path)
    own = {key: entities[key] for key in ("sub", "ses") if key in entities} | {"desc": PREDICTED}
    latents = format_name(own, suffix="latents", extension=".tsv")
    return is_of_run(path, read_run(folder / latents))


def _name_source(desc: str) -> str | None:
    """Source of a file, by its ``desc-``; ``fusionSC.cal`` of calibrated ones; None of others."""
    if desc.endswith(CALIBRATED):
        return desc.removesuffix(CALIBRATED) + CALIBRATED_MARK
    return desc.removesuffix(PREDICTED) if desc.endswith(PREDICTED) else None


def _read_tables(path: Path, key: Key, tables: Mapping[str, str]) -> Part:
    wanted = {name: subject for subject, name in tables.items()}
    squares = {
        wanted[name]: read_text_matrix(stream)
        for name, stream in list_tables(path)
        if name in wanted
    }
    where = f"{path}, {key[0]}{ARROW}{key[1]}"
    if len({square.shape for square in squares.values()}) > 1:
        raise InputError(f"expected matrices of one size in {where}; found several.")
    return to_part(key[1], np.stack(list(squares.values())), where, tuple(squares))


def _parse_key(name: str) -> Key | None:
    """Source and target of ``SOURCE->TARGET``; of a bare flavor the target; None for the rest."""
    source, arrow, target = name.rpartition(ARROW)
    if target == ENCODED:
        return None
    flavor = recognize_flavor(target)
    return None if flavor is None else (source if arrow else UNNAMED_SOURCE, flavor)


def _check(predictions: Predictions) -> Predictions:
    if not predictions.readers:
        raise InputError(
            f"expected predictions SOURCE->FLAVOR in {predictions.where}; found none. Give a "
            "file that kraken-tools predict wrote, or a folder of "
            "*_desc-<source>kraken_relmat.dense.tsv."
        )
    if not predictions.subjects:
        raise InputError(
            f"expected an array of subjects in {predictions.where}, since predictions and "
            "observed connectomes are matched by name; found none. Add one, in the order of the "
            "rows."
        )
    return predictions
