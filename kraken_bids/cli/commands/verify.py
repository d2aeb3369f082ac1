"""``kraken-tools verify``: whether OUTPUT_DIR is as the last run left it."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from kraken_bids.cli.options import FILE, option, tool


@tool()
@click.argument("out", type=FILE)
@option(
    "--sample",
    "n_sampled",
    type=click.IntRange(min=0),
    default=3,
    metavar="N",
    help="Sessions whose numbers are computed again: predictions from their latents, functional "
    "connectomes from their cleaned series.",
)
@click.option(
    "--model",
    default="",
    metavar="PATH|pretrained",
    help="The model that predicted  [the one that the last settings in OUT/logs name]",
)
@option("--seed", type=int, default=0, help="Of the sample.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def verify(out: Path, n_sampled: int, model: str, seed: int, *, as_json: bool) -> None:
    """Compare every file of OUT with the hashes that its runs recorded, and some numbers.

    Names each file that is changed, missing, extra, not readable, or of a participant of whom
    nothing was recorded. Exit codes: 0 all is as it was; 1 something differs; 3 no recorded
    hashes.
    """
    from kraken_bids.pipeline.verified_outputs import verify_outputs

    found = verify_outputs(out, n_sampled=n_sampled, model=model, seed=seed)
    if as_json:
        numbers = [asdict(one) | {"is_same": one.is_same} for one in found.recomputed]
        plain = {**asdict(found), "recomputed": numbers, "is_sound": found.is_sound}
        click.echo(json.dumps(plain, indent=2))
    else:
        for line in found.list_lines():
            click.echo(line)
    sys.exit(0 if found.is_sound else 1)
