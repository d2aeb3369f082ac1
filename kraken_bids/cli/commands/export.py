"""``kraken-tools export``: connectomes of OUTPUT_DIR as files of other tools."""

import sys
from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.options import FILE, ListOption, option, tool

FORMATS = ("graphml", "edges", "vectors", "mat", "nbs", "conn")


@tool()
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
@click.option(
    "--participant-label", "participants", cls=ListOption, metavar="LABEL ...", help="[all]"
)
@click.option(
    "--stacked",
    "is_stacked",
    is_flag=True,
    help="One file of everyone, where the format holds several.",
)
@option(
    "--order",
    type=click.Choice(["rows", "columns"]),
    default="rows",
    help="Of vectors: the upper triangle row by row, as numpy has it, or column by column, as "
    "MATLAB.",
)
@click.option(
    "--drop-missing",
    "drops_missing",
    is_flag=True,
    help="Leave out regions that were not seen, which are NaN otherwise; with --stacked those "
    "that one session lacks.",
)
def export(output_dir: Path, folder: Path, **words: Any) -> None:
    """Write connectomes of OUTPUT_DIR (what kraken-bids wrote) into FOLDER, for other tools.

    With names, hemispheres and networks of the regions, and their centres in MNI space where they
    are known.
    """
    from kraken_bids.pipeline.exported_connectomes import ExportOptions, export_connectomes

    found = export_connectomes(output_dir, folder, ExportOptions(**words))
    click.echo(f"{len(found.paths)} files and folders: {folder}")
    if found.failures:
        sys.exit(1)
