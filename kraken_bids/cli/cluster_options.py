"""The options that say how participants are computed on a cluster."""

import logging
from dataclasses import fields

import click

from kraken_bids.cli.options import ListOption, add_options, option
from kraken_bids.run_settings import OF_JOBS, RunSettings

logger = logging.getLogger(__name__)

queue_options = add_options(
    click.option("--queue", metavar="NAME", help="Queue or partition of the jobs."),
    click.option("--account", metavar="NAME", help="Account or project that pays for the jobs."),
    click.option(
        "--walltime",
        metavar="HH:MM:SS",
        help="Time of one job; a participant that was cut off goes on in the next job.",
    ),
    click.option(
        "--job-directive",
        "job_directives",
        cls=ListOption,
        metavar="WORDS ...",
        help="Further words for the scheduler, each as one word of the shell: "
        "--job-directive=--constraint=avx2.",
    ),
    click.option(
        "--job-prologue",
        cls=ListOption,
        metavar="LINE ...",
        help="Lines of the jobs' script before anything is started: 'module load apptainer'.",
    ),
)
"""What every scheduler is told of a job."""

cluster_options = add_options(
    option(
        "--scheduler",
        default="local",
        metavar="local|slurm|pbs|sge|lsf|htcondor|oar|ADDRESS|FILE",
        help="Where participants are computed: here, one at a time in each of up to N_PROCS jobs "
        "of a cluster, or by a running dask scheduler (extra: cluster).",
    ),
    option(
        "--min-jobs",
        type=int,
        default=1,
        help="Jobs that are kept where there is no work for them; others are given back.",
    ),
    queue_options,
    click.option(
        "--job-python",
        metavar="COMMAND",
        help="Python of the jobs: another environment's, or 'apptainer exec -B /data IMAGE.sif "
        "python'  [this one]",
    ),
)
"""Options of :class:`~kraken_bids.run_settings.RunSettings` that concern a cluster."""


def check_cluster(run: RunSettings) -> None:
    """Refuse a scheduler that is not there, at once; say where an option changes nothing.

    Raises
    ------
    SettingsError
        As :func:`~kraken_bids.pipeline.workers.cluster.check_scheduler`.
    """
    if run.scheduler != "local":
        from kraken_bids.pipeline.workers.cluster import check_scheduler

        check_scheduler(run)
        return
    defaults = {one.name: one.default for one in fields(RunSettings)}
    for name in OF_JOBS:
        if getattr(run, name) != defaults[name]:
            option = "--" + name.replace("_", "-").replace("directives", "directive")
            logger.warning(
                "%s changes nothing without --scheduler: it is for a cluster's jobs", option
            )
