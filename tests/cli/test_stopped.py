"""A command that a cluster stops leaves nothing half done."""

import signal
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, signal, sys
from pathlib import Path
from kraken_bids.cli.tools import main
from kraken_bids.files import atomic_path

main.callback()
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
"""


def test_a_stopped_command_takes_its_unfinished_file_along(tmp_path: Path) -> None:
    """SIGTERM ends it with 128 + 15, and no hidden file stays."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path / "x.npz"], check=False)

    assert done.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
