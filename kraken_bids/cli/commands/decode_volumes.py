"""``kraken-tools decode-volumes``: a BOLD run in, the states of its volumes out."""

from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.options import FILE, ListOption, option, pairs, tool
from kraken_bids.cli.recipe_options import cleaning_option, device_option
from kraken_bids.exceptions import SettingsError


@tool()
@click.argument("bold", type=FILE)
@click.option("--mask", type=FILE, required=True, metavar="IMAGE", help="Brain mask of the run.")
@click.option(
    "--decoder", type=FILE, required=True, metavar="PATH",
    help="A folder that train-volumes wrote, or weights of the published decoder (.npy, .hdf5).",
)  # fmt: skip
@click.option("--output-dir", type=FILE, required=True, metavar="DIR", help="Folder to write.")
@click.option(
    "--relevance", "has_relevance", is_flag=True,
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
def decode_volumes(
    bold: Path,
    mask: Path,
    decoder: Path,
    output_dir: Path,
    images: tuple[str, ...],
    *,
    cleaning: str | None,
    confounds: Path | None,
    **words: Any,
) -> None:
    """Decode every volume of BOLD, preprocessed in MNI152NLin6Asym, into a cognitive state.

    Volumes are smoothed, detrended, filtered and standardised as the decoder was trained on them.
    """
    from kraken_bids.pipeline.volume_decoding import decode_bold
    from kraken_bids.pipeline.volumes.decoders import place_labels
    from kraken_bids.pipeline.volumes.decoding_request import DecodingRequest

    if not words["has_relevance"] and (images or words["rule"] != "signed"):
        raise SettingsError(
            "--labels and --lrp: expected --relevance with them, which they are about; found "
            "none. Give it, or leave them out."
        )
    labels = place_labels(pairs("--labels", images))
    request = DecodingRequest(bold, mask, output_dir, labels=labels, **words)
    written, page = decode_bold(decoder, request, cleaning=cleaning, confounds=confounds)
    click.echo(f"{len(written)} files: {output_dir}; page: {page.name}")
