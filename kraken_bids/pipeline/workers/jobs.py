"""Jobs of a cluster's scheduler, started through dask-jobqueue."""

import logging
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kraken_bids.exceptions import SettingsError
from kraken_bids.run_settings import RunSettings

logger = logging.getLogger(__name__)

DEFAULT_MEM_GB = 4.0
LOST_SECONDS = 6
"""Time after which a job whose worker is gone is replaced."""
VAIN_LOOKS = 5
"""Looks in a row that find no job in the queue and no worker: then none will come."""
MARGIN_SECONDS = 60
"""Time before a job's limit from which it takes nothing new."""


@dataclass(frozen=True)
class Scheduler:
    """One kind of scheduler."""

    cluster: str
    """Class of dask-jobqueue that starts workers on it."""
    submit: str
    """Command that submits a job."""
    walltime: str = "{hours:02d}:{minutes:02d}:{seconds:02d}"
    """How it spells the time of a job; '' where dask-jobqueue does not set it."""


CLUSTERS = {
    "slurm": Scheduler("SLURMCluster", "sbatch"),
    "pbs": Scheduler("PBSCluster", "qsub"),
    "sge": Scheduler("SGECluster", "qsub"),
    "lsf": Scheduler("LSFCluster", "bsub", "{hours:02d}:{minutes:02d}"),
    "htcondor": Scheduler("HTCondorCluster", "condor_submit", ""),
    "oar": Scheduler("OARCluster", "oarsub"),
}
"""By their names for ``--scheduler``."""


@dataclass
class Jobs:
    """The jobs of a run."""

    cluster: Any
    """That of dask-jobqueue."""
    run: RunSettings
    refusals: list[str] = field(default_factory=list)
    """What the scheduler said to jobs that it did not take."""
    _vain: int = 0

    def look_after(self, n_workers: int, n_open: int) -> str:
        """Replace jobs that have ended.

        Parameters
        ----------
        n_workers : int
            Workers that are there.
        n_open : int
            Participants that are, or could be, computed.

        Returns
        -------
        str
            Why no worker will ever come; '' while one may.
        """
        taken = [job.job_id for job in list(self.cluster.workers.values()) if job.job_id]
        if n_open > n_workers:
            self.cluster.scale(jobs=self.run.n_procs)
        if n_workers or not n_open:
            self._vain = 0
            return ""
        if self.refusals and not taken:
            return (
                f"--scheduler {self.run.scheduler}: expected it to take a job; it refused: "
                f"{self.refusals[-1]}. Queue, account and the like are set in dask-jobqueue's "
                "configuration (~/.config/dask/jobqueue.yaml), time with --walltime and memory "
                "with --mem-gb."
            )
        is_vain = bool(taken) and self.run.scheduler == "slurm" and not _is_queued(taken)
        self._vain = self._vain + 1 if is_vain else 0
        if self._vain < VAIN_LOOKS:
            return ""
        return (
            f"--scheduler slurm: expected the jobs {', '.join(taken)} to bring workers; they have "
            "ended and none has come. logs/jobs holds what they wrote: most often this Python is "
            "not on the nodes, or the nodes do not reach this machine (dask-jobqueue's setting "
            "interface)."
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
        If a limit is asked for that this scheduler cannot be given.
    """
    import dask
    import dask_jobqueue

    kind = CLUSTERS[run.scheduler]
    cluster_class: Any = getattr(dask_jobqueue, kind.cluster)
    refusals: list[str] = []
    options = _list_options(run, log)
    configuration = {
        # a participant whose process dies is not tried on the next worker
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.deploy.lost-worker-timeout": f"{LOST_SECONDS}s",
    }
    with (
        dask.config.set(configuration),
        cluster_class(**options, job_cls=_watch(cluster_class.job_cls, refusals)) as cluster,
    ):
        logger.info("starting %d %s job(s) with %s", run.n_procs, run.scheduler, options)
        cluster.scale(jobs=run.n_procs)
        yield Jobs(cluster, run, refusals)


def _list_options(run: RunSettings, log: Path) -> dict[str, Any]:
    """Options of the cluster: one thread of dask, whatever the number of threads inside."""
    import dask

    kind, name = CLUSTERS[run.scheduler], run.scheduler
    options: dict[str, Any] = {
        "cores": run.omp_nthreads,
        "processes": 1,
        "memory": f"{run.mem_gb or DEFAULT_MEM_GB:g}GB",
    }
    limit = parse_walltime(run.walltime) if run.walltime else None
    if limit is not None:
        if not kind.walltime:
            raise SettingsError(
                f"--walltime: {name} takes no such limit from dask-jobqueue; set it in the "
                "scheduler's own configuration and leave the option out."
            )
        minutes, seconds = divmod(limit, 60)
        hours, minutes = divmod(minutes, 60)
        options["walltime"] = kind.walltime.format(hours=hours, minutes=minutes, seconds=seconds)
    else:
        text = str(dask.config.get(f"jobqueue.{name}.walltime", ""))
        limit = parse_walltime(text, of_lsf=name == "lsf")
    # several runs on one login node: each has a port of its own for its dashboard
    ours = dask.config.get(f"jobqueue.{name}.scheduler-options", None) or {}
    options["scheduler_options"] = {"dashboard_address": ":0", **ours}
    words = [*(dask.config.get(f"jobqueue.{name}.worker-extra-args", None) or [])]
    words += ["--nthreads", "1"]
    if limit is not None:
        # before the limit the worker says good-bye, so that its participant goes to the next job
        words += ["--lifetime", f"{limit - min(max(MARGIN_SECONDS, limit // 20), limit // 4)}s"]
    options["worker_extra_args"] = words
    folder = log.parent / "jobs"
    if re.search(r"\s", str(folder)):
        logger.warning("what jobs write goes where the scheduler puts it: blank in %s", folder)
    else:
        options["log_directory"] = str(folder)
    return options


def parse_walltime(text: str, *, of_lsf: bool = False) -> int | None:
    """Seconds of ``HH:MM:SS`` or ``D-HH:MM:SS``; LSF leaves out the seconds.

    Returns
    -------
    int or None
        None where it is neither (SLURM reads ``10:00`` as minutes).
    """
    pattern = r"()(\d+):(\d\d)()" if of_lsf else r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)"
    found = re.fullmatch(pattern, text.strip())
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


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


def _is_queued(jobs: list[str]) -> bool:
    """Whether SLURM knows one of the jobs as waiting or running; True where it does not answer."""
    command = ["squeue", "--noheader", "--format=%i", "--jobs", ",".join(jobs)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - numbers of our own jobs
    except (OSError, subprocess.TimeoutExpired):
        return True
    if done.returncode:
        return "invalid job id" not in done.stderr.lower()
    return bool(done.stdout.strip())
