"""``kraken-tools status``: how far an OUTPUT_DIR is."""

import json
import sys
from pathlib import Path

import click

from kraken_bids.cli.options import FILE, tool


@tool()
@click.argument("output_dir", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Everyone, as JSON.")
def status(output_dir: Path, as_json: bool) -> None:
    """Say who in OUTPUT_DIR is done, running, failed or missing, and why.

    From its files and logs alone, while jobs run too. Exit code 0: all are done; 1: not yet.
    """
    from kraken_bids.pipeline.run_status import read_status

    found = read_status(output_dir)
    if as_json:
        click.echo(json.dumps(found.to_plain(), indent=2))
    else:
        for line in found.describe():
            click.echo(line)
    sys.exit(not found.is_done)
