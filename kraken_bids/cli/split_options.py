"""Options of commands that hold people out in turn."""

import click

from kraken_bids.cli.options import FILE, add_options, option

split_options = add_options(
    option("--folds", "n_folds", type=int, default=5, help="Parts that people are dealt into."),
    option("--repeats", "n_repeats", type=int, default=2, help="Times that they are dealt."),
    click.option(
        "--families", metavar="FILE|COLUMN",
        help="Who is held out together: a table with participant_id and family, or a column of "
        "participants.tsv (site). Runs of a person always are.",
    ),
    click.option("--participants", type=FILE, metavar="FILE", help="Table of participants."),
)  # fmt: skip
