"""Who trains, who validates and who tests: a file's split, or one that keeps families together."""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.participants import PARTICIPANT, read_participants
from kraken_bids.cohort.row_names import find_subjects
from kraken_bids.cohort.subject_names import list_few, subject_of, unify_labels
from kraken_bids.exceptions import ConnectomeError, InputError, SettingsError
from kraken_bids.io.named_arrays import open_arrays
from kraken_bids.io.stored_rows import load_rows
from kraken_bids.models.splits import PARTS, Split, find_separated, split_subjects

logger = logging.getLogger(__name__)

WORDS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
"""How tables call the parts."""
KEYS = {"subjidx_train": "train", "subjidx_val": "validation", "subjidx_test": "test"}
"""Published names of the zero-based rows of each part."""
FAMILY = re.compile(r"fam(ily)?[ _-]?(id|name|no|number)?", re.IGNORECASE)
NO_VALUE = {"", "n/a", "na", "nan", "none"}


def choose_split(
    subjects: Sequence[str],
    *,
    file: Path | None,
    families: Sequence[str],
    shares: tuple[float, float],
    seed: int,
) -> Split:
    """Choose who trains, validates and tests.

    Parameters
    ----------
    subjects : sequence of str
        Rows of the cohort: ``01``, or ``01_ses-1``.
    file : Path, optional
        A published ``subject_splits_*.mat`` or a table with a column of train, validation (or
        val) and test; subjects it does not name take no part.
    families : sequence of str
        Family of each row, as :func:`list_families` gives them.
    shares : tuple of two floats
        Share of all that is held out for test, and of the others for validation.

    Raises
    ------
    InputError
        If the file cannot be read, names nobody of the cohort, or separates a family.
    ConnectomeError
        If nobody is left to train on.
    """
    if file is None:
        test_share, validation_share = shares
        return split_subjects(
            len(subjects), families=families, test_share=test_share,
            validation_share=validation_share, seed=seed,
        )  # fmt: skip
    split = _apply(read_split(file), subjects, file)
    separated = find_separated(split, families)
    if separated:
        shown = "; ".join(
            f"{name}: {', '.join(subjects[row] for row in rows)}"
            for name, rows in list(separated.items())[:3]
        )
        raise InputError(
            f"expected a split in {file} that keeps each family (and all sessions of a person) in "
            f"one part; found {len(separated)} that it separates ({shown}"
            f"{'; …' if len(separated) > 3 else ''}): what is learned of one member would be "
            "tested on another. Move them into one part, or leave --splits out to draw one."
        )
    return split


def list_families(subjects: Sequence[str], families: Mapping[str, str]) -> tuple[str, ...]:
    """Family of each row of a cohort; sessions of a subject, at least, are one family.

    Parameters
    ----------
    subjects : sequence of str
        ``01``, or ``01_ses-1``.
    families : mapping of str to str
        Family by subject, without session; subjects who are not in it have none but themselves.
    """
    known = _spell_alike(families, subjects, "--families")
    persons = list(map(subject_of, subjects))
    alone = sorted({person for person in persons if person not in known})
    if known and alone:
        logger.warning(
            "%d subjects have no family given, and count as one each: %s",
            len(alone), list_few(alone),
        )  # fmt: skip
    return tuple(known.get(person, f"{person} alone") for person in persons)


def read_split(file: Path) -> dict[str, str]:
    """Part (train, validation or test) of every subject that a file names.

    Raises
    ------
    InputError
        If it is no split, or names somebody twice.
    """
    return _read_matlab_split(file) if file.suffix == ".mat" else _read_table_split(file)


def read_families(asked: str, participants: Path | None) -> dict[str, str]:
    """Family of every subject, without ``sub-``.

    Parameters
    ----------
    asked : str
        A table with the columns ``participant_id`` and ``family``; or the name of a column of
        ``participants``.

    Raises
    ------
    InputError
        If the table cannot be read or has no such column.
    SettingsError
        If a column is named and there is no table of participants.
    """
    if Path(asked).is_file():
        rows = _read_subjects(Path(asked))
        named = [name for name in rows[0] if FAMILY.fullmatch(name)]
        others = named or [name for name in rows[0] if name != PARTICIPANT]
        if len(others) != 1:
            raise InputError(
                f"expected one column of families, called family, in {asked}; found "
                f"{', '.join(rows[0])}. Rename it, or give --families COLUMN --participants FILE."
            )
        return _take_column(rows, others[0])
    if participants is None:
        raise SettingsError(
            f"--families: expected a table, or a column of participants.tsv; found {asked!r}, "
            "which is no file, and no participants.tsv. Give --participants FILE."
        )
    rows = _read_subjects(participants)
    if asked not in rows[0]:
        raise InputError(
            f"--families: expected a column of {participants} ({', '.join(rows[0])}) or a table; "
            f"found {asked!r}."
        )
    return _take_column(rows, asked)


