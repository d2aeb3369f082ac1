"""``kraken-tools train-volumes``: BOLD runs and events in, a decoder and what it is worth out."""

from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.decoded_words import GO_ON, check_paths, print_scores
from kraken_bids.cli.options import FILE, ListOption, add_options, option, pairs, tool
from kraken_bids.cli.recipe_options import cleaning_option, device_option
from kraken_bids.cli.trial_options import read_window, split_options, trial_options
from kraken_bids.exceptions import SettingsError

decoder_options = add_options(
    click.option(
        "--architecture", type=click.Choice(["2d", "3d"]),
        help="Slices and an LSTM over them, or cubes  [that of --decoder, else 3d]",
    ),
    click.option(
        "--decoder", type=FILE, metavar="PATH",
        help="Trained further with new outputs: a folder of train-volumes, or weights of the "
        "published decoder (.npy, .hdf5).",
    ),
    cleaning_option,
    click.option(
        "--labels", "images", cls=ListOption, metavar="ATLAS=IMAGE",
        help="Label image in MNI152NLin6Asym: the linear model sees means of its regions  [cubes "
        "of 12 mm]",
    ),
    option("--steps", "n_steps", type=int, default=2000, help="Of each training."),
    click.option(
        "--learning-rate", type=float, metavar="RATE", help="Of AdamW  [2d: 1e-4, 3d: 1e-3]"
    ),
    option("--batch-size", type=int, default=32, help="Volumes of a step."),
    option("--seed", type=int, default=0, help="Of folds, weights, batches, shuffles."),
    option("--n-threads", type=int, default=1, help="Volumes decoded at a time on a CPU."),
    device_option,
)  # fmt: skip
OF_TRAINING = (
    "events", "column", "classes", "cleaning", "architecture", "decoder", "learning_rate",
    "batch_size", "n_folds", "n_repeats", "families", "participants", "n_threads", "resume",
)  # fmt: skip


@tool(go_on=GO_ON)
@click.argument("bold", nargs=-1, required=True, type=FILE)
@click.option("--output", type=FILE, required=True, metavar="DIR", help="Folder to write.")
@trial_options
@decoder_options
@split_options
@click.option("--resume", is_flag=True, help="Go on with an interrupted training.")
def train_volumes(bold: tuple[Path, ...], output: Path, **words: Any) -> None:
    """Train a decoder of the volumes of BOLD runs, and judge it in people held out.

    BOLD: runs that fMRIPrep wrote in MNI152NLin6Asym, each with its brain mask beside it. Every
    volume of an event is an example. Beside the network stand, on the same volumes and folds: the
    same network from scratch, where it was trained further; logistic regression on means of
    regions; the network trained on shuffled labels; and the most frequent class. DIR gets
    predictions, confusion, scores, and a model trained on everyone, for decode-volumes.
    """
    images = pairs("--labels", words["images"])
    named = [*bold, words["decoder"], words["events"], words["participants"]]
    named += [Path(image) for image in images.values()]
    check_paths(named, output)
    if words["events"] is None or len(images) > 1:
        raise SettingsError(
            "expected --events BIDS_DIR, the raw dataset whose events.tsv label the volumes; "
            "found none."
            if words["events"] is None
            else f"expected --labels of one atlas; found {len(images)}."
        )
    options = _read_options(words, images)
    from kraken_bids.pipeline.volume_training import train_volumes as train

    print_scores(train(bold, output, options), output)


def _read_options(words: dict[str, Any], images: dict[str, str]) -> Any:
    from kraken_bids.models.step_training import StepSettings
    from kraken_bids.pipeline.volumes.training_options import VolumeTrainingOptions

    atlas, image = next(iter(images.items()), ("", None))
    steps = StepSettings(
        n_steps=words["n_steps"],
        weight_decay=0.0,
        seed=words["seed"],
        device=words["device"],
    )
    return VolumeTrainingOptions(
        window=read_window(words),
        atlas=atlas,
        labels=Path(image) if image else None,
        steps=steps,
        **{name: words[name] for name in OF_TRAINING},
    )
