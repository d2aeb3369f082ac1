"""A command that a cluster stops leaves nothing half done."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kraken_bids.cli import stopping

SCRIPT = """
import os, signal, sys
from pathlib import Path
from kraken_bids.cli.tools import main
from kraken_bids.io.files import atomic_path

main.callback()
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
"""


RUN = """
import os, signal, sys, time
from pathlib import Path
from kraken_bids.cli.options import exit_with_message
from kraken_bids.cli.stopping import end_cleanly_when_stopped
from kraken_bids.io.files import atomic_path
from kraken_bids.logs import start_terminal_log
from kraken_bids.pipeline.provenance import follow_run, start_run
from kraken_bids.settings import DataSettings, Settings

out = Path(sys.argv[1])
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may have it ignored (nohup)
with exit_with_message():
    end_cleanly_when_stopped()
    start_terminal_log(0)
    with follow_run(start_run(Settings(DataSettings(out / "in", out)), "participant")):
        with atomic_path(out / "x.tsv") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), int(sys.argv[2]))
            time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGINT, 130, "Stopped by Ctrl-C."),
        (signal.SIGTERM, 143, "Stopped by SIGTERM."),
        (signal.SIGHUP, 129, "Stopped by SIGHUP."),
    ],
)
def test_a_stopped_run_says_so_and_leaves_nothing_hidden(
    tmp_path: Path, number: int, code: int, words: str
) -> None:
    """The terminal says how to go on, the log when it ended; no traceback, no half file."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, tmp_path, str(int(number))],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == code
    assert f"{words} Finished files are kept: the same command goes on" in done.stderr
    assert "Traceback" not in done.stderr
    (log,) = (tmp_path / "logs").glob("*.log")
    assert "WARNING kraken_bids.pipeline.provenance stopped by " in log.read_text()
    assert [p.name for p in tmp_path.rglob(".*")] == []


def test_what_was_started_to_outlive_its_terminal_does() -> None:
    """``nohup`` has SIGHUP ignored, and so it stays."""
    script = """
import os, signal
from kraken_bids.cli.stopping import end_cleanly_when_stopped
signal.signal(signal.SIGHUP, signal.SIG_IGN)
end_cleanly_when_stopped()
os.kill(os.getpid(), signal.SIGHUP)
print("goes on")
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)

    assert (done.returncode, done.stdout) == (0, b"goes on\n")


def test_a_stopped_command_takes_its_unfinished_file_along(tmp_path: Path) -> None:
    """SIGTERM ends it with 128 + 15, and no hidden file stays."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path / "x.npz"], check=False)

    assert done.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_misses_the_error_ends_all_the_same(number: int) -> None:
    """Python passes over errors in destructors and callbacks, that of Ctrl-C too."""
    script = f"""
import contextlib, os, sys, time
from kraken_bids.cli import stopping
sys.argv = ["/usr/bin/kraken-bids"]
stopping.PATIENCE_S = 0.2
stopping.end_cleanly_when_stopped()
with contextlib.suppress(BaseException):
    os.kill(os.getpid(), {int(number)})
    time.sleep(60)
time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)

    assert done.returncode == 128 + number


def test_a_command_that_hangs_in_its_own_end_is_ended_by_the_system() -> None:
    """Once Python takes itself down, its threads stand still, and nothing of ours runs."""
    script = f"""
import os, sys, time
from kraken_bids.cli import stopping

class Slow:
    sleep = staticmethod(time.sleep)
    def __del__(self):
        self.sleep(60)

sys.argv = ["/usr/bin/kraken-bids"]
stopping.PATIENCE_S = stopping.GRACE_S = 0.2
stopping.end_cleanly_when_stopped()
slow = Slow()
os.kill(os.getpid(), {int(signal.SIGTERM)})
time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)

    assert done.returncode == -signal.SIGALRM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_error_lost_in_a_destructor_is_raised_again_without_a_traceback(number: int) -> None:
    """The signal arrives while an object is being freed."""
    script = f"""
import os, sys, time
from kraken_bids.cli import stopping

class Freed:
    def __del__(self):
        os.kill(os.getpid(), {int(number)})
        time.sleep(0.05)

sys.argv = ["/usr/bin/kraken-bids"]
stopping.end_cleanly_when_stopped()
try:
    freed = Freed()
    del freed
    time.sleep(60)
finally:
    print("tidied up")
"""
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )

    assert time.monotonic() - begin < stopping.PATIENCE_S
    assert done.stdout == "tidied up\n"
    assert "ignored" not in done.stderr
