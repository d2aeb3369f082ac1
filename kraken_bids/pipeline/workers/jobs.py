"""Jobs of a cluster's scheduler, started through dask-jobqueue."""

import logging
import re
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kraken_bids.exceptions import SettingsError
from kraken_bids.pipeline.workers.schedulers import (
    CLUSTERS,
    ask_for_all,
    ask_sge,
    parse_walltime,
    spell_walltime,
)
from kraken_bids.run_settings import RunSettings

logger = logging.getLogger(__name__)

DEFAULT_MEM_GB = 4.0
LOST_SECONDS = 6
"""Time after which a job whose worker is gone is replaced."""
VAIN_LOOKS = 5
"""Looks in a row that find no job in the queue and no worker: then none will come."""
DEFAULT_DISK = "4GB"
"""Of HTCondor, which wants to know."""
MARGIN_SECONDS = 60
"""Time before a job's limit from which it takes nothing new."""
IDLE_SECONDS = 120.0
"""Time without work after which a job is given back."""
MOST_QUERY_SECONDS = 60.0
"""Time between two questions to a scheduler whose jobs wait."""


@dataclass
class Jobs:
    """The jobs of a run."""

    cluster: Any
    """That of dask-jobqueue."""
    run: RunSettings
    refusals: list[str] = field(default_factory=list)
    """What the scheduler said to jobs that it did not take."""
    said: str = ""
    """What the scheduler says of the jobs that are waited for."""
    _vain: int = 0
    _pause: float = 0.0
    _next_query: float = 0.0
    _idle_since: dict[Any, float] = field(default_factory=dict)
    _shown: str = ""

    def look_after(self, workers: Mapping[str, Collection[object]], n_open: int) -> str:
        """Replace jobs that have ended, ask for as many as have work, give back the others.

        Parameters
        ----------
        workers : mapping
            Address of every worker that is there to what is assigned to it.
        n_open : int
            Participants that are, or could be, computed.

        Returns
        -------
        str
            Why no worker will ever come; '' while one may.
        """
        wanted = min(self.run.n_procs, max(n_open, self.run.min_jobs))
        if n_open > len(workers) or len(self.cluster.worker_spec) < wanted:
            self.cluster.scale(jobs=max(wanted, len(self.cluster.worker_spec)))
        self._give_back(workers, n_open, wanted)
        self._show(len(workers), n_open)
        if workers or not n_open:
            self._vain, self._pause, self._next_query, self.said = 0, 0.0, 0.0, ""
            return ""
        return self._explain_absence()

    def _give_back(
        self, workers: Mapping[str, Collection[object]], n_open: int, wanted: int
    ) -> None:
        """Cancel jobs beyond those wanted that have had nothing to do for a while."""
        known = self.cluster.scheduler_info["workers"]
        tasks = {known[one]["name"]: held for one, held in workers.items() if one in known}
        now = time.monotonic()
        for name in self.cluster.worker_spec:
            if tasks.get(name) or (name not in tasks and n_open > len(workers)):
                self._idle_since.pop(name, None)
            else:
                self._idle_since.setdefault(name, now)
        n_more = len(self.cluster.worker_spec) - wanted
        idle = [
            name
            for name, since in self._idle_since.items()
            if name in self.cluster.worker_spec and now - since > IDLE_SECONDS
        ][: max(n_more, 0)]
        if idle:
            logger.info("%d job(s) without work are given back", len(idle))
            self.cluster.sync(self.cluster.scale_down, idle)
            self._idle_since = {k: v for k, v in self._idle_since.items() if k not in idle}

    def _show(self, n_workers: int, n_open: int) -> None:
        """Say in a line what the jobs do, when it is something else than before."""
        n_jobs = len(self.cluster.worker_spec)
        line = f"{self.run.scheduler}: {n_workers} of {n_jobs} job(s) compute"
        if n_workers < n_jobs:
            line += f", {n_jobs - n_workers} wait"
        if n_open and line != self._shown:
            logger.info("%s", line)
            self._shown = line

    def _explain_absence(self) -> str:
        """Say why no worker will come; '' where one may."""
        taken = [job.job_id for job in list(self.cluster.workers.values()) if job.job_id]
        if self.refusals and not taken:
            return (
                f"--scheduler {self.run.scheduler}: expected it to take a job; it refused: "
                f"{self.refusals[-1]}. Give queue and account with --queue and --account, time "
                "with --walltime, memory with --mem-gb, and what else it wants with "
                "--job-directive."
            )
        now = time.monotonic()
        if not taken or now < self._next_query:
            return ""
        found = ask_for_all(self.run.scheduler, taken)
        self.said = f"; {self.run.scheduler} says: {found.said}" if found.said else ""
        is_vain = found.has_ended or found.is_hopeless
        self._vain = self._vain + 1 if is_vain else 0
        self._pause = 0.0 if is_vain else min(2 * self._pause + 1, MOST_QUERY_SECONDS)
        self._next_query = now + self._pause
        if self._vain < VAIN_LOOKS:
            return ""
        if found.is_hopeless:
            return (
                f"--scheduler {self.run.scheduler}: expected jobs that can start; it says of "
                f"{', '.join(taken)}: {found.said.rstrip('.')}. Ask for what the queue can give "
                "(--queue, --account, --walltime, --mem-gb, --omp-nthreads), or mend what it says."
            )
        return (
            f"--scheduler {self.run.scheduler}: expected the jobs {', '.join(taken)} to bring "
            "workers; they have ended and none has come. logs/jobs holds what they wrote: most "
            "often this Python is not on the nodes (--job-python, --job-prologue), or the nodes "
            "do not reach this machine (dask-jobqueue's setting interface)."
        )


