"""Kills, crowds, bad disks, little memory: what of the results is lost, wrong or left behind.

Everything is made and written in a temporary folder. Prints one table, and ends with 1 unless all
is well; Ctrl-C prints that of what was tried so far. Usage: ``python benchmarks/bench_faults.py
[--quick] [--seed N] [--only kills,disk]``; ``--only cluster`` starts a SLURM of one node.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

from faults.cluster_kills import list_cluster_kills
from faults.disks import Fault, disturb, list_faults, list_memory_faults
from faults.kills import Scenario, kill, list_app_scenarios, list_tool_scenarios
from faults.races import KINDS, race, run_undisturbed
from faults.remeasure import make_reference, remeasure
from faults.slurm_node import SlurmNode, explain_absence, start_slurm
from faults.tally import Tally
from faults.trial import Trial
from faults.world import World, build_world

PARTS = ("kills", "races", "disk", "memory")
CLUSTER = "cluster"
"""Tried only where it is asked for: it needs SLURM's daemons and a superuser."""
N_REMEASURED = 22
"""Files of measured matrices behind which a run with other settings is killed."""
QUICK = 12
"""Disks and limits of memory that are tried in a hurry."""
Task = Callable[[], None]


def main() -> None:
    arguments = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background job ignores the latter,
        signal.signal(number, signal.default_int_handler)  # and so would all that it starts
    folder = Path(tempfile.mkdtemp(prefix="kraken_faults_", dir=arguments.folder))
    folder.chmod(0o755)
    tally = Tally()
    begin = time.monotonic()
    stack = ExitStack()
    try:
        node = start_node(arguments, stack)
        world = build_world(folder, seed=arguments.seed)
        tasks = list_tasks(world, arguments, tally, node)
        say(
            f"{len(tasks)} faults to come, {arguments.jobs} at a time; seed {arguments.seed}",
            begin,
        )
        with ThreadPoolExecutor(arguments.jobs) as pool:
            results = pool.map(partial(attempt, tally), tasks)
            try:
                for number, _ in enumerate(results, start=1):
                    if number % 20 == 0:
                        say(f"{number} done; all well: {tally.is_clean}", begin)
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)
                say("stopped: the table is of what was tried", begin)
    finally:
        stack.close()
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    say("end", begin)
    print(tally.describe())
    sys.exit(0 if tally.is_clean else 1)


def start_node(arguments: argparse.Namespace, stack: ExitStack) -> SlurmNode | None:
    """Start SLURM where its part is asked for; every command of this process finds it."""
    if CLUSTER not in arguments.only:
        return None
    if reason := explain_absence():
        sys.exit(reason)
    node = stack.enter_context(start_slurm())
    os.environ.update(node.environment)
    return node


def attempt(tally: Tally, task: Task) -> None:
    """Try one fault; an error of this script ends none of the others, and is not passed over."""
    try:
        task()
    except Exception as error:  # noqa: BLE001 - any
        tally.add("this script", {"wrong": [f"{type(error).__name__}: {error}"]}, injected=0)


def say(text: str, begin: float) -> None:
    print(f"{time.monotonic() - begin:6.0f} s: {text}", file=sys.stderr, flush=True)


def list_tasks(
    world: World, arguments: argparse.Namespace, tally: Tally, node: SlurmNode | None
) -> list[Task]:
    """List everything that is to be tried, in a mixed order."""
    rng = random.Random(arguments.seed)
    numbers = count()

    def begin() -> Trial:
        # with numbers of its own, so that the order of faults does not matter
        return Trial(world.folder / f"fault{next(numbers)}", random.Random(rng.random()), tally)

    tasks: list[Task] = []
    app = list_app_scenarios(world) if {"kills", "disk", "memory"} & set(arguments.only) else []
    if "kills" in arguments.only:
        scenarios = [*app, *list_tool_scenarios(world)]
        drawn = draw_kills(scenarios, arguments.kills, rng)
        tasks += [partial(kill, scenario, way, begin()) for scenario, way in drawn]
        otherwise = prepare_otherwise(world, app)
        for k in range(1, 1 + N_REMEASURED, 6 if arguments.quick else 1):
            tasks.append(partial(remeasure, world, k, otherwise, begin()))
    if "races" in arguments.only:
        wanted = {
            is_crowded: run_undisturbed(
                world, world.folder / f"both-{is_crowded}", is_crowded=is_crowded
            )
            for is_crowded in (False, True)
        }
        for number in range(arguments.races):
            kind = list(KINDS)[number % len(KINDS)]
            tasks.append(partial(race, world, kind, wanted, begin()))
    if node is not None:
        kills = list_cluster_kills(world, node, arguments.cluster_kills)
        tasks += [partial(one, begin()) for one in kills]
    disturbed = list_disturbed(app, arguments, rng, tally)
    tasks += [partial(disturb, fault, scenario, begin()) for fault, scenario in disturbed]
    rng.shuffle(tasks)
    return tasks


def list_disturbed(
    app: Sequence[Scenario], arguments: argparse.Namespace, rng: random.Random, tally: Tally
) -> list[tuple[Fault, Scenario]]:
    """List disks and limits of memory, each with every command that meets it."""
    found: list[tuple[Fault, Scenario]] = []
    if "disk" in arguments.only:
        inline = [scenario for scenario in app if scenario.n_procs == 1]
        faults = list_faults(rng)
        found += [(f, s) for f in faults for s in inline if f.level in {"", s.name}]
        if os.geteuid() != 0:
            tally.notes.append("Not tried, for want of a superuser: full disks, inodes, users.")
    if "memory" in arguments.only:
        found += [(fault, scenario) for fault in list_memory_faults() for scenario in app]
    return rng.sample(found, min(QUICK, len(found))) if arguments.quick else found


def prepare_otherwise(world: World, app: Sequence[Scenario]) -> tuple[Path, dict[str, bytes]]:
    """Copy a finished folder, and say what it is once all is measured otherwise."""
    before = world.folder / "before"
    shutil.copytree(next(s.before for s in app if s.before is not None), before)
    return before, make_reference(world, world.folder / "otherwise", before)


def draw_kills(
    scenarios: Sequence[Scenario], n_kills: int, rng: random.Random
) -> list[tuple[Scenario, str]]:
    """Draw every command and way about as often, those of the app more often than the tools."""
    pairs: list[tuple[Scenario, str]] = []
    while len(pairs) < n_kills:
        grid = [(scenario, way) for scenario in scenarios for way in scenario.ways]
        grid = [
            (s, way) for s, way in grid if not s.name.startswith("tools") or rng.random() < 0.4
        ]
        rng.shuffle(grid)
        pairs += grid
    return pairs[:n_kills]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=None, metavar="N", help="[200]")
    parser.add_argument("--races", type=int, default=None, metavar="N", help="[100]")
    parser.add_argument("--cluster-kills", type=int, default=20, metavar="N", help="[20]")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS))
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time [2]")
    parser.add_argument("--quick", action="store_true", help="two minutes: a few of each kind")
    parser.add_argument("--folder", help="where the temporary folder is made")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder")
    arguments = parser.parse_args()
    if unknown := set(arguments.only) - {*PARTS, CLUSTER}:
        parser.error(
            f"--only: expected some of {','.join((*PARTS, CLUSTER))}; found {','.join(unknown)}"
        )
    few = arguments.quick
    arguments.kills = arguments.kills if arguments.kills is not None else 12 if few else 200
    arguments.races = arguments.races if arguments.races is not None else 4 if few else 100
    return arguments


if __name__ == "__main__":
    main()
