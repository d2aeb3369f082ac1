"""Participants on a cluster: with stand-ins for the commands of a scheduler."""

import logging
import math
import operator
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.pipeline.workers import jobs, open_executor, run_tasks
from kraken_bids.pipeline.workers.cluster import check_scheduler
from kraken_bids.pipeline.workers.cluster_executor import NoWorkersError
from kraken_bids.pipeline.workers.jobs import Jobs, list_options
from kraken_bids.pipeline.workers.schedulers import CLUSTERS, ask_scheduler
from kraken_bids.run_settings import RunSettings

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore:OAR Job memory:UserWarning"
)
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
        pytest.raises(
            NoWorkersError, match=r"it refused: .*Invalid account\. Give queue and account"
        ),
        open_executor(RunSettings(scheduler="slurm"), log) as executor,
    ):
        list(run_tasks(executor, abs, range(3)))


def test_a_participant_whose_process_dies_is_run_once_and_alone_fails(
    log: Path, tmp_path: Path, command: Callable[[str, str], None]
) -> None:
    """It is the one to blame; the worker lives on and does the others."""
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    command("sbatch", RUNS)
    command("scancel", CANCELS)
    calls: list[Any] = [partial(math.sqrt, k) for k in range(4)]
    dies = partial(os.system, f"echo >> {tmp_path}/tries; sleep 1; kill -9 $PPID")
    calls.insert(1, dies)

    with open_executor(RunSettings(scheduler="slurm", omp_nthreads=4), log) as executor:
        found = list(run_tasks(executor, operator.call, calls))

    errors = [error for _, _, error in found if error is not None]
    assert [isinstance(error, BrokenExecutor) for error in errors] == [True]
    assert "memory ran out" in str(errors[0])
    assert sorted(r for _, r, error in found if error is None) == [math.sqrt(k) for k in range(4)]
    assert (tmp_path / "tries").read_text() == "\n"


LEFT_CLOSING = """
import time
from pathlib import Path
from types import SimpleNamespace
from kraken_bids.pipeline.workers import dask_worker
dask_worker.CLOSE_SECONDS = 0.1
worker = SimpleNamespace(status=SimpleNamespace(name="closing"))
client = SimpleNamespace(register_plugin=lambda plugin: plugin.setup(worker))
dask_worker.give_surroundings(client, dask_worker.Surroundings(Path(), {}, print), is_job=IS_JOB)
time.sleep(3)
"""


@pytest.mark.parametrize(("is_job", "code"), [(True, 143), (False, 0)])
def test_a_job_whose_worker_does_not_come_to_its_end_is_ended(is_job: bool, code: int) -> None:
    """Not so a worker of the user's own, beside which other things may go on."""
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    words = [sys.executable, "-c", LEFT_CLOSING.replace("IS_JOB", str(is_job))]
    assert subprocess.run(words, timeout=300, check=False).returncode == code


def test_a_job_computes_one_participant_at_a_time(log: Path) -> None:
    """Whatever the number of threads inside, it is one thread of dask, with the job's memory."""
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    import dask_jobqueue

    run = RunSettings(scheduler="slurm", omp_nthreads=4, mem_gb=7, walltime="02:00:00")
    with dask_jobqueue.SLURMCluster(**list_options(run, log)) as cluster:
        script = cluster.job_script()

    assert "#SBATCH --cpus-per-task=4" in script
    assert "#SBATCH -t 02:00:00" in script
    assert f"#SBATCH -e {log.parent}/jobs/" in script
    assert script.rpartition("--nthreads ")[2].startswith("1 ")
    assert "--lifetime 6840s" in script


def read_sge(log: Path, **options: Any) -> list[str]:
    """Directives of the script that dask-jobqueue hands to SGE."""
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    import dask_jobqueue

    run = RunSettings(scheduler="sge", **options)
    with dask_jobqueue.SGECluster(**list_options(run, log)) as cluster:
        lines = str(cluster.job_script()).splitlines()
    return [line.removeprefix("#$ ") for line in lines if line.startswith("#$ ")]


