"""Datasets whose files an existing pybids database lists (``--bids-database-dir``)."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from kraken_bids.bids.datasets import Dataset
from kraken_bids.exceptions import InputError

DATABASE = "layout_index.sqlite"
"""The file that pybids writes into the folder of a database, and of each derivative inside."""

logger = logging.getLogger(__name__)


def attach_databases(datasets: Sequence[Dataset], folder: Path) -> tuple[Dataset, ...]:
    """Attach an existing pybids database to each dataset that it lists.

    Parameters
    ----------
    folder : path
        What ``BIDSLayout(database_path=...)`` or ``pybids layout`` wrote; only read.

    Raises
    ------
    InputError
        If there is no database, it cannot be read, or it lists none of the searched datasets.
    """
    found = sorted(folder.rglob(DATABASE))
    if not found:
        raise InputError(
            f"--bids-database-dir: expected {DATABASE} in {folder}; found none. {_advise(folder)}"
        )
    roots = {Path(_read(path.parent)[0]).resolve(): path.parent for path in found}
    attached = tuple(
        replace(one, database=roots.get(one.path.resolve())) if one.is_searched else one
        for one in datasets
    )
    searched = [str(one.path) for one in datasets if one.is_searched]
    if not any(one.database for one in attached):
        raise InputError(
            f"--bids-database-dir: expected a database of {' or '.join(searched)}; {folder} is "
            f"of {', '.join(map(str, roots))}. {_advise(folder)}"
        )
    for one in attached:
        if one.is_searched and one.database is None:
            logger.info("%s has no database in %s: its folders are listed", one.path, folder)
    return attached


def list_stored(dataset: Dataset, subject: str) -> Iterator[Path]:
    """Files of a subject that the database of a dataset lists, below the root as it is now.

    Raises
    ------
    InputError
        If the database has no file of a subject whose folder is there.
    """
    assert dataset.database
    root, files = _read(dataset.database)
    paths = files.get(f"sub-{subject}", ())
    if not paths:
        raise InputError(
            f"expected files of sub-{subject} in the database {dataset.database}; found none, "
            f"while {dataset.path / f'sub-{subject}'} exists. {_advise(dataset.database)}"
        )
    now = [dataset.path / Path(path).relative_to(root) for path in paths]
    _warn_if_older(dataset.database / DATABASE, {path.parent for path in now})
    yield from now


@cache
def _read(folder: Path) -> tuple[str, dict[str, list[str]]]:
    """Root and files by ``sub-<label>`` folder of one database.

    pybids's layout itself is not loaded: it would index, and write, what a database lacks.
    """
    from bids.layout.db import ConnectionManager
    from bids.layout.models import BIDSFile
    from sqlalchemy.exc import SQLAlchemyError

    try:
        connection = ConnectionManager(folder)
        root = connection.layout_info.root
        rows = connection.session.query(BIDSFile.path).filter_by(is_dir=False).all()
        connection.session.close()
    except (SQLAlchemyError, AttributeError, ValueError) as error:
        from importlib.metadata import version

        raise InputError(
            f"expected a database of pybids in {folder / DATABASE} as version {version('pybids')} "
            f"reads it; reading gave: {str(error).splitlines()[0]}. It may be of another version "
            f"of pybids. {_advise(folder)}"
        ) from error
    files: dict[str, list[str]] = {}
    for (path,) in rows:
        first = path.removeprefix(root).lstrip("/").split("/")[0]
        if first.startswith("sub-"):
            files.setdefault(first, []).append(path)
    return root, files


def _warn_if_older(database: Path, folders: set[Path]) -> None:
    """Say that files came or went after the database was made."""
    made = database.stat().st_mtime
    changed = [folder for folder in sorted(folders) if _changed_at(folder) > made]
    if changed:
        logger.warning(
            "%s has changed since %s was made: files that came later are not seen. %s",
            changed[0], database, _advise(database.parent),
        )  # fmt: skip


def _changed_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError as error:
        raise InputError(
            f"expected the folder {folder}, which the database lists; reading it gave: "
            f"{error.strerror}. Make the database anew, or leave --bids-database-dir out."
        ) from error


def _advise(folder: Path) -> str:
    return (
        f"Make one with: mkdir -p {folder} && pybids layout --no-validate --reset-db DATASET "
        f"{folder}, where DATASET is the output folder of fMRIPrep or QSIRecon itself; or leave "
        "--bids-database-dir out."
    )
