"""What is unlikely about connectomes, in words."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kraken_bids.exceptions import ConnectomeError, name_few
from kraken_bids.flavors import Flavor

logger = logging.getLogger(__name__)

ABOUT, MEAN = "about this person", "no better than the group mean"
NOT_JUDGED = "not judged"
COMMON = "the model encodes it badly here"
"""End of what is said of a flavor, not of a file."""


@dataclass(frozen=True)
class Doubt:
    """One thing that is unlikely about the connectomes of one flavor."""

    flavor: Flavor
    claim: str
    """What seems wrong, without numbers."""
    figures: tuple[tuple[str, str], ...]
    """The numbers, each after what it is."""
    remedy: str
    """What to do; a whole sentence."""
    whom: tuple[int, ...] = ()
    """Rows that it concerns; empty where it concerns all."""
    is_certain: bool = False
    """Whether no right data can look so."""
    spoils: bool = True
    """Whether predictions from these connectomes are in doubt too."""


def describe_doubts(
    doubts: Sequence[Doubt], name_rows: Callable[[tuple[int, ...]], str]
) -> list[str]:
    """Sentences for people: one for each claim, with all flavors that it is made of.

    Parameters
    ----------
    name_rows : callable
        Words for some rows: ``connectomes 4 of 12``; their names.
    """
    grouped: dict[tuple[str, str, tuple[int, ...]], list[Doubt]] = {}
    for doubt in doubts:
        grouped.setdefault((doubt.claim, doubt.remedy, doubt.whom), []).append(doubt)
    return [
        f"{', '.join(dict.fromkeys(doubt.flavor.name for doubt in several))}"
        f"{f' of {name_rows(whom)}' if whom else ''}: {claim}"
        f"{_bracket(several)}. {remedy}"
        for (claim, remedy, whom), several in grouped.items()
    ]


def log_doubts(doubts: Sequence[Doubt]) -> None:
    """Log doubts about arrays that are in memory, whose rows have no names."""
    for text in describe_doubts(doubts, lambda rows: f"row {', '.join(map(str, rows[:5]))}"):
        logger.warning(text)


def check_certain(texts: Sequence[str], doubts: Sequence[Doubt], where: str) -> None:
    """Raise where no right data can look as these do.

    Raises
    ------
    ConnectomeError
    """
    if any(doubt.is_certain for doubt in doubts):
        raise ConnectomeError(
            f"{where}: expected connectomes of the flavors that they are given as, in the model's "
            f"order of regions; found: {' '.join(texts)}"
        )


def concern(doubt: Doubt, rows: tuple[int, ...]) -> Doubt:
    """Say the same of some rows only."""
    return replace(doubt, whom=rows)


def _bracket(doubts: Sequence[Doubt]) -> str:
    """Figures of all flavors, in their order."""
    numbers: dict[str, list[str]] = {}
    for doubt in doubts:
        for words, number in doubt.figures:
            numbers.setdefault(words, []).append(number)
    known = ", ".join(f"{words} {' and '.join(found)}" for words, found in numbers.items())
    return f" ({known})" if known else ""


MAX_NAMED = 5
"""Sessions that one line names; further ones are counted."""


def name_rows(labels: Sequence[str]) -> Callable[[tuple[int, ...]], str]:
    """Words for rows: their labels, or how many there are beside the first few."""

    def name(rows: tuple[int, ...]) -> str:
        return name_few([labels[row] for row in rows], MAX_NAMED)

    return name
