"""Where results may be written: never over what they are made from, nor over each other."""

import re
from collections.abc import Iterable
from pathlib import Path

from kraken_bids.exceptions import SettingsError
from kraken_bids.io.output_streams import is_stream
from kraken_bids.io.tables import TABLE_SUFFIXES

SAVED = "--save-adaptation"
"""What writes two files."""


def check_no_input(
    outputs: Iterable[tuple[str, Path | None]], inputs: Iterable[str | Path | None]
) -> None:
    """Check that nothing that will be written is read, or written twice.

    Parameters
    ----------
    outputs : iterable of (str, Path)
        The option that names it, and its path; None where it was not given.
    inputs : iterable of str or Path
        As options take them: ``PATH`` or ``NAME=PATH``; None is passed over.

    Raises
    ------
    SettingsError
        If something is, under whatever name or link; or if tables that are read lie in a folder
        that tables will be written into; or if two files would go into one pipe.
    """
    read = [path for given in inputs if given for path in _list_paths(given)]
    written: dict[Path, str] = {}
    for option, output in outputs:
        if output is None:
            continue
        if option == SAVED and is_stream(output):
            raise SettingsError(
                f"expected {option} FILE, since it is two files; found {output}, a pipe or device."
            )
        place = output.resolve()
        if any(_is_endangered(path.resolve(), place) for path in read):
            raise SettingsError(
                f"expected {option} elsewhere than what is read; found {output}, where files "
                "that are read would be overwritten. Give another name."
            )
        other = written.setdefault(place, option)
        if other != option:
            raise SettingsError(
                f"expected different files for {other} and {option}; found {output} for both. "
                "Give another name to one of them."
            )


def check_atlas_names(names: Iterable[str]) -> None:
    """Check that the names of atlases can be parts of file names.

    Raises
    ------
    SettingsError
        If one holds other than letters, digits, ``_``, ``-``, ``+`` or ``.``, such as a path.
    """
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name):
            raise SettingsError(
                f"--labels: expected a name of letters, digits, _, -, + or . before the =; found "
                f"{name!r}. It becomes part of file names."
            )


def _is_endangered(path: Path, output: Path) -> bool:
    if path == output or (path.exists() and output.exists() and path.samefile(output)):
        return True
    if not output.is_dir() or not path.is_relative_to(output):
        return False
    return path.suffix in TABLE_SUFFIXES or any(path.rglob("*.tsv"))


def _list_paths(given: str | Path) -> list[Path]:
    names = [str(given), str(given).partition("=")[2]]
    return [path for name in names if name and (path := Path(name)).exists()]
