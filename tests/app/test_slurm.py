"""On a real SLURM of one node: both ways of using it, and what goes wrong there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest

from kraken_bids.io.writing import write_table

MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
N_PEOPLE = 12
PATIENCE_S = 600
"""Nothing is waited for longer, on a machine that does much else."""
QUICK = """
import sys, time, os
from kraken_bids.report import page as pages
import kraken_bids.pipeline.measure.session as session
pages.draw_figures = lambda page: {}
measure = session.measure_functional
slow = float(os.environ.get("SLOW_S", "0"))


def measure_slowly(task):
    folder = task.settings.data.output_dir / f"sub-{task.session.subject}"
    if not any(folder.rglob("*_relmat.json")):  # what is there is only looked at
        time.sleep(slow)
    return measure(task)


session.measure_functional = measure_slowly
"""
"""Draws no figure, and makes participants take longer where a test wants time."""


@pytest.fixture(scope="module")
def faults() -> Iterator[Any]:
    """Import what is no part of the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        from faults import compare, slurm_node

        yield SimpleNamespace(compare=compare, slurm_node=slurm_node)


@dataclass
class Site:
    """A cluster, a data set of twelve people, and what a run without a cluster makes of it."""

    node: Any
    bids: Path
    folder: Path
    compare: Any
    """Functions that read results, and list how they differ."""
    wanted: dict[str, bytes]

    @property
    def options(self) -> list[object]:
        """Measure an atlas of a few regions, and ask no model."""
        atlas = self.folder / "atlas_space-T1w_dseg.nii.gz"
        return ["--atlases", "mine", "--atlas", f"mine={atlas}", "--denoise", "24p"]

    def run(
        self, command: str, *words: object, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command of the package to its end, which comes."""
        with self.start(command, *words, **variables) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start(self, command: str, *words: object, **variables: str) -> "subprocess.Popen[str]":
        """Start a command of the package where the commands of SLURM are answered."""
        place = self.folder / "python"
        where = os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])])
        own = {"PYTHONPATH": where, "OMP_NUM_THREADS": "1", "KRAKEN_BIDS_DATA": str(place)}
        return subprocess.Popen(
            [sys.executable, str(Path(sys.executable).parent / command), *map(str, words)],
            env=os.environ | self.node.environment | own | variables, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder,
        )  # fmt: skip

    def app(self, out: Path, level: str, *words: object, **variables: str) -> Any:
        """Run a level of the app."""
        return self.run("kraken-bids", self.bids, out, level, *self.options, *words, **variables)


def write_people(small: Any, place: Path, n_people: int) -> None:
    """Write a derivative dataset of people of a few voxels, and an atlas of six regions."""
    labels = np.repeat(np.arange(1, 7), 12).reshape(6, 4, 3).astype(np.int16)
    affine = np.diag([3.0, 3, 3, 1])
    small.describe(place, "fMRIPrep", "25.2.5")
    mask = nibabel.Nifti1Image(np.ones(labels.shape, np.uint8), affine)
    nibabel.save(nibabel.Nifti1Image(labels, affine), place.parent / "atlas_space-T1w_dseg.nii.gz")
    rng = np.random.default_rng(4)
    for number in range(1, n_people + 1):
        func = place / f"sub-{number:02d}" / "func"
        func.mkdir(parents=True)
        stem = f"{func}/sub-{number:02d}_task-rest"
        n = 80
        values = 1000 + rng.normal(size=(*labels.shape, n)) + rng.normal(size=(7, n))[labels]
        small.save_bold(Path(f"{stem}_space-T1w_desc-preproc_bold.nii.gz"), values, facts={})
        nibabel.save(mask, f"{stem}_space-T1w_desc-brain_mask.nii.gz")
        motion = np.cumsum(rng.normal(0, 0.01, (n, 6)), axis=0)
        table = dict(zip(MOTION, motion.T, strict=True))
        table["global_signal"] = values.mean((0, 1, 2))
        write_table(Path(f"{stem}_desc-confounds_timeseries.tsv"), table)


@pytest.fixture(scope="module")
def site(faults: Any, small: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start the cluster, make the people, and run both levels without it."""
    if reason := faults.slurm_node.explain_absence():
        pytest.skip(reason)
    pytest.importorskip("dask_jobqueue", reason="the extra cluster is not installed")
    folder = tmp_path_factory.mktemp("slurm")
    (folder / "python").mkdir()
    (folder / "python" / "sitecustomize.py").write_text(QUICK)
    write_people(small, folder / "fmriprep", N_PEOPLE)
    with faults.slurm_node.start_slurm() as node:
        found = Site(node, folder / "fmriprep", folder, faults.compare, {})
        for level in ("participant", "group"):
            done = found.app(folder / "local", level, "--n-procs", "2")
            assert done.returncode == 0, done.stderr
        found.wanted = faults.compare.read_results(folder / "local")
        yield found


def differences(site: Site, out: Path) -> dict[str, list[str]]:
    """Paths that are not as the run without a cluster left them."""
    found = site.compare.list_differences(site.wanted, site.compare.read_results(out))
    return {what: paths for what, paths in found.items() if paths}


def wait_for(what: Callable[[], object], process: "subprocess.Popen[str] | None" = None) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end
        assert process is None or process.poll() is None
        time.sleep(0.2)


def list_measured(out: Path) -> list[Path]:
    return list(out.glob("sub-*/func/*FCcorrHPF_relmat.json"))


def test_an_array_of_tasks_and_the_group_after_it_give_the_same_files(
    site: Site, tmp_path: Path
) -> None:
    """Twelve people, three of them a task, two tasks at a time; a blank in the folder's name."""
    out = tmp_path / "out put"
    asked = ["--per-task", 4, "--at-once", 2, "--mem-gb", 2, "--walltime", "00:10:00", "--submit"]
    done = site.run("kraken-tools", "cluster", site.bids, out, *asked, "--", *site.options)
    assert done.returncode == 0, done.stderr
    early = site.run("kraken-tools", "status", out)
    site.node.wait_until_empty(PATIENCE_S)

    late = site.run("kraken-tools", "status", out)

    logs = "".join(path.read_text() for path in out.glob("logs/jobs/*/*.log"))
    assert early.returncode == 1
    assert late.returncode == 0, late.stdout + late.stderr + logs
    assert "12 session(s): 12 done; group level: done" in late.stdout
    assert differences(site, out) == {}


def test_workers_of_dask_that_are_killed_lose_nothing(site: Site, tmp_path: Path) -> None:
    """One job is killed in the middle, with all that it runs; the files are the same."""
    out = tmp_path / "out"
    words = [site.bids, out, "participant", *site.options, "--scheduler", "slurm"]
    words += ["--n-procs", 2, "--mem-gb", 2, "--walltime", "00:20:00", "--queue", "main"]
    with site.start("kraken-bids", *words, SLOW_S="0.5") as process:
        try:
            wait_for(lambda: list_measured(out), process)
            job = min(site.node.list_jobs())
            site.node.run("scancel", "--full", "--signal=KILL", job)
            _, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 0, err
    wait_for(lambda: not site.node.list_jobs())
    done = site.app(out, "group")

    assert done.returncode == 0, done.stderr
    assert "compute" in err
    assert differences(site, out) == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--queue", "nowhere"), "invalid partition"), (("--queue", "short"), "PartitionTimeLimit")],
)
def test_jobs_that_are_refused_or_never_start_end_the_run(
    site: Site, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    """With the scheduler's words, and within a minute."""
    asked = ["--scheduler", "slurm", "--walltime", "01:00:00", *words]
    done = site.app(tmp_path / "out", "participant", *asked)

    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    wait_for(lambda: not site.node.list_jobs())


def test_a_run_that_is_stopped_takes_its_jobs_along(site: Site, tmp_path: Path) -> None:
    """At SIGTERM; who is done stays so."""
    out = tmp_path / "out"
    words = [site.bids, out, "participant", *site.options, "--scheduler", "slurm", "--mem-gb", 2]
    with site.start("kraken-bids", *words, SLOW_S="1") as process:
        try:
            wait_for(lambda: list_measured(out), process)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        finally:
            process.kill()

    assert process.returncode == 128 + signal.SIGTERM
    wait_for(lambda: not site.node.list_jobs())
    assert list_measured(out)


@pytest.mark.slow
def test_jobs_at_their_wall_time_are_replaced(site: Site, tmp_path: Path) -> None:
    """Two minutes of participants in jobs of one: all are done, in several jobs."""
    out = tmp_path / "out"
    words = ["--scheduler", "slurm", "--mem-gb", 2, "--walltime", "00:01:00", "--n-procs", 2]
    done = site.app(out, "participant", *words, SLOW_S="15")

    assert done.returncode == 0, done.stderr
    assert len(list_measured(out)) == N_PEOPLE
    assert site.app(out, "group").returncode == 0
    assert differences(site, out) == {}


@pytest.mark.slow
def test_who_takes_longer_than_any_job_is_given_up_by_name(site: Site, tmp_path: Path) -> None:
    """After three jobs, with the advice to give them more time."""
    words = ["--scheduler", "slurm", "--walltime", "00:01:00", "--participant-label", "03"]
    done = site.app(tmp_path / "out", "participant", *words, SLOW_S="100")

    assert done.returncode == 1, done.stderr
    assert "sub-03" in done.stderr
    assert "--walltime" in done.stderr


@pytest.mark.slow
def test_tasks_at_their_wall_time_go_back_into_the_queue(site: Site, tmp_path: Path) -> None:
    """And do what they had not done; the group waits for them."""
    out = tmp_path / "out"
    asked = ["--per-task", 4, "--walltime", "00:01:00", "--mem-gb", 2, "--submit"]
    words = ["cluster", site.bids, out, *asked, "--", *site.options]
    done = site.run("kraken-tools", *words, SLOW_S="15")
    assert done.returncode == 0, done.stderr
    site.node.wait_until_empty(3 * PATIENCE_S)

    logs = "".join(path.read_text() for path in out.glob("logs/jobs/*/*.log"))
    assert site.run("kraken-tools", "status", out).returncode == 0, logs
    assert "try 2" in logs
    assert differences(site, out) == {}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["dask", "array"])
def test_a_full_disk_ends_the_run_and_a_larger_one_finishes_it(
    site: Site, tmp_path: Path, way: str
) -> None:
    """It says so; nothing of what was done is lost, and nothing is half."""
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "full", out], check=True)
    try:
        dask = ["--scheduler", "slurm", "--mem-gb", 2, "--n-procs", 2]
        if way == "dask":
            done = site.app(out, "participant", *dask)
            assert done.returncode in {1, 3}, done.stderr
            assert "full" in done.stderr
        else:
            folder = ["--folder", tmp_path / "jobs"]
            words = ["cluster", site.bids, out, "--per-task", 6, "--submit", *folder]
            done = site.run("kraken-tools", *words, "--", *site.options)
            assert done.returncode == 0, done.stderr
            site.node.wait_until_empty(PATIENCE_S)
        assert site.run("kraken-tools", "status", out).returncode in {1, 3}
        subprocess.run(["mount", "-o", "remount,size=500m", out], check=True)
        for level in ("participant", "group"):
            done = site.app(out, level, *(dask if way == "dask" else ()))
            assert done.returncode == 0, done.stderr
        assert differences(site, out) == {}
    finally:
        subprocess.run(["umount", "-l", out], check=True)
