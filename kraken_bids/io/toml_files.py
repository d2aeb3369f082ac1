"""TOML files: settings of a run, and configurations that people write."""

import re
import tomllib
from pathlib import Path
from typing import Any

from kraken_bids.exceptions import InputError
from kraken_bids.io.bounds import MAX_DEPTH, check_plain
from kraken_bids.io.texts import read_text

MAX_BYTES = 1 << 21
"""Of a configuration; one that lists 100,000 participants has 1.2 MB."""
NO_KEY = re.compile(r"[^\w.\"' \t-]")


def read_toml(path: Path, *, option: str = "settings") -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    option : str
        That names the file, for messages.

    Raises
    ------
    InputError
        If the file is missing or is not TOML.
    """
    text = read_text(path, at_most=MAX_BYTES)
    try:
        _check_keys(text)
        content = tomllib.loads(text)
        check_plain(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{option}: {path} is not valid TOML: {error}.") from error
    return content


def _check_keys(text: str) -> None:
    """Refuse keys inside keys without end, for each of which the parser looks at all before it."""
    for words in NO_KEY.split(text):
        if sum(bool(part.strip()) for part in words.split(".")) > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} keys inside each other")
