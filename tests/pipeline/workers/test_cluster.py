"""Participants on a cluster: with stand-ins for the commands of a scheduler."""

import logging
import math
import operator
import os
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kraken_bids.exceptions import SettingsError
from kraken_bids.pipeline.workers import jobs, open_executor, run_tasks
from kraken_bids.pipeline.workers.cluster import NoWorkersError, check_scheduler
from kraken_bids.pipeline.workers.jobs import Jobs, _list_options, parse_walltime
from kraken_bids.run_settings import RunSettings

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
REFUSES = """#!/bin/sh
echo "sbatch: error: Batch job submission failed: Invalid account" >&2
exit 1
"""
RUNS = """#!/bin/sh
for script in "$@"; do :; done
cp "$script" {folder}/job.sh
setsid sh {folder}/job.sh >>{folder}/job.log 2>&1 &
echo $! >>{folder}/jobs
echo "Submitted batch job $!"
"""
CANCELS = """#!/bin/sh
for job in "$@"; do kill -- -$job 2>/dev/null; done
exit 0
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a command of a scheduler on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(name: str, text: str) -> None:
        (folder / name).write_text(text.replace("{folder}", str(tmp_path)))
        (folder / name).chmod(0o755)

    return write


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """Log file of a run."""
    yield tmp_path / "logs" / "run.log"
    logging.getLogger("kraken_bids").handlers.clear()


def test_a_scheduler_without_its_command_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is read, with the name of the command and the way out."""
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(SettingsError, match=r"sbatch not found.*login node.*--scheduler local"):
        check_scheduler(RunSettings(scheduler="slurm"))


def test_a_scheduler_without_its_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setattr("kraken_bids.pipeline.workers.cluster.find_spec", lambda _: None)

    with pytest.raises(SettingsError, match=r"pip install 'kraken_bids\[cluster\]'"):
        check_scheduler(RunSettings(scheduler="slurm"))


def test_computing_here_needs_no_scheduler() -> None:
    """Neither its command nor its extra."""
    check_scheduler(RunSettings(scheduler="local"))


def test_a_refused_job_ends_the_run_with_the_scheduler_s_words(
    log: Path, command: Callable[[str, str], None]
) -> None:
    """No worker will come, for nobody."""
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    command("sbatch", REFUSES)
    command("scancel", CANCELS)

    with (
        pytest.raises(NoWorkersError, match=r"it refused: .*Invalid account\. Queue, account"),
        open_executor(RunSettings(scheduler="slurm"), log) as executor,
    ):
        list(run_tasks(executor, abs, range(3)))


def test_a_participant_whose_worker_dies_is_run_once_and_alone_fails(
    log: Path, tmp_path: Path, command: Callable[[str, str], None]
) -> None:
    """What was assigned to that worker and had not begun is done by the next one."""
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    command("sbatch", RUNS)
    command("scancel", CANCELS)
    calls: list[Any] = [partial(math.sqrt, k) for k in range(4)]
    dies = partial(os.system, f"echo >> {tmp_path}/tries; sleep 1; kill -9 $PPID")
    calls.insert(1, dies)

    with open_executor(RunSettings(scheduler="slurm", omp_nthreads=4), log) as executor:
        found = list(run_tasks(executor, operator.call, calls))

    errors = [error for _, _, error in found if error is not None]
    assert [type(error) for error in errors] == [BrokenExecutor]
    assert "--walltime" in str(errors[0])
    assert sorted(r for _, r, error in found if error is None) == [math.sqrt(k) for k in range(4)]
    assert (tmp_path / "tries").read_text() == "\n"


def test_a_job_computes_one_participant_at_a_time(log: Path) -> None:
    """Whatever the number of threads inside, it is one thread of dask, with the job's memory."""
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    import dask_jobqueue

    run = RunSettings(scheduler="slurm", omp_nthreads=4, mem_gb=7, walltime="02:00:00")
    with dask_jobqueue.SLURMCluster(**_list_options(run, log)) as cluster:
        script = cluster.job_script()

    assert "#SBATCH --cpus-per-task=4" in script
    assert "#SBATCH -t 02:00:00" in script
    assert f"#SBATCH -e {log.parent}/jobs/" in script
    assert script.rpartition("--nthreads ")[2].startswith("1 ")
    assert "--lifetime 6840s" in script


