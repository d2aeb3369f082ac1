"""The names of regions above a matrix of text, where somebody put them there."""

from collections.abc import Sequence
from pathlib import Path

IN_NUMBERS = b"0123456789.,;:+-eE \tnaNAif/\r"
"""What numbers consist of, ``nan``, ``inf`` and ``n/a`` too."""

MAX_LINE = 1 << 20
"""No header is longer."""


def split_header(text: bytes, mark: bytes = b"\t") -> tuple[tuple[str, ...] | None, bytes]:
    """Names of the columns of a matrix, and its text without them.

    Parameters
    ----------
    text : bytes
        A matrix; its first line may name its columns, and the first cell of each further line
        its row, as pandas writes it.
    mark : bytes
        What separates cells.

    Returns
    -------
    names : tuple of str or None
        None where there is no header.
    text : bytes
        The numbers.

    Raises
    ------
    ValueError
        If rows are named otherwise than columns, or a name comes twice.
    """
    line, _, rest = text.partition(b"\n")
    if not line.translate(None, IN_NUMBERS):
        return None, text
    names = tuple(map(_read_name, line.rstrip(b"\r").split(mark)))
    if not names[0] and len(names) > 1:
        names = names[1:]
        rows = [row.partition(mark) for row in rest.splitlines() if row.strip()]
        if tuple(_read_name(row[0]) for row in rows) != names:
            raise ValueError("a header whose names are not those of the rows, in the same order")
        rest = b"\n".join(row[2] for row in rows) + b"\n"
    if len(set(names)) < len(names) or not all(names):
        raise ValueError("a header with empty or repeated names")
    return names, rest


def read_header(path: Path) -> tuple[str, ...]:
    """Names of the columns of a matrix file with tabs; none where it has no header, or is none."""
    if not path.is_file():
        return ()
    with path.open("rb") as file:
        line = file.readline(MAX_LINE)
    return tuple(split_header(line)[0] or ())


def format_header(names: Sequence[str]) -> bytes:
    """Line that names the columns of a matrix; nothing without names."""
    return ("\t".join(names) + "\n").encode() if names else b""


def _read_name(cell: bytes) -> str:
    return cell.decode("utf-8", errors="replace").strip().strip('"')
