"""``kraken-tools embed``: region series in, one vector per run or trial out."""

from pathlib import Path

import click

from kraken_bids.cli.options import FILE, ForgivingCommand, exit_with_message, verbose_option
from kraken_bids.cli.recipe_options import device_option
from kraken_bids.cli.series_options import series_options
from kraken_bids.logs import start_terminal_log


@click.command(cls=ForgivingCommand, context_settings={"max_content_width": 100})
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
@device_option
@verbose_option
def embed(
    series: tuple[Path, ...],
    model: Path,
    output: Path,
    atlas: str,
    variable: str,
    regions: str | None,
    repetition_time: float | None,
    normalization: str | None,
    device: str,
    verbose: int,
) -> None:
    """Turn every run of SERIES into a vector, by a pretrained model.

    SERIES: folders that kraken-bids wrote (--atlas), tables of region series (.tsv with the names
    of regions, .csv, .txt, .1D; volumes in rows), .npy, .npz, .mat, .h5, or WebDataset .tar files,
    of which every sample is a run. Series of another atlas, order, scale or repetition time than
    the model's are refused; regions are ordered by their names.
    """
    with exit_with_message():
        start_terminal_log(verbose)
        from kraken_bids.cohort.series_store import gather_series
        from kraken_bids.models.series.checkpoint import read_series_model
        from kraken_bids.pipeline.series.embedding import check_output, write_embeddings

        check_output(output)
        read = read_series_model(model, device)
        store = gather_series(
            series,
            output.absolute().parent,
            atlas=atlas,
            variable=variable,
            regions=regions or "",
            repetition_time=repetition_time,
            normalization=normalization or "",
            like=read.data,
        )
        n_vectors = write_embeddings(read, store, output)
        click.echo(f"{n_vectors} vectors of {read.architecture.embedding} numbers: {output}")
