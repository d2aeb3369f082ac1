"""The options that say how BOLD becomes connectomes, the same in every command that does it."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from kraken_bids.cli.options import ListOption, numbers
from kraken_bids.settings import DENOISE, FunctionalSettings

_OPTIONS = (
    click.option(
        "--denoise",
        type=click.Choice(DENOISE),
        default="fmriclean",
        show_default=True,
        help="How the region series are cleaned.",
    ),
    click.option(
        "--high-pass",
        type=float,
        default=0.01,
        show_default=True,
        metavar="HZ",
        help="Low cut of the band that is kept, 0 for none; acompcor takes fMRIPrep's cosines "
        "(1/128 Hz) instead.",
    ),
    click.option(
        "--drop-volumes",
        type=int,
        metavar="N",
        help="Volumes to drop at the start of each run  [fMRIPrep's non-steady-state volumes]",
    ),
    click.option(
        "--fd-threshold",
        type=float,
        metavar="MM",
        help="Leave out volumes of more framewise displacement  [none]",
    ),
    click.option(
        "--min-minutes",
        type=float,
        default=5.0,
        show_default=True,
        help="Warn where less is left after cleaning.",
    ),
    click.option(
        "--min-coverage",
        type=float,
        default=0.5,
        show_default=True,
        help="Share of a region's voxels that must hold signal; else the region is NaN.",
    ),
    click.option(
        "--pcorr-lambda",
        cls=ListOption,
        metavar="ATLAS=VALUE ...",
        help="Ridge of the partial correlation  [what a group run with --refit-pcorr saved, else "
        "0.06]",
    ),
)


def cleaning_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that :func:`functional_settings` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def functional_settings(options: Mapping[str, Any]) -> FunctionalSettings:
    """Sort the values of these options, by parameter name, into settings.

    Raises
    ------
    SettingsError
        If a value is out of its range or no number.
    """
    return FunctionalSettings(
        denoise=options["denoise"],
        high_pass=options["high_pass"],
        drop_volumes=options["drop_volumes"],
        fd_threshold=options["fd_threshold"],
        min_minutes=options["min_minutes"],
        min_coverage=options["min_coverage"],
        pcorr_lambda=numbers("--pcorr-lambda", options["pcorr_lambda"]),
    )
