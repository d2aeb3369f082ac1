"""``kraken-tools cluster``: both levels as an array of jobs and one that follows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.cluster_options import queue_options
from kraken_bids.cli.options import FILE, ListOption, option, tool


@tool()
@click.argument("bids_dir", type=FILE)
@click.argument("output_dir", type=FILE)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTIONS OF kraken-bids]")
@option(
    "--scheduler", type=click.Choice(["slurm", "sge", "pbs", "lsf"]), default="slurm",
    help="Which the scripts are for.",
)  # fmt: skip
@click.option(
    "--per-task", type=click.IntRange(min=1), metavar="N",
    help="Participants of a task  [1; more than 1000 are spread over 1000 tasks]",
)  # fmt: skip
@click.option(
    "--at-once", type=click.IntRange(min=0), default=0, metavar="N",
    help="Tasks that run at the same time  [as many as there is room for]",
)  # fmt: skip
@option("--cores", type=click.IntRange(min=1), default=1, help="Of each job.")
@option("--mem-gb", type=click.FloatRange(min=0.1), default=8.0, help="Of each job.")
@queue_options
@click.option(
    "--group-mem-gb", type=click.FloatRange(min=0.1), metavar="GB",
    help="Of the group's job  [as the others]",
)  # fmt: skip
@click.option("--group-walltime", metavar="HH:MM:SS", help="Of the group's job  [as the others]")
@click.option("--no-group", is_flag=True, help="Without the group level.")
@click.option("--image", type=FILE, metavar="SIF", help="Run in this Apptainer image.")
@click.option(
    "--bind", "binds", cls=ListOption, metavar="FOLDER ...",
    help="Further folders that the container sees, beside those of the options.",
)  # fmt: skip
@option(
    "--apptainer", default="apptainer", metavar="COMMAND",
    help="Another name, a path.",
)  # fmt: skip
@click.option(
    "--venv", type=FILE, metavar="DIR",
    help="Virtual environment of the jobs  [the one of this command]",
)  # fmt: skip
@click.option(
    "--folder", type=FILE, metavar="DIR", help="Where scripts and logs go  [OUT/logs/jobs/DATE]"
)
@click.option("--submit", is_flag=True, help="Submit the jobs.")
def cluster(bids_dir: Path, output_dir: Path, words: tuple[str, ...], **values: Any) -> None:
    """Write the scripts of an array of jobs over participants, and of the group's job after it.

    What kraken-bids is asked for stands after --:

    kraken-tools cluster BIDS OUT --walltime 04:00:00 --submit -- --atlases fs86 --model M

    A task does its participants one after the other, is asked to end two minutes before its time
    is over, and goes back into the queue; what is done is skipped. `kraken-tools status OUT` says
    how far they are.
    """
    from kraken_bids.cli.app import main
    from kraken_bids.cli.app_settings import read_settings
    from kraken_bids.pipeline.batch_jobs import check_submission, submit_batch, write_batch

    is_submitted = values.pop("submit")
    if is_submitted:
        check_submission(values["scheduler"])
    asked = [str(bids_dir), str(output_dir), "participant", *words]
    context = main.make_context("kraken-bids", asked)
    batch = write_batch(read_settings(context.params), _read_options(values))
    click.echo(f"{batch.n_tasks} task(s) for {batch.n_people} participants: {batch.submit}")
    if is_submitted:
        click.echo(submit_batch(batch))


def _read_options(values: dict[str, Any]) -> Any:
    """Options of the command as :class:`~kraken_bids.pipeline.batch_jobs.BatchOptions`."""
    from kraken_bids.pipeline.batch_jobs import BatchOptions
    from kraken_bids.pipeline.batch_submission import Resources

    walltime = values.pop("walltime") or "04:00:00"
    taken = {name: values.pop(name) for name in ("cores", "mem_gb", "queue", "account")}
    each = Resources(walltime=walltime, directives=values.pop("job_directives"), **taken)
    group = replace(
        each,
        mem_gb=values.pop("group_mem_gb") or each.mem_gb,
        walltime=values.pop("group_walltime") or walltime,
    )
    return BatchOptions(
        participant=each,
        group=None if values.pop("no_group") else group,
        prologue=values.pop("job_prologue"),
        **values,
    )
