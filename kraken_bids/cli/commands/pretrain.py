"""``kraken-tools pretrain``: region series in, a network that fills in what is hidden out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.options import FILE, add_options, option, tool
from kraken_bids.cli.recipe_options import device_option, participants_option
from kraken_bids.cli.series_options import read_series_words, series_options
from kraken_bids.exceptions import SettingsError

GO_ON = "What was saved is kept: the same command with --resume goes on from there."
RECIPE = ("embedding", "n_layers", "dropout", "batch_size", "shortest", "longest", "masking_rate")
STEPS = ("n_steps", "learning_rate", "weight_decay", "seed", "device")

recipe_options = add_options(
    option(
        "--framework", type=click.Choice(["csm", "bert", "netbert", "autoencoder"]),
        default="csm",
        help="What is hidden: the volume that comes next; single volumes; single regions; "
        "nothing, but all has to pass through one vector.",
    ),
    option(
        "--preset", type=click.Choice(["small", "release"]), default="small",
        help="small: for a CPU; release: recipe of the published models. The options below "
        "change single numbers of it.",
    ),
    option("--embedding", type=int, help="Numbers that stand for a volume  [128; 768]"),
    option("--layers", "n_layers", type=int, help="Layers  [2; 4, autoencoder 2]"),
    option("--dropout", type=float, help="Share of numbers dropped  [0.1; autoencoder 0.2]"),
    option("--shortest", type=int, metavar="VOLUMES", help="Of a sequence  [10; of pairs 15]"),
    option("--longest", type=int, metavar="VOLUMES", help="Of a sequence  [50; of pairs 55]"),
    option("--masking-rate", type=float, help="Share hidden  [bert 0.2, netbert 0.1]"),
    option("--batch-size", type=int, help="Sequences of a step  [32, pairs 16; 192]"),
    option("--steps", "n_steps", type=int, help="Training steps  [4000; 300000]"),
    option("--learning-rate", type=float, help="Of AdamW  [1e-3; 1e-4 to 5e-4]"),
    option("--weight-decay", type=float, help="Of AdamW  [0.1]"),
    option("--seed", type=int, help="Of split, weights, batches and dropout  [0]"),
    device_option,
)  # fmt: skip

run_options = add_options(
    option(
        "--weights", type=FILE, metavar="DIR|FILE",
        help="Begin with: a folder of this command, or a released pytorch_model.bin.",
    ),
    option(
        "--splits", type=FILE, metavar="FILE",
        help="Who trains: a table with participant_id and a column of train, validation  [drawn "
        "by chance]",
    ),
    option("--validation-share", type=float, default=0.1, help="Share of subjects held out."),
    option(
        "--families", metavar="FILE|COLUMN",
        help="Who belongs together in a split: a table with participant_id and family, or a "
        "column of participants.tsv. Runs of a person always do.",
    ),
    participants_option,
    option(
        "--parity", is_flag=True,
        help="Write the intermediates of the first batch (csm) to parity.npz, as the release "
        "names them.",
    ),
    option("--resume", is_flag=True, help="Go on with an interrupted training."),
)  # fmt: skip


@tool(go_on=GO_ON)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCES...")
@option(
    "--output", type=FILE, required=True, metavar="DIR",
    help="Folder of the model, its history and its page.",
)  # fmt: skip
@series_options
@recipe_options
@run_options
def pretrain(sources: tuple[str, ...], output: Path, **options: Any) -> None:
    """Pretrain a network on region series, without labels.

    SOURCES are folders that kraken-bids wrote, files of region series (.tsv, .npy, .mat …), or
    tars of samples. DIR holds the model in the end, for kraken-tools decode and embed; report.html
    says how well it fills in what was hidden of people it has not seen, beside simpler predictors.
    """
    if output.is_file():
        raise SettingsError(f"expected --output DIR; found the file {output}.")
    missing = [source for source in sources if not Path(source).exists()]
    if missing:
        raise SettingsError(f"expected files or folders; found nothing at {missing[0]}.")
    from kraken_bids.models.series.recipe import choose_recipe
    from kraken_bids.pipeline.series.pretraining_options import PretrainingOptions
    from kraken_bids.pipeline.series_pretraining import pretrain_series

    given = {name: value for name, value in options.items() if value is not None}
    recipe = choose_recipe(given.pop("preset"), given.pop("framework"))
    steps = {name: given.pop(name) for name in STEPS if name in given}
    changed = {name: given.pop(name) for name in RECIPE if name in given}
    if "weights" in given and {"embedding", "n_layers"} & {*changed}:
        raise SettingsError(
            "--weights: expected no --embedding and no --layers beside it, since they are "
            "those of the weights. Leave them out."
        )
    recipe = replace(recipe, **changed, steps=replace(recipe.steps, **steps))
    reading = read_series_words(given)
    pretrain_series(sources, output, PretrainingOptions(recipe, reading, **given))
    click.echo(f"{recipe.framework}, {recipe.steps.n_steps} steps: {output}")
