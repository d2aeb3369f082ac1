"""``kraken-tools fetch``: the published model, flavors and label images."""

import click

from kraken_bids.cli.options import ForgivingCommand, exit_with_message, verbose_option
from kraken_bids.logs import start_terminal_log


@click.command(cls=ForgivingCommand, context_settings={"max_content_width": 100})
@click.argument("names", nargs=-1, metavar="[model|atlases|pcorr-targets|FLAVOR] ...")
@click.option(
    "--list", "list_only", is_flag=True, help="Show what is here, what is not, size and licence."
)
@verbose_option
def fetch(names: tuple[str, ...], list_only: bool, verbose: int) -> None:
    """Download published files, each verified by its SHA-256.

    model is the joint model of 15 flavors, atlases the label images, a FLAVOR its checkpoint and
    transforms, pcorr-targets what kraken-bids group --refit-pcorr searches for. They go to
    $KRAKEN_BIDS_DATA, else to the user's cache folder. What is there is verified and not fetched
    again; what was interrupted is resumed.
    """
    with exit_with_message():
        start_terminal_log(verbose)
        from kraken_bids.pipeline.fetching import describe_files, fetch_files

        for line in describe_files(names) if list_only else fetch_files(names):
            click.echo(line)
