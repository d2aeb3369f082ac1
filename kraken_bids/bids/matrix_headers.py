"""The names of regions above a matrix of text, where somebody put them there."""

import re

NUMBERS = re.compile(rb"[0-9.,;:+\-eE \t]*|(?:[ \t,;]*(?:[0-9.eE+\-]+|nan|NaN|n/a|N/A|NA|-?inf))*")
"""A line of a matrix: no names in it."""
ROW_NAME = re.compile(rb"(?m)^[^\t\n]*\t")


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
    if not line.strip() or NUMBERS.fullmatch(line.rstrip(b"\r")):
        return None, text
    cells = line.rstrip(b"\r").decode("utf-8", errors="replace").split(mark.decode())
    names = tuple(cell.strip().strip('"') for cell in cells)
    if not names[0] and len(names) > 1:
        names = names[1:]
        rows = [row.partition(mark) for row in rest.splitlines() if row.strip()]
        found = tuple(row[0].decode("utf-8", errors="replace").strip().strip('"') for row in rows)
        if found != names:
            raise ValueError("a header whose names are not those of the rows, in the same order")
        rest = b"\n".join(row[2] for row in rows) + b"\n"
    if len(set(names)) < len(names) or not all(names):
        raise ValueError("a header with empty or repeated names")
    return names, rest