def test_a_job_of_sge_has_its_memory_and_its_cores(log: Path) -> None:
    """As those of an array have; dask-jobqueue by itself asks for one core, and no memory."""
    lines = read_sge(log, omp_nthreads=4, mem_gb=6)
    assert "-l h_vmem=1500M" in lines
    assert "-pe smp 4" in lines

    lines = read_sge(log, mem_gb=6, job_directives=("-ac x=y",))
    assert "-l h_vmem=6000M" in lines
    assert "-ac x=y" in lines
    assert not any(line.startswith("-pe") for line in lines)


def test_what_the_site_says_of_resources_on_sge_holds(log: Path) -> None:
    """In dask-jobqueue's own file, or as a directive of the user's."""
    dask = pytest.importorskip("dask", reason="the extra cluster is not installed")
    site = {
        "jobqueue.sge.resource-spec": "mem_free=6G",
        "jobqueue.sge.job-extra-directives": ["-pe mpi 4"],
    }
    with dask.config.set(site):
        lines = read_sge(log, omp_nthreads=4, mem_gb=6)
    assert "-l mem_free=6G" in lines
    assert not any("h_vmem" in line for line in lines)
    assert [line for line in lines if line.startswith("-pe")] == ["-pe mpi 4"]

    lines = read_sge(log, omp_nthreads=2, job_directives=("-pe openmp 2",))
    assert [line for line in lines if line.startswith("-pe")] == ["-pe openmp 2"]


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
        list_options(RunSettings(scheduler=scheduler, walltime=walltime), log)["walltime"]
        == expected
    )


def test_a_limit_that_cannot_be_given_is_refused(log: Path) -> None:
    """HTCondor's jobs have theirs from its configuration."""
    pytest.importorskip("dask", reason="the extra cluster is not installed")

    with pytest.raises(SettingsError, match="--walltime: htcondor"):
        list_options(RunSettings(scheduler="htcondor", walltime="01:00:00"), log)


def test_a_blank_in_the_output_folder_does_not_break_the_job(tmp_path: Path) -> None:
    """``#SBATCH -e`` ends at a blank; such a folder is left to the scheduler."""
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    log = tmp_path / "my study" / "logs" / "run.log"

    assert "log_directory" not in list_options(RunSettings(scheduler="slurm"), log)


def make_cluster(jobs: dict[Any, str], workers: dict[str, Any] | None = None) -> SimpleNamespace:
    """Stand for dask-jobqueue's cluster: jobs by name, and names of workers by address."""
    asked: list[Any] = []

    def scale(*, jobs: int) -> None:
        asked.append(jobs)

    return SimpleNamespace(
        workers={name: SimpleNamespace(job_id=number) for name, number in jobs.items()},
        worker_spec=dict.fromkeys(jobs),
        scheduler_info={"workers": {k: {"name": v} for k, v in (workers or {}).items()}},
        scale=scale,
        scale_down=None,
        sync=lambda _, names: asked.append(names),
        asked=asked,
    )


