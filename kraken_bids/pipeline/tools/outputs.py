"""Where results may be written: never over what they are made from."""

from collections.abc import Iterable
from pathlib import Path

from kraken_bids.exceptions import SettingsError


def check_no_input(
    outputs: Iterable[tuple[str, Path | None]], inputs: Iterable[str | Path | None]
) -> None:
    """Check that no file or folder that will be written is one that is read.

    Parameters
    ----------
    outputs : iterable of (str, Path)
        The option that names it, and its path; None where it was not given.
    inputs : iterable of str or Path
        As options take them: ``PATH`` or ``NAME=PATH``; None is passed over.

    Raises
    ------
    SettingsError
        If one is, under whatever name or link.
    """
    read = [path for given in inputs if given for path in _list_paths(given)]
    for option, output in outputs:
        if output is None or not output.exists():
            continue
        if any(output.samefile(path) for path in read):
            raise SettingsError(
                f"expected {option} elsewhere than what is read; found {output} for both, which "
                "would be overwritten. Give another name."
            )


def _list_paths(given: str | Path) -> list[Path]:
    names = [str(given), str(given).partition("=")[2]]
    return [path for name in names if name and (path := Path(name)).exists()]
