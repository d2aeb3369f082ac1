"""``kraken-tools``: everything that is not the BIDS App."""

from pathlib import Path

import click

from kraken_bids import __version__
from kraken_bids.cli.commands.add_flavor import add_flavor
from kraken_bids.cli.commands.brain_page import brain
from kraken_bids.cli.commands.cluster_jobs import cluster
from kraken_bids.cli.commands.communities import communities
from kraken_bids.cli.commands.decode import decode
from kraken_bids.cli.commands.decode_volumes import decode_volumes
from kraken_bids.cli.commands.embed import embed
from kraken_bids.cli.commands.evaluate import evaluate
from kraken_bids.cli.commands.explain import explain
from kraken_bids.cli.commands.export import export
from kraken_bids.cli.commands.fc import fc
from kraken_bids.cli.commands.fetch import fetch
from kraken_bids.cli.commands.finetune import finetune
from kraken_bids.cli.commands.model_tools import convert, describe, merge
from kraken_bids.cli.commands.predict import predict
from kraken_bids.cli.commands.pretrain import pretrain
from kraken_bids.cli.commands.qsirecon_spec import qsirecon_spec
from kraken_bids.cli.commands.sc import sc
from kraken_bids.cli.commands.status import status
from kraken_bids.cli.commands.train import train
from kraken_bids.cli.commands.train_volumes import train_volumes
from kraken_bids.cli.commands.verify import verify
from kraken_bids.cli.options import exit_with_message, option, tool
from kraken_bids.cli.stopping import end_cleanly_when_stopped, reserve_where_limited


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kraken-tools")
def main() -> None:
    """Work with Krakencoder models and connectome files outside the BIDS App."""
    end_cleanly_when_stopped()
    with exit_with_message():
        reserve_where_limited()


@tool()
@click.argument("out", type=click.Path(path_type=Path))
@option(
    "--subjects",
    type=click.IntRange(min=12),
    default=12,
    help="Participants of the synthetic dataset.",
)
@option(
    "--n-procs",
    type=click.IntRange(min=1),
    default=2,
)
def demo(out: Path, subjects: int, n_procs: int) -> None:
    """Run everything on data that it makes itself, offline.

    Writes a synthetic dataset (fMRIPrep and QSIRecon layout) to OUT/bids, trains a small 15-flavor
    model on a synthetic cohort (OUT/model), runs participant and group (OUT/derivatives), and says
    how well held-out subjects were identified from their other modality.
    """
    from kraken_bids.demo.run import run_demo

    for line in run_demo(out, n_subjects=subjects, n_procs=n_procs):
        click.echo(line)


COMMANDS = (
    add_flavor,
    brain,
    cluster,
    communities,
    convert,
    decode,
    decode_volumes,
    demo,
    describe,
    embed,
    evaluate,
    explain,
    export,
    fc,
    fetch,
    finetune,
    merge,
    predict,
    pretrain,
    qsirecon_spec,
    sc,
    status,
    train,
    train_volumes,
    verify,
)
for command in COMMANDS:
    main.add_command(command)
