"""A participant that is too big for the memory, at the default of one at a time."""

import subprocess
import sys
from typing import Any

import pytest

SCRIPT = """
import os, signal, sys
import kraken_bids.pipeline.participant as level
from kraken_bids.cli.app import main
from kraken_bids.io.files import atomic_path

what = sys.argv.pop(1)
measure = level.measure_session

def be_too_big(task):
    if task.session.subject != "02":
        return measure(task)
    with atomic_path(task.settings.data.output_dir / "sub-02" / "func" / "x.tsv") as temporary:
        temporary.write_text("half")
        if what == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        bytearray(1 << 60)

level.measure_session = be_too_big
main()
"""


@pytest.mark.parametrize(
    ("what", "words"),
    [("killed", "the system ended it"), ("no memory", "there was no memory left")],
)
def test_it_fails_by_name_and_the_others_are_finished(app: Any, what: str, words: str) -> None:
    """The system ends its process, or refuses it memory; the run goes on."""
    options = [str(word) for word in app.options()]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, what, app.world.bids, app.out,
         "participant", *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (failed,) = app.failures().items()
    assert failed[0] == "sub-02"
    assert words in failed[1]
    assert "--mem-gb" in failed[1]
    assert "report" not in failed[1]
    assert app.is_finished("01")
    assert app.is_finished("03")
    assert [path.name for path in app.out.rglob("*.tmp.*")] == []
