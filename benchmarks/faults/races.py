"""Both levels at once on slow files: what stands at the end must not contradict itself."""

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults import compare
from faults.running import Ended, run
from faults.trial import Trial
from faults.world import World

SLOW_S = 0.06
"""Most that a file is slower."""
NOBODY_YET = 3
"""How a group ends that starts before the first participant is measured."""
KINDS = {
    "other participants": ((), False, False),
    "the same participants": ((), False, False),
    "the same participants, --force": (("--force",), False, False),
    "group beside participants": ((), True, False),
    "group beside participants, --force": (("--force",), True, False),
    "group beside a participant job each": ((), True, False),
    "group beside participants, calibrated": ((), True, True),
    "group beside participants, calibrated, --force": (("--force",), True, True),
}
"""Words of participant jobs; whether a group runs beside them, and others are there already."""
Reference = tuple[Path, dict[str, bytes]]
"""What stands after both levels, and its contents."""


def run_undisturbed(world: World, folder: Path, *, is_crowded: bool) -> Reference:
    """Run both levels twice, one after the other."""
    out = folder / "out"
    if is_crowded:
        shutil.copytree(world.crowd, out)
    for words in [world.participant(out), world.group(out)] * 2:
        ended = run(words, folder / "runs")
        assert ended.code == 0, ended.text
    assert not compare.list_contradictions(out), compare.list_contradictions(out)
    assert is_crowded == (out / "group" / "calibration.h5").exists()
    return out, compare.read_results(out)


def race(world: World, kind: str, references: Mapping[bool, Reference], trial: Trial) -> None:
    """Run jobs at once on slow files, then both levels by themselves; count what differs."""
    words, has_group, is_crowded = KINDS[kind]
    whole, wanted = references[is_crowded]
    begin = world.crowd if is_crowded else None
    trial.start_from(whole if "--force" in words or trial.rng.random() < 0.3 else begin)
    jobs = [world.participant(trial.out, *words, people=who) for who in _share(world, kind)]
    jobs += [world.group(trial.out)] * has_group
    for job, ended in zip(jobs, _run_at_once(jobs, trial), strict=True):
        is_early = job[3] == "group" and ended.code == NOBODY_YET
        if ended.code != 0 and not is_early:
            trial.found["lost"].append(f"{job[3]} ended with {ended.code}: {ended.text}")
    for job in [world.participant(trial.out), world.group(trial.out)] * 2:
        trial.run_whole(job)
    trial.compare(wanted)
    trial.found["wrong"] += compare.list_contradictions(trial.out)
    trial.end(f"race: {kind}")


def _share(world: World, kind: str) -> list[tuple[str, ...]]:
    """Participants of each job."""
    if kind.startswith("the same"):
        return [world.people] * 2
    if kind.startswith("group beside participants"):
        return [world.people]
    return [(label,) for label in world.people]


def _run_at_once(jobs: Sequence[list[str]], trial: Trial) -> list[Ended]:
    """Start jobs within some seconds of each other; wait for all."""
    waits = [0.0, *(trial.rng.uniform(0, 3) for _ in jobs[1:])]
    plans = [{"slow": SLOW_S, "seed": trial.rng.random(), "wait": wait} for wait in waits]
    with ThreadPoolExecutor(len(jobs)) as pool:
        ends = [
            pool.submit(trial.run, job, plan=plan) for job, plan in zip(jobs, plans, strict=True)
        ]
        return [end.result() for end in ends]
