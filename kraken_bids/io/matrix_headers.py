"""The names of regions above a matrix of text, where somebody put them there."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

IN_NUMBERS = b"0123456789.,;:+-eE \tnaNAif/<>\r"
"""What numbers consist of, ``nan``, ``inf``, ``n/a`` and ``<NA>`` too."""

MAX_LINE = 1 << 23
"""No header is longer; one of the names of all edges between 439 regions has 6 MB."""


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
        If rows are named otherwise than columns, a name comes twice, or it is longer than
        :data:`MAX_LINE`.
    """
    line, _, rest = text.partition(b"\n")
    if not line.translate(None, IN_NUMBERS):
        return None, text
    if len(line) > MAX_LINE:
        raise ValueError(f"a first line of words of {len(line):,} bytes")
    names = tuple(map(_read_name, line.rstrip(b"\r").split(mark)))
    if not names[0] and len(names) > 1:
        names = names[1:]
        rest = _cut_names(rest, mark, names)
    if len(set(names)) < len(names) or not all(names):
        raise ValueError("a header with empty or repeated names")
    return names, rest


def _cut_names(rows: bytes, mark: bytes, names: Sequence[str]) -> bytes:
    """Rows without the names before them, which must be these; read as far as they are."""
    wanted = iter(names)
    cut: list[bytes] = []
    for row in filter(bytes.strip, BytesIO(rows)):
        name, _, numbers = row.partition(mark)
        if _read_name(name) != next(wanted, None):
            cut.clear()
            break
        cut.append(numbers)
    if not cut or next(wanted, None) is not None:
        raise ValueError("a header whose names are not those of the rows, in the same order")
    return b"".join(cut)


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
