"""Where participants are computed."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kraken_bids.exceptions import ConnectomeError, InputError, SettingsError
from kraken_bids.pipeline.workers import InlineExecutor, open_executor, run_tasks
from kraken_bids.run_settings import RunSettings


def halve(number: int) -> int:
    """Halve even numbers; odd ones fail as a participant may."""
    if number % 2:
        raise ConnectomeError(f"{number} is odd")
    return number // 2


def tell_process(_item: int) -> int:
    """Return the number of the process that runs it."""
    return os.getpid()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Log file of a run."""
    return tmp_path / "logs" / "run.log"


@pytest.mark.parametrize("n_procs", [1, 2])
def test_one_failure_leaves_the_others(log: Path, n_procs: int) -> None:
    """Every item comes back once, with its result or its error."""
    with open_executor(RunSettings(n_procs=n_procs), log) as executor:
        found = {
            item: (result, error) for item, result, error in run_tasks(executor, halve, range(4))
        }

    assert found[2] == (1, None)
    assert found[0] == (0, None)
    assert [type(found[k][1]) for k in (1, 3)] == [ConnectomeError, ConnectomeError]
    assert str(found[3][1]) == "3 is odd"


def test_inline_tasks_start_when_they_are_asked_for() -> None:
    """A caller that stops at the first failure has started nothing more."""
    started = []

    def note(item: int) -> None:
        started.append(item)

    next(run_tasks(InlineExecutor(), note, range(3)))

    assert started == [0]


def test_a_pool_uses_other_processes(log: Path) -> None:
    """Two processes, neither of them this one."""
    with open_executor(RunSettings(n_procs=2), log) as executor:
        processes = {result for _, result, _ in run_tasks(executor, tell_process, range(8))}

    assert os.getpid() not in processes
    assert 1 <= len(processes) <= 2


def fill(gigabytes: float) -> int:
    """Use so much memory."""
    return len(bytearray(b"1") * int(gigabytes * 1e9))


def test_a_participant_gets_no_more_memory_than_there_is_for_all(log: Path) -> None:
    """It fails, and the others do not."""
    run = RunSettings(n_procs=2, mem_gb=2.5)
    with open_executor(run, log) as executor:
        found = {item: error for item, _, error in run_tasks(executor, fill, [0.1, 3.0, 0.2])}

    assert [type(found[size]) for size in (0.1, 3.0, 0.2)] == [type(None), MemoryError, type(None)]


