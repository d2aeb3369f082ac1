"""``kraken-tools finetune``: a model and a small cohort in, a model at home in the cohort out."""

from pathlib import Path

import click

from kraken_bids.cli.options import (
    FILE,
    ForgivingCommand,
    ListOption,
    exit_with_message,
    transforms_option,
    verbose_option,
)
from kraken_bids.cli.recipe_options import device_option, model_option, participants_option
from kraken_bids.logs import start_terminal_log


@click.command(cls=ForgivingCommand, context_settings={"max_content_width": 100})
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
@click.option(
    "--adaptation-mode",
    type=click.Choice(["meanshift", "meanfit+meanshift", "meanfitshift"]),
    default="meanfit+meanshift",
    show_default=True,
    help="Plain adaptation, which everything else is compared with and built on.",
)
@click.option(
    "--families",
    metavar="FILE|COLUMN",
    help="Who is held out together: a table with participant_id and family, or a column of "
    "participants.tsv. Sessions of a person always are.",
)
@participants_option
@click.option("--seed", type=int, default=0, show_default=True, help="Of folds and intervals.")
@device_option
@verbose_option
def finetune(
    model: str,
    transforms: tuple[Path, ...],
    inputs: tuple[str, ...],
    output: Path,
    adaptation_mode: str,
    families: str | None,
    participants: Path | None,
    seed: int,
    device: str,
    verbose: int,
) -> None:
    """Bring a model nearer to a cohort of 20 to some 200 people, as far as that helps.

    Tried are, from the least: nothing, mean shift, a map of SC latents onto FC latents, biases of
    the decoders, the decoders. Nested cross-validation says how each does in people held out; the
    lowest that is as good as the best is taken. DIR holds a model whose inputs and predictions
    are in the cohort's units (finetune.tsv, .json and .png beside it): predict with it as with any
    other.
    """
    with exit_with_message():
        start_terminal_log(verbose)
        from kraken_bids.pipeline.finetuned_models import FinetuneOptions, finetune_files
        from kraken_bids.pipeline.train.ladder_report import describe_ladder

        options = FinetuneOptions(
            adaptation_mode=adaptation_mode,
            families=families,
            participants=participants,
            transforms=transforms,
            seed=seed,
            device=device,
        )
        _, ladder = finetune_files(inputs, model, output, options)
        for line in describe_ladder(ladder):
            click.echo(line)
