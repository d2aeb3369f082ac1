"""How the work of a run is carried out: processes, memory, what is redone, what is only said."""

import re
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.exceptions import SettingsError
from kraken_bids.setting_checks import check_ranges

OF_JOBS = (
    "walltime",
    "min_jobs",
    "queue",
    "account",
    "job_directives",
    "job_prologue",
    "job_python",
)
"""Settings that only jobs of a cluster have."""


@dataclass(frozen=True)
class RunSettings:
    """How the work is carried out."""

    n_procs: int = 1
    """Participants at a time."""
    omp_nthreads: int = 1
    """Threads of each process."""
    work_dir: Path | None = None
    """Folder for temporary files; None: the system's."""
    scheduler: str = "local"
    """``local``, a cluster's name, a dask scheduler's address or its file."""
    mem_gb: float | None = None
    """Memory in GB: of all participants computed here, or of one job on a cluster."""
    walltime: str | None = None
    """Time of one job on a cluster, ``HH:MM:SS``; None: as dask-jobqueue is configured."""
    min_jobs: int = 1
    """Jobs on a cluster that are kept while there is no work for them."""
    queue: str | None = None
    """Queue or partition of jobs; None: as dask-jobqueue is configured."""
    account: str | None = None
    """Account or project that jobs are charged to; None: as dask-jobqueue is configured."""
    job_directives: tuple[str, ...] = ()
    """Further words for the scheduler, such as ``--constraint=avx2``."""
    job_prologue: tuple[str, ...] = ()
    """Lines of a job's script before its worker starts, such as ``module load python``."""
    job_python: str | None = None
    """Command that is Python on the nodes; None: this Python."""
    matrix_header: bool = False
    """Write the names of the regions above every matrix."""
    force: bool = False
    """Redo what is done."""
    stop_on_first_crash: bool = False
    """Stop at the first participant that fails."""
    dry_run: bool = False
    """Say what would be done and stop."""
    reports_only: bool = False
    """Draw the reports again from the files that are there."""
    boilerplate_only: bool = False
    """Write the methods section of what is there and stop."""
    refit_pcorr: bool = False
    """Group level: search one ridge for all partial correlations, and compute them again."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self, n_procs=(1, 1e5, "processes"), omp_nthreads=(1, 1e5, "threads"))
        check_ranges(self, min_jobs=(0, 1e5, "jobs"))
        check_ranges(self, mem_gb=(0.1, 1e5, "GB"))
        if self.walltime and not re.fullmatch(r"(\d+-)?\d+:[0-5]\d:[0-5]\d", self.walltime):
            raise SettingsError(f"--walltime: expected [D-]HH:MM:SS; found {self.walltime!r}.")
