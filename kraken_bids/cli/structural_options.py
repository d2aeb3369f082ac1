"""The options of the BIDS App that say how tractograms become connectomes."""

import click

from kraken_bids.cli.options import ListOption, add_options, option
from kraken_bids.settings import EDGES, SC_UNITS

structural_options = add_options(
    click.option("--tractogram", metavar="PATH", help="Tractogram, with {subject} and {session}."),
    click.option("--tractogram-weights", metavar="PATH", help="Its SIFT2 weights, likewise."),
    click.option(
        "--parcellation",
        cls=ListOption,
        metavar="ATLAS=FILE ...",
        help="Label image in tractogram space, likewise.",
    ),
    option(
        "--search-radius",
        type=float,
        default=4.0,
        metavar="MM",
        help="A streamline's end counts for the nearest region that is no farther than this.",
    ),
    option(
        "--sc-units",
        type=click.Choice(SC_UNITS),
        default="krakencoder",
        help="Voxels of 1.25 mm and counts of 5 million streamlines, or MRtrix's own.",
    ),
    click.option(
        "--edges",
        cls=ListOption,
        metavar="METRIC ...",
        help=f"Further matrices of the same read of a tractogram: {', '.join(EDGES)}.",
    ),
    click.option(
        "--scalar",
        cls=ListOption,
        metavar="NAME=FILE ...",
        help="Images such as FA in tractogram space, with {subject} and {session}: their mean "
        "along streamlines makes a matrix each.",
    ),
)
