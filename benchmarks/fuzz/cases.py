"""Valid files, readers, and the damaged files that readers are given, each by its number."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from fuzz.mutate import mutate


class InvalidResultError(Exception):
    """A reader has given back what it must not give back."""


def require(holds: object, what: str) -> None:
    """Raise InvalidResultError unless something holds of a result."""
    if not holds:
        raise InvalidResultError(what)


@dataclass(frozen=True)
class Seed:
    """A valid file."""

    name: str
    """Its path in a folder of the case's own."""
    content: bytes
    beside: Mapping[str, bytes] = field(default_factory=dict)
    """Files that lie in that folder too, and are not damaged."""


@dataclass(frozen=True)
class Reader:
    """Something of kraken_bids that reads foreign bytes."""

    name: str
    list_seeds: Callable[[], Sequence[Seed]]
    """Makes its valid files."""
    read: Callable[[Path], None]
    """Reads the file as the product does, and checks what comes back with :func:`require`."""

    @property
    def seeds(self) -> Sequence[Seed]:
        """Its valid files, made once."""
        return _list_once(self.list_seeds)


@cache
def _list_once(list_seeds: Callable[[], Sequence[Seed]]) -> Sequence[Seed]:
    return list_seeds()


def make_case(reader: Reader, number: int, seed: int) -> tuple[Seed, bytes]:
    """Make the damaged content of a case; the first is the valid file that it was."""
    rng = Random(f"{seed} {reader.name} {number}")
    chosen = rng.choice(reader.seeds)
    alike = [s for s in reader.seeds if Path(s.name).suffix == Path(chosen.name).suffix]
    return chosen, mutate(chosen.name, chosen.content, rng.choice(alike).content, rng)


def run_case(reader: Reader, folder: Path, chosen: Seed, content: bytes) -> None:
    """Let a reader read a file in a folder of its own."""
    folder.mkdir(parents=True)
    try:
        for name, own in {**chosen.beside, chosen.name: content}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(own)
        reader.read(folder / chosen.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
