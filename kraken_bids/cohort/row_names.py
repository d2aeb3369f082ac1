"""Whose the rows of an array are: names beside it in the file, or in the file's path."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name
from kraken_bids.exceptions import InputError
from kraken_bids.io.stored_rows import Rows, load_rows

SUBJECT_KEYS = ("subjects", "subject", "participants")
"""Keys that hold names and nothing else."""
LIKE_SUBJECTS = re.compile(
    r"(src)?(subject|subj|sub|participant|patient|person)s?(id|name|label|key|list|num|number)?s?"
    r"|ids?|eids?|ptids?|recordids?|people"
)
"""Other keys, in small letters and without marks, that hold names where they fit the rows."""
MISSING_KEYS = ("ismissing", "is_missing")
UNNAMED = ("", "nan", "none", "n/a", "<missing>")
SUBJECT_FOLDER = re.compile(r"(?:^|_)sub-([A-Za-z0-9]+)(?=_|\.|$)")
SESSION_FOLDER = re.compile(r"(?:^|_)ses-([A-Za-z0-9]+)(?=_|\.|$)")


@dataclass(frozen=True)
class Presence:
    """Which of the subjects that a file lists have a row."""

    kept: NDArray[np.bool_] | None
    """One for each subject listed; None where the file does not say."""
    where: str

    def choose_names(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Names of those who are not missing."""
        if self.kept is None or names is None or len(names) == self.kept.sum() != len(self.kept):
            return names
        self._check(len(names), "names")
        return tuple(name for name, keep in zip(names, self.kept, strict=True) if keep)

    def choose_rows(self, array: Rows) -> Rows:
        """Rows of those who are not missing; an array that holds only theirs stays as it is."""
        if self.kept is None or array.shape[0] == self.kept.sum():
            return array
        self._check(array.shape[0], "connectomes")
        return ChosenRows(array, np.flatnonzero(self.kept))

    def _check(self, n_found: int, what: str) -> None:
        assert self.kept is not None
        if n_found != len(self.kept):
            raise InputError(
                f"expected {MISSING_KEYS[0]} to say of each subject whether a connectome is "
                f"missing in {self.where}; found {len(self.kept)} values, and {n_found} {what}. "
                "Give one value for each."
            )


@dataclass(frozen=True)
class ChosenRows:
    """Some rows of an array, in its order."""

    array: Rows
    rows: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths."""
        return (len(self.rows), *self.array.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers."""
        return self.array.dtype

    def expect(self, order: Sequence[int]) -> None:
        """Pass on in which order rows will be asked for."""
        if hasattr(self.array, "expect"):
            self.array.expect(self.rows[list(order)].tolist())

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        chosen = self.rows[rows]
        if not len(chosen):
            return np.empty((0, *self.shape[1:]), self.dtype)
        block = self.array[int(chosen[0]) : int(chosen[-1]) + 1]
        return np.asarray(block[chosen - chosen[0]])


def find_subjects(arrays: Mapping[str, Rows]) -> tuple[str, ...] | None:
    """Labels of the rows, without ``sub-``; None where the arrays hold none.

    Parameters
    ----------
    arrays : mapping of str to array
        All arrays of a file. ``subjects`` and its like hold names; a key such as ``ID`` only if
        it has as many values as there are rows.

    Raises
    ------
    InputError
        If the names cannot be read, or one of them is empty.
    """
    for key in SUBJECT_KEYS:
        if key in arrays:
            own = _find_column(arrays, key) or key
            return _spell_all(load_rows(arrays[own]), own)
    lengths = _list_lengths(arrays)
    for key, array in arrays.items():
        is_list = math.prod(array.shape) == max(array.shape, default=1)
        if is_list and _is_like_subjects(key) and not _list_columns(arrays, key):
            values = np.asarray(load_rows(array))
            if _are_names(values) and values.size in lengths:
                return _spell_all(values, key)
    return None


def list_columns_beside(arrays: Mapping[str, Rows], n_rows: int) -> dict[str, tuple[str, ...]]:
    """List what has a value of its own for each row, whatever it means, by its key."""
    found = {}
    for key, array in arrays.items():
        if max(array.shape, default=0) != n_rows or math.prod(array.shape) != n_rows:
            continue
        values = np.asarray(load_rows(array)).reshape(-1)
        words = tuple(map(str, values.tolist()))
        if values.dtype.kind in "iufUSO" and len(set(words)) == n_rows:
            found[key] = words
    return found


def _is_like_subjects(key: str) -> bool:
    """Whether a key, or a column ``TABLE.COLUMN``, is called as names are."""
    name = key.rpartition(".")[2].lower()
    return LIKE_SUBJECTS.fullmatch(re.sub(r"[^a-z]", "", name)) is not None


def _list_columns(arrays: Mapping[str, Rows], table: str) -> list[str]:
    return [key for key in arrays if key.startswith(f"{table}.")]


