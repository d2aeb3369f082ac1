"""Samples of WebDataset tars: arrays, numbers and words, read without running their pickles."""

import pickle
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.stored_rows import BROKEN
from kraken_bids.io.unpickler import ArrayUnpickler, RefusedError

MAX_WORD_BYTES = 1 << 12
"""A label is no longer."""
PLAIN_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)


@dataclass(frozen=True)
class TarSample:
    """The members of a tar that share a key: their names up to the first dot."""

    path: Path
    """The tar."""
    key: str
    places: Mapping[str, tuple[int, int]]
    """What follows the first dot of each member's name (``bold.pyd``), to where its bytes begin in
    the tar, and how many there are."""

    def read_array(self, ending: str) -> NDArray[Any]:
        """Read the pickled array of numbers of a member.

        Raises
        ------
        InputError
            If there is none, or it is damaged, no array of numbers, or names code.
        """
        value = self._unpickle(ending)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise self._refuse(ending, "an array of numbers", type(value).__name__)
        return value

    def read_number(self, ending: str) -> float:
        """Read the pickled number of a member, to the digits that its type has.

        Raises
        ------
        InputError
            As of :meth:`read_array`, if it is no finite number.
        """
        value = self._unpickle(ending)
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.reshape(-1)[0]
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise self._refuse(ending, "a number", type(value).__name__)
        if not np.isfinite(value) or np.iscomplexobj(value):
            raise self._refuse(ending, "a finite number", str(value))
        return float(str(value))  # of float32, 0.72 and not 0.7200000286

    def read_text(self, ending: str) -> str:
        """Read the words of a member.

        Raises
        ------
        InputError
            If there are none, or more than a label has.
        """
        if self.places.get(ending, (0, 0))[1] > MAX_WORD_BYTES:
            raise self._refuse(ending, f"words of at most {MAX_WORD_BYTES} bytes", "more")
        try:
            return " ".join(self._read(ending).decode().split())
        except UnicodeDecodeError as error:
            raise self._refuse(ending, "words in UTF-8", "other bytes") from error

    def _read(self, ending: str) -> bytes:
        if ending not in self.places:
            raise self._refuse(ending, "a member of this name", ", ".join(self.places) or "none")
        start, n_bytes = self.places[ending]
        with _explaining(self.path), self.path.open("rb") as file:
            file.seek(start)
            content = file.read(n_bytes)
            if len(content) < n_bytes:
                raise EOFError(f"{self.key}.{ending} is cut short")
            return content

    def _unpickle(self, ending: str) -> Any:
        content = self._read(ending)
        try:
            return ArrayUnpickler(BytesIO(content)).load()
        except RefusedError as error:
            raise InputError(
                f"expected numbers in {self.key}.{ending} of {self.path}; found a pickle that "
                f"wants Python to load {error}. It was refused and nothing of it was run. Do not "
                "trust this file; take it from its publisher again."
            ) from error
        except (*BROKEN, pickle.UnpicklingError, AttributeError) as error:
            raise self._refuse(ending, "a pickled value", f"{error}") from error

    def _refuse(self, ending: str, expected: str, found: str) -> InputError:
        return InputError(
            f"expected {expected} in {self.key}.{ending} of {self.path}; found {found[:200]}. "
            "Make the tar again, or take it from its publisher again."
        )


def list_samples(path: Path) -> list[TarSample]:
    """List the samples of a WebDataset tar in their order, from the headers of its members.

    Members without a dot in their name, or with nothing before it, are passed over.

    Raises
    ------
    InputError
        If it is no tar, cut, damaged, or a member is no file or comes twice.
    """
    found: dict[str, dict[str, tuple[int, int]]] = {}
    with _explaining(path):
        for name, place in _list_members(path):
            folder, slash, last = name.rpartition("/")
            stem, dot, ending = last.partition(".")
            if not stem or not dot:
                continue
            own = found.setdefault(folder + slash + stem, {})
            if ending.lower() in own:
                raise ValueError(f"{name} twice")
            own[ending.lower()] = place
        if not found:
            raise ValueError("no member whose name has a key and an ending")
    return [TarSample(path, key, own) for key, own in found.items()]


def _list_members(path: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the name of each file of a tar, and where its bytes lie.

    tarfile takes a header that is damaged, and the end of a file that was cut between two members,
    for the end of the tar; here the block of zeros that ends every tar must be there.
    """
    n_bytes = path.stat().st_size
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # it remembers all
            if member.isdir():
                continue
            if member.type not in PLAIN_FILES or member.sparse is not None:
                raise ValueError(f"{member.name}, which is no plain file")
            if member.offset_data + member.size > n_bytes:
                raise EOFError(f"the beginning of {member.name} only")
            yield member.name, (member.offset_data, member.size)
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError("no end of the tar: it is cut, or damaged after its first members")


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (*BROKEN, tarfile.TarError) as error:
        raise InputError(
            f"expected a WebDataset tar at {path}; found: {error}. Copy it again; a tar that is "
            "packed (.tar.gz) is to be unpacked first."
        ) from error
