"""Kinds of schedulers of clusters: their commands, and what these say of a job."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kraken_bids.exceptions import SettingsError

QUERY_SECONDS = 60


@dataclass(frozen=True)
class Scheduler:
    """One kind of scheduler."""

    cluster: str
    """Class of dask-jobqueue that starts workers on it."""
    submit: str
    """Command that submits a job."""
    walltime: str = "{hours:02d}:{minutes:02d}:{seconds:02d}"
    """How it spells the time of a job; '' where dask-jobqueue does not set it."""
    account: str = "project"
    """What dask-jobqueue calls the account that pays; '' where it sets none."""
    query: tuple[str, ...] = ()
    """Command that says of one job whether it waits or runs."""
    ended: str = ""
    """What that command says of a job that does neither (a regular expression)."""
    hopeless: str = ""
    """What it says of a job that is there and never starts; '' where it does not tell."""
    reason: str = ".*"
    """What of its answer says why a job waits (a regular expression)."""


CLUSTERS = {
    "slurm": Scheduler(
        "SLURMCluster", "sbatch", account="account",
        query=("squeue", "--noheader", "--format=%T %r", "--jobs"), ended=r"invalid job id|^$",
        hopeless=r"PartitionTimeLimit|PartitionNodeLimit|BadConstraints|Invalid(Account|QOS)"
        r"|AccountNotAllowed|QOSNotAllowed|DependencyNeverSatisfied",
    ),
    "pbs": Scheduler(
        "PBSCluster", "qsub", account="account",
        query=("qstat",), ended=r"unknown job|job has finished|\s[CF]\s+\S+\s*$",
    ),
    "sge": Scheduler(
        "SGECluster", "qsub", query=("qstat", "-j"), ended=r"jobs? do(es)? not exist",
        hopeless="error reason", reason=r"(error reason|scheduling info).*",
    ),
    "lsf": Scheduler(
        "LSFCluster", "bsub", "{hours:02d}:{minutes:02d}",
        query=("bjobs", "-noheader", "-o", "stat"), ended=r"is not found|^(exit|done)\b",
    ),
    "htcondor": Scheduler(
        "HTCondorCluster", "condor_submit", "", account="",
        # -autoformat would take the number of the job for one more attribute, of all jobs
        query=("condor_q", "-format", "%d ", "JobStatus", "-format", "%s", "HoldReason"),
        ended=r"^$|^[346]\b",
        hopeless=r"^5\b",
    ),
    "oar": Scheduler(
        "OARCluster", "oarsub", query=("oarstat", "-s", "-j"), ended=r"terminated|error|^$",
    ),
}  # fmt: skip
"""By their names for ``--scheduler``."""


@dataclass(frozen=True)
class QueuedJob:
    """What a scheduler says of a job."""

    has_ended: bool
    """Whether it neither waits nor runs; False where the scheduler does not answer."""
    said: str = ""
    """Its state, and why it waits, in the scheduler's words."""
    is_hopeless: bool = False
    """Whether it waits for what will never be."""


def ask_scheduler(name: str, job: str) -> QueuedJob:
    """Ask a cluster's scheduler for the state of one job."""
    kind = CLUSTERS[name]
    try:
        done: Any = subprocess.run(  # noqa: S603 - numbers of our own jobs
            [*kind.query, job], capture_output=True, text=True, timeout=QUERY_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return QueuedJob(has_ended=False)
    said = " ".join((done.stdout + done.stderr * bool(done.returncode)).split())
    if done.returncode and not said:
        return QueuedJob(has_ended=False)
    has_ended = re.search(kind.ended, said, re.IGNORECASE) is not None
    is_hopeless = bool(kind.hopeless and re.search(kind.hopeless, said))
    reason = re.search(kind.reason, said)
    return QueuedJob(has_ended, reason[0] if reason else "", is_hopeless)


def ask_for_all(name: str, jobs: Sequence[str]) -> QueuedJob:
    """Ask for several jobs: they have ended, or are hopeless, where the last one is too."""
    found = QueuedJob(has_ended=False)
    for job in jobs:
        found = ask_scheduler(name, job)
        if not found.has_ended and not found.is_hopeless:
            return found
    return found


def ask_sge(cores: int, megabytes: int, directives: Sequence[str]) -> dict[str, Any]:
    """Options of dask-jobqueue for cores and memory of a job of SGE, which it does not ask for.

    What dask-jobqueue's own file says of resources holds, and so does a parallel environment
    (``-pe``) that is among the user's directives there or here.
    """
    import dask

    lines = list(directives or dask.config.get("jobqueue.sge.job-extra-directives", None) or [])
    if cores > 1 and not any(line.split()[:1] == ["-pe"] for line in lines):
        lines.insert(0, f"-pe smp {cores}")
    own = dask.config.get("jobqueue.sge.resource-spec", None)
    options: dict[str, Any] = {"resource_spec": own or f"h_vmem={spell_memory(megabytes, cores)}"}
    return options | ({"job_extra_directives": lines} if lines else {})


def spell_memory(megabytes: int, cores: int) -> str:
    """Memory of a job as SGE's ``h_vmem`` reads it: of each core."""
    return f"{-(-megabytes // cores)}M"


def spell_walltime(seconds: int, scheduler: str) -> str:
    """Spell the time of a job as a scheduler reads it.

    Raises
    ------
    SettingsError
        If it takes none.
    """
    form = CLUSTERS[scheduler].walltime
    if not form:
        raise SettingsError(
            f"--walltime: {scheduler} takes no such limit from dask-jobqueue; set it in the "
            "scheduler's own configuration and leave the option out."
        )
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return form.format(hours=hours, minutes=minutes, seconds=seconds)


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
