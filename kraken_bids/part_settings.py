"""Which parts of a session's BOLD are measured by themselves, beside the whole."""

from dataclasses import dataclass

from kraken_bids.exceptions import SettingsError
from kraken_bids.setting_checks import check_range

ALL = "all"


@dataclass(frozen=True)
class PartSettings:
    """What is measured of parts of the data."""

    per_run: bool = False
    """Every run by itself too."""
    minutes: tuple[str, ...] = ()
    """First minutes of the data that count; ``all``: the whole, which is measured anyway."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for word in self.minutes:
            try:
                check_range("--minutes", None if word == ALL else float(word), (0.5, 1e4, ALL))
            except ValueError as error:
                raise SettingsError(
                    f"--minutes: expected numbers of minutes, 0.5 or more, or all; found {word!r}."
                ) from error

    @property
    def durations(self) -> tuple[float, ...]:
        """Minutes, shortest first."""
        return tuple(sorted({float(word) for word in self.minutes if word != ALL}))

    @property
    def is_asked(self) -> bool:
        """Whether any part is measured."""
        return self.per_run or bool(self.durations)
