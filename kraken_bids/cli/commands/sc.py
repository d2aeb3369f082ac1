"""``kraken-tools sc``: a tractogram and label images in, structural connectomes out."""

from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.options import FILE, ListOption, option, paths, tool
from kraken_bids.resources import count_cores


@tool()
@click.argument("tracks", type=FILE)
@click.option(
    "--labels",
    "images",
    cls=ListOption,
    required=True,
    metavar="ATLAS=IMAGE ...",
    help="Label images in the space of the tractogram. fs86 and other atlases of the model keep "
    "their number of regions, and fs86 may hold FreeSurfer's numbers (aparc+aseg). A .trx in "
    "place of an image: its groups, named as regions, say what streamlines join.",
)
@click.option(
    "--weights",
    type=FILE,
    metavar="FILE",
    help="SIFT2 weights, one per streamline: text, CSV, or the dps of a .trx.",
)
@click.option(
    "--metric",
    "metrics",
    cls=ListOption,
    default=("count",),
    metavar="METRIC ...",
    help="count, volnorm, sift2, sift2volnorm, meanlength, invlength, and with weights "
    "sift2meanlength, sift2invlength  [count]",
)
@click.option(
    "--assignment",
    cls=ListOption,
    default=("radial",),
    metavar="MODE [MM]",
    help="radial, end-voxels, all-voxels, or reverse MM (inwards from the ends; 0: to the middle)"
    "  [radial]",
)
@option("--radius", type=float, default=4.0, metavar="MM", help="Of radial.")
@option(
    "--units",
    type=click.Choice(["krakencoder", "mrtrix"]),
    default="krakencoder",
    help="krakencoder: volumes in voxels of 1.25 mm, counts of 5 million streamlines, no "
    "diagonal, NaN for missing regions. mrtrix: as tck2connectome -symmetric writes them.",
)
@click.option("--scale-file", type=FILE, metavar="FILE", help="A value per streamline (mean FA).")
@click.option(
    "--scalar",
    "scalars",
    cls=ListOption,
    default=(),
    metavar="NAME=IMAGE ...",
    help="Images such as FA, in the space of the tractogram: their mean along each streamline, as "
    "tcksample -stat_tck mean, makes matrices meanNAME, with weights sift2meanNAME too.",
)
@option(
    "--stat",
    "statistic",
    type=click.Choice(["sum", "mean", "min", "max"]),
    default="mean",
    help="What an edge keeps of the values of its streamlines: of --scale-file (matrices "
    "meanscale, sift2meanscale) and --scalar.",
)
@click.option(
    "--out-assignments", is_flag=True, help="Also ATLAS_assignments.csv, for connectome2tck."
)
@click.option(
    "--skip-space-check",
    is_flag=True,
    help="Do not compare the place of streamlines and labels.",
)
@click.option("--n-threads", type=click.IntRange(min=1), metavar="N", help="[all cores]")
@click.option("--output-dir", type=FILE, required=True, metavar="DIR")
def sc(
    tracks: Path,
    images: tuple[str, ...],
    assignment: tuple[str, ...],
    scalars: tuple[str, ...],
    out_assignments: bool,
    skip_space_check: bool,
    n_threads: int | None,
    output_dir: Path,
    **words: Any,
) -> None:
    """Count the streamlines between regions, for several atlases and metrics in one read.

    Writes ATLAS_METRIC.csv, with a .json that says how, into DIR.
    """
    from kraken_bids.pipeline.measure.tractogram_options import (
        TractogramOptions,
        parse_assignment,
    )
    from kraken_bids.pipeline.measure.tractogram_tool import write_tractogram_connectomes

    mode, distance = parse_assignment(assignment)
    options = TractogramOptions(
        scalars=paths("--scalar", scalars),
        assignment=mode,
        max_distance=distance,
        n_threads=n_threads or count_cores(),
        **words,
    )
    written = write_tractogram_connectomes(
        tracks, paths("--labels", images), options, output_dir,
        keeps_assignments=out_assignments, checks_space=not skip_space_check,
    )  # fmt: skip
    click.echo(f"{len(written)} matrices: {output_dir}")
