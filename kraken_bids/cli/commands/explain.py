"""``kraken-tools explain``: which edges of its inputs a prediction hangs on."""

from pathlib import Path

import click

from kraken_bids.cli.options import (
    FILE,
    ForgivingCommand,
    ListOption,
    exit_with_message,
    pairs,
    transforms_option,
    verbose_option,
)
from kraken_bids.cli.recipe_options import atlases_option, model_option
from kraken_bids.logs import start_terminal_log


@click.command(cls=ForgivingCommand, context_settings={"max_content_width": 100})
@model_option
@transforms_option
@click.option(
    "--input",
    "inputs",
    cls=ListOption,
    metavar="FLAVOR=FILE ...",
    help="Connectomes, as kraken-tools predict --input takes them  [the training mean]",
)
@click.option("--subject", default="", metavar="LABEL", help="Whose prediction, of --input.")
@click.option(
    "--source",
    default="fusion",
    show_default=True,
    metavar="SOURCE",
    help="fusion, fusionSC, fusionFC or a flavor; each input of a fusion gets its own matrix.",
)
@click.option("--target", default="", metavar="FLAVOR", help="What is predicted.")
@click.option(
    "--edge", cls=ListOption, metavar="REGION REGION", help="Explain one edge of the target."
)
@click.option(
    "--block",
    cls=ListOption,
    metavar="NETWORK NETWORK",
    help="Explain the mean over the target's edges between two networks, or within one (twice).",
)
@click.option(
    "--weights",
    type=FILE,
    metavar="FILE",
    help="Explain a score: the target's edges times the weights of a matrix, summed up.",
)
@click.option("--latent", type=int, metavar="NUMBER", help="Explain an element of the latent.")
@click.option("--adaptation", type=FILE, metavar="FILE", help="A saved adaptation to use.")
@click.option(
    "--adaptation-mode",
    default="auto",
    show_default=True,
    metavar="MODE",
    help="As of kraken-tools predict, which would adapt the same inputs alike.",
)
@click.option("--renormalize-fusion", is_flag=True, help="Scale fused latents to unit length.")
@atlases_option
@click.option("--output", type=FILE, required=True, metavar="DIR", help="Folder to write into.")
@verbose_option
def explain(
    model: str,
    transforms: tuple[Path, ...],
    inputs: tuple[str, ...],
    subject: str,
    source: str,
    target: str,
    edge: tuple[str, ...],
    block: tuple[str, ...],
    weights: Path | None,
    latent: int | None,
    adaptation: Path | None,
    adaptation_mode: str,
    renormalize_fusion: bool,
    atlases: tuple[str, ...],
    output: Path,
    verbose: int,
) -> None:
    """Say which edges of its inputs a prediction hangs on, exactly.

    DIR gets, per input, a matrix on the regions: by how much the predicted edge, mean over
    networks, score or latent changes per unit of each edge as it was given (the derivative, at
    the person's connectomes or at the training mean); knockouts.tsv: what becomes of it when a
    network or a region of the inputs is set to the training mean; and pictures of the brain.
    """
    with exit_with_message():
        start_terminal_log(verbose)
        from kraken_bids.cohort.output_checks import check_no_input
        from kraken_bids.pipeline.explained_scores import ScoreOptions
        from kraken_bids.pipeline.explanation import ExplanationOptions, explain_files
        from kraken_bids.pipeline.explanation_files import write_explanation
        from kraken_bids.pipeline.predict.prediction_options import PredictionOptions

        tables = {name: Path(table) for name, table in pairs("--atlas", atlases).items()}
        score = ScoreOptions(target, edge, block, weights, latent)
        taken = PredictionOptions(
            adaptation_mode, adaptation, renormalize_fusion=renormalize_fusion
        )
        options = ExplanationOptions(score, source, subject, tables, taken)
        given = [*inputs, model, *transforms, weights, adaptation, *tables.values()]
        check_no_input([("--output", output)], given)
        found = explain_files(inputs, model, options, transforms=transforms)
        write_explanation(found, output)
        value = found.sensitivity.value
        click.echo(f"{found.words} from {found.source}, {found.subject}: {value:.6g}: {output}")
        for kink in found.sensitivity.kinks:
            click.echo(f"no derivative: {kink}")
