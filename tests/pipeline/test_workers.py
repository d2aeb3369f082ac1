"""Where participants are computed."""

import logging
import os
from pathlib import Path

import pytest

from kraken_bids.exceptions import ConnectomeError, InputError, SettingsError
from kraken_bids.pipeline.workers import InlineExecutor, open_executor, run_tasks
from kraken_bids.settings import RunSettings


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
    monkeypatch.setattr("kraken_bids.pipeline.workers.CONNECT_SECONDS", 1)
    with (
        pytest.raises(InputError, match=r"127\.0\.0\.1:9"),
        open_executor(RunSettings(scheduler="tcp://127.0.0.1:9"), log),
    ):
        pass
