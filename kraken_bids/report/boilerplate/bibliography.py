"""Works to cite: in the text, in a list, and as BibTeX."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from kraken_bids.parcellations import read_table

CITED = re.compile(r"\[(@[\w@; ]+)\]")
"""``[@key; @key]``, as pandoc writes citations."""


@dataclass(frozen=True)
class Work:
    """One publication."""

    key: str
    authors: str
    year: str
    title: str
    journal: str
    volume: str
    pages: str
    doi: str

    @property
    def names(self) -> list[str]:
        """Family names and initials of the authors that are listed."""
        return [name.strip(" .") for name in self.authors.removesuffix("et al.").split(",")]

    @property
    def short(self) -> str:
        """``Jamison et al., 2025``."""
        names = [name.rpartition(" ")[0] for name in self.names if name]
        few = " and ".join(names) if len(names) <= 2 else f"{names[0]} et al."
        return f"{few}, {self.year}"

    @property
    def full(self) -> str:
        """Line of a list of references, without the address."""
        place = f" {self.volume}" * bool(self.volume) + f":{self.pages}" * bool(self.pages)
        return f"{self.authors} ({self.year}). {self.title}. {self.journal}{place}."

    @property
    def address(self) -> str:
        """Link of its DOI; '' where it has none."""
        return f"https://doi.org/{self.doi}" if self.doi else ""

    @property
    def bibtex(self) -> str:
        """Entry of a ``.bib`` file."""
        names = [name for name in self.names if name]
        people = [", ".join(name.rpartition(" ")[::2]) for name in names]
        people += ["others"] * self.authors.endswith("et al.")
        fields = {
            "author": " and ".join(people),
            "title": f"{{{self.title}}}",
            "journal": self.journal,
            "year": self.year,
            "volume": self.volume,
            "pages": self.pages.replace("-", "--"),
            "doi": self.doi,
        }
        lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
        return f"@article{{{self.key},\n" + ",\n".join(lines) + "\n}\n"


@cache
def load_works() -> dict[str, Work]:
    """Every publication that a text may cite, by its key."""
    return {row["key"]: Work(**row) for row in read_table("references.tsv")}


def list_cited(texts: Iterable[str]) -> list[Work]:
    """List the publications that texts cite as ``[@key]``, by author."""
    keys = {key for text in texts for group in CITED.findall(text) for key in _split(group)}
    return [work for key, work in sorted(load_works().items()) if key in keys]


def spell_citations(text: str) -> str:
    """Text with ``(Author et al., year)`` in place of ``[@key]``."""

    def spell(found: re.Match[str]) -> str:
        return f"({'; '.join(load_works()[key].short for key in _split(found[1]))})"

    return CITED.sub(spell, text)


def _split(group: str) -> list[str]:
    return [key.strip(" @") for key in group.split(";")]
