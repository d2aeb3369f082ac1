"""``kraken-tools brain``: connections in a brain that can be turned."""

from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.options import FILE, ForgivingCommand, exit_with_message, verbose_option
from kraken_bids.logs import start_terminal_log


@click.command(cls=ForgivingCommand, context_settings={"max_content_width": 100})
@click.argument("output_dir", type=FILE)
@click.argument("page", type=FILE, metavar="FILE.html")
@click.option("--flavor", required=True, metavar="FLAVOR")
@click.option(
    "--participant-label",
    default="",
    metavar="LABEL",
    help="sub-01, or sub-01_ses-1  [the mean of the group]",
)
@click.option(
    "--what",
    type=click.Choice(["measured", "predicted", "calibrated", "changed"]),
    default="measured",
    show_default=True,
    help="changed: measured less the mean of the group.",
)
@click.option("--source", default="", metavar="SOURCE", help="Of a prediction, such as fusionSC.")
@click.option(
    "--n-edges", type=click.IntRange(1, 5000), default=100, show_default=True, help="Strongest."
)
@verbose_option
def brain(output_dir: Path, page: Path, **words: Any) -> None:
    """Draw the strongest connections of OUTPUT_DIR in a brain that can be turned.

    FILE.html holds everything that it needs: it opens without a network.
    """
    with exit_with_message():
        start_terminal_log(words["verbose"])
        from kraken_bids.flavors import parse_flavor
        from kraken_bids.pipeline.interactive_brain import Shown, write_interactive_brain

        shown = Shown(
            parse_flavor(words["flavor"]),
            label=words["participant_label"],
            what=words["what"],
            source=words["source"],
            n_edges=words["n_edges"],
        )
        write_interactive_brain(output_dir, page, shown)
        click.echo(f"{page}")
