"""Folders of other people's datasets: closed ones, empty ones, and links to nowhere."""

import logging
import os
from pathlib import Path

from kraken_bids.exceptions import InputError

GET = "in a DataLad dataset it is not installed: get it with datalad get"
ASK = (
    "ask for the right to read it, or (in a container) run as a user who has it; data of a "
    "participant that are to be left out are skipped with --participant-label"
)

logger = logging.getLogger(__name__)


def list_folder(folder: Path) -> list["os.DirEntry[str]"]:
    """Entries of a folder, by name.

    Raises
    ------
    InputError
        If this user may not read it, or it is none.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(
            f"expected a folder that can be read at {folder}; reading it gave: {error.strerror}. "
            f"Check its rights: {ASK}."
        ) from error


def list_entries(folder: Path) -> list["os.DirEntry[str]"]:
    """List what is in a folder of OUTPUT_DIR, by name; nothing where none can be read.

    One that is closed, or a link to nowhere, is named in a warning.
    """
    try:
        return list_folder(folder)
    except InputError as error:
        if is_nowhere(folder):
            logger.warning("passed over: %s", explain_folder(folder))
        elif not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            logger.warning("passed over: %s", error)
        return []


def is_folder(path: Path) -> bool:
    """Whether there is a folder, closed or not; False also where nobody may look."""
    try:
        return path.is_dir()
    except PermissionError:
        return False


def is_nowhere(path: Path) -> bool:
    """Whether it is a link whose target does not exist."""
    return path.is_symlink() and not path.exists()


def explain_folder(folder: Path) -> str:
    """Say why nothing can be found in a folder, and what to do; '' where something may be.

    The folder may be a link, also to nowhere.
    """
    if is_nowhere(folder):
        return (
            f"{folder} is a link to {folder.readlink()}, where nothing is; {GET} {folder.name}, "
            "and in a container mount also the folder that links lead to"
        )
    try:
        with os.scandir(folder) as entries:
            is_empty = next(entries, None) is None
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"{folder} cannot be read ({error.strerror}): {ASK}"
    return f"{folder} is empty; {GET} {folder.name}" if is_empty else ""


def check_folder(path: Path, what: str) -> None:
    """Refuse a folder that is missing, a file, closed or empty; ``what`` says what it should be.

    Raises
    ------
    InputError
        If it is one of these.
    """
    if not path.exists():
        raise InputError(f"expected a {what} at {path}; nothing is there. Check the path.")
    if not path.is_dir():
        raise InputError(
            f"expected a {what} at {path}; found a file. Give the folder of the dataset."
        )
    try:
        is_empty = not any(path.iterdir())
    except PermissionError as error:
        raise InputError(
            f"expected a {what} at {path}; this user may not read the folder. Ask for the right "
            "to read it, or (in a container) run as a user who has it."
        ) from error
    if is_empty:
        raise InputError(
            f"expected a {what} at {path}; the folder is empty. Check the path, and in a "
            "container that the folder is mounted (-v or --bind)."
        )
