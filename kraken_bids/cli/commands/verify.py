"""``kraken-tools verify``: whether OUTPUT_DIR is as the last run left it."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from kraken_bids.cli.options import FILE, ForgivingCommand, exit_with_message, verbose_option
from kraken_bids.logs import start_terminal_log


@click.command(cls=ForgivingCommand, context_settings={"max_content_width": 100})
@click.argument("out", type=FILE)
@click.option(
    "--sample",
    "n_sampled",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
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
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@verbose_option
def verify(
    out: Path, n_sampled: int, model: str, seed: int, *, as_json: bool, verbose: int
) -> None:
    """Compare every file of OUT with the hashes that its runs recorded, and some numbers.

    Names each file that is changed, missing, extra, not readable, or of a participant of whom
    nothing was recorded. Exit codes: 0 all is as it was; 1 something differs; 3 no recorded
    hashes.
    """
    with exit_with_message():
        start_terminal_log(verbose)
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
