"""A process that the system ends fails nobody but whom it was working for, whatever it did."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-c", "from kraken_bids.cli.app import main; main()"]
KILLS = """
import os, signal, sys
from kraken_bids.report import page as pages
from kraken_bids.pipeline.predict import session_predictions as files

main = None if "--multiprocessing-fork" in sys.orig_argv else os.getpid()


def end(member, label):
    if member.label == label and os.getpid() != main:
        os.kill(os.getpid(), signal.SIGKILL)


pages.draw_figures = lambda page: {}
write, digest = files._write_matrices, pages.digest_subject
files._write_matrices = lambda job: (end(job.member, "sub-02"), write(job))
pages.digest_subject = lambda w, s: (end(w.member, "sub-03"), digest(w, s))[1]
"""

MEASURING = """
import os, signal, sys
import kraken_bids.pipeline.measure.session as connectomes

main = None if "--multiprocessing-fork" in sys.orig_argv else os.getpid()
measure = connectomes.measure_functional


def end(task):
    if task.label == "sub-02" and os.getpid() != main:
        os.kill(os.getpid(), signal.SIGKILL)
    return measure(task)


connectomes.measure_functional = end
"""


def run_with(code: str, words: Sequence[object], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the app in a process where this code runs first, in all of its processes."""
    (folder / "sitecustomize.py").write_text(code)
    where = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        env={**os.environ, "PYTHONPATH": where},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_worker_killed_while_it_measures_fails_its_participant_alone(
    app: Any, tmp_path: Path
) -> None:
    """Only the participant whose process the system ends (no memory) fails; the others go on."""
    words = [app.world.bids, app.out, "participant", *app.options(), "--n-procs", "2"]
    done = run_with(MEASURING, [*words, "--participant-label", "01", "02"], tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search("sub-02: .*the system ended it", done.stderr), done.stderr
    assert set(app.failures()) == {"sub-02"}
    assert "memory ran out" in app.failures()["sub-02"]
    assert app.is_finished("01")
    assert app.check_whole_files() == []


@pytest.mark.parametrize("level", ["participant", "group"])
def test_a_killed_worker_fails_its_participant_alone(app: Any, tmp_path: Path, level: str) -> None:
    """While predictions are written, and while pages are drawn: each names its own."""
    app.copy_done()
    words = [app.world.bids, app.out, level, *app.options(), "--n-procs", "2", "--force"]
    words += ["--targets", "FCcorr_fs86_hpf"]
    done = run_with(KILLS, words, tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    rows = (app.out / "logs" / "failures.tsv").read_text().splitlines()[1:]
    failed = [row.split("\t") for row in rows]
    assert sorted((row[0], row[2]) for row in failed) == [
        ("sub-02", "predictions"), ("sub-03", "report"),
    ]  # fmt: skip
    assert all("memory ran out" in row[4] for row in failed)
    assert app.is_finished("01")
    assert not list(app.out.rglob("*.tmp*"))
