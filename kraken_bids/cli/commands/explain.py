"""``kraken-tools explain``: which edges of its inputs a prediction hangs on."""

from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.options import FILE, ListOption, option, paths, tool, transforms_option
from kraken_bids.cli.recipe_options import atlases_option, model_option

OF_SCORE = ("target", "edge", "block", "weights", "latent")


@tool()
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
@option(
    "--source",
    default="fusion",
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
@option(
    "--adaptation-mode",
    default="auto",
    metavar="MODE",
    help="As of kraken-tools predict, which would adapt the same inputs alike.",
)
@click.option("--renormalize-fusion", is_flag=True, help="Scale fused latents to unit length.")
@atlases_option
@click.option("--output", type=FILE, required=True, metavar="DIR", help="Folder to write into.")
def explain(
    model: str,
    transforms: tuple[Path, ...],
    inputs: tuple[str, ...],
    atlases: tuple[str, ...],
    output: Path,
    **words: Any,
) -> None:
    """Say which edges of its inputs a prediction hangs on, exactly.

    DIR gets, per input, a matrix on the regions: by how much the predicted edge, mean over
    networks, score or latent changes per unit of each edge as it was given (the derivative, at
    the person's connectomes or at the training mean); knockouts.tsv: what becomes of it when a
    network or a region of the inputs is set to the training mean; and pictures of the brain.
    """
    from kraken_bids.cohort.output_checks import check_no_input
    from kraken_bids.pipeline.explained_scores import ScoreOptions
    from kraken_bids.pipeline.explanation import ExplanationOptions, explain_files
    from kraken_bids.pipeline.explanation_files import write_explanation
    from kraken_bids.pipeline.predict.prediction_options import PredictionOptions

    tables = paths("--atlas", atlases)
    source, subject = words.pop("source"), words.pop("subject")
    score = ScoreOptions(**{name: words.pop(name) for name in OF_SCORE})
    taken = PredictionOptions(**words)
    options = ExplanationOptions(score, source, subject, tables, taken)
    given = [*inputs, model, *transforms, score.weights, taken.adaptation, *tables.values()]
    check_no_input([("--output", output)], given)
    found = explain_files(inputs, model, options, transforms=transforms)
    write_explanation(found, output)
    value = found.sensitivity.value
    click.echo(f"{found.words} from {found.source}, {found.subject}: {value:.6g}: {output}")
    for kink in found.sensitivity.kinks:
        click.echo(f"no derivative: {kink}")
