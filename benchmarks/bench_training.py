"""Training: seconds per epoch against the published loop written plainly, and what comes out.

``python benchmarks/bench_training.py`` prints the table of speed; ``--quality`` that of planted
cohorts (schedules against each other, the group mean and partial least squares), ``--conformance
FOLDER`` that of the cohort with which the reference's own training is known. With ``--device
cuda`` speed is that of a GPU, of both loops.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from training_peer import PlainLoop
from training_quality import Split, plant_cohort, read_conformance, read_reference

from kraken_bids.models.krakencoder.training import Trainer, TrainingData, TrainingSettings

MAX_SECONDS, MIN_JOINT, MIN_PATHS = 0.5, 7.0, 5.0
"""Targets: of a joint epoch, and how many times faster than the plain loop."""

PAUSE = 0.2
"""Seconds."""


@dataclass(frozen=True)
class Size:
    """How large a training is."""

    n_flavors: int
    n_subjects: int
    width: int
    n_latent: int
    batch_size: int
    dropout: float


SIZES = {
    "small": Size(5, 12, 10, 16, 4, 0.1),
    "published": Size(15, 710, 256, 128, 41, 0.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", action="store_true", help="planted cohorts")
    parser.add_argument("--conformance", type=Path, metavar="FOLDER", help="the known cohort")
    parser.add_argument("--epochs", type=int, default=320, help="of --quality  [%(default)s]")
    parser.add_argument("--seeds", type=int, default=5, help="how many  [%(default)s]")
    parser.add_argument("--device", default="cpu", help="of speed  [%(default)s]")
    arguments = parser.parse_args()
    if arguments.quality:
        compare_quality(arguments.epochs, arguments.seeds)
    elif arguments.conformance:
        compare_conformance(arguments.conformance, arguments.seeds)
    else:
        compare_speed(arguments.device)


def compare_speed(device: str) -> None:
    """Print seconds per epoch, ours and the plain loop's turn by turn."""
    heads = (
        "training | schedule | wall, s | CPU, s | plain loop: wall, s | CPU, s | times | target"
    )
    print(f"| {heads} |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for name, schedule, repeats, least in (
        ("small", "paths", 20, MIN_PATHS),
        ("published", "joint", 2, MIN_JOINT),
    ):
        size = SIZES[name]
        inputs = make_inputs(size)
        settings = TrainingSettings(
            latent_size=size.n_latent,
            dropout=size.dropout,
            batch_size=size.batch_size,
            schedule=schedule,
            device=device,
        )
        design = settings.design({k: rows.shape[1] for k, rows in inputs.items()}, {})
        ours = Trainer(design, TrainingData(inputs), settings)
        plain = PlainLoop(
            list(inputs.values()),
            n_latent=size.n_latent,
            dropout=size.dropout,
            batch_size=size.batch_size,
            device=device,
        )
        (wall, cpu), (plain_wall, plain_cpu) = take_turns(
            [ours.run_epoch, plain.run_epoch], repeats
        )
        label = f"{size.n_flavors**2} paths, {size.n_subjects} people, {size.width} components"
        print(
            f"| {label} | {schedule} | {wall:.4f} | {cpu:.4f} | {plain_wall:.3f} | "
            f"{plain_cpu:.3f} | {plain_wall / wall:.1f} (CPU {plain_cpu / cpu:.1f}) | {least:g} |",
            flush=True,
        )
    print(f"\nTarget of the joint epoch: {MAX_SECONDS} s on two quiet cores.")


def make_inputs(size: Size) -> dict[str, np.ndarray]:
    """Noise, of the length that reduced connectomes have."""
    rng = np.random.default_rng(0)
    shape = (size.n_subjects, size.width)
    scale = 100 / np.prod(shape) ** 0.5
    return {
        f"FC{k}_any_hpf": (rng.normal(size=shape) * scale).astype(np.float32)
        for k in range(size.n_flavors)
    }


