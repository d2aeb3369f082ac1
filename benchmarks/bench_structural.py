"""``kraken-tools sc`` against MRtrix's ``tck2connectome``, whole process against whole process.

Prints a table; both answers are compared byte by byte. The floor reads the bytes of the tractogram
and does nothing with them. Usage: ``python benchmarks/bench_structural.py [--large |
--many]``. With ``--many``: 92 label images, ten metrics and 2.2 million streamlines in one run of
ours, against the runs of ``tck2connectome`` for a sample of the images (``--repeats`` of them),
times 92 over their number.
"""

import argparse
import compileall
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from structural_data import (
    N_REGIONS,
    write_label_images,
    write_many_label_images,
    write_scalar_images,
    write_tracks,
)

import kraken_bids

COMMAND = str(Path(sysconfig.get_path("scripts")) / "kraken-tools")
PEER = "tck2connectome"
LARGE = 5_000_000
MANY, MANY_SECONDS, MANY_MB = 2_200_000, 240, 3000
MANY_METRICS = ("count", "volnorm", "meanlength", "sift2", "sift2volnorm", "sift2meanlength")
METRICS = ("count", "volnorm", "sift2", "sift2volnorm")
FLOOR = """
import sys
buffer = bytearray(1 << 22)
with open(sys.argv[1], "rb", buffering=0) as file:
    while file.readinto(buffer):
        pass
"""


@dataclass(frozen=True)
class Cost:
    """What one or several processes took."""

    wall: float
    """s."""
    cpu: float
    """s, user and system."""
    peak: float
    """MB resident at the worst moment."""


