"""The options that say how connectomes are adapted to the training data."""

from collections.abc import Callable
from typing import Any

import click

from kraken_bids.cli.options import ListOption, add_options, option
from kraken_bids.settings import ADAPTATION_MODES

Decorator = Callable[..., Any]
SUBJECTS = click.option(
    "--adaptation-subjects",
    cls=ListOption,
    metavar="LABEL ...|QUERY",
    help="Who is fitted on: labels, or a participants.tsv query such as group==control  [all]",
)
site_options: Decorator = add_options(
    click.option(
        "--adaptation-by",
        default="",
        metavar="COLUMN",
        help="Adapt each site by itself: a column of participants.tsv, such as site.",
    ),
    click.option(
        "--adaptation-covariates",
        cls=ListOption,
        metavar="COLUMN ...",
        help="With --adaptation-by: columns whose differences between sites are kept (age sex).",
    ),
    click.option(
        "--adaptation-mean",
        cls=ListOption,
        metavar="FLAVOR=FILE ...",
        help="Mean connectomes of this site to adapt to, such as published ones; one participant "
        "is enough then.",
    ),
)
"""Options of the app and of ``kraken-tools predict``."""
adaptation_options: Decorator = add_options(
    option(
        "--adaptation",
        default="auto",
        metavar="auto|none|FILE",
        help="Mean-shift adaptation to this site's data.",
    ),
    option(
        "--adaptation-mode",
        type=click.Choice(ADAPTATION_MODES),
        default="meanfit+meanshift",
        help="How it is fitted: slope and intercept between the two means (meanfit), their "
        "difference (meanshift), or one after the other.",
    ),
    SUBJECTS,
    option(
        "--adaptation-min-subjects",
        type=int,
        default=10,
        metavar="N",
        help="Fewest subjects that an adaptation is fitted on; of each site with --adaptation-by.",
    ),
    site_options,
)
"""Options of the app that :class:`~kraken_bids.settings.PredictionSettings` holds."""
