"""Options that commands share that make models: whose connectomes, which model, how to train."""

import click

from kraken_bids.analysis_settings import CLEANINGS
from kraken_bids.cli.options import FILE, ListOption, add_options, option

model_option = option(
    "--model", required=True, metavar="PATH|pretrained|FLAVOR",
    help="A model folder, a published .pt file, pretrained, or a published flavor.",
)  # fmt: skip
participants_option = option(
    "--participants", type=FILE, metavar="FILE",
    help="Table of participants  [participants.tsv in a folder of --input]",
)  # fmt: skip
atlases_option = option(
    "--atlas", "atlases", cls=ListOption, metavar="NAME=DSEG.tsv ...",
    help="Names of the regions of an atlas of your own, kept in the model.",
)  # fmt: skip
cleaning_option = click.option(
    "--cleaning", type=click.Choice(CLEANINGS), metavar="NAME",
    help="How volumes are cleaned: deeplight, as the release does, or a strategy of kraken-bids "
    "--denoise with fMRIPrep's confounds (fmriclean, acompcor, 24p, 36p, none, simple, scrubbing, "
    "compcor)  [as the decoder was trained]",
)  # fmt: skip
device_option = option("--device", default="auto", metavar="auto|cpu|cuda[:N]")
step_options = add_options(
    option("--dropout", type=float, default=0.5, help="After each linear layer."),
    option(
        "--learning-rate", type=float, metavar="RATE",
        help="Of AdamW  [1e-3; 1e-4 with --schedule paths, as published]",
    ),
    option("--weight-decay", type=float, default=0.01, help="Of AdamW."),
    option("--batch-size", type=int, default=41, help="Subjects per step."),
)  # fmt: skip
seed_option = option(
    "--seed", type=int, default=0, help="Of the split, weights, batches and dropout."
)
