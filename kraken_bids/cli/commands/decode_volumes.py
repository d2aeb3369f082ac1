"""``kraken-tools decode-volumes``: a BOLD run in, the states of its volumes out."""

from pathlib import Path

import click

from kraken_bids.cli.options import (
    FILE,
    ForgivingCommand,
    ListOption,
    exit_with_message,
    pairs,
    verbose_option,
)
from kraken_bids.cli.recipe_options import cleaning_option, device_option, option
from kraken_bids.exceptions import SettingsError
from kraken_bids.logs import start_terminal_log


@click.command(cls=ForgivingCommand, context_settings={"max_content_width": 100})
@click.argument("bold", type=FILE)
@click.option("--mask", type=FILE, required=True, metavar="IMAGE", help="Brain mask of the run.")
@click.option(
    "--decoder", type=FILE, required=True, metavar="PATH",
    help="A folder that train-volumes wrote, or weights of the published decoder (.npy, .hdf5).",
)  # fmt: skip
@click.option("--output-dir", type=FILE, required=True, metavar="DIR", help="Folder to write.")
@click.option(
    "--relevance", is_flag=True,
    help="Write which voxels spoke for each decision: a map per volume, means, sums in regions.",
)  # fmt: skip
@option(
    "--lrp", "rule", type=click.Choice(["signed", "original"]), default="signed",
    help="How divisions of a 2D decoder's relevance are steadied: away from 0, or as published.",
)  # fmt: skip
@cleaning_option
@click.option(
    "--confounds", type=FILE, metavar="TSV",
    help="fMRIPrep's confounds, for a --cleaning that regresses them  [those beside BOLD]",
)  # fmt: skip
@click.option(
    "--labels", "images", cls=ListOption, metavar="ATLAS=IMAGE ...",
    help="Label images in MNI152NLin6Asym in whose regions relevance is summed.",
)  # fmt: skip
@option("--n-threads", type=click.IntRange(min=1), default=1, help="Volumes decoded at a time.")
@device_option
@verbose_option
def decode_volumes(
    bold: Path,
    mask: Path,
    decoder: Path,
    output_dir: Path,
    images: tuple[str, ...],
    *,
    cleaning: str | None,
    confounds: Path | None,
    relevance: bool,
    rule: str,
    n_threads: int,
    device: str,
    verbose: int,
) -> None:
    """Decode every volume of BOLD, preprocessed in MNI152NLin6Asym, into a cognitive state.

    Volumes are smoothed, detrended, filtered and standardised as the decoder was trained on them.
    """
    with exit_with_message():
        start_terminal_log(verbose)
        from typing import cast

        from kraken_bids.models.volumes.relevance import Rule
        from kraken_bids.pipeline.volume_decoding import decode_bold
        from kraken_bids.pipeline.volumes.decoders import place_labels
        from kraken_bids.pipeline.volumes.decoding_request import DecodingRequest

        _check_relevance(images, has_relevance=relevance, rule=rule)
        labels = place_labels(pairs("--labels", images))
        request = DecodingRequest(
            *(bold, mask, output_dir),
            has_relevance=relevance,
            rule=cast("Rule", rule),
            labels=labels,
            n_threads=n_threads,
            device=device,
        )
        written, page = decode_bold(decoder, request, cleaning=cleaning, confounds=confounds)
        click.echo(f"{len(written)} files: {output_dir}; page: {page.name}")


def _check_relevance(images: tuple[str, ...], *, has_relevance: bool, rule: str) -> None:
    if not has_relevance and (images or rule != "signed"):
        raise SettingsError(
            "--labels and --lrp: expected --relevance with them, which they are about; found "
            "none. Give it, or leave them out."
        )