@pytest.mark.parametrize(
    ("scheduler", "command_", "text", "is_vain"),
    [
        ("slurm", "squeue", "exit 0", True),
        (
            "slurm",
            "squeue",
            "echo slurm_load_jobs error: Invalid job id specified >&2; exit 1",
            True,
        ),
        ("slurm", "squeue", "echo PENDING Priority", False),
        ("slurm", "squeue", "echo PENDING PartitionTimeLimit", True),
        ("slurm", "squeue", "echo Unable to contact slurm controller >&2; exit 1", False),
        ("pbs", "qstat", "echo qstat: Unknown Job Id 7.server >&2; exit 153", True),
        ("pbs", "qstat", "echo qstat: 7.server Job has finished, use -x >&2; exit 35", True),
        ("pbs", "qstat", "echo 7.server  dask-worker  me  00:01:00 C batch", True),
        ("pbs", "qstat", "echo 7.server  dask-worker  me  00:00:00 Q batch", False),
        ("sge", "qstat", "echo Following jobs do not exist: 7 >&2; exit 1", True),
        ("sge", "qstat", "echo job_number: 7", False),
        (  # as Son of Grid Engine 8.1.9 says of a job in the state Eqw, with exit code 0
            "sge",
            "qstat",
            "echo 'job_number: 7'; echo \"error reason 1: error: can't open output file\"",
            True,
        ),
        (
            "sge",
            "qstat",
            "echo 'job_number: 7'; echo 'scheduling info: cannot run in PE \"smp\"'",
            False,
        ),
        ("lsf", "bjobs", "echo EXIT", True),
        ("lsf", "bjobs", "echo PEND", False),
        ("lsf", "bjobs", "echo 'Job <7> is not found' >&2; exit 255", True),
        ("htcondor", "condor_q", "exit 0", True),
        ("htcondor", "condor_q", "echo 1", False),
        ("htcondor", "condor_q", "echo 4", True),
        ("htcondor", "condor_q", "echo 5 Error: cannot open the output file", True),
        ("oar", "oarstat", "echo 7: Terminated", True),
        ("oar", "oarstat", "echo 7: Waiting", False),
    ],
)
def test_jobs_that_bring_no_worker_end_the_run(
    command: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    scheduler: str,
    command_: str,
    text: str,
    is_vain: bool,
) -> None:
    """Only where the scheduler says that they are gone, or never start; a queue may be long."""
    command(command_, f"#!/bin/sh\n{text}\n")
    monkeypatch.setattr(jobs, "MOST_QUERY_SECONDS", 0.0)
    mine = Jobs(make_cluster({"a": "7"}), RunSettings(scheduler=scheduler))

    said = [mine.look_after({}, 3) for _ in range(jobs.VAIN_LOOKS)]

    assert said[:-1] == [""] * (jobs.VAIN_LOOKS - 1)
    assert bool(said[-1]) == is_vain
    assert not is_vain or "7" in said[-1]
    assert mine.look_after({"tcp://1": ()}, 3) == ""


@pytest.mark.parametrize(("job", "has_ended"), [("7.0", True), ("8.0", False), ("9.0", True)])
def test_htcondor_is_asked_for_one_job_alone(
    command: Callable[[str, str], None], job: str, has_ended: bool
) -> None:
    """As condor_q 23.9.6: what follows -autoformat are attributes, each of all the user's jobs."""
    command(
        "condor_q",
        """#!/bin/bash
declare -A status=([7.0]=4 [8.0]=2)
wanted="${!status[*]}"
while [ $# -gt 0 ]; do
    case $1 in
        -af|-autoformat) for job in $wanted; do echo "${status[$job]} $3"; done; exit ;;
        -format) shift 2 ;;
        *) wanted=$1 ;;
    esac
    shift
done
for job in $wanted; do printf '%s ' ${status[$job]:-}; done
""",
    )

    assert ask_scheduler("htcondor", job).has_ended == has_ended


def test_a_scheduler_whose_jobs_wait_is_asked_ever_more_rarely(
    command: Callable[[str, str], None], tmp_path: Path
) -> None:
    """A look every two seconds; not a question."""
    command("squeue", f"#!/bin/sh\necho >> {tmp_path}/asked; echo PENDING Priority\n")
    mine = Jobs(make_cluster({"a": "7"}), RunSettings(scheduler="slurm"))

    for _ in range(20):
        mine.look_after({}, 3)

    assert (tmp_path / "asked").read_text() == "\n"
    assert "Priority" in mine.said


def test_ended_jobs_are_replaced_while_somebody_waits() -> None:
    """Not where the workers that are there suffice."""
    cluster = make_cluster({k: str(k) for k in range(4)}, {f"tcp://{k}": k for k in range(2)})
    mine = Jobs(cluster, RunSettings(scheduler="pbs", n_procs=4, min_jobs=4))
    workers = {"tcp://0": ("x",), "tcp://1": ("y",)}

    mine.look_after(workers, 2)
    assert cluster.asked == []
    mine.look_after(workers, 3)
    assert cluster.asked == [4]