def find_family_column(participants: Path) -> str | None:
    """Name of the column of a table of participants that holds families, if there is one."""
    rows = _read_subjects(participants)
    return next((name for name in rows[0] if FAMILY.fullmatch(name)), None)


def _read_subjects(file: Path) -> list[dict[str, str]]:
    rows = read_participants(file)
    if not rows or PARTICIPANT not in rows[0]:
        raise InputError(
            f"expected a table with tabs and the column {PARTICIPANT} in {file}; found "
            f"{', '.join(rows[0]) if rows else 'no rows'}. Name the column of subjects so."
        )
    rows = [row for row in rows if any(row.values())]
    nameless = [row for row in rows if not row[PARTICIPANT]]
    if nameless:
        raise InputError(
            f"expected a name in the column {PARTICIPANT} of every row of {file}; found none "
            f"beside {', '.join(filter(None, nameless[0].values()))}. Correct the table."
        )
    counts = Counter(row[PARTICIPANT] for row in rows)
    twice = [name for name, n in counts.items() if n > 1]
    if twice:
        raise InputError(
            f"expected each person once in {file}; found {list_few(twice)} more than once. "
            "Correct the table."
        )
    return rows


def _take_column(rows: Sequence[Mapping[str, str]], column: str) -> dict[str, str]:
    return {
        row[PARTICIPANT]: row[column] for row in rows if row[column].casefold() not in NO_VALUE
    }


def _read_table_split(file: Path) -> dict[str, str]:
    rows = _read_subjects(file)
    for column in rows[0]:
        values = {row[column].casefold() for row in rows} - NO_VALUE
        if column != PARTICIPANT and values and values <= set(WORDS):
            found = _take_column(rows, column)
            return {name: WORDS[word.casefold()] for name, word in found.items()}
    raise InputError(
        f"expected a column of train, validation and test in {file}; found "
        f"{', '.join(rows[0])}. Add one."
    )


def _read_matlab_split(file: Path) -> dict[str, str]:
    if not file.is_file():
        raise InputError(f"--splits: expected a file; found no {file}. Check the path.")
    arrays = open_arrays(file)
    names = find_subjects(arrays)
    if names is None or "subjidx_train" not in arrays:
        raise InputError(
            f"expected subjects, subjidx_train, subjidx_val and subjidx_test in {file}; found "
            f"{', '.join(arrays)}. Give a table with the columns {PARTICIPANT} and split instead."
        )
    found: dict[str, str] = {}
    for key, part in KEYS.items():
        rows = load_rows(arrays[key]) if key in arrays else np.empty(0)
        for row in _read_rows(rows, len(names), f"{file}, {key}"):
            if names[row] in found:
                raise InputError(
                    f"expected each person in one part in {file}; found {names[row]} in two. "
                    "Correct the rows."
                )
            found[names[row]] = part
    return found


def _read_rows(values: NDArray[np.generic], n_names: int, where: str) -> list[int]:
    rows = np.asarray(values, np.float64).reshape(-1)
    is_row = (rows == np.floor(rows)) & (rows >= 0) & (rows < n_names)
    if not is_row.all():
        raise InputError(
            f"expected rows from 0 to {n_names - 1} of the subjects in {where}; found "
            f"{rows[~is_row][0]:g}. Count them from 0, as Python does."
        )
    return [int(row) for row in rows]


def _apply(parts: Mapping[str, str], subjects: Sequence[str], file: Path) -> Split:
    """Rows of each part, subjects matched by name."""
    spelled = _spell_alike(parts, subjects, "--splits")
    rows: dict[str, list[int]] = {part: [] for part in PARTS}
    left_out: list[int] = []
    for row, subject in enumerate(subjects):
        part = spelled.get(subject, spelled.get(subject_of(subject)))
        (left_out if part is None else rows[part]).append(row)
    if left_out:
        logger.warning(
            "%d subjects take no part, since %s does not name them: %s",
            len(left_out), file, list_few([subjects[row] for row in left_out]),
        )  # fmt: skip
    if not rows["train"]:
        raise ConnectomeError(
            f"expected subjects to train on; found that {file} gives none of the "
            f"{len(subjects)} subjects of the inputs ({list_few(subjects)}) to train. Spell them "
            "alike in both."
        )
    return Split(*(np.array(rows[part], np.intp) for part in PARTS))


def _spell_alike(
    values: Mapping[str, str], subjects: Sequence[str], option: str
) -> dict[str, str]:
    """Values by subject, named as the inputs name them."""
    persons = list(map(subject_of, subjects))
    unified = unify_labels({"--input": [*subjects, *persons], option: values})
    return {unified[name]: value for name, value in values.items()}