def test_memory_bounds_how_many_are_computed_at_a_time(
    log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Six are asked for, and there is room for two; that is said."""
    with (
        caplog.at_level(logging.INFO, "kraken_bids"),
        open_executor(RunSettings(n_procs=6, mem_gb=2.5), log) as executor,
    ):
        processes = {result for _, result, _ in run_tasks(executor, tell_process, range(8))}

    assert len(processes) <= 2
    assert [m for m in caplog.messages if "--mem-gb" in m] == [
        "--mem-gb 2.5: 2 participant(s) at a time, 1 GB for each"
    ]


def test_less_memory_than_one_may_need_is_warned_of(
    log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are computed all the same: a small one may do with it."""
    with open_executor(RunSettings(mem_gb=0.4), log) as executor:
        found = [result for _, result, _ in run_tasks(executor, abs, [1, 2])]

    assert found == [1, 2]
    assert "--mem-gb 0.4: a participant may need 1 GB" in caplog.text


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_running_dask_scheduler_takes_the_work(log: Path, tmp_path: Path) -> None:
    """By its address and by its scheduler file."""
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        file = tmp_path / "scheduler.json"
        with distributed.Client(cluster) as client:
            client.write_scheduler_file(str(file))
        for scheduler in (cluster.scheduler_address, str(file)):
            if "://" in scheduler and not scheduler.startswith("tcp"):
                continue
            with open_executor(RunSettings(scheduler=scheduler), log) as executor:
                found = {i: (r, e) for i, r, e in run_tasks(executor, halve, range(3))}
            assert found[2] == (1, None)
            assert isinstance(found[1][1], ConnectomeError)
    logging.getLogger("kraken_bids").handlers.clear()


def test_an_unknown_scheduler_is_a_usage_error(log: Path) -> None:
    """The message lists what can be given."""
    with (
        pytest.raises(SettingsError, match="slurm"),
        open_executor(RunSettings(scheduler="bird"), log),
    ):
        pass


def test_a_scheduler_that_is_not_there_is_an_input_error(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, with its address."""
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    monkeypatch.setattr("kraken_bids.pipeline.workers.cluster.CONNECT_SECONDS", 1)
    with (
        pytest.raises(InputError, match=r"127\.0\.0\.1:9"),
        open_executor(RunSettings(scheduler="tcp://127.0.0.1:9"), log),
    ):
        pass


STOPPED = """
import os, signal, sys, time
from pathlib import Path
from kraken_bids.io.files import atomic_path
from kraken_bids.pipeline.workers import open_executor, run_tasks
from kraken_bids.run_settings import RunSettings

def miss_the_first(number, frame):
    signal.signal(signal.SIGTERM, known)

def measure(path):
    global known
    known = signal.getsignal(signal.SIGTERM)
    if "missed" in sys.argv:
        signal.signal(signal.SIGTERM, miss_the_first)
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        path.with_suffix(".pid").write_text(str(os.getpid()))
        time.sleep(600)

def stop(number, frame):
    sys.exit(128 + number)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script may ignore it
    folder = Path(sys.argv[1])
    n_procs = int(sys.argv[2])
    with open_executor(RunSettings(n_procs=n_procs), folder / "logs" / "run.log") as executor:
        list(run_tasks(executor, measure, [folder / f"{k}.tsv" for k in range(6)]))
"""


@pytest.mark.parametrize(
    ("signal_", "code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)],
)
@pytest.mark.parametrize("n_procs", [1, 2])
def test_processes_end_with_their_run(
    tmp_path: Path, n_procs: int, signal_: int, code: int
) -> None:
    """However the main process is stopped, nobody goes on, and no half-written file stays."""
    script = tmp_path / "script" / "run.py"
    script.parent.mkdir()
    script.write_text(STOPPED)
    folder = tmp_path / "out"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, script, folder, str(n_procs)], stderr=subprocess.PIPE, text=True
    ) as main:
        while len(found := list(folder.glob("*.pid"))) < n_procs:
            assert main.poll() is None
        main.send_signal(signal_)
        # its stderr is closed when the last process that has inherited it is gone
        _, said = main.communicate(timeout=60)

    assert main.returncode == code
    assert found
    assert str(main.pid) not in {path.read_text() for path in found}
    assert list(folder.glob(".*")) == []
    assert len(list(folder.glob("*.pid"))) == n_procs
    assert "Process-" not in said


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_missed_the_first_signal_is_asked_again(
    tmp_path: Path, signal_: int
) -> None:
    """One that comes just before a call that waits is looked at only after that call."""
    script, folder = tmp_path / "script" / "run.py", tmp_path / "out"
    for place in (script.parent, folder):
        place.mkdir()
    script.write_text(STOPPED)
    with subprocess.Popen(
        [sys.executable, script, folder, "1", "missed"], stderr=subprocess.PIPE, text=True
    ) as main:
        while not list(folder.glob("*.pid")):
            assert main.poll() is None
        main.send_signal(signal_)
        main.communicate(timeout=60)

    assert list(folder.glob(".*")) == []


def test_items_are_made_as_they_are_needed(log: Path) -> None:
    """Predictions wait decoded in memory for a few people only, however many there are."""
    made = []

    def make() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    with open_executor(RunSettings(n_procs=2), log) as executor:
        most = 0
        for done, _ in enumerate(run_tasks(executor, abs, make()), start=1):
            most = max(most, len(made) - done)

    assert len(made) == 50
    assert most <= 2 * 2
