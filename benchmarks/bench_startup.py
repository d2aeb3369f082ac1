"""How long the command takes to answer before it works: ``--help`` and ``--version``.

Prints a table of whole-process wall times. Usage: ``python benchmarks/bench_startup.py``.
"""

import argparse
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

TARGET_S = 0.5
COMMAND = str(Path(sysconfig.get_path("scripts")) / "kraken-bids")
PEER = "python -c 'import torch'"
CASES = {
    "kraken-bids --help": [COMMAND, "--help"],
    "kraken-bids --version": [COMMAND, "--version"],
    "kraken-bids WRONG_PATH": [COMMAND, "no-such-folder", "out", "participant"],
    PEER: [sys.executable, "-c", "import torch"],
    "python -c 'import nilearn.maskers'": [sys.executable, "-c", "import nilearn.maskers"],
    "python -c 'import bids'": [sys.executable, "-c", "import bids"],
    "python -c 'pass'": [sys.executable, "-c", "pass"],
}
"""What is measured; the libraries below our commands are what these must not import to answer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="runs of each  [%(default)s]")
    repeats = parser.parse_args().repeats
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for turn in range(repeats + 1):  # turn by turn, so that a busy moment hits all alike
        for name, command in CASES.items():
            seconds = measure(command)
            if turn:  # the first turn fills the disk cache
                times[name].append(seconds)
    print_table(times)


def measure(command: Sequence[str]) -> float:
    """Wall time of a process, s."""
    start = time.perf_counter()
    subprocess.run(command, check=False, capture_output=True)
    return time.perf_counter() - start


def print_table(times: dict[str, list[float]]) -> None:
    peer = statistics.median(times[PEER])
    print(f"| command | median, s | fastest, s | slowest, s | share of {PEER} | target |")
    print("|---|---:|---:|---:|---:|---|")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        verdict = ""
        if name.startswith("kraken-bids"):
            verdict = f"< {TARGET_S} s: {'met' if median < TARGET_S else 'MISSED'}"
        print(
            f"| `{name}` | {median:.2f} | {min(seconds):.2f} | {max(seconds):.2f} "
            f"| {median / peer:.2f} | {verdict} |"
        )


if __name__ == "__main__":
    main()