def _find_column(arrays: Mapping[str, Rows], table: str) -> str | None:
    """Find the column of a table that holds names: called so, or its only one."""
    columns = _list_columns(arrays, table)
    called = [key for key in columns if _is_like_subjects(key)]
    return next(iter(called), columns[0] if len(columns) == 1 else None)


def _list_lengths(arrays: Mapping[str, Rows]) -> set[int]:
    """How many rows the arrays of a file may have, whichever axis is that of the subjects."""
    shapes = [array.shape for array in arrays.values() if array.dtype.kind in "fiu"]
    stacks = [shape for shape in shapes if len(shape) == 3]
    tables = [shape for shape in shapes if len(shape) == 2]
    several = {n for shape in tables if shape[0] != shape[1] for n in shape}
    if stacks:
        several = {a for a, b, c in stacks if b == c} | {c for a, b, c in stacks if a == b}
    several |= {shape[0] for key in MISSING_KEYS if key in arrays for shape in [arrays[key].shape]}
    return several if stacks else several | {1}


def find_presence(arrays: Mapping[str, Rows], where: str) -> Presence:
    """Which subjects are missing, as published files say in ``ismissing``.

    Raises
    ------
    InputError
        If it is no list of yes and no.
    """
    for key in MISSING_KEYS:
        if key in arrays:
            values = np.asarray(load_rows(arrays[key])).reshape(-1)
            if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
                raise InputError(
                    f"expected {key} of 0 and 1 in {where}; found {values.dtype} values, such as "
                    f"{values[:3]}. Correct it, or leave it out."
                )
            return Presence(values == 0, where)
    return Presence(None, where)


def find_label(path: Path) -> str | None:
    """Label in a path: ``sub-`` in the file's name, else in the nearest folder; its ``ses-`` too.

    Examples
    --------
    >>> find_label(Path("out/sub-01/ses-a/fs86_volnorm.csv"))
    '01_ses-a'
    >>> find_label(Path("sub-02_connectome.csv"))
    '02'
    """
    session = ""
    for part in (path.name, *(folder.name for folder in path.absolute().parents)):
        found = SUBJECT_FOLDER.search(part)
        own = SESSION_FOLDER.search(part)
        session = session or (f"_ses-{own.group(1)}" if own else "")
        if found:
            return found.group(1) + session
    return None


def parse_subject(entities: Mapping[str, str]) -> str:
    """Label of a row, ``01`` or ``01_ses-1``, from the entities of a file name."""
    return entities["sub"] + (f"_ses-{entities['ses']}" if "ses" in entities else "")


def check_folders(name: str, where: str) -> None:
    """Check that the folders of a file in a dataset are those of the subject it is named for.

    Parameters
    ----------
    name : str
        Path within the dataset.
    where : str
        The dataset, for the message.

    Raises
    ------
    InputError
        If ``sub-`` in the file's name and in one of its folders differ.
    """
    own = parse_name(name).get("sub")
    for folder in Path(name).parts[:-1]:
        other = folder.removeprefix("sub-")
        if own is not None and other not in {folder, own}:
            raise InputError(
                f"expected files of sub-{other} in the folder {folder} of {where}; found "
                f"{Path(name).name}. Put it into its own folder, or name it rightly."
            )


def _are_names(values: NDArray[Any]) -> bool:
    """Whether values can be names: words, or whole numbers, all in one list."""
    if values.ndim > 1 and max(values.shape) != values.size:
        return False
    if values.dtype.kind == "f":
        return bool(np.isfinite(values).all() and (values == np.rint(values)).all())
    if values.dtype.kind == "O":
        return all(isinstance(value, str | bytes | int | float) for value in values.reshape(-1))
    return values.dtype.kind in "iuUS"


def _spell_all(values: NDArray[Any], key: str) -> tuple[str, ...]:
    if not _are_names(np.asarray(values)):
        raise InputError(
            f"expected words or whole numbers, the names of the rows, in {key}; found "
            f"{values.dtype} values of shape {list(values.shape)}. Save names as a list."
        )
    try:
        labels = tuple(_spell(value) for value in np.asarray(values).reshape(-1))
    except UnicodeDecodeError as error:
        raise InputError(
            f"expected names of the rows in UTF-8 in {key}; reading them gave: {error}. Save "
            "them as text."
        ) from error
    unnamed = [row for row, label in enumerate(labels, start=1) if label.lower() in UNNAMED]
    if unnamed:
        raise InputError(
            f"expected a name for every row in {key}; found none for row {unnamed[0]} (and "
            f"{len(unnamed)} such in all). Name everybody, or leave those rows out."
        )
    return labels


def _spell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.0f}" if value == np.rint(value) else str(value)
    text = value.decode() if isinstance(value, bytes) else str(value)
    return text.strip().removeprefix("sub-").strip()
