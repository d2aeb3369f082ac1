"""Runs whose jobs compute on SLURM: jobs, or the run itself, are killed somewhere on the way."""

import contextlib
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from faults import compare
from faults.kills import Scenario, make_scenario
from faults.running import Hit
from faults.slurm_node import SlurmNode
from faults.trial import Trial
from faults.world import World

JOBS = {
    "SIGKILL a job": ("--full", "--signal=KILL"),
    "cancel a job": (),
    "SIGTERM a job": ("--full", "--signal=TERM"),
}
"""Words of ``scancel``: what runs in a job goes on in another, and nobody fails."""
MAIN = ("SIGKILL main", "SIGTERM main", "SIGINT main")
AFTER_S = 120.0
"""Time in which the jobs of a run that was killed have to end.

One that starts after the death of its run looks for it during a minute (``--death-timeout``).
"""
LONGER = 3.0
"""A run takes so many times as long as on one machine: its jobs have to start."""


@dataclass(frozen=True)
class Site:
    """A cluster, and the command that runs on it."""

    world: World
    node: SlurmNode
    scenario: Scenario
    """The same without the cluster."""


def list_cluster_kills(
    world: World, node: SlurmNode, n_kills: int
) -> list[Callable[[Trial], None]]:
    """List kills of runs of the participant level, every way about as often."""
    scenario = make_scenario(
        "participant",
        lambda out: world.participant(out, "--n-procs", "2"),
        world.folder / "participant-local",
        n_procs=2,
    )
    ways, site = [*JOBS, *MAIN], Site(world, node, scenario)
    return [partial(kill_on_cluster, site, ways[k % len(ways)]) for k in range(n_kills)]


def kill_on_cluster(site: Site, way: str, trial: Trial) -> None:
    """Kill once, let it run to its end, and count what is wrong."""
    trial.patience = AFTER_S  # processes of jobs end as the scheduler ends them
    trial.start_from(None)
    words = site.world.participant(
        trial.out, "--scheduler", "slurm", "--n-procs", "2", "--mem-gb", "2",
        "--walltime", "00:30:00",
    )  # fmt: skip
    before = set(site.node.list_jobs())
    after = trial.rng.uniform(0, LONGER * site.scenario.seconds)
    if way in MAIN:
        n_hit = int(trial.run(words, hit=Hit(way, after=after)).is_hit)
    else:
        with ThreadPoolExecutor(1) as pool:
            hit = pool.submit(_kill_job, site, JOBS[way], after / LONGER, before)
            ended = trial.run(words)
        n_hit = int(hit.result())
        if ended.code != 0:
            trial.found["lost"].append(f"ended with {ended.code}: {ended.text[-2000:]}")
    trial.found["wrong"] += compare.list_halves(trial.out)
    _wait_for_end(site.node, before, trial)
    trial.run_whole(words)
    trial.compare(site.scenario.wanted)
    _wait_for_end(site.node, before, trial)
    trial.end(f"on SLURM: {way}", injected=n_hit)


def _kill_job(site: Site, how: tuple[str, ...], after: float, before: set[str]) -> bool:
    """End a job of the run some time after one runs; False where none was there any more."""
    end = time.monotonic() + AFTER_S
    while time.monotonic() < end:
        states = site.node.list_jobs()
        jobs = [job for job, state in states.items() if state == "RUNNING" and job not in before]
        if jobs:
            time.sleep(after)
            with contextlib.suppress(AssertionError):  # it has just ended
                site.node.run("scancel", *how, random.choice(sorted(jobs)))
                return True
        time.sleep(0.2)
    return False


def _wait_for_end(node: SlurmNode, before: set[str], trial: Trial) -> None:
    """Wait for the jobs of the run; name, and cancel, those that are there after that."""
    end = time.monotonic() + AFTER_S
    while left := set(node.list_jobs()) - before:
        if time.monotonic() > end:
            trial.found["processes left"] += [f"job {job}" for job in sorted(left)]
            node.run("scancel", *sorted(left))
            return
        time.sleep(0.5)
