"""``kraken-tools train``: connectome files in, a model of one's own out."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from kraken_bids.cli.options import FILE, ListOption, add_options, option, paths, tool
from kraken_bids.cli.recipe_options import (
    atlases_option,
    device_option,
    participants_option,
    seed_option,
    step_options,
)
from kraken_bids.exceptions import SettingsError

LOSS = "correye+enceye.w10+neidist+encdist.w10+mse.w1000+latentsimloss.w10000"
"""The published one; a test compares."""


data_options = add_options(
    option(
        "--input", "inputs", cls=ListOption, required=True, metavar="FLAVOR=FILE ...",
        help="Connectomes, as kraken-tools predict takes them; or a folder that kraken-bids wrote "
        "(its measured connectomes). Any flavor <FC…|SC…>_<atlas>_<processing>.",
    ),
    option(
        "--output", type=FILE, required=True, metavar="DIR",
        help="Folder of the model, its history and pictures.",
    ),
    option(
        "--splits", type=FILE, metavar="FILE",
        help="Who trains: a table with participant_id and a column of train, validation, test; or "
        "a published subject_splits_*.mat  [drawn by chance]",
    ),
    option("--test-share", type=float, default=0.2, help="Share that is drawn for test."),
    option(
        "--validation-share", type=float, default=0.1,
        help="Share of the others that is drawn for validation.",
    ),
    option(
        "--families", metavar="FILE|COLUMN",
        help="Who belongs together in a split: a table with participant_id and family, or a "
        "column of participants.tsv. Sessions of a person always do.",
    ),
    participants_option,
    atlases_option,
)  # fmt: skip

recipe_options = add_options(
    option(
        "--method", type=click.Choice(["krakencoder", "pls", "ridge"]), default="krakencoder",
        help="pls and ridge: closed-form regressions between scores, trained in no epochs.",
    ),
    option("--transform", default="pca256", metavar="pcaK|cfeat|none", help="Of connectomes."),
    option("--latent-size", type=int, default=128, help="Length of a latent."),
    option(
        "--hidden", "hidden_sizes", cls=ListOption, type=int, metavar="N ...",
        help="Widths of hidden layers  [none]",
    ),
    option("--loss", default=LOSS, help="Terms, each with its weight."),
    step_options,
    option("--epochs", "n_epochs", type=int, default=2000, help="Times that all are seen."),
    option(
        "--schedule", type=click.Choice(["joint", "paths"]), default="joint",
        help="All paths of a batch in one step; or one step per path, as published.",
    ),
    seed_option,
    device_option,
)  # fmt: skip

network_options = add_options(
    option("--linear", "skip_activation", is_flag=True, help="No activation between layers."),
    option("--negative-slope", type=float, default=0.0, help="Of LeakyReLU; 0: ReLU."),
    option("--alternate-tanh", is_flag=True, help="Tanh in place of every other ReLU."),
    option(
        "--latent-activation", type=click.Choice(["none", "tanh", "sigmoid"]), default="none",
        help="After every linear layer of the encoders.",
    ),
    option(
        "--no-latent-normalize", "latent_normalize", is_flag=True, flag_value=False, default=True,
        help="Do not scale latents to unit length.",
    ),
    option(
        "--intergroup", is_flag=True, help="Translate latents between SC and FC by own layers."
    ),
    option(
        "--intergroup-hidden", "intergroup_sizes", cls=ListOption, type=int, metavar="N ...",
        help="Widths of their hidden layers  [none]",
    ),
)  # fmt: skip

run_options = add_options(
    option(
        "--validate-every", type=int, metavar="EPOCHS",
        help="Epochs between two evaluations  [a fiftieth of all]",
    ),
    option(
        "--patience", type=int, default=0, metavar="EPOCHS",
        help="End after so many epochs without a better validation, and keep the best epoch; "
        "0: train to the end and keep the last.",
    ),
    option("--resume", is_flag=True, help="Go on with an interrupted training."),
)  # fmt: skip

GO_ON = "What was saved is kept: the same command with --resume goes on from there."
OWN = (
    "splits", "test_share", "validation_share", "families", "participants", "method",
    "validate_every", "patience", "resume",
)  # fmt: skip
"""What is no part of the recipe."""
OF_REGRESSIONS = {
    "inputs", "output", "atlases", "verbose", "splits", "test_share", "validation_share",
    "families", "participants", "method", "resume", "transform", "seed", "device",
}  # fmt: skip
"""What closed-form regressions take; all else is of networks."""


@tool(go_on=GO_ON)
@data_options
@recipe_options
@network_options
@run_options
def train(
    inputs: tuple[str, ...],
    output: Path,
    atlases: tuple[str, ...],
    **options: Any,
) -> None:
    """Train a model on connectomes of your own, of known flavors or of new ones.

    The defaults are the published recipe, all paths in one step. DIR holds the model in the end,
    ready for kraken-bids --model DIR, kraken-tools predict and evaluate; history.tsv, curves.png
    and heatmaps are there while it trains. Subjects who lack a flavor train the paths they have.
    """
    from kraken_bids.models.krakencoder.recipe import TrainingSettings
    from kraken_bids.pipeline.train.training_options import TrainingOptions

    _check_applicable(click.get_current_context())
    own = {name: options.pop(name) for name in OWN}
    tables = paths("--atlas", atlases)
    settings = TrainingSettings(**options)
    asked = TrainingOptions(settings=settings, atlases=tables, **own)
    if output.is_file():
        raise SettingsError(f"expected --output DIR; found the file {output}.")
    # numpy and what trains are loaded only once the options are known to be sound
    from kraken_bids.pipeline.model_training import train_files

    model = train_files(inputs, output, asked)
    n_subjects = model.provenance.get("NumberOfSubjects")
    click.echo(f"{len(model.flavors)} flavors, {n_subjects} training subjects: {output}")


def _check_applicable(context: click.Context) -> None:
    """Refuse options that would change nothing.

    Raises
    ------
    SettingsError
    """
    given = {
        option.name: option.opts[0]
        for option in context.command.params
        if context.get_parameter_source(str(option.name)) is not ParameterSource.DEFAULT
    }
    method = context.params["method"]
    idle = [spelled for name, spelled in given.items() if name not in OF_REGRESSIONS]
    if method != "krakencoder" and idle:
        raise SettingsError(
            f"--method {method}: expected no options of networks, which change nothing here; "
            f"found {', '.join(idle)}. Leave them out."
        )
    if "intergroup_sizes" in given and not context.params["intergroup"]:
        raise SettingsError(
            "--intergroup-hidden: expected --intergroup, whose layers they are; found it alone."
        )
