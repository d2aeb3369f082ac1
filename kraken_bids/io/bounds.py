"""What a file from outside may ask for: memory in proportion to its own size.

A few hundred bytes can declare an array of terabytes, or unpack to gigabytes. Each reader of
foreign files checks here what is declared before it makes room for it. The checks raise plain
``ValueError`` with what was found; the reader adds the path and what to do.
"""

import math
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

MAX_RATIO = 200
"""Connectomes of zeros aside, no array of measured numbers packs to 1/200 of its size."""
FREE_BYTES = 64_000_000
"""Up to here a file may grow as it likes."""
MAX_VALUES = 1_000_000
"""Values of a description that are no arrays: names, subjects, training records."""
MAX_DEPTH = 50
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What numpy, torch and zip programs write."""


def check_growth(n_declared: int, n_stored: int, what: str, *, max_ratio: int = MAX_RATIO) -> None:
    """Check the memory that a stored thing declares against the bytes that it is stored in.

    Parameters
    ----------
    n_declared, n_stored : int
        Bytes in memory, bytes in the file.
    what : str
        For the message: ``an array``, ``an archive``.
    max_ratio : int
        How many fold it may grow.

    Raises
    ------
    ValueError
        If it grows more than that, beyond the first :data:`FREE_BYTES`.
    """
    if n_declared < 0 or n_declared > max(FREE_BYTES, max_ratio * n_stored):
        raise ValueError(f"{what} that declares {n_declared:,} bytes and stores {n_stored:,}")


def check_shape(shape: Iterable[int], item_size: int, n_stored: int) -> None:
    """Check an array's declared shape against the bytes that are there for it, unpacked.

    Raises
    ------
    ValueError
        If a length is negative, or there are fewer bytes than the shape needs.
    """
    lengths = [int(length) for length in shape]
    n_declared = math.prod(lengths) * item_size
    if min(lengths, default=0) < 0 or n_declared > n_stored:
        raise ValueError(
            f"an array of declared shape {lengths[:8]}, which needs {n_declared:,} bytes, where "
            f"there are {n_stored:,}"
        )


def check_archive(archive: zipfile.ZipFile, n_bytes: int, *, max_ratio: int = MAX_RATIO) -> None:
    """Check a zip archive before any of it is unpacked.

    Parameters
    ----------
    archive : ZipFile
        It reads no more of a member than its header declares, so that what is declared is a bound.
    n_bytes : int
        Size of the archive itself; members that share their bytes count each by itself.
    max_ratio : int
        As in :func:`check_growth`.

    Raises
    ------
    ValueError
        If it would unpack to more than :func:`check_growth` allows, a member is larger than the
        archive, encrypted or packed in an unusual way, or its path is empty or leaves the
        archive's folder.
    """
    for member in archive.infolist():
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if not parts:
            raise ValueError(f"an archive with a member without a name, {member.filename!r}")
        if ".." in parts or member.filename.startswith(("/", "\\")) or ":" in parts[0]:
            raise ValueError(f"an archive with a path that leads out of it, {member.filename!r}")
        if member.flag_bits & 1 or member.compress_type not in PACKINGS:
            raise ValueError(f"an archive whose member {member.filename!r} is locked or unusual")
        if member.compress_size > n_bytes:  # zipfile makes room for that much at once
            raise ValueError(f"an archive whose member {member.filename!r} is larger than it")
    n_unpacked = sum(m.file_size for m in archive.infolist())
    check_growth(n_unpacked, n_bytes, "an archive", max_ratio=max_ratio)


def check_plain(content: object) -> None:
    """Check that nested containers, walked through, end, and soon.

    A few hundred bytes of pickle can hold a list inside itself, or lists of the same lists whose
    text would fill the memory.

    Raises
    ------
    ValueError
        If a container holds itself, or there are more than :data:`MAX_VALUES` values when every
        shared one is counted each time that it is met.
    """
    _count_values(content, {}, 0)


def _count_values(content: object, counted: dict[int, int], depth: int) -> int:
    """Values below, from :data:`counted` where this very object was counted before."""
    children: Iterable[Any] = ()
    if isinstance(content, Mapping):
        children = [*content.keys(), *content.values()]
    elif isinstance(content, list | tuple | set | frozenset):
        children = content
    if depth > MAX_DEPTH:
        raise ValueError("containers inside containers without end")
    if id(content) not in counted:
        n_values = 1
        for child in children:
            n_values += _count_values(child, counted, depth + 1)
            if n_values > MAX_VALUES:
                raise ValueError(f"more than {MAX_VALUES:,} values beside its arrays")
        counted[id(content)] = n_values
    return counted[id(content)]
