"""What every setting is checked with when it is made."""

from collections.abc import Sequence

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


def check_adaptation_options(
    by: str, covariates: Sequence[str], means: Sequence[str], *, mode: str, given: str
) -> None:
    """Check that an adaptation is asked for in one way, and by site in one that can be.

    Parameters
    ----------
    by : str
        Column that names sites, or ''.
    covariates, means : sequence of str
        Of ``--adaptation-covariates`` and ``--adaptation-mean``.
    given : str
        ``auto``, ``none`` or a file.

    Raises
    ------
    SettingsError
        If options contradict each other.
    """
    if covariates and not by:
        raise SettingsError(
            "--adaptation-covariates: expected --adaptation-by COLUMN beside it, since covariates "
            f"are told from sites; found {' '.join(covariates)} alone. Name the column of sites."
        )
    if by in covariates:
        raise SettingsError(
            f"--adaptation-covariates: expected other columns than --adaptation-by; found {by} in "
            "both. Leave it out."
        )
    if by and (given == "none" or mode in {"none", "meanfit"}):
        raise SettingsError(
            "--adaptation-by: expected an adaptation that shifts the mean of each site (mode "
            f"meanshift or meanfit+meanshift); found --adaptation {given}, mode {mode}. Leave one "
            "of them out."
        )
    if means and (by or given != "auto" or mode == "none"):
        raise SettingsError(
            "--adaptation-mean: expected the means of one site in place of a fitted or saved "
            "adaptation; found --adaptation-by, --adaptation or --adaptation-mode none beside "
            "them. Leave one of them out."
        )
