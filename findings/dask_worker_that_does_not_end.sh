#!/usr/bin/env bash
# A worker of dask without a nanny that is asked to end (SIGTERM) while it closes since its scheduler has
# ended: as a batch system does to every job of dask-jobqueue when the program that started them is done.
#
# One would guess: it is closing already, so it ends; at the latest SIGTERM ends it.
#
# What happens: it never ends, with no thread at work. At SIGTERM the command leaves its event loop, which
# cancels what runs: Worker.close stops in the middle, its status stays "closing", and what waits for the
# worker's end (Server.finished) is not told that there will be none; asyncio.run waits for that. A second
# SIGTERM would end it, but batch systems send SIGKILL next, after their grace time (30 s of SLURM's
# KillWait), until which the job holds its node; where they cannot follow a process whose shell has gone
# (proctrack/linuxproc), it stays for ever.
#
# Seen with distributed 2026.8.0 on Python 3.11.
# Source: distributed/cli/dask_worker.py, wait_for_signals_and_close (it closes nannies alone) and
# asyncio_run; worker.py, Worker.close, and Worker.finished in core.py.
# Bears on us: pipeline/workers/dask_worker.py, _end_with_worker, ends the process of such a job;
# benchmarks/bench_faults.py --only cluster counts processes that are left.
# Exits non-zero where that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dask==2026.8.0 distributed==2026.8.0
cat > "$folder/run.py" <<'PY'
import subprocess
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])
file = folder / "scheduler.json"


def start(name, *words):
    log = (folder / f"{name}.log").open("w")
    command = [sys.executable, "-m", f"distributed.cli.dask_{name}", "--scheduler-file", str(file)]
    return subprocess.Popen([*command, "--no-dashboard", *words], stderr=log)


def wait_for(text, path):
    while not path.exists() or text not in path.read_text():
        time.sleep(0.01)


def try_once(is_asked_twice):
    file.unlink(missing_ok=True)
    scheduler = start("scheduler", "--port", "0")
    wait_for("address", file)
    worker = start("worker", "--no-nanny", "--local-directory", str(folder))
    wait_for("Registered to", folder / "worker.log")
    time.sleep(1)
    scheduler.terminate()
    if is_asked_twice:
        wait_for("Stopping worker", folder / "worker.log")
        worker.terminate()
    try:
        worker.wait(45)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        worker.kill()
        worker.wait()
        scheduler.wait()


print("scheduler ends:                            worker ends:", has_ended := try_once(False))
found = [try_once(True) for _ in range(3)]
print("scheduler ends, SIGTERM while it closes:   worker ends:", found)
is_as_described = has_ended and not all(found)
print("as described" if is_as_described else "distributed changed")
sys.exit(not is_as_described)
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
