"""Runs that are killed somewhere, then run again: nothing may come out otherwise."""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faults import compare
from faults.running import WAYS, Ended, Hit, run
from faults.trial import Trial
from faults.world import World

EVENTS = ("open", "rename", "fsync")
TRIES = 6
"""Until a hit comes before the end."""
TWICE = 0.25
"""Share that is killed again before it may end."""


@dataclass(frozen=True)
class Scenario:
    """A command that can be killed, and what it makes when it is not."""

    name: str
    words: Callable[[Path], list[str]]
    """By the folder of results."""
    before: Path | None
    """What stands in that folder at first."""
    n_procs: int
    """0: the command has none but its own."""
    wanted: dict[str, bytes]
    seconds: float
    n_events: dict[str, int]

    @property
    def ways(self) -> list[str]:
        """Ways to kill it that make a difference."""
        return [way for way, (_, whom) in WAYS.items() if self.n_procs or whom != "worker"]


def make_scenario(
    name: str,
    words: Callable[[Path], list[str]],
    folder: Path,
    *,
    before: Path | None = None,
    n_procs: int = 0,
) -> Scenario:
    """Run a command twice undisturbed, and keep what it makes, how long it takes, what it opens.

    Raises
    ------
    AssertionError
        If it fails, or does not make the same twice.
    """
    results = []
    for turn, plan in (("whole", {}), ("counted", {"count": True})):
        out = folder / turn
        if before is not None:
            shutil.copytree(before, out)
        ended = run(words(out), folder / f"{turn}-runs", plan=plan and {"root": str(out), **plan})
        assert ended.code == 0, f"{name}: {ended.text}"
        results.append((compare.read_results(out), ended.seconds))
    (wanted, seconds), (again, _) = results
    found = compare.list_differences(wanted, again)
    assert not any(found.values()), f"{name} is not the same twice: {found}"
    (counters,) = (folder / "counted-runs").iterdir()
    n_events = {event: _size(counters / event) for event in EVENTS}
    return Scenario(name, words, before, n_procs, wanted, seconds, n_events)


def list_app_scenarios(world: World) -> list[Scenario]:
    """List both levels, both formats; one process, and two of two threads each."""
    found = []
    measured: dict[str, Path] = {}
    for form in ("tsv", "h5"):
        for n_procs in (1, 2):
            # processes and threads of each: both are to end
            parallel = ("--n-procs", str(n_procs), "--omp-nthreads", str(n_procs))
            options = ("--output-format", form, *parallel)
            folder = world.folder / f"participant-{form}-{n_procs}"
            found.append(
                make_scenario(
                    "participant",
                    lambda out, options=options: world.participant(out, *options),
                    folder,
                    n_procs=n_procs,
                )
            )
            before = measured.setdefault(form, folder / "whole")
            found.append(
                make_scenario(
                    "group",
                    lambda out, options=options: world.group(out, *options),
                    world.folder / f"group-{form}-{n_procs}",
                    before=before,
                    n_procs=n_procs,
                )
            )
        found.append(_make_crowded(world, form, measured[form]))
    return found


def _make_crowded(world: World, form: str, measured: Path) -> Scenario:
    """Make a group of so many that predictions are calibrated."""
    folder = world.folder / f"crowded-{form}"
    before = folder / "before"
    shutil.copytree(measured, before)
    shutil.copytree(world.crowd, before, dirs_exist_ok=True)
    options = ("--output-format", form, "--n-procs", "2")
    scenario = make_scenario(
        "group, calibrated",
        lambda out: world.group(out, *options),
        folder,
        before=before,
        n_procs=2,
    )
    assert any("krakencal" in path for path in scenario.wanted)
    return scenario


def list_tool_scenarios(world: World) -> list[Scenario]:
    """List what ``kraken-tools`` writes files with."""
    tables = [f"{path.stem}={path}" for path in sorted((world.folder / "tables").iterdir())]
    common = ["--model", str(world.model)]
    scenarios = []

    def add(name: str, words: Callable[[Path], list[object]]) -> None:
        command = name.partition(" ")[0]
        folder = world.folder / f"tools-{name.replace(' ', '-').replace('.', '')}"
        scenarios.append(
            make_scenario(
                f"tools {command}",
                lambda out: ["kraken-tools", command, *map(str, words(out))],
                folder,
            )
        )

    for ending in ("x.npz", "x.h5", "x.mat", "x.zip", "x"):
        add(f"predict {ending}", lambda out, ending=ending: [
            *common, "--input", *tables, "--output", out / ending,
            "--save-adaptation", out / "adaptation.h5", "--adaptation-mode", "meanshift",
        ])  # fmt: skip
    predicted = world.folder / "tools-predict-xnpz" / "whole" / "x.npz"
    add("evaluate", lambda out: [
        "--predicted", predicted, "--observed", *tables, "--output", out / "x.tsv",
        "--figure", out / "x.png", "--permutations", 200, "--bootstraps", 200,
    ])  # fmt: skip
    person = world.bids / "derivatives" / "fmriprep" / "sub-01"
    stem = f"{person}/func/sub-01_task-rest_run-01"
    labels = f"fs86={person}/anat/sub-01_desc-aparcaseg_dseg.nii.gz"
    add("fc", lambda out: [
        f"{stem}_space-T1w_desc-preproc_bold.nii.gz", "--labels", labels,
        "--confounds", f"{stem}_desc-confounds_timeseries.tsv", "--output-dir", out,
    ])  # fmt: skip
    tracks = world.bids / "derivatives" / "qsirecon" / "sub-03" / "dwi"
    add("sc", lambda out: [
        next(tracks.glob("*streamlines.tck.gz")), "--labels",
        f"fs86={next(tracks.glob('*dseg.nii.gz'))}", "--metric", "count", "volnorm",
        "--out-assignments", "--output-dir", out,
    ])  # fmt: skip
    add("convert", lambda out: [world.model, "--output", out / "model"])
    return scenarios


def kill(scenario: Scenario, way: str, trial: Trial) -> None:
    """Kill a command once or twice, let it run to its end, and count what is wrong."""
    n_hit = 0
    for _ in range(TRIES):
        trial.start_from(scenario.before)
        for _ in range(2 if trial.rng.random() < TWICE else 1):
            ended = trial.run(scenario.words(trial.out), hit=_draw_hit(scenario, way, trial.rng))
            n_hit += ended.is_hit
            if ended.is_hit:
                trial.found["wrong"] += compare.list_halves(trial.out)
                _judge_survivors(ended, way, trial)
        if n_hit:
            break
    trial.run_whole(scenario.words(trial.out))
    trial.compare(scenario.wanted)
    trial.found["wrong"] += compare.list_unverified(trial.out)
    trial.end(f"kill {scenario.name}: {way}", injected=n_hit)


def _judge_survivors(ended: Ended, way: str, trial: Trial) -> None:
    """Where a worker was killed, the others go on: at most its participant may fail."""
    if WAYS[way][1] != "worker":
        return
    if ended.code not in {0, 1}:
        trial.found["lost"].append(f"ended with {ended.code}: {ended.text}")
        return
    rows = (trial.out / "logs" / "failures.tsv").read_text().splitlines()[1:]
    trial.found["lost"] += sorted({row.partition("\t")[0] for row in rows})[1:]


def _draw_hit(scenario: Scenario, way: str, rng: random.Random) -> Hit:
    events = [event for event in EVENTS if scenario.n_events[event]]
    if rng.random() < 0.5 and events:
        event = rng.choice(events)
        return Hit(way, event=(event, rng.randint(1, scenario.n_events[event])))
    return Hit(way, after=rng.uniform(0, scenario.seconds))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
