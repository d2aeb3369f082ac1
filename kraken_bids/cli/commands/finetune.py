"""``kraken-tools finetune``: a model and a small cohort in, a model at home in the cohort out."""

from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.options import FILE, ListOption, option, tool, transforms_option
from kraken_bids.cli.recipe_options import device_option, model_option, participants_option


@tool()
@model_option
@transforms_option
@click.option(
    "--input",
    "inputs",
    cls=ListOption,
    required=True,
    metavar="FLAVOR=FILE ...",
    help="Connectomes of 20 people or more, as kraken-tools predict takes them.",
)
@click.option(
    "--output", type=FILE, required=True, metavar="DIR", help="Folder of the model and its report."
)
@option(
    "--adaptation-mode",
    type=click.Choice(["meanshift", "meanfit+meanshift", "meanfitshift"]),
    default="meanfit+meanshift",
    help="Plain adaptation, which everything else is compared with and built on.",
)
@click.option(
    "--families",
    metavar="FILE|COLUMN",
    help="Who is held out together: a table with participant_id and family, or a column of "
    "participants.tsv. Sessions of a person always are.",
)
@participants_option
@option("--seed", type=int, default=0, help="Of folds and intervals.")
@device_option
def finetune(
    model: str,
    inputs: tuple[str, ...],
    output: Path,
    **options: Any,
) -> None:
    """Bring a model nearer to a cohort of 20 to some 200 people, as far as that helps.

    Tried are, from the least: nothing, mean shift, a map of SC latents onto FC latents, biases of
    the decoders, the decoders. Nested cross-validation says how each does in people held out; the
    lowest that is as good as the best is taken. DIR holds a model whose inputs and predictions
    are in the cohort's units (finetune.tsv, .json and .png beside it): predict with it as with any
    other.
    """
    from kraken_bids.pipeline.finetuned_models import FinetuneOptions, finetune_files
    from kraken_bids.pipeline.train.ladder_report import describe_ladder

    _, ladder = finetune_files(inputs, model, output, FinetuneOptions(**options))
    for line in describe_ladder(ladder):
        click.echo(line)
