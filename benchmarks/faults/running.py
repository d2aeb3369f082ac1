"""Commands in sessions of their own, hit on the way, and what is left of them."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOOK = Path(__file__).with_name("hook")
PATIENCE_S = 5.0
"""How long processes may live on after their run."""
LIMIT_S = 900.0
"""Of a whole run, whatever happens to it."""
TRACEBACKS = ("Traceback (most recent call last)", "please report it")
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
MARK = "KRAKEN_FAULTS_RUN"


@dataclass(frozen=True)
class Hit:
    """A signal on the way: after a time, or at an event that ``hook/sitecustomize.py`` sees."""

    name: str
    """As :data:`WAYS` has it."""
    after: float | None = None
    """Seconds."""
    event: tuple[str, int] | None = None
    """``open``, ``rename`` or ``fsync``, and which one."""


WAYS = {
    "SIGKILL main": ("SIGKILL", "main"),
    "SIGKILL all": ("SIGKILL", "all"),
    "SIGKILL a worker": ("SIGKILL", "worker"),
    "SIGTERM main": ("SIGTERM", "main"),
    "SIGINT main": ("SIGINT", "main"),
    "Ctrl-C to all": ("SIGINT", "all"),
}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    """Negative: the signal that ended it."""
    text: str
    """Both streams."""
    seconds: float
    is_hit: bool
    """Whether the signal reached it before it had ended."""
    left: tuple[int, ...]
    """Processes that were still there when patience was over; they have been ended since."""

    @property
    def n_tracebacks(self) -> int:
        """Tracebacks, errors that ask to be reported, and ends by a signal that nobody sent."""
        shown = any(words in self.text for words in TRACEBACKS)
        return int(shown or (self.code < 0 and not self.is_hit))

    @property
    def traceback(self) -> str:
        """The lines around the first traceback; the last ones where there is none."""
        starts = [self.text.find(words) for words in TRACEBACKS]
        start = min((place for place in starts if place >= 0), default=len(self.text))
        return self.text[max(0, start - 1000) : start + 1500]


def run(
    words: Sequence[str],
    scratch: Path,
    *,
    plan: dict[str, Any] | None = None,
    hit: Hit | None = None,
    prefix: Sequence[str] = (),
    patience: float = PATIENCE_S,
) -> Ended:
    """Run a command of this package to its end.

    Parameters
    ----------
    words : sequence of str
        The command and its words.
    scratch : path
        Folder of the run's own; its output and counters go there.
    plan : dict, optional
        For ``hook/sitecustomize.py``.
    hit : Hit, optional
    prefix : sequence of str, optional
        Command that runs the command, with other rights perhaps.
    patience : float
        How many seconds processes may live on after the run.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    place = scratch / f"run-{uuid.uuid4().hex}"
    place.mkdir()
    place.chmod(0o777)
    environment = _make_environment(place, dict(plan or {}), hit)
    command = [str(Path(sysconfig.get_path("scripts")) / words[0]), *words[1:]]
    begin = time.monotonic()
    with (place / "output").open("wb") as output:
        process = subprocess.Popen(
            [*prefix, sys.executable, *command], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, env=environment, start_new_session=True, cwd=place,
        )  # fmt: skip
        is_hit, late = _follow(process, place, hit, patience)
    seconds = time.monotonic() - begin
    left = (*late, *_end_processes(place.name, patience))
    text = (place / "output").read_text(errors="replace")
    return Ended(process.returncode, text, seconds, is_hit, left)


def _make_environment(place: Path, plan: dict[str, Any], hit: Hit | None) -> dict[str, str]:
    """Variables of a run: its mark, and for ``hook/sitecustomize.py`` what is to happen."""
    if hit is not None and hit.event is not None:
        number, whom = WAYS[hit.name]
        plan["hit"] = {"event": hit.event[0], "k": hit.event[1], "signal": number, "whom": whom}
    own = {MARK: place.name, "TEMPLATEFLOW_HOME": str(place.parent)}
    if plan:
        own["KRAKEN_FAULTS"] = json.dumps(plan | {"counters": str(place)})
        own["PYTHONPATH"] = f"{HOOK}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return os.environ | THREADS | own


def _follow(
    process: subprocess.Popen[bytes], place: Path, hit: Hit | None, patience: float
) -> tuple[bool, tuple[int, ...]]:
    """Wait for the end, with the hit on the way; kill what does not end in time."""
    begin, hit_at = time.monotonic(), None
    while process.poll() is None:
        now = time.monotonic()
        if hit is not None and hit_at is None:
            is_due = hit.after is not None and now - begin >= hit.after
            if (place / "hit").exists() or (is_due and _deliver(process, place.name, hit.name)):
                hit_at = now
        goes_on = hit_at is None or (hit is not None and WAYS[hit.name][1] == "worker")
        if now > (begin + LIMIT_S if goes_on else (hit_at or now) + patience):
            process.kill()
            process.wait()
            return hit_at is not None, (process.pid,)
        time.sleep(0.01)
    return hit_at is not None or (place / "hit").exists(), ()


def _deliver(process: subprocess.Popen[bytes], mark: str, name: str) -> bool:
    """Send the signal; False where there is nobody (yet) to take it.

    What can be caught comes once the command listens; before, Python itself answers.
    """
    number, whom = signal.Signals[WAYS[name][0]], WAYS[name][1]
    if number != signal.SIGKILL and not _listens(process.pid):
        return False
    pids = [process.pid]
    if whom == "worker":
        pids = [pid for pid in _list_processes(mark) if _is_worker(pid, process.pid)]
    try:
        if whom == "all":
            os.killpg(process.pid, number)
        elif pids:
            os.kill(random.choice(pids), number)
    except ProcessLookupError:
        return False
    return bool(pids)


def _is_worker(pid: int, main: int) -> bool:
    return pid != main and b"resource_tracker" not in _read(pid, "cmdline")


def _listens(pid: int) -> bool:
    """Whether a process has said what SIGTERM does to it."""
    caught = re.search(rb"SigCgt:\s*([0-9a-f]+)", _read(pid, "status"))
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def _end_processes(mark: str, patience: float) -> list[int]:
    """Wait for what a run has started; kill, and name, what is there after that."""
    end = time.monotonic() + patience
    while left := _list_processes(mark):
        if time.monotonic() > end:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return left
        time.sleep(0.05)
    return []


def _list_processes(mark: str) -> list[int]:
    """List the processes of a run that live, told by their environment."""
    wanted = f"{MARK}={mark}".encode()
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if wanted in _read(pid, "environ").split(b"\0")]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
