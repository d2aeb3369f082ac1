"""What a child does: it reads damaged files, within its limits, and names what is a fault."""

import faulthandler
import logging
import os
import resource
import signal
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from fuzz.cases import InvalidResultError, Reader, Seed, make_case, run_case
from kraken_bids.exceptions import KrakenBidsError


@dataclass(frozen=True)
class Limits:
    """What a reader may take for one file."""

    seconds: float = 5.0
    n_bytes: int = 1 << 30
    """Address space beyond what the process has before it begins."""


@dataclass(frozen=True)
class Fault:
    """What a reader has done that it must not do."""

    reader: str
    case: int
    kind: str
    """Exception, ``hang``, ``crash (SIGSEGV)`` or ``exit (1)``."""
    place: str
    """The last lines of ours and of all on the way there."""
    seed: str
    """Name of the valid file that was damaged."""


@dataclass(frozen=True)
class Batch:
    """Some inputs of a reader, for one child."""

    reader: Reader
    start: int
    stop: int
    seed: int
    root: Path
    is_second_try: bool = False
    """Whether its first input took too long before, which may have been the machine's doing."""

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.root / f"{self.reader.name}-{self.start}"

    @property
    def stack(self) -> Path:
        """What faulthandler has to say of the end of the child."""
        return self.folder.with_name(f"{self.folder.name}.stack")


def work(batch: Batch, limits: Limits, faults: Connection, progress: Any) -> None:
    """Run the inputs of a batch, one after the other, and end the process.

    Parameters
    ----------
    batch : Batch
    limits : Limits
    faults : Connection
        Takes a Fault of each input that is one.
    progress : shared array of int
        Number of the case, when it began (ms), valid and refused ones so far.
    """
    reader, parent = batch.reader, os.getppid()
    with batch.stack.open("w") as file:
        _prepare(limits, file)
        for number in range(batch.start, batch.stop):
            progress[0], progress[1] = number, now_ms()
            if os.getppid() != parent:
                os._exit(1)  # nobody is there who would look after this
            chosen, content = make_case(reader, number, batch.seed)
            try:
                run_case(reader, batch.folder / str(number), chosen, content)
                progress[2] += 1
            except KrakenBidsError as error:
                if _ran_out_of_memory(error):
                    faults.send(_describe(reader, number, chosen, error, kind="over memory"))
                else:
                    progress[3] += 1
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                faults.send(_describe(reader, number, chosen, error))
        progress[0] = batch.stop
        os._exit(0)


def _prepare(limits: Limits, stack: IO[str]) -> None:
    os.setpgid(0, 0)  # what a reader starts ends with it
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(stack.fileno(), 2)
    faulthandler.enable(stack)
    faulthandler.register(signal.SIGUSR1, stack)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    now = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + limits.n_bytes, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def now_ms() -> int:
    """Time on a clock that all processes share."""
    return time.monotonic_ns() // 1_000_000


def _ran_out_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _describe(
    reader: Reader, number: int, chosen: Seed, error: BaseException, *, kind: str = ""
) -> Fault:
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno}" for frame in frames]
    kind = kind or type(error).__name__
    if isinstance(error, InvalidResultError):
        kind = f"invalid: {error}"
    return Fault(reader.name, number, kind, shorten(places), chosen.name)


def shorten(places: Sequence[str]) -> str:
    """Name the last places of this package and of all, most inner last."""
    ours = [place for place in places if "/kraken_bids/" in place]
    chosen = dict.fromkeys([*ours[-2:], *places[-1:]])
    return " > ".join("/".join(place.split("/")[-3:]) for place in chosen)
