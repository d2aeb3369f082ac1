"""Full, limited, broken disks, and too little memory: a message, the rest done, no harm later."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from faults import compare
from faults.kills import Scenario
from faults.running import Ended
from faults.trial import Trial

NOBODY = 65534
AS_OTHERS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner")
"""Runs a superuser's command as one whom the rights of files concern."""
FAILED = (1, 2, 3, 4, 5)
"""Exit codes of runs that say what was wrong."""
SAID = ("expected", "ERROR", "Error")
ROOM = 200_000_000
Place = Callable[[Path], AbstractContextManager[Callable[[], object]]]


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with the place of the results during a run."""

    name: str
    plan: dict[str, Any] = field(default_factory=dict)
    """For ``hook/sitecustomize.py``."""
    place: Place | None = None
    """Context around the run, called with the folder of results."""
    is_harmless: bool = False
    """Whether the run is to come to its end all the same, with the same results."""
    prefix: tuple[str, ...] = ()
    """Command that runs the command."""
    level: str = ""
    """Command that alone it concerns."""
    only: str = ""
    """Part of the paths that it concerns; what lies elsewhere is to be done."""


def list_faults(rng: random.Random) -> list[Fault]:
    """List every fault once; what needs a superuser is left out for others."""
    faults = [
        *(
            Fault("file size", {"limits": {"RLIMIT_FSIZE": kb * 1000}})
            for kb in (20, 50, 100, 400)
        ),
        *_failing_calls(rng),
        Fault("fsync EINVAL", {"lack": {"fsync": "EINVAL"}}, is_harmless=True),
        Fault("chmod EPERM", {"lack": {"chmod": "EPERM"}}, is_harmless=True),
        Fault("flock ENOLCK", {"lack": {"flock": "ENOLCK"}}, is_harmless=True),
        Fault("OUTPUT_DIR a file", place=partial(_file_instead, name=".")),
        Fault("logs a file", place=partial(_file_instead, name="logs")),
        Fault(
            "a participant's folder a file",
            place=partial(_file_instead, name="sub-02"),
            level="participant",  # for the group level such a participant is not there
            only="sub-02",
        ),
    ]
    if os.geteuid() == 0:
        faults += [
            *(Fault("full disk", place=partial(_small_disk, room=kb * 1000))
              for kb in (60, 120, 300, 700, 1500, 4000)),
            *(Fault("no inodes", place=partial(_small_disk, inodes=n)) for n in (5, 20, 60, 100)),
            Fault("a participant's full disk",
                  place=partial(_small_disk, room=100_000, name="sub-02"),
                  only="sub-02"),
            Fault("read-only", place=_read_only),
        ]  # fmt: skip
        if shutil.which(AS_OTHERS[0]):
            locks = partial(_other_users, pattern="*.lock")
            faults += [
                Fault("another user's", prefix=AS_OTHERS, place=_other_users),
                Fault("another user's locks", prefix=AS_OTHERS, place=locks, is_harmless=True),
            ]
    return faults


def list_memory_faults() -> list[Fault]:
    """List limits of memory, from too little to start with to enough."""
    return [
        Fault(f"memory {gb} GB", {"limits": {"RLIMIT_AS": int(gb * 1e9)}})
        for gb in (0.35, 0.5, 0.7, 1.0, 1.5)
    ]


def _failing_calls(rng: random.Random) -> Iterator[Fault]:
    for error, call, lasts in (
        ("EDQUOT", "write", True), ("EDQUOT", "close", True), ("EIO", "write", True),
        ("EIO", "write", False), ("EIO", "fsync", False), ("EIO", "fsync", True),
    ):  # fmt: skip
        for _ in range(2):
            fail = {
                "error": error,
                "call": call,
                "lasts": lasts,
                "k": int(10 ** rng.uniform(0, 2.5)),
            }
            yield Fault(f"{error} at {call}", {"fail": fail})
    lasting = {"error": "EIO", "call": "write", "lasts": True, "k": 1}
    yield Fault("a participant's folder EIO", {"fail": lasting, "within": "sub-02"}, only="sub-02")


def disturb(fault: Fault, scenario: Scenario, trial: Trial) -> None:
    """Run a command on a bad disk, then on a good one, and count what is wrong."""
    trial.start_from(scenario.before)
    words = scenario.words(trial.out)
    with (fault.place or _as_it_is)(trial.out) as mend:
        ended = trial.run(words, plan=fault.plan, prefix=fault.prefix)
        if trial.out.is_dir():
            trial.found["wrong"] += compare.list_halves(trial.out)
        trial.found["wrong"] += _list_silent(ended, scenario, trial.out)
        if fault.is_harmless and ended.code != 0:
            trial.found["lost"].append(f"ended with {ended.code}: {ended.text}")
        if fault.only:
            done = compare.read_results(trial.out)
            others = [name for name in scenario.wanted if fault.only not in name]
            trial.found["lost"] += [f"{name}: of others" for name in others if name not in done]
        mend()
        trial.run_whole(words)
        trial.compare(scenario.wanted)
    trial.end(f"{fault.name}: {scenario.name}")


def _list_silent(ended: Ended, scenario: Scenario, out: Path) -> list[str]:
    """Say where a run has not said what was wrong."""
    is_said = any(word in ended.text for word in SAID)
    if ended.code == 0:
        differences = compare.list_differences(scenario.wanted, compare.read_results(out))
        for kind, names in differences.items():
            # what is only kept to save time may be missing if that is said
            differences[kind] = [one for one in names if not (is_said and "/." in one)]
        return [f"without a word, {kind}: {names}" for kind, names in differences.items() if names]
    if is_said and ended.code in FAILED:
        return []
    return [f"ended with {ended.code}: {ended.text}"]


@contextmanager
def _as_it_is(_out: Path) -> Iterator[Callable[[], None]]:
    yield lambda: None


@contextmanager
def _file_instead(out: Path, *, name: str) -> Iterator[Callable[[], None]]:
    """Put a file where a folder is expected; what is there is kept meanwhile."""
    place, kept = out / name, out.with_name("kept")
    place.parent.mkdir(parents=True, exist_ok=True)
    has_old = place.exists()
    if has_old:
        place.rename(kept)
    place.write_text("no folder")

    def mend() -> None:
        place.unlink()
        if has_old:
            kept.rename(place)

    yield mend


@contextmanager
def _small_disk(
    out: Path, *, room: int = ROOM, inodes: int = 0, name: str = "."
) -> Iterator[Callable[[], None]]:
    """Mount a disk in memory that has so much room beside what is there."""
    place = out / name
    place.mkdir(parents=True, exist_ok=True)
    kept = out.with_name("kept")
    shutil.copytree(place, kept)
    options = f"size={ROOM}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "kraken-faults", place], check=True)
    try:
        shutil.copytree(kept, place, dirs_exist_ok=True)
        status = os.statvfs(place)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        limits = f"size={used + room}"
        if inodes:
            limits += f",nr_inodes={status.f_files - status.f_ffree + inodes}"
        subprocess.run(["mount", "-o", f"remount,{limits}", place], check=True)
        yield lambda: subprocess.run(
            ["mount", "-o", f"remount,{options},nr_inodes=100000", place], check=True
        )
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@contextmanager
def _read_only(out: Path) -> Iterator[Callable[[], None]]:
    with _small_disk(out):
        subprocess.run(["mount", "-o", "remount,ro", out], check=True)
        yield lambda: subprocess.run(["mount", "-o", "remount,rw", out], check=True)


@contextmanager
def _other_users(out: Path, *, pattern: str = "") -> Iterator[Callable[[], None]]:
    """Give the folder and what is in it, or files of a pattern, to somebody else."""
    out.mkdir(parents=True, exist_ok=True)

    def give(owner: int) -> None:
        for path in out.rglob(pattern) if pattern else [out, *out.rglob("*")]:
            os.chown(path, owner, owner)

    give(NOBODY)
    yield lambda: give(os.geteuid())
