"""Participants on a cluster: handed to the workers of its jobs, or of a running dask scheduler."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.io.texts import read_json
from kraken_bids.pipeline.workers.cluster_executor import ClusterExecutor
from kraken_bids.pipeline.workers.dask_worker import describe_surroundings, give_surroundings
from kraken_bids.pipeline.workers.jobs import start_jobs
from kraken_bids.pipeline.workers.schedulers import CLUSTERS
from kraken_bids.run_settings import RunSettings

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 60
FOREIGN_SLOTS = 1000
"""Participants that a scheduler of the user's own is given at once."""


def check_scheduler(run: RunSettings) -> None:
    """Refuse a scheduler that cannot be used on this machine.

    Raises
    ------
    SettingsError
        If it is unknown, its command is not there, or an extra is not installed.
    InputError
        If it is a file that is none of a dask scheduler.
    """
    if run.scheduler == "local":
        return
    is_ours = run.scheduler in CLUSTERS
    if not is_ours and "://" not in run.scheduler and not Path(run.scheduler).is_file():
        raise SettingsError(
            f"--scheduler: expected local, {', '.join(CLUSTERS)}, the address of a running dask "
            f"scheduler (tcp://…) or its scheduler file; found {run.scheduler!r}."
        )
    if not is_ours and "://" not in run.scheduler:
        _check_scheduler_file(Path(run.scheduler))
    if not find_spec("distributed") or (is_ours and not find_spec("dask_jobqueue")):
        raise SettingsError(
            f"--scheduler {run.scheduler}: expected dask and dask-jobqueue; did not find both. "
            "Install them: pip install 'kraken_bids[cluster]'."
        )
    command = CLUSTERS[run.scheduler].submit if is_ours else ""
    if command and not shutil.which(command):
        raise SettingsError(
            f"--scheduler {run.scheduler}: expected its command {command} on PATH; {command} not "
            "found. Start kraken-bids where jobs are submitted (a login node, outside of a "
            "container that has not this command), or compute here with --scheduler local."
        )


@contextmanager
def open_cluster(
    run: RunSettings, log: Path, start: Callable[[], None]
) -> Iterator[ClusterExecutor]:
    """Executor of a dask cluster: one that this run starts, or one that is running.

    Parameters
    ----------
    log : Path
        Log file of the run; what jobs write goes beside it.
    start : callable
        What the process beside every worker calls first.

    Raises
    ------
    SettingsError
        As :func:`check_scheduler`.
    InputError
        If a running scheduler does not answer.
    """
    check_scheduler(run)
    import distributed

    with ExitStack() as stack:
        jobs = stack.enter_context(start_jobs(run, log)) if run.scheduler in CLUSTERS else None
        connect: Any = distributed.Client
        client = connect(jobs.cluster) if jobs else _join(run.scheduler)
        stack.enter_context(client)
        give_surroundings(client, describe_surroundings(start), is_job=jobs is not None)
        _say_dashboard(client)
        slots = run.n_procs if jobs else FOREIGN_SLOTS
        yield stack.enter_context(ClusterExecutor(client, slots=slots, jobs=jobs))


def _join(scheduler: str) -> Any:
    """Client of a running scheduler, by its address or its file."""
    import distributed

    connect: Any = distributed.Client
    where = {"address" if "://" in scheduler else "scheduler_file": scheduler}
    try:
        return connect(**where, timeout=CONNECT_SECONDS)
    except OSError as error:
        raise InputError(
            f"--scheduler: expected a running dask scheduler at {scheduler}; found: {error}."
        ) from error


def _check_scheduler_file(path: Path) -> None:
    """Check that a file says where a dask scheduler is.

    Raises
    ------
    InputError
        If it does not.
    """
    try:
        is_one = isinstance(read_json(path).get("address"), str)
    except InputError:
        is_one = False
    if not is_one:
        raise InputError(
            f"--scheduler: expected the file of a running dask scheduler (JSON with its address, "
            f"as dask scheduler --scheduler-file writes it); found another one at {path}. For a "
            "TOML file of options use --config-file."
        )


def _say_dashboard(client: Any) -> None:
    """Say where dask shows what its workers do."""
    if find_spec("bokeh"):
        logger.info("what the workers do is shown at %s", client.dashboard_link)
    else:
        logger.info(
            "what the workers do would be shown at %s: pip install bokeh", client.dashboard_link
        )
