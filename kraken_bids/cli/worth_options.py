"""The options that say how it is judged what predictions are worth."""

import click

from kraken_bids.cli.options import ListOption, add_options, option

worth_options = add_options(
    option(
        "--calibrate",
        "--calibration",
        "calibrate",
        default="auto",
        metavar="auto|none|FILE",
        help="Calibrated predictions and their intervals, beside the raw ones: group fits them on "
        "the people who have both modalities, participant takes what group saved, or FILE "
        "(group/calibration.h5 of another run).",
    ),
    option(
        "--interval-coverage",
        type=float,
        default=0.9,
        metavar="SHARE",
        help="Share of measured edges that prediction intervals promise to hold.",
    ),
    click.option(
        "--families",
        default="",
        metavar="COLUMN",
        help="Column of participants.tsv that names families: they are held out together.",
    ),
    click.option(
        "--controls",
        cls=ListOption,
        metavar="LABEL ...|QUERY",
        help="Whom discordance of structure and function is compared with: labels, or a "
        "participants.tsv query such as group==control  [everyone else]",
    ),
    click.option(
        "--covariates",
        cls=ListOption,
        metavar="COLUMN ...",
        help="What discordance and imputation allow for: columns of participants.tsv, or motion "
        "(mean framewise displacement).",
    ),
    option(
        "--impute",
        type=int,
        default=0,
        metavar="M",
        help="group: write M draws of every connectome that a session lacks.",
    ),
)
"""Options of :class:`~kraken_bids.worth_settings.WorthSettings`."""