def test_no_more_jobs_than_participants_are_asked_for() -> None:
    """However many there might be."""
    cluster = make_cluster({0: "7"})
    mine = Jobs(cluster, RunSettings(scheduler="pbs", n_procs=100))

    mine.look_after({}, 3)

    assert cluster.asked == [3]


def test_jobs_without_work_are_given_back_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that compute stay, and as many as are to be kept."""
    cluster = make_cluster({k: str(k) for k in range(4)}, {f"tcp://{k}": k for k in range(4)})
    mine = Jobs(cluster, RunSettings(scheduler="pbs", n_procs=4, min_jobs=2))
    workers: dict[str, Any] = {"tcp://0": (), "tcp://1": ("y",), "tcp://2": (), "tcp://3": ()}

    mine.look_after(workers, 1)
    assert cluster.asked == []
    monkeypatch.setattr(jobs, "IDLE_SECONDS", -1.0)
    mine.look_after(workers, 1)

    assert cluster.asked == [[0, 2]]


@pytest.mark.parametrize("scheduler", list(CLUSTERS))
def test_queue_account_and_lines_of_the_user_s_own_reach_the_script(
    log: Path, scheduler: str
) -> None:
    """As each scheduler spells them."""
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    import dask_jobqueue

    is_condor = scheduler == "htcondor"
    run = RunSettings(
        scheduler=scheduler,
        queue=None if is_condor else "long",
        account=None if is_condor else "lab",
        job_directives=("+Mine = 1",) if is_condor else ("--mine=1",),
        job_prologue=("module load here",),
        job_python="apptainer exec a.sif python",
    )
    with getattr(dask_jobqueue, CLUSTERS[scheduler].cluster)(**list_options(run, log)) as cluster:
        script = cluster.job_script()

    for words in ("apptainer exec a.sif python -m distributed.cli.dask_worker", "--nthreads 1 "):
        assert words in script
    assert "module load here" in script
    assert ("+Mine = 1" if is_condor else "--mine=1") in script
    assert is_condor or ("long" in script and "lab" in script)


def test_a_queue_that_cannot_be_given_is_refused(log: Path) -> None:
    """HTCondor has none."""
    pytest.importorskip("dask", reason="the extra cluster is not installed")

    with pytest.raises(SettingsError, match="--queue: htcondor"):
        list_options(RunSettings(scheduler="htcondor", queue="long"), log)


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


def test_a_scheduler_of_the_user_s_own_that_ends_is_not_waited_for(
    log: Path, tmp_path: Path
) -> None:
    """Nobody computes any more; the run says so, and what to do."""
    dask = pytest.importorskip("dask", reason="the extra cluster is not installed")
    file = tmp_path / "scheduler.json"
    words = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0"]
    words += ["--no-dashboard", "--scheduler-file", str(file)]
    scheduler = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not file.exists():
            time.sleep(0.1)
        said = "it has ended, or its connection is lost"
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
            pytest.raises(NoWorkersError, match=said),
        ):
            _run_on(RunSettings(scheduler=str(file)), log, scheduler)
    finally:
        scheduler.kill()
        scheduler.wait()


def _run_on(run: RunSettings, log: Path, scheduler: "subprocess.Popen[bytes]") -> None:
    """Wait for a call that nobody makes; the scheduler is killed meanwhile."""
    with open_executor(run, log) as executor:
        threading.Timer(1, scheduler.kill).start()
        list(run_tasks(executor, abs, [-1]))


@pytest.mark.parametrize("text", ["x = 1", "{}", "[1]", '{"address": 3}'])
def test_a_file_that_is_none_of_a_dask_scheduler_is_refused(tmp_path: Path, text: str) -> None:
    """Such as a TOML file of options."""
    path = tmp_path / "options.toml"
    path.write_text(text)
    with pytest.raises(InputError, match="file of a running dask scheduler"):
        check_scheduler(RunSettings(scheduler=str(path)))
