"""The group level on cohorts of several sizes, first time and with nothing left to write.

Prints a table per turn: CPU seconds, peak memory of the main process, seconds of each stage, files
opened; the same of another checkout of this repository in the same run. Pages of participants are
left out: they cost the same for everyone. Usage: ``python benchmarks/bench_group.py
[--sizes 250 500 1000 2000] [--base CHECKOUT] [--conformance FOLDER]``.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

SIZES = (250, 500, 1000, 2000)
STAGES = (
    *("read_cohort", "warn_of_unlike", "collect_failures", "write_scores", "score_members"),
    *("judge_inputs", "write_judgement", "write_quality", "write_qcfc", "judge_people"),
    *("plan_cohort", "draw_cohort", "list_members", "build_group_page", "draw_group"),
)
"""Functions of the group level whose seconds are told; other checkouts may lack some."""
PAGES = ("draw_subjects", "draw_participants")
"""What draws participants' pages, by its name here and in other checkouts."""
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
HERE = Path(__file__).resolve()


def main() -> None:
    arguments = parse_arguments()
    if arguments.task:
        TASKS[arguments.task](*arguments.rest)
        return
    folder = Path(tempfile.mkdtemp(prefix="kraken_bench_", dir=arguments.folder))
    checkouts = {"ours": HERE.parents[1]}
    if arguments.base:
        checkouts["base"] = arguments.base.resolve()
    results: dict[tuple[str, int, str], dict[str, float]] = {}
    try:
        for size in arguments.sizes:
            for name, checkout in checkouts.items():
                output = folder / name
                given = [str(arguments.flavors), str(arguments.conformance or "")]
                call(HERE.parents[1], "data", str(folder), str(output), str(size), *given)
                for turn in ("first", "again"):
                    result = call(checkout, "group", str(folder / "bids"), str(output),
                                  str(folder / "model"), str(arguments.n_procs),
                                  *arguments.group_options.split())  # fmt: skip
                    results[name, size, turn] = result
                    print(name, size, turn, json.dumps(result), file=sys.stderr, flush=True)
                shutil.rmtree(output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report(results, list(checkouts), arguments.sizes)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="people")
    parser.add_argument("--flavors", type=int, choices=(5, 15), default=5, help="[%(default)s]")
    parser.add_argument("--base", type=Path, help="another checkout to compare with")
    parser.add_argument("--conformance", type=Path, help="real people and their model  [invented]")
    parser.add_argument("--n-procs", type=int, default=1, help="of the group level  [%(default)s]")
    parser.add_argument("--group-options", default="", help="words more of the group level")
    parser.add_argument("--folder", type=Path, help="where 1 MB per person fits  [temporary]")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


