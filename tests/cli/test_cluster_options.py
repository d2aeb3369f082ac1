"""How a run is carried out: what is checked before it begins."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from kraken_bids.cli.cluster_options import check_cluster
from kraken_bids.run_settings import RunSettings


def test_a_limit_of_jobs_without_a_cluster_is_said_to_change_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever gives one expects that it is kept; memory is."""
    with caplog.at_level(logging.WARNING, "kraken_bids"):
        check_cluster(RunSettings(mem_gb=2, walltime="01:00:00"))

    assert [message.partition(" ")[0] for message in caplog.messages] == ["--walltime"]


def test_an_ordinary_run_is_not_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    """Several processes with several threads."""
    with caplog.at_level(logging.WARNING, "kraken_bids"):
        check_cluster(RunSettings(n_procs=4, omp_nthreads=2))

    assert caplog.messages == []


def test_a_cluster_that_is_not_there_is_said_before_the_dataset_is_read(tmp_path: Path) -> None:
    """One line and exit code 2, also for a dataset that would take long to look through."""
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    (tmp_path / "in").mkdir()
    done = subprocess.run(
        [
            sys.executable,
            *("-c", "from kraken_bids.cli.app import main; main()"),
            *(tmp_path / "in", tmp_path / "out", "participant", "--scheduler", "slurm"),
        ],
        env={"PATH": "/nowhere", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "sbatch not found" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
