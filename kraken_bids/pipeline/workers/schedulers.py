"""Kinds of schedulers of clusters: their commands, and what these say of a job."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


CLUSTERS = {
    "slurm": Scheduler(
        "SLURMCluster", "sbatch", account="account",
        query=("squeue", "--noheader", "--format=%T %r", "--jobs"), ended=r"invalid job id|^$",
    ),
    "pbs": Scheduler(
        "PBSCluster", "qsub", account="account",
        query=("qstat",), ended=r"unknown job|job has finished|\s[CF]\s+\S+\s*$",
    ),
    "sge": Scheduler(
        "SGECluster", "qsub", query=("qstat", "-j"), ended=r"jobs? do(es)? not exist",
    ),
    "lsf": Scheduler(
        "LSFCluster", "bsub", "{hours:02d}:{minutes:02d}",
        query=("bjobs", "-noheader", "-o", "stat"), ended=r"is not found|^(exit|done)\b",
    ),
    "htcondor": Scheduler(
        "HTCondorCluster", "condor_submit", "", account="",
        query=("condor_q", "-af", "JobStatus"), ended=r"^$|^[346]$",
    ),
    "oar": Scheduler(
        "OARCluster", "oarsub", query=("oarstat", "-s", "-j"), ended=r"terminated|error|^$",
    ),
}  # fmt: skip
"""By their names for ``--scheduler``."""

HOPELESS = re.compile(
    r"PartitionTimeLimit|PartitionNodeLimit|BadConstraints|Invalid(Account|QOS)|AccountNotAllowed"
    r"|QOSNotAllowed|DependencyNeverSatisfied"
)
"""Reasons of SLURM for which a job that it has taken never starts."""


@dataclass(frozen=True)
class QueuedJob:
    """What a scheduler says of a job."""

    has_ended: bool
    """Whether it neither waits nor runs; False where the scheduler does not answer."""
    said: str = ""
    """Its state, and why it waits, in the scheduler's words."""

    @property
    def is_hopeless(self) -> bool:
        """Whether it waits for what will never be."""
        return HOPELESS.search(self.said) is not None


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
    return QueuedJob(re.search(kind.ended, said, re.IGNORECASE) is not None, said)


def ask_for_all(name: str, jobs: Sequence[str]) -> QueuedJob:
    """Ask for several jobs: they have ended, or are hopeless, where the last one is too."""
    found = QueuedJob(has_ended=False)
    for job in jobs:
        found = ask_scheduler(name, job)
        if not found.has_ended and not found.is_hopeless:
            return found
    return found
