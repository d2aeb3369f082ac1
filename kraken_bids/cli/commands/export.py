"""``kraken-tools export``: connectomes of OUTPUT_DIR as files of other tools."""

import sys
from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.options import (
    FILE,
    ForgivingCommand,
    ListOption,
    exit_with_message,
    verbose_option,
)
from kraken_bids.logs import start_terminal_log

FORMATS = ("graphml", "edges", "vectors", "mat", "nbs", "conn")


@click.command(cls=ForgivingCommand, context_settings={"max_content_width": 100})
@click.argument("output_dir", type=FILE)
@click.argument("folder", type=FILE)
@click.option(
    "--format",
    "formats",
    cls=ListOption,
    type=click.Choice(FORMATS),
    required=True,
    metavar="NAME ...",
    help="graphml: networkx, igraph, Gephi. edges: a table with a row per edge. vectors: a table "
    "with a row per session and a column per edge. mat: MATLAB, as for the Brain Connectivity "
    "Toolbox. nbs: a folder for the Network-Based Statistic, of everyone. conn: CONN's .mtx.nii.",
)
@click.option(
    "--what",
    cls=ListOption,
    type=click.Choice(["measured", "predicted", "calibrated"]),
    default=("measured",),
    metavar="KIND ...",
    help="measured, predicted, calibrated  [measured]",
)
@click.option("--flavors", cls=ListOption, metavar="FLAVOR ...", help="[all]")
@click.option("--sources", cls=ListOption, metavar="SOURCE ...", help="Of predictions  [all]")
@click.option("--participant-label", cls=ListOption, metavar="LABEL ...", help="[all]")
@click.option(
    "--stacked", is_flag=True, help="One file of everyone, where the format holds several."
)
@click.option(
    "--order",
    type=click.Choice(["rows", "columns"]),
    default="rows",
    show_default=True,
    help="Of vectors: the upper triangle row by row, as numpy has it, or column by column, as "
    "MATLAB.",
)
@click.option(
    "--drop-missing",
    is_flag=True,
    help="Leave out regions that were not seen, which are NaN otherwise; with --stacked those "
    "that one session lacks.",
)
@verbose_option
def export(output_dir: Path, folder: Path, **words: Any) -> None:
    """Write connectomes of OUTPUT_DIR (what kraken-bids wrote) into FOLDER, for other tools.

    With names, hemispheres and networks of the regions, and their centres in MNI space where they
    are known.
    """
    with exit_with_message():
        start_terminal_log(words["verbose"])
        from kraken_bids.pipeline.exported_connectomes import ExportOptions, export_connectomes

        options = ExportOptions(
            formats=words["formats"],
            what=words["what"],
            flavors=words["flavors"],
            sources=words["sources"],
            participants=words["participant_label"],
            is_stacked=words["stacked"],
            order=words["order"],
            drops_missing=words["drop_missing"],
        )
        found = export_connectomes(output_dir, folder, options)
        click.echo(f"{len(found.paths)} files and folders: {folder}")
    if found.failures:
        sys.exit(1)
