"""``kraken-tools fetch``: the published model, flavors and label images."""

import click

from kraken_bids.cli.options import tool


@tool()
@click.argument("names", nargs=-1, metavar="[model|atlases|pcorr-targets|FLAVOR] ...")
@click.option(
    "--list", "list_only", is_flag=True, help="Show what is here, what is not, size and licence."
)
def fetch(names: tuple[str, ...], list_only: bool) -> None:
    """Download published files, each verified by its SHA-256.

    model is the joint model of 15 flavors, atlases the label images, a FLAVOR its checkpoint and
    transforms, pcorr-targets what kraken-bids group --refit-pcorr searches for. They go to
    $KRAKEN_BIDS_DATA, else to the user's cache folder. What is there is verified and not fetched
    again; what was interrupted is resumed.
    """
    from kraken_bids.pipeline.fetching import describe_files, fetch_files

    for line in describe_files(names) if list_only else fetch_files(names):
        click.echo(line)
