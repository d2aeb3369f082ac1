"""``kraken-tools decode``: region series and events in, a decoder and what it is worth out."""

from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.decoded_words import GO_ON, check_paths, print_scores
from kraken_bids.cli.options import FILE, add_options, option, tool
from kraken_bids.cli.recipe_options import device_option
from kraken_bids.cli.series_options import read_series_words, series_options
from kraken_bids.cli.trial_options import read_window, split_options, trial_options
from kraken_bids.exceptions import SettingsError

labels_option = click.option(
    "--labels", default="", metavar="FILE|NAME",
    help="In place of --events every run is one trial: a table with run and label, or a label of "
    "tars (task_label).",
)  # fmt: skip
network_options = add_options(
    click.option("--model", type=FILE, metavar="DIR", help="Folder that pretrain wrote."),
    click.option("--from-scratch", is_flag=True, help="A network that was not pretrained."),
    click.option(
        "--framework", type=click.Choice(["csm", "bert", "netbert", "autoencoder"]),
        help="Of a network from scratch  [csm]",
    ),
    click.option(
        "--preset", type=click.Choice(["small", "release"]),
        help="Size of a network from scratch  [small]",
    ),
    option("--steps", "n_steps", type=int, default=500, help="Of each training."),
    option("--learning-rate", type=float, default=5e-4, metavar="RATE", help="Of AdamW."),
    option("--batch-size", type=int, default=64, help="Trials of a step."),
    option("--seed", type=int, default=0, help="Of folds, weights, batches, shuffles."),
    device_option,
)  # fmt: skip
OF_STEPS = ("n_steps", "learning_rate", "seed", "device")
OF_DECODING = (
    "events", "labels", "column", "classes", "model", "n_folds", "n_repeats", "families",
    "participants", "resume",
)  # fmt: skip


@tool(go_on=GO_ON)
@click.argument("sources", nargs=-1, required=True, type=FILE)
@click.option("--output", type=FILE, required=True, metavar="DIR", help="Folder to write.")
@trial_options
@labels_option
@network_options
@split_options
@series_options
@click.option("--resume", is_flag=True, help="Go on with an interrupted decoding.")
def decode(sources: tuple[Path, ...], output: Path, **words: Any) -> None:
    """Decode trials of SOURCES in people held out, by a network and by what it has to beat.

    SOURCES: folders that kraken-bids wrote (--atlas), files of region series, or tars of samples.
    Beside the network stand, on the same trials and folds: the same network from scratch, logistic
    regression on mean patterns, the network trained on shuffled labels, and the most frequent
    class. DIR gets predictions, confusion, scores, relevance, and a model trained on everyone.
    """
    if bool(words["model"]) == words["from_scratch"]:
        raise SettingsError(
            "expected --model DIR, a pretrained model, or --from-scratch; found "
            f"{'both' if words['model'] else 'neither'}."
        )
    idle = [f"--{name}" for name in ("framework", "preset") if words["model"] and words[name]]
    if idle:
        raise SettingsError(
            f"expected no {' or '.join(idle)} beside --model, whose network is taken; found "
            "it. Leave it out, or give --from-scratch in place of --model."
        )
    named = [*sources, words["events"], words["model"], words["participants"]]
    check_paths(named, output)
    options, reading = _read_options(words)
    from kraken_bids.pipeline.series_decoding import decode_series

    print_scores(decode_series(sources, output, options, reading), output)


def _read_options(words: dict[str, Any]) -> tuple[Any, Any]:
    from dataclasses import replace

    from kraken_bids.models.series.recipe import choose_recipe
    from kraken_bids.models.step_training import StepSettings
    from kraken_bids.pipeline.series.decoding_options import DecodingOptions

    recipe = choose_recipe(words["preset"] or "small", words["framework"] or "csm")
    options = DecodingOptions(
        window=read_window(words),
        recipe=replace(recipe, batch_size=words["batch_size"]),
        steps=StepSettings(**{name: words[name] for name in OF_STEPS}),
        **{name: words[name] for name in OF_DECODING},
    )
    return options, read_series_words(words)
