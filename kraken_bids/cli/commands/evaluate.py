"""``kraken-tools evaluate``: predictions against observed connectomes."""

from pathlib import Path

import click

from kraken_bids.cli.options import FILE, ListOption, option, tool, transforms_option
from kraken_bids.io.output_streams import is_stream


@tool()
@click.option(
    "--predicted",
    type=FILE,
    required=True,
    metavar="FILE",
    help="What kraken-tools predict wrote (.npz, .mat, .h5), or a folder that kraken-bids wrote.",
)
@click.option(
    "--observed",
    cls=ListOption,
    required=True,
    metavar="FLAVOR=FILE ...",
    help="Connectomes, as kraken-tools predict --input takes them.",
)
@click.option("--output", type=FILE, required=True, metavar="FILE.tsv", help="Table to write.")
@click.option("--figure", type=FILE, metavar="FILE.png", help="Heatmap, source by target.")
@option(
    "--figure-metric",
    type=click.Choice(
        ["avgrank", "top1acc", "top2acc", "avgcorr", "avgcorr_resid", "explainedvar", "r2", "gain"]
    ),
    default="avgrank",
    help="What the heatmap shows.",
)
@option("--permutations", type=int, default=1000, help="For p-values; 0: none.")
@option("--bootstraps", type=int, default=1000, help="For intervals; 0: none.")
@option("--seed", type=int, default=0, help="Of both.")
@click.option(
    "--model",
    metavar="PATH|pretrained",
    help="Take this model's training mean as the group mean, which avgcorr_resid subtracts and "
    "gain is measured from  [the mean of the observed people; for gain, of the other ones]",
)
@click.option(
    "--input",
    "inputs",
    cls=ListOption,
    metavar="FLAVOR=FILE ...",
    help="What the predictions were made from: adds what partial least squares makes of it, "
    "fitted on other people (20 or more).",
)
@click.option(
    "--retest",
    cls=ListOption,
    metavar="FLAVOR=FILE ...",
    help="Second measurements of the same people: the ceiling  [further sessions in --observed]",
)
@transforms_option
def evaluate(
    predicted: Path,
    observed: tuple[str, ...],
    output: Path,
    figure: Path | None,
    figure_metric: str,
    permutations: int,
    bootstraps: int,
    seed: int,
    model: str | None,
    transforms: tuple[Path, ...],
    inputs: tuple[str, ...],
    retest: tuple[str, ...],
) -> None:
    """Say how well predicted connectomes match observed ones, per source and target.

    Subjects are matched by name. Metrics: top1acc, top2acc and avgrank (is a subject's own
    prediction the nearest to their observed connectome?), avgcorr beside what the group mean
    reaches, avgcorr_resid beside its ceiling, explainedvar, r2, and gain over the group mean;
    each with a permutation p-value and a 95 % bootstrap interval. docs/worth.md defines them.
    """
    from kraken_bids.cohort.output_checks import check_no_input
    from kraken_bids.pipeline.check import evaluation, evaluation_table

    check_no_input(
        [("--output", output), ("--figure", figure)],
        [predicted, *observed, *inputs, *retest, model, *transforms],
    )
    options = evaluation.EvaluationOptions(permutations, bootstraps, seed)
    means = evaluation.read_training_means(model, transforms) if model else {}
    beside = evaluation.Beside(means, inputs, retest)
    found = evaluation.evaluate_files(predicted, observed, options, beside=beside)
    evaluation_table.write_evaluation(found, output)
    if figure:
        evaluation_table.draw_evaluation(found, figure_metric, figure)
    is_piped = is_stream(output)  # standard output may be the table's then
    for line in evaluation_table.describe_evaluation(found):
        click.echo(line, err=is_piped)
    click.echo(f"{len(found)} pairs of source and target: {output}", err=is_piped)