def main() -> None:
    arguments = parse_arguments()
    if shutil.which(PEER) is None:
        sys.exit(f"{PEER} is not installed; in Debian it comes with mrtrix3")
    compileall.compile_dir(str(Path(kraken_bids.__file__).parent), quiet=1)  # as an install does
    folder = Path(tempfile.mkdtemp(prefix="kraken_bench_", dir=arguments.folder))
    try:
        if arguments.many:
            compare_many(folder, n_sample=arguments.repeats)
            return
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            images = pool.submit(write_label_images, folder).result()
        print("| streamlines | what | wall, s | CPU, s | peak, MB | times MRtrix | target |")
        print("|---:|---|---:|---:|---:|---:|---|")
        compare(folder, images, 500_000, repeats=arguments.repeats)
        if arguments.large:
            compare(folder, images, LARGE, repeats=max(2, arguments.repeats // 2))
    finally:
        if not arguments.keep:
            shutil.rmtree(folder)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="also 5 million streamlines, 3 GB")
    parser.add_argument("--many", action="store_true", help="92 images, 10 metrics, 1.4 GB")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each  [%(default)s]")
    parser.add_argument("--folder", type=Path, help="where to write the data  [temporary]")
    parser.add_argument("--keep", action="store_true", help="keep the data")
    return parser.parse_args()


def compare(folder: Path, images: dict[str, Path], n: int, *, repeats: int) -> None:
    """Print the rows of one size; a repeat runs all of them once, so that noise hits all alike."""
    tracks = folder / "tracks.tck"
    # in a process of its own: what this one holds would count as the others' memory
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(write_tracks, tracks, n).result()
    middle = {"middle": images["middle"]}
    mrtrix = list_mrtrix(tracks, images)
    one = [mrtrix["middle", "count"]]
    cases = {
        "reading the bytes": [[sys.executable, "-c", FLOOR, str(tracks)]],
        "MRtrix, 1 atlas, 1 metric": one,
        "ours, 1 atlas, 1 metric": [ours(tracks, middle, ["count"])],
        "ours, the same, 1 thread": [ours(tracks, middle, ["count"], "--n-threads", "1")],
        "ours, 3 atlases, 4 metrics": [ours(tracks, images, METRICS)],
    }
    if n >= LARGE:  # twelve runs of MRtrix would take five minutes
        del cases["ours, 3 atlases, 4 metrics"]
        mrtrix = {key: mrtrix[key] for key in [("middle", "count")]}
    costs: dict[str, list[Cost]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, commands in cases.items():
            costs[name].append(run(commands))
    if n < LARGE:
        costs["MRtrix, 3 atlases, 4 metrics"] = [run(list(mrtrix.values()))]
    print_rows(n, costs)
    check_answers(tracks.parent, mrtrix)


def compare_many(folder: Path, *, n_sample: int) -> None:
    """Print one run of ours over 92 label images, and runs of MRtrix for some of them."""
    tracks = folder / "tracks.tck"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(write_tracks, tracks, MANY).result()
        images = pool.submit(write_many_label_images, folder).result()
        scalars = pool.submit(write_scalar_images, folder).result()
    given = [f"{name}={path}" for name, path in scalars.items()]
    command = ours(tracks, images, MANY_METRICS, "--scalar", *given, "--n-threads", "2")
    cost = run([command])
    sample = [(len(images) * k) // n_sample for k in range(n_sample)]
    peers = {key: c for k in sample for key, c in list_many(tracks, f"a{k}").items()}
    sampling = [
        ["tcksample", str(tracks), str(path), str(folder / f"{name}.txt"), "-stat_tck", "mean"]
        for name, path in scalars.items()
    ]
    once = run([[*one, "-force", "-quiet", "-nthreads", "2"] for one in sampling])
    theirs = run(list(peers.values()))
    whole = once.wall + theirs.wall * len(images) / n_sample
    n_matrices = len(images) * len(list_many(tracks, "a0"))
    print("| what | wall, s | CPU, s | peak, MB |\n|---|---:|---:|---:|")
    print(f"| ours, {n_matrices} matrices | {cost.wall:.0f} | {cost.cpu:.0f} | {cost.peak:.0f} |")
    print(
        f"| MRtrix, {len(peers)} matrices of {n_sample} images | {theirs.wall:.0f} | "
        f"{theirs.cpu:.0f} | {theirs.peak:.0f} |"
    )
    print(f"| MRtrix, {n_matrices} matrices, extrapolated | {whole:.0f} | | |")
    met = cost.wall <= MANY_SECONDS and cost.peak <= MANY_MB
    print(
        f"\nTarget: {MANY_SECONDS} s, {MANY_MB} MB: {'met' if met else 'MISSED'}; "
        f"{whole / cost.wall:.1f} times MRtrix"
    )
    check_many(folder, peers)


def list_many(tracks: Path, name: str) -> dict[str, list[str]]:
    """List the runs of tck2connectome that make the matrices of one label image."""
    values = {f"mean{s}": ["-scale_file", f"{tracks.with_name(s)}.txt"] for s in ("FA", "MD")}
    options = {
        "count": [],
        "volnorm": ["-scale_invnodevol"],
        "meanlength": ["-scale_length", "-stat_edge", "mean"],
        **{metric: [*words, "-stat_edge", "mean"] for metric, words in values.items()},
    }
    weights = ["-tck_weights_in", str(tracks.with_name("weights.csv"))]
    options |= {
        f"sift2{metric.replace('count', '')}": [*words, *weights]
        for metric, words in options.items()
    }
    image = str(tracks.with_name(f"{name}.nii.gz"))
    return {
        f"{name}_{metric}": [
            *(PEER, str(tracks), image, str(tracks.with_name(f"mrtrix_{name}_{metric}.csv"))),
            *("-symmetric", "-force", "-quiet", "-nthreads", "2", *words),
        ]
        for metric, words in options.items()
    }


def check_many(folder: Path, peers: dict[str, list[str]]) -> None:
    """Compare numbers: with threads MRtrix adds in any order."""
    worst = 0.0
    for key, command in peers.items():
        text = Path(command[3]).read_text().splitlines()
        theirs = np.loadtxt([line for line in text if not line.startswith("#")], delimiter=",")
        found = np.loadtxt(folder / "ours" / f"{key}.csv", delimiter=",")
        worst = max(worst, float(np.abs(found - theirs).max() / np.abs(theirs).max()))
    print(f"Largest difference from MRtrix, of the largest edge: {worst:.1e}")


def ours(
    tracks: Path, images: dict[str, Path], metrics: Sequence[str], *options: str
) -> list[str]:
    weights = ["--weights", str(tracks.with_name("weights.csv"))]
    return [
        *(COMMAND, "sc", str(tracks), "--units", "mrtrix", "--metric", *metrics),
        *("--labels", *(f"{name}={path}" for name, path in images.items())),
        *("--output-dir", str(tracks.parent / "ours"), *options),
        *(weights if len(metrics) > 1 else []),
    ]


def list_mrtrix(tracks: Path, images: dict[str, Path]) -> dict[tuple[str, str], list[str]]:
    commands = {}
    for name in N_REGIONS:
        for metric in METRICS:
            out = str(tracks.with_name(f"mrtrix_{name}_{metric}.csv"))
            options = ["-scale_invnodevol"] if metric.endswith("volnorm") else []
            if metric.startswith("sift2"):
                options += ["-tck_weights_in", str(tracks.with_name("weights.csv"))]
            commands[name, metric] = [
                *(PEER, str(tracks), str(images[name]), out, "-symmetric", "-force", "-quiet"),
                *("-nthreads", "2", *options),
            ]
    return commands


def run(commands: Sequence[Sequence[str]]) -> Cost:
    """Run processes one after the other."""
    wall = cpu = peak = 0.0
    for command in commands:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall += time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(command)} ended with {process.returncode}")
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss / 1e3)
    return Cost(wall, cpu, peak)


def print_rows(n: int, costs: dict[str, list[Cost]]) -> None:
    wall = {name: statistics.median(c.wall for c in runs) for name, runs in costs.items()}
    for name, runs in costs.items():
        share = verdict = ""
        if name.startswith("ours"):
            peer = wall["MRtrix, 3 atlases, 4 metrics" if "3 atlases" in name else
                        "MRtrix, 1 atlas, 1 metric"]  # fmt: skip
            share = f"{peer / wall[name]:.1f}"
            target = 12.0 if "3 atlases" in name else 3.0 if n < LARGE else 2.0
            if "1 thread" not in name:
                verdict = f"≥ {target:g}: {'met' if peer / wall[name] >= target else 'MISSED'}"
        cpu, peak = (statistics.median(getattr(c, key) for c in runs) for key in ("cpu", "peak"))
        print(
            f"| {n} | {name} | {wall[name]:.2f} | {cpu:.2f} | {peak:.0f} | {share} | {verdict} |"
        )


def check_answers(folder: Path, mrtrix: dict[tuple[str, str], list[str]]) -> None:
    """Compare bytes; on several threads MRtrix adds weights in any order, so on one for those."""
    differing = []
    for (name, metric), command in mrtrix.items():
        if metric.startswith("sift2"):
            single = [*command]
            single[single.index("-nthreads") + 1] = "0"
            subprocess.run(single, check=True)
        theirs = Path(command[3]).read_text().splitlines()
        text = (folder / "ours" / f"{name}_{metric}.csv").read_text()
        if text.splitlines() != [line for line in theirs if not line.startswith("#")]:
            differing.append(f"{name}_{metric}")
    print(f"\nDifferent from MRtrix's bytes: {', '.join(differing) or 'none'}\n")


if __name__ == "__main__":
    main()
