"""What every setting is checked with when it is made."""

from kraken_bids.exceptions import SettingsError


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise SettingsError unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise SettingsError(f"{option}: expected one of {', '.join(choices)}; found {value!r}.")


def check_range(option: str, value: float | None, bounds: tuple[float, float, str]) -> None:
    """Raise SettingsError unless ``value`` is None or lies within bounds of some unit."""
    low, high, unit = bounds
    if value is not None and not low <= value <= high:
        raise SettingsError(f"{option}: expected {low:g} to {high:g} ({unit}); found {value:g}.")


def check_ranges(settings: object, **bounds: tuple[float, float, str]) -> None:
    """Raise SettingsError unless each named field lies within its bounds."""
    for name, known in bounds.items():
        check_range(f"--{name.replace('_', '-')}", getattr(settings, name), known)
