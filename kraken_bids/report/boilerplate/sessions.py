"""Facts of the sessions that a methods section is about."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from kraken_bids.cohort.members import Member
from kraken_bids.flavors import Flavor
from kraken_bids.io.facts import Facts
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.report.written import Written, display_order

T = TypeVar("T")
LARGE = 1000
"""From here on numbers are whole."""
MOST_READ = 50
"""Sessions whose sidecars are read whole; of the others measured settings tell them apart."""


@dataclass(frozen=True)
class Described:
    """The sessions that a text is about."""

    output_dir: Path
    members: tuple[Member, ...]

    @cached_property
    def read(self) -> tuple[Written, ...]:
        """One session for each way in which sessions were measured and predicted."""
        found: dict[object, Member] = {}
        for member in self.members:
            ways = {
                (flavor.name, *sorted(one.settings.items()))
                for flavor, one in member.measurements.items()
            }
            found.setdefault(frozenset(ways), member)
        return tuple(Written(self.output_dir, one) for one in list(found.values())[:MOST_READ])

    def list_sidecars(self, group: str) -> list[tuple[Flavor, Facts]]:
        """Flavor and sidecar of every measured connectome of FC or SC that is read."""
        found = [
            (flavor, facts)
            for written in self.read
            for flavor, facts in written.measured.items()
            if flavor.group == group and facts
        ]
        return sorted(found, key=lambda one: display_order(one[0]))

    @property
    def parcellations(self) -> list[str]:
        """Names of the parcellations, those of the package first."""
        names = {flavor.parcellation for one in self.members for flavor in one.connectomes}
        known = [name for name in list_parcellations() if name in names]
        return [*known, *sorted(names - set(known))]

    def count_regions(self, name: str) -> int:
        """How many regions a parcellation has."""
        if name in list_parcellations():
            return load_parcellation(name).n_regions
        own = (w for w in self.read if name in w.custom_atlases)
        return next((written.read_regions(name).n_regions for written in own), 0)


def group_alike(
    found: Iterable[tuple[T, Facts]], fields: Sequence[str]
) -> list[list[tuple[T, Facts]]]:
    """Group what sidecars describe alike: those whose fields have the same values."""
    groups: dict[str, list[tuple[T, Facts]]] = {}
    for one in found:
        groups.setdefault(str([one[1].plain.get(name) for name in fields]), []).append(one)
    return list(groups.values())


def join(words: Iterable[str]) -> str:
    """Join words: ``a``, ``a and b``, ``a, b and c``; each once."""
    *first, last = dict.fromkeys(words)
    return f"{', '.join(first)} and {last}" if first else last


def span(values: Sequence[float], unit: str, digits: int = 3) -> str:
    """Say a number or how numbers spread: ``13.1 min on average (range 10.0 to 14.2)``."""
    texts = [
        f"{value:,.0f}" if value >= LARGE else f"{value:.{digits}g}"
        for value in (sum(values) / len(values), min(values), max(values))
    ]
    if texts[1] == texts[2]:
        return f"{texts[1]} {unit}"
    return f"{texts[0]} {unit} on average (range {texts[1]} to {texts[2]})"


def span_counts(counts: Collection[int]) -> str:
    """Say a whole number or between which ones it lies: ``12``, ``9 to 12``."""
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"
