"""``kraken-tools``: everything that is not the BIDS App."""

from importlib import import_module
from pathlib import Path

import click

from kraken_bids import __version__
from kraken_bids.cli.options import exit_with_message, option, tool
from kraken_bids.cli.stopping import end_cleanly_when_stopped, reserve_where_limited

MODULES = {
    "add-flavor": "add_flavor",
    "brain": "brain_page",
    "cluster": "cluster_jobs",
    "communities": "communities",
    "convert": "model_tools",
    "decode": "decode",
    "decode-volumes": "decode_volumes",
    "describe": "model_tools",
    "embed": "embed",
    "evaluate": "evaluate",
    "explain": "explain",
    "export": "export",
    "fc": "fc",
    "fetch": "fetch",
    "finetune": "finetune",
    "merge": "model_tools",
    "predict": "predict",
    "pretrain": "pretrain",
    "qsirecon-spec": "qsirecon_spec",
    "sc": "sc",
    "status": "status",
    "train": "train",
    "train-volumes": "train_volumes",
    "verify": "verify",
}
"""Each command's module in ``cli/commands``, where a function bears its name."""


class LazyGroup(click.Group):
    """Imports a command when it is asked for, since each brings options of its own.

    Source: click's documentation, "Lazily Loading Subcommands".
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names of all commands, whether imported or not."""
        return sorted({*self.commands, *MODULES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Command of this name; where there is none, all are there to be suggested."""
        is_known = cmd_name in {*self.commands, *MODULES}
        for name in [cmd_name] if is_known else MODULES:
            if name not in self.commands:
                module = import_module(f"kraken_bids.cli.commands.{MODULES[name]}")
                self.add_command(getattr(module, name.replace("-", "_")))
        return super().get_command(ctx, cmd_name)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
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


main.add_command(demo)
