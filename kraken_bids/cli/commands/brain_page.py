"""``kraken-tools brain``: connections in a brain that can be turned."""

from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.options import FILE, option, tool


@tool()
@click.argument("output_dir", type=FILE)
@click.argument("page", type=FILE, metavar="FILE.html")
@click.option("--flavor", required=True, metavar="FLAVOR")
@click.option(
    "--participant-label",
    "label",
    default="",
    metavar="LABEL",
    help="sub-01, or sub-01_ses-1  [the mean of the group]",
)
@option(
    "--what",
    type=click.Choice(["measured", "predicted", "calibrated", "changed"]),
    default="measured",
    help="changed: measured less the mean of the group.",
)
@click.option("--source", default="", metavar="SOURCE", help="Of a prediction, such as fusionSC.")
@option("--n-edges", type=click.IntRange(1, 5000), default=100, help="Strongest.")
def brain(output_dir: Path, page: Path, flavor: str, **words: Any) -> None:
    """Draw the strongest connections of OUTPUT_DIR in a brain that can be turned.

    FILE.html holds everything that it needs: it opens without a network.
    """
    from kraken_bids.flavors import parse_flavor
    from kraken_bids.pipeline.interactive_brain import Shown, write_interactive_brain

    write_interactive_brain(output_dir, page, Shown(parse_flavor(flavor), **words))
    click.echo(f"{page}")
