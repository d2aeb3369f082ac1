"""Runs readers on damaged files in children that may crash, hang or ask for too much memory."""

import logging
import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from fuzz.cases import InvalidResultError, Reader, make_case, run_case
from fuzz.child import Batch, Fault, Limits, now_ms, shorten, work

FORK = get_context("fork")
BATCH = 2000
"""Inputs per child: what a reader leaves open or in memory does not add up."""
POLL_S = 0.05


@dataclass
class Tally:
    """What became of the inputs of a reader."""

    n_inputs: int = 0
    n_valid: int = 0
    n_refused: int = 0
    seconds: float = 0.0
    """That its children took."""
    faults: list[Fault] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Inputs per second of one child."""
        return self.n_inputs / self.seconds if self.seconds else 0.0

    def list_distinct(self) -> list[tuple[Fault, int]]:
        """One fault of each kind and place, and how many there are."""
        found: dict[tuple[str, str], list[Fault]] = {}
        for fault in self.faults:
            found.setdefault((fault.kind, fault.place), []).append(fault)
        return [(several[0], len(several)) for several in found.values()]


@dataclass
class _Child:
    batch: Batch
    process: BaseProcess
    faults: Connection
    progress: Any
    """Shared: number of the case, when it began (ms), valid and refused ones so far."""
    began: float = field(default_factory=time.monotonic)


def run_readers(
    readers: Iterable[Reader],
    *,
    folder: Path,
    n_inputs: int,
    seed: int,
    n_procs: int = 1,
    limits: Limits | None = None,
) -> Iterator[tuple[str, Tally]]:
    """Give every reader so many damaged files.

    Parameters
    ----------
    readers : iterable of Reader
    folder : Path
        For the files; best in memory.
    n_inputs : int
        Of each reader.
    seed : int
        The same gives the same files.
    n_procs : int
        Children at once.
    limits : Limits, optional

    Yields
    ------
    tuple of str and Tally
        Name of a reader that has had them all, and what became of them.

    Raises
    ------
    InvalidResultError
        If a reader refuses a valid file.
    """
    readers = list(readers)
    for reader in readers:
        _check_seeds(reader, folder)
    tallies = {reader.name: Tally() for reader in readers}
    waiting = deque(
        Batch(reader, start, min(start + BATCH, n_inputs), seed, folder)
        for reader in readers
        for start in range(0, n_inputs, BATCH)
    )
    running: list[_Child] = []
    limits = limits or Limits()
    while waiting or running:
        while waiting and len(running) < n_procs:
            running.append(_start(waiting.popleft(), limits))
        wait([child.process.sentinel for child in running], POLL_S)
        for child in list(running):
            left = _attend(child, tallies[child.batch.reader.name], limits)
            if left is None:
                continue
            running.remove(child)
            waiting.extendleft(left)
            name = child.batch.reader.name
            busy = (*waiting, *(one.batch for one in running))
            if all(batch.reader.name != name for batch in busy):
                yield name, tallies[name]


def _check_seeds(reader: Reader, folder: Path) -> None:
    logging.disable(logging.CRITICAL)
    try:
        for number, chosen in enumerate(reader.seeds):
            try:
                run_case(reader, folder / f"{reader.name}-seed{number}", chosen, chosen.content)
            except Exception as error:
                raise InvalidResultError(f"{reader.name}: {chosen.name}: {error!r}") from error
    finally:
        logging.disable(logging.NOTSET)


def _start(batch: Batch, limits: Limits) -> _Child:
    receiver, sender = FORK.Pipe(duplex=False)
    progress = FORK.RawArray("q", [batch.start, now_ms(), 0, 0])
    process = FORK.Process(target=work, args=(batch, limits, sender, progress))
    process.start()
    sender.close()
    return _Child(batch, process, receiver, progress)


def _attend(child: _Child, tally: Tally, limits: Limits) -> list[Batch] | None:
    """Look after a child; once it has ended, give what is left of its batch to do."""
    batch, number = child.batch, int(child.progress[0])
    # a machine that has others to serve too takes longer
    patience = limits.seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    is_late = now_ms() - child.progress[1] > 1000 * patience
    if child.process.is_alive() and not is_late:
        tally.faults += _receive(child)
        return None
    is_late = is_late and child.process.is_alive()
    _end(child)
    number = int(child.progress[0])
    tally.faults += _receive(child)
    tally.n_valid += child.progress[2]
    tally.n_refused += child.progress[3]
    is_done = number == batch.stop and child.process.exitcode == 0
    left = [] if is_done else [replace(batch, start=number + 1, is_second_try=False)]
    if not is_done and is_late and not (batch.is_second_try and number == batch.start):
        # once may be a moment when the machine was busy
        left = [replace(batch, start=number, is_second_try=True)]
    elif not is_done:
        how = "hang" if is_late else _explain_end(child.process.exitcode)
        chosen, _ = make_case(batch.reader, number, batch.seed)
        place = _read_stack(batch.stack)
        tally.faults.append(Fault(batch.reader.name, number, how, place, chosen.name))
    tally.n_inputs += (left[0].start if left else batch.stop) - batch.start
    tally.seconds += time.monotonic() - child.began
    batch.stack.unlink(missing_ok=True)
    return [one for one in left if one.start < one.stop]


def _end(child: _Child) -> None:
    """End a child, and whatever it has started; a late one first says where it is."""
    process = child.process
    if process.is_alive() and process.pid is not None:
        os.kill(process.pid, signal.SIGUSR1)
        process.join(0.3)
    if process.pid is not None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.join()
    shutil.rmtree(child.batch.folder, ignore_errors=True)


def _receive(child: _Child) -> Iterator[Fault]:
    try:
        while child.faults.poll():
            yield child.faults.recv()
    except (EOFError, OSError):
        return


def _explain_end(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"crash ({signal.Signals(-exit_code).name})"
    return f"exit ({exit_code})"


def _read_stack(path: Path) -> str:
    """Places that faulthandler names, most inner last."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    found = [line.split('"') for line in lines if line.strip().startswith('File "')]
    places = [f"{parts[1]}:{parts[2].split()[2].rstrip(',')}" for parts in found if len(parts) > 2]
    return shorten(places[::-1])