def take_turns(
    functions: Iterable[Callable[[], object]], repeats: int
) -> list[tuple[float, float]]:
    """Median seconds of wall clock and of CPU, after one call of each that does not count.

    Before each turn it is quiet for a moment: threads of torch go on spinning after theirs.
    """
    functions = list(functions)
    spent: list[list[tuple[float, float]]] = [[] for _ in functions]
    for turn in range(repeats + 1):
        for function, costs in zip(functions, spent, strict=True):
            time.sleep(PAUSE)
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            if turn:
                costs.append((time.perf_counter() - wall, time.process_time() - cpu))
    return [
        (statistics.median(w for w, _ in costs), statistics.median(c for _, c in costs))
        for costs in spent
    ]


def compare_quality(n_epochs: int, n_seeds: int) -> None:
    """Print validation metrics of planted cohorts, the mean over seeds, each at its best epoch."""
    every = max(1, n_epochs // 16)
    found: dict[str, list[list[dict[tuple[str, str], float]]]] = {}
    for seed in range(n_seeds):
        order = np.random.default_rng(seed).permutation(200)
        train, validation = order[:160], order[160:]
        split = Split(plant_cohort(200, seed), train, "pca64")
        found.setdefault("group mean", []).append(
            [split.judge(lambda _s, _t, rows: np.zeros((len(rows), 64)), validation)]
        )
        found.setdefault("PLS", []).append([split.judge(split.predict_by_pls(), validation)])
        for name, changes in SCHEDULES.items():
            settings = replace(PLANTED, n_epochs=n_epochs, seed=seed, **changes)
            trainer, seen = split.start(settings), []
            for epoch in range(1, n_epochs + 1):
                trainer.run_epoch()
                if epoch % every == 0:
                    seen.append(split.judge(split.predict_by(trainer), validation))
            found.setdefault(name, []).append(seen)
    print(
        f"{n_seeds} planted cohorts of 200 people, 160 to learn from, paths across modalities.\n"
    )
    columns = [(s, m) for s in ("edge", "transform") for m in ("average rank", "demeaned r")]
    heads = [f"{metric}, {space} space" for space, metric in columns]
    print("| model | best at epoch | " + " | ".join(heads) + " |")
    print("|---|---:|" + "---:|" * len(columns))
    for name, seeds in found.items():
        ranks = np.mean([[seen["edge", "average rank"] for seen in run] for run in seeds], axis=0)
        best = int(np.argmax(ranks))
        cells = [f"{np.mean([run[best][key] for run in seeds]):.3f}" for key in columns]
        epoch = str((best + 1) * every) if len(ranks) > 1 else "–"
        print(f"| {name} | {epoch} | " + " | ".join(cells) + " |", flush=True)


PLANTED = TrainingSettings(latent_size=32, batch_size=41, device="cpu")
SCHEDULES: Mapping[str, dict[str, object]] = {
    "joint": {"schedule": "joint"},
    "path by path": {"schedule": "paths"},
    "path by path, learning rate 3e-4": {"schedule": "paths", "learning_rate": 3e-4},
}


def compare_conformance(folder: Path, n_seeds: int) -> None:
    """Print metrics of the known cohort beside those of the reference's own model of it."""
    edges, people = read_conformance(folder)
    split = Split(edges, people["train"], "pca10")
    recipe = TrainingSettings(latent_size=16, dropout=0.1, batch_size=4, device="cpu")
    reference, predict = read_reference(folder, split)
    known = {who: reference.judge(predict, rows, across=False) for who, rows in people.items()}
    print(f"{n_seeds} seeds, mean and standard deviation over them; mean over 25 paths.\n")
    print("| schedule | people | space | metric | reference | ours |")
    print("|---|---|---|---|---:|---:|")
    # the rate of the known model, and as many times that as the defaults of the schedules differ
    for schedule, rate in (("paths", 1e-3), ("joint", 1e-2)):
        runs = []
        for seed in range(n_seeds):
            settings = replace(recipe, schedule=schedule, learning_rate=rate, seed=seed)
            trainer = split.start(settings)
            for _ in range(150):
                trainer.run_epoch()
            predict = split.predict_by(trainer)
            runs.append({k: split.judge(predict, who, across=False) for k, who in people.items()})
        for who, (space, metric) in product(people, runs[0]["train"]):
            values = [run[who][space, metric] for run in runs]
            cells = (
                f"{known[who][space, metric]:.3f} | {np.mean(values):.3f} ± {np.std(values):.3f}"
            )
            print(f"| {schedule} | {who} | {space} | {metric} | {cells} |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of partial least squares that have converged
    main()
