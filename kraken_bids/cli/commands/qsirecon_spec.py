"""``kraken-tools qsirecon-spec``: the recon spec for QSIRecon."""

from pathlib import Path

import click

from kraken_bids.cli.options import FILE, tool


@tool()
@click.argument("path", type=FILE, metavar="FILE.yaml")
@click.option(
    "--single-shell", is_flag=True, help="For diffusion data of one shell (three-tissue CSD)."
)
def qsirecon_spec(path: Path, single_shell: bool) -> None:
    """Write the recon spec with which QSIRecon makes the two tractograms of the published model.

    5 million streamlines each, iFOD2 with anatomical constraint and SD_STREAM, tracked as for the
    model's training. Run it as qsirecon ... --recon-spec FILE.yaml.
    """
    from kraken_bids.pipeline.recon_spec import write_recon_spec

    write_recon_spec(path, is_single_shell=single_shell)
    click.echo(f"{path}")
