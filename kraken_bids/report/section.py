"""A page and its sections: what each gathers and draws, and the template that shows both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__

Floats = NDArray[np.floating[Any]]
Booleans = NDArray[np.bool_]
Group = Literal["FC", "SC"]
SourceGroup = Literal["FC", "SC", "both"]


@dataclass(frozen=True)
class Section:
    """One section of a participant's or of the group's page.

    ``docs/decisions/0039-where-a-section-lives.md`` says how one is added.
    """

    name: str
    """Its id in the page."""
    title: str
    """In the list of contents."""
    template: str
    """File in ``templates/``; it sees ``data``, the figures and the words below."""
    gather: Callable[[Any], Any]
    """From a :class:`~kraken_bids.report.written.Written` or ``WrittenGroup`` to what the template
    and the figures show; None leaves the section out."""
    heading: str = ""
    """Over the section, where it is not the title."""
    draw: Callable[[Any], Mapping[str, bytes]] = lambda _: {}
    """PNG files by name, from what was gathered."""
    figures: tuple[str, ...] = ()
    """How the names of its figures begin: earlier ones that are shown no more are removed."""
    words: Mapping[str, Any] = field(default_factory=dict)
    """Functions and constants for the template."""
    entries: Callable[[Any], Sequence[str]] = lambda _: ()
    """Ids within the section that the list of contents names."""


@dataclass(frozen=True)
class FileLink:
    """A file that was written."""

    href: str
    """Address relative to the HTML file: ``sub-01/func/…``."""
    description: str = ""


@dataclass(frozen=True)
class Notice:
    """One sentence of the banner: what is wrong, and what to do."""

    level: Literal["warning", "info"]
    text: str


@dataclass(frozen=True)
class Tile:
    """One key number at the top of a page."""

    value: str
    label: str
    detail: str = ""
    mark: str = ""
    """Class of its colour."""


Neighbours = tuple[FileLink | None, FileLink | None]


@dataclass(frozen=True)
class Page:
    """What one page shows, as plain values."""

    sections: tuple[Section, ...]
    data: Mapping[str, Any]
    """What each section has gathered, by its name; those that are left out are not in it."""
    title: str
    kicker: str
    """Above the heading."""
    heading: str
    under: tuple[str, ...]
    """Under it, before the date."""
    tiles: Sequence[Tile]
    notices: Sequence[Notice]
    group_href: str = ""
    """Address of the group's page relative to this one, if there is one."""
    neighbours: Neighbours = (None, None)
    """Pages before and after this one."""
    created: str = field(default_factory=lambda: date.today().isoformat())
    version: str = __version__