def call(checkout: Path, task: str, *words: str) -> dict[str, float]:
    """Run a task with the package of a checkout, in a process of its own."""
    environment = {**os.environ, **THREADS, "PYTHONPATH": str(checkout)}
    command = [sys.executable, str(HERE), "--task", task, "--", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def make_data(folder: str, output: str, size: str, *given: str) -> None:
    """Write an OUTPUT_DIR, and a model beside it unless it is there."""
    from group_data import FEW, make_seeds, read_seeds, write_model_of, write_people

    from kraken_bids.flavors import list_flavors, parse_flavor

    flavors, conformance = given
    names = ("hpf", "hpfgsr", "volnorm")
    wanted = tuple(map(parse_flavor, FEW)) if flavors == "5" else tuple(
        list_flavors(("fs86", "shen268", "coco439"), processings=names)
    )  # fmt: skip
    seeds = read_seeds(Path(conformance)) if conformance else make_seeds(wanted)
    model = Path(folder) / "model"
    if not model.exists() and conformance:
        shutil.copytree(conformance, model)
    elif not model.exists():
        write_model_of(seeds, model, 8)
    for place in (Path(folder) / "bids", Path(output) / "logs"):
        place.mkdir(parents=True, exist_ok=True)
    (Path(folder) / "bids" / "dataset_description.json").write_text(
        json.dumps({"Name": "invented", "BIDSVersion": "1.10.0"})
    )
    write_people(Path(output), seeds, range(1, int(size) + 1))
    print(json.dumps({}))


def run_group(bids: str, output: str, model: str, n_procs: str, *options: str) -> None:
    """Run the group level without the pages of participants, and print what it took."""
    from kraken_bids.cli import app

    seconds: dict[str, float] = {}
    begin = time.process_time()
    for module in import_levels():
        for name in STAGES:
            if hasattr(module, name):
                setattr(module, name, timed(name, getattr(module, name), seconds))
        for name in PAGES:
            if hasattr(module, name):
                setattr(module, name, lambda *_, **__: [])
    os.fsync = lambda _: None  # the disk is nobody's own here; workers wait for it
    n_calls = {"open": 0, "os.stat": 0, "os.listdir": 0, "os.scandir": 0}
    sys.addaudithook(lambda event, _: count(event, n_calls))
    weights = sorted(Path(model).glob("*chkpt*.pt"))
    given = [str(weights[0]), "--transforms", str(next(Path(model).glob("*ioxfm*.npy")))] if (
        weights
    ) else [model]  # fmt: skip
    options = ("--n-procs", n_procs, *options)
    sys.argv = ["kraken-bids", bids, output, "group", *options, "--model", *given]
    wall, code = time.perf_counter(), 0
    try:
        app.main()
    except SystemExit as error:
        code = int(error.code or 0)
    if code:
        raise SystemExit(code)
    workers = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = {
        "cpu": time.process_time() - begin + workers.ru_utime + workers.ru_stime,
        "wall": time.perf_counter() - wall,
    }
    print(json.dumps({**result, "peak": read_peak(), "opened": n_calls["open"], **seconds}))


def import_levels() -> list[ModuleType]:
    """Import the modules that carry the level out; checkouts cut them differently."""
    names = [f"kraken_bids.pipeline.{name}" for name in ("group", "levels")]
    return [import_module(name) for name in names if find_spec(name)]


def timed(name: str, function, seconds):  # type: ignore[no-untyped-def]
    """Give a function whose CPU seconds are added up by its name."""

    def call_it(*args, **kwargs):  # type: ignore[no-untyped-def]
        begin = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[name] = seconds.get(name, 0.0) + time.process_time() - begin

    return call_it


def count(event: str, n_calls: dict[str, int]) -> None:
    if event in n_calls:
        n_calls[event] += 1


def read_peak() -> float:
    """Largest resident set of this process alone, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def report(
    results: dict[tuple[str, int, str], dict[str, float]], names: list[str], sizes: list[int]
) -> None:
    """Print a table of the first run and one of that with nothing left to write."""
    for turn in ("first", "again"):
        rows = {key: found for key, found in results.items() if key[2] == turn}
        stages = [stage for stage in STAGES if any(stage in row for row in rows.values())]
        heads = ["people", "checkout", "CPU, s", "wall, s", "peak, MB", "opened", "CPU per double"]
        print(f"\n{turn}\n\n| {' | '.join([*heads, 'base / ours', *stages])} |")
        print("|---:|---|" + "---:|" * (len(heads) - 1 + len(stages)))
        for size in sizes:
            for name in names:
                row, half = rows[name, size, turn], rows.get((name, size // 2, turn))
                double = f"{row['cpu'] / half['cpu']:.2f}" if half else ""
                base = rows.get(("base", size, turn))
                ratio = f"{base['cpu'] / row['cpu']:.1f}" if base and name == "ours" else ""
                cells = [f"{row['cpu']:.1f}", f"{row['wall']:.1f}", f"{row['peak']:.0f}",
                         f"{row['opened']:.0f}", double, ratio]  # fmt: skip
                cells += [f"{row[one]:.2f}" if one in row else "" for one in stages]
                print(f"| {size} | {name} | {' | '.join(cells)} |")


TASKS = {"data": make_data, "group": run_group}

if __name__ == "__main__":
    main()
