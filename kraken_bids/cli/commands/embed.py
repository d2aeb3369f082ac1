"""``kraken-tools embed``: region series in, one vector per run or trial out."""

from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.options import FILE, tool
from kraken_bids.cli.recipe_options import device_option
from kraken_bids.cli.series_options import read_series_words, series_options
from kraken_bids.cli.trial_options import read_window, trial_options


@tool()
@click.argument("series", nargs=-1, required=True, type=FILE)
@click.option(
    "--model",
    type=FILE,
    required=True,
    metavar="DIR",
    help="Folder that kraken-tools pretrain or decode wrote.",
)
@click.option("--output", type=FILE, required=True, metavar="FILE.tsv|.npy")
@series_options
@trial_options
@device_option
def embed(series: tuple[Path, ...], model: Path, output: Path, **words: Any) -> None:
    """Turn every run of SERIES, or every trial (--events), into a vector by a pretrained model.

    SERIES: folders that kraken-bids wrote (--atlas), tables of region series (.tsv with the names
    of regions, .csv, .txt, .1D; volumes in rows), .npy, .npz, .mat, .h5, or WebDataset .tar files,
    of which every sample is a run. Series of another atlas, order, scale or repetition time than
    the model's are refused; regions are ordered by their names.
    """
    from kraken_bids.cohort.series_store import gather_series
    from kraken_bids.cohort.trials import label_trials
    from kraken_bids.models.network_folders import DESCRIPTION_NAME
    from kraken_bids.models.series.checkpoint import read_series_model
    from kraken_bids.pipeline.series.embedding import check_output, write_embeddings

    check_output(output, [*series, model / DESCRIPTION_NAME])
    window = read_window(words)
    read = read_series_model(model, words["device"])
    store = gather_series(
        series, output.absolute().parent, like=read.data, **read_series_words(words)
    )
    trials = words["events"] and label_trials(
        store.runs,
        words["events"],
        window,
        column=words["column"],
        classes=words["classes"],
    )
    n_vectors = write_embeddings(read, store, output, trials)
    click.echo(f"{n_vectors} vectors of {read.architecture.embedding} numbers: {output}")
