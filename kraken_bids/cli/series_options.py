"""Options of commands that read region series for a model."""

from typing import Any

import click

from kraken_bids.cli.options import add_options, option

series_options = add_options(
    click.option(
        "--atlas", default="",
        help="Of a folder that kraken-bids wrote: whose series. Of files whose names say none: "
        "the name of their atlas.",
    ),
    click.option("--variable", default="", help="Array of .mat, .npz and .h5 files with several."),
    option(
        "--regions", type=click.Choice(["columns", "rows"]),
        help="Where regions are in files without their names; else the axis that all share.",
    ),
    option(
        "--repetition-time", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
        help="Of files that do not say it in a sidecar, as tars do; nothing is assumed.",
    ),
    option(
        "--normalization", type=click.Choice(["zscore", "none"]),
        help="zscore: each region of each run has mean 0 and deviation 1; tars hold such series. "
        "none: as they come  [that of the model, else zscore]",
    ),
)  # fmt: skip
"""Words of :func:`~kraken_bids.cohort.series_store.gather_series`."""
NAMES = ("atlas", "variable", "regions", "repetition_time", "normalization")


def read_series_words(words: dict[str, Any]) -> dict[str, Any]:
    """Take what :data:`series_options` say, where given, out of the words of a command."""
    given = {name: words.pop(name, None) for name in NAMES}
    return {name: value for name, value in given.items() if value is not None}
