"""``kraken-tools add-flavor``: a new flavor onto the latent space of a model."""

from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.options import (
    FILE,
    ListOption,
    add_options,
    option,
    paths,
    tool,
    transforms_option,
)
from kraken_bids.cli.recipe_options import (
    atlases_option,
    device_option,
    model_option,
    participants_option,
    seed_option,
    step_options,
)

data_options = add_options(
    model_option,
    transforms_option,
    option(
        "--input", "inputs", cls=ListOption, required=True, metavar="FLAVOR=FILE ...",
        help="Connectomes of the new flavor, as kraken-tools predict takes them; without "
        "--latents also the same people's of flavors that the model has.",
    ),
    option(
        "--latents", type=FILE, metavar="FILE|DIR",
        help="Latents of the people, by name: kraken_target_*_encoded.mat, .npz, .h5, a table, or "
        "a folder that kraken-bids wrote  [computed from their other flavors]",
    ),
    option(
        "--latents-source", default="", metavar="SOURCE",
        help="Which latents of the file  [fusion, or the only ones]",
    ),
    option("--output", type=FILE, required=True, metavar="DIR", help="Folder of the model."),
    option("--merge", "merges", is_flag=True, help="Write MODEL and the new flavor together."),
    option(
        "--adaptation-mode",
        type=click.Choice(["auto", "none", "meanshift", "meanfit", "meanfit+meanshift"]),
        default="auto", help="Of the other flavors that latents are computed from.",
    ),
    option(
        "--families", metavar="FILE|COLUMN",
        help="Who is held out together: a table with participant_id and family, or a column of "
        "participants.tsv.",
    ),
    participants_option,
    atlases_option,
)  # fmt: skip

recipe_options = add_options(
    option(
        "--fixed", "is_fixed", is_flag=True,
        help="Train the encoder to the latents and the decoder from them, each by itself.",
    ),
    option(
        "--transform", default="", metavar="pcaK|cfeat|none", help="Of connectomes  [the model's]"
    ),
    option(
        "--loss", default="correye+enceye.w10+neidist+encdist.w10+mse.w1000",
        help="Terms, each with its weight; those of latents, and mse, are also taken against the "
        "targets.",
    ),
    step_options,
    option("--epochs", "n_epochs", type=int, default=500, help="Times that all are seen."),
    option("--schedule", type=click.Choice(["joint", "paths"]), default="joint"),
    option(
        "--validation-share", type=float, default=0.1,
        help="Share of the people that is held out to judge the new flavor.",
    ),
    seed_option,
    device_option,
)  # fmt: skip

RECIPE = (
    "transform", "loss", "dropout", "learning_rate", "weight_decay", "batch_size", "n_epochs",
    "schedule", "seed", "device",
)  # fmt: skip


@tool("add-flavor")
@data_options
@recipe_options
def add_flavor(
    model: str,
    inputs: tuple[str, ...],
    output: Path,
    atlases: tuple[str, ...],
    **options: Any,
) -> None:
    """Teach a model a new flavor, by an encoder and a decoder onto its latents.

    The model itself stays as it is. DIR holds the new flavor alone, ready for kraken-tools merge
    MODEL DIR; with --merge it holds both.
    """
    from kraken_bids.models.krakencoder.recipe import TrainingSettings
    from kraken_bids.pipeline.added_flavors import AdditionOptions, add_flavor_files

    settings = TrainingSettings(**{name: options.pop(name) for name in RECIPE})
    tables = paths("--atlas", atlases)
    asked = AdditionOptions(settings=settings, atlases=tables, **options)
    written, matches = add_flavor_files(inputs, model, output, asked)
    for match in matches:
        click.echo(match.describe())
    click.echo(f"{len(written.flavors)} flavors: {output}")
