"""The options that say how a run of ``kraken-bids`` is carried out."""

import logging
from pathlib import Path

import click

from kraken_bids.cli.options import add_options, option
from kraken_bids.exceptions import SettingsError
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)

running_options = add_options(
    option(
        "--n-procs",
        "--nprocs",
        "--n-cpus",
        "n_procs",
        type=int,
        default=1,
        help="Participants at a time, each in a process of its own: one that the system ends for "
        "want of memory fails alone.",
    ),
    option(
        "--omp-nthreads",
        type=int,
        default=1,
        help="Threads of each: its function, structure, spaces and runs are measured at once.",
    ),
    click.option(
        "--mem-gb",
        type=float,
        metavar="GB",
        help="Here: memory for all participants; fewer than N_PROCS are computed at a time where "
        "it is less than 1 GB for each, and one that needs more than all of it fails  [no limit]. "
        "On a cluster: memory of one job  [4]",
    ),
    click.option(
        "-w",
        "--work-dir",
        type=click.Path(path_type=Path),
        help="For temporary files  [the system's]",
    ),
    click.option("--force", is_flag=True, help="Redo what is done."),
    click.option("--stop-on-first-crash", is_flag=True, help="Stop where one participant fails."),
    click.option("--dry-run", is_flag=True, help="Say what would be done, and stop."),
    click.option(
        "--reports-only", is_flag=True, help="Draw the reports again from what is there."
    ),
    click.option(
        "--boilerplate-only",
        is_flag=True,
        help="Write the methods section, with references, of what is there (logs/CITATION.md).",
    ),
    click.option(
        "--refit-pcorr",
        is_flag=True,
        help="group: search one ridge λ of the partial correlations over everyone, and compute "
        "them again with it before predicting.",
    ),
    click.option(
        "--skip-bids-validation",
        is_flag=True,
        help="Accepted as other BIDS Apps do; the raw dataset is not validated in any case.",
    ),
)
"""Options that :class:`~kraken_bids.run_settings.RunSettings` is made of."""


def check_ridge_options(settings: Settings, level: str) -> None:
    """Refuse a search at the level that cannot do it; say where a ridge changes nothing."""
    if settings.run.refit_pcorr and level != "group":
        raise SettingsError(
            "--refit-pcorr: expected the level group, which sees everyone; found participant."
        )
    if settings.functional.pcorr_lambda and level == "group" and not settings.run.refit_pcorr:
        logger.warning(
            "--pcorr-lambda changes nothing at the group level without --refit-pcorr: partial "
            "correlations stay as the participant level measured them"
        )
