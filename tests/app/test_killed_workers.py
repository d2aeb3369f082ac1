"""A process that the system ends fails nobody but whom it was working for, whatever it did."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-c", "from kraken_bids.cli.app import main; main()"]
KILLS = """
import os, signal, sys
from kraken_bids.report import figures
from kraken_bids.pipeline.pages import draw
from kraken_bids.pipeline.predictions import files

main = None if "--multiprocessing-fork" in sys.orig_argv else os.getpid()


def end(member, label):
    if member.label == label and os.getpid() != main:
        os.kill(os.getpid(), signal.SIGKILL)


figures.participant_figures = lambda page: {}
write, digest = files._write_matrices, draw.digest_participant
files._write_matrices = lambda job: (end(job.member, "sub-02"), write(job))
draw.digest_participant = lambda o, member, s: (end(member, "sub-03"), digest(o, member, s))[1]
"""


@pytest.mark.parametrize("level", ["participant", "group"])
def test_a_killed_worker_fails_its_participant_alone(app: Any, tmp_path: Path, level: str) -> None:
    """While predictions are written, and while pages are drawn: each names its own."""
    (tmp_path / "sitecustomize.py").write_text(KILLS)
    app.copy_done()
    words = [app.world.bids, app.out, level, *app.options(), "--n-procs", "2", "--force"]
    words += ["--targets", "FCcorr_fs86_hpf"]
    where = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        env={**os.environ, "PYTHONPATH": where},
        capture_output=True,
        text=True,
        check=False,
    )
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
