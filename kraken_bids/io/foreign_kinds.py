"""Kinds of foreign files, and the error where one of them cannot be read."""

from dataclasses import dataclass
from pathlib import Path

from kraken_bids.exceptions import InputError, KrakenBidsError


@dataclass(frozen=True)
class Kind:
    """What is expected of a kind of foreign files."""

    expected: str
    """What is in them: ``an ITK transform``."""
    advice: str
    """What to do where it is not."""
    error: type[KrakenBidsError] = InputError

    def refuse(self, path: Path, reason: object) -> KrakenBidsError:
        """Make the error for a file that cannot be read, to be raised."""
        absent = "no " if isinstance(reason, KeyError) else ""
        found = absent + (str(reason) or type(reason).__name__)
        return self.error(f"expected {self.expected} in {path}; found: {found}. {self.advice}")