@contextmanager
def start_jobs(run: RunSettings, log: Path) -> Iterator[Jobs]:
    """Submit the jobs of a run, each for one participant at a time; cancels them at the end.

    Parameters
    ----------
    log : Path
        Log file of the run; what jobs write goes beside it.

    Raises
    ------
    SettingsError
        If something is asked for that this scheduler cannot be given.
    """
    import dask
    import dask_jobqueue

    kind = CLUSTERS[run.scheduler]
    cluster_class: Any = getattr(dask_jobqueue, kind.cluster)
    refusals: list[str] = []
    options = list_options(run, log)
    configuration = {
        # dask tells nobody whose worker died; calls are begun again by ClusterExecutor
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.deploy.lost-worker-timeout": f"{LOST_SECONDS}s",
    }
    with (
        dask.config.set(configuration),
        cluster_class(**options, job_cls=_watch(cluster_class.job_cls, refusals)) as cluster,
    ):
        first = min(run.min_jobs, run.n_procs)
        logger.info("up to %d %s job(s) with %s", run.n_procs, run.scheduler, options)
        cluster.scale(jobs=first)
        yield Jobs(cluster, run, refusals)


def list_options(run: RunSettings, log: Path) -> dict[str, Any]:
    """Options of dask-jobqueue's cluster.

    Jobs have one thread of dask, whatever the number of threads inside, and no nanny: what
    computes is a process of its own already (:mod:`~kraken_bids.pipeline.workers.dask_worker`).

    Raises
    ------
    SettingsError
        If something is asked for that this scheduler cannot be given.
    """
    import dask

    name = run.scheduler
    options: dict[str, Any] = {
        "cores": run.omp_nthreads,
        "processes": 1,
        "nanny": False,
        "memory": f"{run.mem_gb or DEFAULT_MEM_GB:g}GB",
        **_list_resources(run),
    }
    limit = parse_walltime(run.walltime) if run.walltime else None
    if limit is not None:
        options["walltime"] = spell_walltime(limit, name)
    else:
        text = str(dask.config.get(f"jobqueue.{name}.walltime", ""))
        limit = parse_walltime(text, of_lsf=name == "lsf")
    # several runs on one login node: each has a port of its own for its dashboard
    ours = dask.config.get(f"jobqueue.{name}.scheduler-options", None) or {}
    options["scheduler_options"] = {"dashboard_address": ":0", **ours}
    options["worker_extra_args"] = _list_worker_words(name, limit)
    folder = (log.parent / "jobs").absolute()
    if re.search(r"\s", str(folder)):
        logger.warning("what jobs write goes where the scheduler puts it: blank in %s", folder)
    else:
        options["log_directory"] = str(folder)
    return options


def _list_worker_words(scheduler: str, limit: int | None) -> list[str]:
    """Words of dask's worker: those of dask-jobqueue's file, one thread, and when it ends itself.

    ``limit`` is the time of its job in seconds; None where that is not known.
    """
    import dask

    words = [*(dask.config.get(f"jobqueue.{scheduler}.worker-extra-args", None) or [])]
    words += ["--nthreads", "1"]
    if limit is not None:
        # before the limit the worker says good-bye, so that its participant goes to the next job
        words += ["--lifetime", f"{limit - min(max(MARGIN_SECONDS, limit // 20), limit // 4)}s"]
    return words


def _list_resources(run: RunSettings) -> dict[str, Any]:
    """Queue, account, and lines of the user's own; those of dask-jobqueue's file where none."""
    kind, options = CLUSTERS[run.scheduler], dict[str, Any]()
    is_condor = run.scheduler == "htcondor"
    for option, value, key in (
        ("--queue", run.queue, "" if is_condor else "queue"),
        ("--account", run.account, kind.account),
    ):
        if value and not key:
            raise SettingsError(
                f"{option}: {run.scheduler} has none in dask-jobqueue; give the line of its "
                "submit file instead, as in --job-directive '+AccountingGroup = \"name\"'."
            )
        if value:
            options[key] = value
    if run.job_directives:
        lines = list(run.job_directives)
        options["job_extra_directives"] = _split_lines(lines) if is_condor else lines
    if run.scheduler == "sge":
        memory = round((run.mem_gb or DEFAULT_MEM_GB) * 1000)
        options |= ask_sge(run.omp_nthreads, memory, run.job_directives)
    if run.job_prologue:
        options["job_script_prologue"] = list(run.job_prologue)
    if run.job_python:
        options["python"] = run.job_python
    if is_condor:
        import dask

        options["disk"] = dask.config.get("jobqueue.htcondor.disk", None) or DEFAULT_DISK
    return options


def _split_lines(lines: Collection[str]) -> dict[str, str]:
    """Lines ``NAME = VALUE`` of HTCondor's submit file, by their names."""
    pairs = dict(line.partition("=")[::2] for line in lines)
    return {name.strip(): value.strip() for name, value in pairs.items()}


def _watch(job_class: Any, refusals: list[str]) -> Any:
    """Class of jobs that note what the scheduler says where it does not take one."""
    from distributed.deploy.spec import ProcessInterface

    settle: Any = ProcessInterface.start

    class WatchedJob(job_class):  # type: ignore[misc]
        """A job whose refusal does not end in dask's log only."""

        async def start(self) -> None:
            """Submit the job."""
            try:
                await super().start()
            except Exception as error:  # noqa: BLE001 - looked at by Jobs.look_after
                said = str(error).partition("stderr:\n")[2] or str(error)
                refusals.append(" ".join(said.split()).rstrip("."))
                logger.warning("a job was refused: %s", refusals[-1])
                await settle(self)  # waits for nothing any more

    return WatchedJob
