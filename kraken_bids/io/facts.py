"""What files of OUTPUT_DIR say, whoever wrote them: values are asked for by their kind."""

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.tables import read_columns
from kraken_bids.io.texts import read_json

ACRONYMS = {"fd": "FD", "dvars": "DVARS", "tsnr": "TSNR", "sift2": "SIFT2"}
MEND = "The file is damaged, or of another tool: make it again with --force."

logger = logging.getLogger(__name__)


def to_key(field: str) -> str:
    """Key in a sidecar of a record's field: ``mean_fd`` becomes ``MeanFD``."""
    return "".join(ACRONYMS.get(word, word.capitalize()) for word in re.split("_+", field))


class Facts:
    """A JSON object; a value of another kind than is asked for counts as not known.

    Parameters
    ----------
    content : object, optional
        What JSON holds; anything but an object knows nothing.
    """

    def __init__(self, content: object = None) -> None:
        self.plain: Mapping[str, Any] = content if isinstance(content, dict) else {}
        """All of it, of whatever kind."""

    def __contains__(self, name: str) -> bool:
        return name in self.plain

    def __iter__(self) -> Iterator[str]:
        return iter(self.plain)

    def __len__(self) -> int:
        return len(self.plain)

    def number(self, name: str) -> float | None:
        """Give a finite number; None where there is none (a text, ``n/a``, a list, true)."""
        return _to_number(self.plain.get(name))

    def count(self, name: str) -> int | None:
        """Give a whole number from 0 on; None where there is none."""
        value = self.number(name)
        return int(value) if value is not None and value >= 0 and value == int(value) else None

    def text(self, name: str) -> str:
        """Give a text; '' where there is none."""
        value = self.plain.get(name)
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """List the texts of a list."""
        return [one for one in self._list(name) if isinstance(one, str)]

    def numbers(self, name: str) -> list[float]:
        """List the numbers of a list that holds nothing else; else nothing."""
        found = [_to_number(one) for one in self._list(name)]
        known = [one for one in found if one is not None]
        return known if len(known) == len(found) else []

    def part(self, name: str) -> "Facts":
        """Give an object in it; an empty one where there is none."""
        return Facts(self.plain.get(name))

    def parts(self, name: str) -> list["Facts"]:
        """List the objects of a list."""
        return [Facts(one) for one in self._list(name) if isinstance(one, dict)]

    def by_name(self) -> dict[str, "Facts"]:
        """Give the objects in it by their names."""
        return {name: Facts(one) for name, one in self.plain.items() if isinstance(one, dict)}

    def _list(self, name: str) -> list[Any]:
        value = self.plain.get(name)
        return value if isinstance(value, list) else []


def read_facts(path: Path) -> Facts:
    """Read a JSON file; one that is damaged is passed over with a warning.

    Returns
    -------
    Facts
        Empty where there is no such file, or none that can be read.
    """
    try:
        return Facts(read_json(path))
    except InputError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            logger.warning("passed over: %s", error)
        return Facts()


def _to_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def read_table(
    path: Path, *, numbers: Sequence[str] = (), texts: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Columns of a table, of which some must be there and be numbers or texts.

    Parameters
    ----------
    numbers : sequence of str
        Columns of float64, NaN where a value is not known.
    texts : sequence of str
        Columns of text, as spelled.

    Returns
    -------
    dict
        All columns, each an ndarray [n_rows].

    Raises
    ------
    InputError
        If it cannot be read, lacks one of these columns, or one holds no numbers.
    """
    columns = read_columns(path, texts=texts)
    for name in (*numbers, *texts):
        if name not in columns:
            raise InputError(
                f"expected a column {name} in {path}; found {', '.join(columns)[:80]}. {MEND}"
            )
    for name in numbers:
        if columns[name].dtype.kind != "f":
            raise InputError(
                f"expected numbers in the column {name} of {path}; found text. {MEND}"
            )
    return columns
