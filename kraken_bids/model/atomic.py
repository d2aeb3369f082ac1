"""Whole files or none: what is written appears under its name only when it is complete."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from kraken_bids.exceptions import InputError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it; no half is left.

    Parameters
    ----------
    path : Path
        Final name; its folder exists.
    write : callable
        Takes the temporary path, which has the same suffix, and writes it.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"expected to write {path}; found: {error}. Free some space or choose another "
            "folder, and run again."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