@pytest.mark.parametrize(
    ("scheduler", "walltime", "expected"),
    [
        ("slurm", "1-02:03:04", "26:03:04"),
        ("lsf", "01:30:00", "01:30"),
        ("pbs", "00:45:30", "00:45:30"),
    ],
)
def test_the_time_of_a_job_is_spelled_as_its_scheduler_reads_it(
    log: Path, scheduler: str, walltime: str, expected: str
) -> None:
    """Hours, minutes and seconds; LSF takes no seconds."""
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")

    assert (
        _list_options(RunSettings(scheduler=scheduler, walltime=walltime), log)["walltime"]
        == expected
    )


def test_a_limit_that_cannot_be_given_is_refused(log: Path) -> None:
    """HTCondor's jobs have theirs from its configuration."""
    pytest.importorskip("dask", reason="the extra cluster is not installed")

    with pytest.raises(SettingsError, match="--walltime: htcondor"):
        _list_options(RunSettings(scheduler="htcondor", walltime="01:00:00"), log)


def test_a_blank_in_the_output_folder_does_not_break_the_job(tmp_path: Path) -> None:
    """``#SBATCH -e`` ends at a blank; such a folder is left to the scheduler."""
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    log = tmp_path / "my study" / "logs" / "run.log"

    assert "log_directory" not in _list_options(RunSettings(scheduler="slurm"), log)


@pytest.mark.parametrize(
    ("text", "of_lsf", "seconds"),
    [
        ("00:30:00", False, 1800),
        ("2-00:00:01", False, 172801),
        ("00:30", True, 1800),
        ("00:30", False, None),
        ("forever", False, None),
    ],
)
def test_times_are_read(text: str, of_lsf: bool, seconds: int | None) -> None:
    """What may mean minutes or hours is not guessed."""
    assert parse_walltime(text, of_lsf=of_lsf) == seconds


@pytest.mark.parametrize(
    ("squeue", "is_vain"),
    [
        ("#!/bin/sh\nexit 0\n", True),
        ("#!/bin/sh\necho slurm_load_jobs error: Invalid job id specified >&2; exit 1\n", True),
        ("#!/bin/sh\necho 7\n", False),
        ("#!/bin/sh\necho Unable to contact slurm controller >&2; exit 1\n", False),
    ],
)
def test_jobs_that_ended_before_their_worker_came_end_the_run(
    command: Callable[[str, str], None], squeue: str, is_vain: bool
) -> None:
    """Only where the scheduler says that they are gone, several times; a queue may be long."""
    command("squeue", squeue)
    cluster = SimpleNamespace(
        workers={"a": SimpleNamespace(job_id="7")},
        scale=lambda jobs: None,  # noqa: ARG005
    )
    mine = Jobs(cluster, RunSettings(scheduler="slurm"))

    said = [mine.look_after(0, 3) for _ in range(jobs.VAIN_LOOKS)]

    assert said[:-1] == [""] * (jobs.VAIN_LOOKS - 1)
    assert bool(said[-1]) == is_vain
    assert not is_vain or "the jobs 7 to bring workers" in said[-1]
    assert mine.look_after(1, 3) == ""


def test_ended_jobs_are_replaced_while_somebody_waits() -> None:
    """Not where the workers that are there suffice."""
    asked: list[int] = []
    cluster = SimpleNamespace(workers={}, scale=lambda *, jobs: asked.append(jobs))
    mine = Jobs(cluster, RunSettings(scheduler="pbs", n_procs=4))

    mine.look_after(2, 2)
    assert asked == []
    mine.look_after(2, 3)
    assert asked == [4]


@pytest.mark.parametrize("walltime", ["30", "1:0:0", "00:99:00", "-1", "01:00"])
def test_a_time_that_schedulers_read_differently_is_refused(walltime: str) -> None:
    """SLURM reads 01:00 as a minute, LSF as an hour."""
    with pytest.raises(SettingsError, match="HH:MM:SS"):
        RunSettings(walltime=walltime)


@pytest.mark.parametrize("gigabytes", [0.001, -1, math.nan, 0])
def test_memory_that_is_none_is_refused(gigabytes: float) -> None:
    """Zero, negative and no number."""
    with pytest.raises(SettingsError, match="--mem-gb"):
        RunSettings(mem_gb=gigabytes)
