"""Read by every Python process that has this folder on its path: makes faults at chosen files.

``KRAKEN_FAULTS`` holds the plan (JSON): ``root``, the folder whose files count; ``counters``, a
folder for numbers that all processes of a run share; ``within``, part of the paths that count; and

- ``count``: events are counted, and nothing happens;
- ``hit``: at the k-th event (``open`` for writing, ``rename``, ``fsync``) a signal is sent;
- ``slow``: seconds that reading a file, or giving it its final name, may take longer;
- ``fail``: from the k-th ``write``, ``fsync`` or ``close`` on, or at it alone, an error comes;
- ``lack``: calls that always give an error, as where a file system has them not;
- ``wait``: seconds before anything begins;
- ``limits``: what the process may take (``RLIMIT_FSIZE``, ``RLIMIT_AS``).
"""

import builtins
import errno
import fcntl
import io
import json
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

PLAN = json.loads(os.environ.get("KRAKEN_FAULTS", "{}"))
ROOT = PLAN.get("root", "")
WRITES = os.O_WRONLY | os.O_RDWR
OPEN = io.open
BUSY = []


def is_ours(path):
    if isinstance(path, int) or path is None:
        return False
    name = os.fsdecode(path)
    return f"{name}/".startswith(f"{ROOT}/") and PLAN.get("within", "") in name


def count(event):
    """Count an event; returns how many there were in all processes."""
    place = f"{PLAN['counters']}/{event}"
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(descriptor, b".")
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def hit(event):
    wanted = PLAN["hit"]
    n = count(event)
    is_worker = os.getpid() != os.getpgid(0)
    if event != wanted["event"] or n < wanted["k"]:
        return
    if wanted["whom"] == "worker" and not is_worker:
        return
    try:
        Path(PLAN["counters"], "hit").touch(exist_ok=False)
    except FileExistsError:  # another process was first
        return
    number = signal.Signals[wanted["signal"]]
    if wanted["whom"] == "all":
        os.killpg(os.getpgid(0), number)
    else:
        os.kill(os.getpid() if wanted["whom"] == "worker" else os.getpgid(0), number)


def watch(event, arguments):
    """See what this process opens and renames (an audit hook)."""
    if event not in {"open", "os.rename"} or BUSY:
        return
    BUSY.append(event)  # what is done here opens files too
    try:
        path = arguments[0] if event == "open" else arguments[1]
        is_write = event == "os.rename" or bool((arguments[2] or 0) & WRITES)
        if is_ours(path):
            meet("rename" if event == "os.rename" else "open", is_write=is_write)
    finally:
        BUSY.clear()


def meet(event, *, is_write):
    if "slow" in PLAN and (event == "rename" or not is_write):
        time.sleep(random.uniform(0, PLAN["slow"]))
    elif "count" in PLAN and is_write:
        count(event)
    elif "hit" in PLAN and is_write:
        hit(event)


def is_due(call):
    wanted = PLAN["fail"]
    if wanted["call"] != call:
        return False
    n = count(call)
    return n == wanted["k"] or (n > wanted["k"] and wanted["lasts"])


def give_error(name):
    number = getattr(errno, name)
    raise OSError(number, os.strerror(number))


class FailingFile(io.FileIO):
    """A file on a disk that fails at a write, or, as over a network, at the close."""

    def write(self, content):
        """Write, or fail."""
        if is_due("write"):
            give_error(PLAN["fail"]["error"])
        return super().write(content)

    def close(self):
        """Close, and then perhaps fail."""
        is_first = not self.closed
        super().close()
        if is_first and is_due("close"):
            give_error(PLAN["fail"]["error"])


def open_failing(file, mode="r", *rest, **more):
    """Open as ``open`` does; what is written in our folder goes through a failing file."""
    if not set(mode) & set("wax+") or not is_ours(file):
        return OPEN(file, mode, *rest, **more)
    given = dict(zip(("buffering", "encoding", "errors", "newline"), rest, strict=False)) | more
    raw = FailingFile(file, "".join(letter for letter in mode if letter not in "bt"))
    if given.get("buffering") == 0:
        return raw
    whole = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
    if "b" in mode:
        return whole
    words = {name: given.get(name) for name in ("encoding", "errors", "newline")}
    return io.TextIOWrapper(whole, **words, line_buffering=given.get("buffering") == 1)


def lack(place, name, error):
    """Put a call that always fails in the place of one that the file system has."""

    def refuse(*_, **__):
        give_error(error)

    setattr(place, name, refuse)


def watch_fsync():
    """Count, hit or fail at fsync, which no audit hook sees."""
    fsync = os.fsync

    def watched(descriptor):
        if is_ours(Path(f"/proc/self/fd/{descriptor}").readlink()):
            if "fail" in PLAN and is_due("fsync"):
                give_error(PLAN["fail"]["error"])
            meet("fsync", is_write=True)
        return fsync(descriptor)

    os.fsync = watched


def start():
    if os.getpid() == os.getpgid(0):
        time.sleep(PLAN.get("wait", 0))
    random.seed(f"{PLAN.get('seed', 0)} {os.getpid()}")
    watch_fsync()
    if "fail" in PLAN:
        io.open = builtins.open = open_failing
    for name, limit in PLAN.get("limits", {}).items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    for call, error in PLAN.get("lack", {}).items():
        lack(fcntl if call == "flock" else os, call, error)
    sys.addaudithook(watch)


if PLAN:
    start()
