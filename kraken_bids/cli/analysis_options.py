"""The options that say which analyses the group level carries out."""

import click

from kraken_bids.analysis_settings import ANALYSES
from kraken_bids.cli.options import ListOption, add_options

analysis_options = add_options(
    click.option(
        "--analysis",
        cls=ListOption,
        metavar="|".join(ANALYSES) + " ...",
        default=("connectomes",),
        show_default=True,
        help="group: connectomes predicts and judges; communities searches the cleaned region "
        "series of every atlas for communities that come and go.",
    ),
    click.option(
        "--n-communities",
        default="auto",
        show_default=True,
        metavar="N|auto",
        help="Most communities; auto: number and resolution at which halves of the scans agree "
        "best.",
    ),
    click.option(
        "--gamma",
        type=float,
        default=1.0,
        show_default=True,
        help="Resolution of modularity, where the number of communities is given.",
    ),
    click.option(
        "--n-nulls",
        type=int,
        default=19,
        show_default=True,
        help="Surrogate series of each scan that the presence of communities is compared with; "
        "0: none.",
    ),
)
"""Options of :class:`~kraken_bids.analysis_settings.AnalysisSettings`."""
