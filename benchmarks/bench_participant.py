"""One participant of realistic size through ``kraken-bids … participant``, on one core or more.

Prints tables: wall, CPU and memory of the run and of its stages, the floor (reading the bytes) and
peers, all measured in the same run. Usage: ``python benchmarks/bench_participant.py [--small]``.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path

from participant_data import (
    FULL,
    SMALL,
    describe_size,
    list_tracks,
    write_participant,
)

TARGET_S, TARGET_GB = 60.0, 2.0
COMMAND = str(Path(sysconfig.get_path("scripts")) / "kraken-bids")
PEERS = Path(__file__).with_name("peers.py")
STAGES = {
    r"run\(s\) of task \S+ in (\S+) ": "BOLD in {}",
    r"(model-\w+?)_streamlines\.tck": "tractogram {}",
    r" measured \(": "predict: encode, decode, write",
}
"""Log lines that begin a stage."""
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    wall: float
    """s."""
    cpu: float
    """s, user and system."""
    peak: float
    """GB resident at the worst moment, mapped files included."""


def main() -> None:
    arguments = parse_arguments()
    size = SMALL if arguments.small else FULL
    folder = Path(tempfile.mkdtemp(prefix="kraken_bench_", dir=arguments.folder))
    try:
        bids, model = folder / "bids", folder / "model"
        start = time.perf_counter()
        n_components, latent_size = (256, 128) if arguments.full_model else (32, 16)
        # in a process of its own: what this one holds would count as its children's memory
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(write_participant, bids, size).result()
            pool.submit(write_model_to, model, n_components, latent_size).result()
        print(f"Data made in {time.perf_counter() - start:.0f} s: {describe_size(bids)}.")
        print(f"{size.n_runs} runs in two spaces of {size.bold_shape} x {size.n_volumes} float32;")
        print(f"twice {size.n_streamlines:,} streamlines; pca{n_components}, 15 flavors.\n")
        # everything below is measured on the same cores
        os.sched_setaffinity(0, set(range(arguments.core, arguments.core + arguments.threads)))
        floors, runs = [], []
        for turn in range(arguments.repeats):
            floors.append(measure([sys.executable, str(PEERS), "floor", str(bids)]))
            out = folder / f"out{turn}"
            begin = time.time()
            command = list_command(bids, out, model, arguments.threads)
            runs.append((measure(command), read_stages(out, begin)))
            check_output(out)
        peers = {} if arguments.no_peers else measure_peers(bids, out)
        floor = sorted(floors, key=lambda cost: cost.wall)[len(floors) // 2]
        report(runs, floor, peers, is_full=not arguments.small)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_model_to(folder: Path, n_components: int, latent_size: int) -> None:
    """Write the model; only the process that does loads torch."""
    from random_model import write_random_model

    write_random_model(folder, n_components, latent_size)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a hundredth of it, to try this out")
    parser.add_argument("--full-model", action="store_true", help="pca256, latent 128 (700 MB)")
    parser.add_argument("--no-peers", action="store_true", help="leave nilearn and MRtrix out")
    parser.add_argument("--repeats", type=int, default=3, help="runs  [%(default)s]")
    parser.add_argument("--core", type=int, default=0, help="CPU to stay on  [%(default)s]")
    parser.add_argument(
        "--threads", type=int, default=1, help="--omp-nthreads, on as many CPUs  [%(default)s]"
    )
    parser.add_argument("--folder", type=Path, help="where 4 GB fit  [the temporary folder]")
    return parser.parse_args()


def list_command(bids: Path, out: Path, model: Path, n_threads: int) -> list[str]:
    options = ["--model", str(model), "--n-procs", "1", "--omp-nthreads", str(n_threads)]
    return [COMMAND, str(bids), str(out), "participant", *options]


def measure(command: Sequence[str]) -> Cost:
    """Cost of a process that must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | ONE_THREAD
    )
    assert process.stderr is not None
    message = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{message}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9)


def read_stages(out: Path, begin: float) -> dict[str, float]:
    """Seconds of each stage, from the time stamps of the log."""
    marks = [("start: imports, inputs, model", begin)]
    last = begin
    (log,) = (out / "logs").glob("*.log")
    for line in log.read_text().splitlines():
        stamp = re.match(r"(\S+ \S+,\d{3}) ", line)
        if not stamp:
            continue
        last = datetime.strptime(stamp[1], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()
        for pattern, name in STAGES.items():
            if found := re.search(pattern, line):
                marks.append((name.format(*found.groups()), last))
    # the last file of the predictions; drawing begins after it
    marks.append(("report", next(out.glob("sub-*/*_latents.json")).stat().st_mtime))
    ends = [when for _, when in marks[1:]] + [last]
    return {name: end - when for (name, when), end in zip(marks, ends, strict=True)}


def check_output(out: Path) -> None:
    """Check that the run did its work: 9 FC and 24 SC measured, 45 predicted, a report."""
    predicted = len(list(out.glob("sub-*/*/*kraken_relmat.dense.tsv")))
    measured = len(list(out.glob("sub-*/*/*_relmat.dense.tsv"))) - predicted
    if (measured, predicted) != (33, 45) or not (out / "sub-01.html").exists():
        sys.exit(f"expected 33 measured and 45 predicted connectomes; found {measured, predicted}")


def measure_peers(bids: Path, out: Path) -> dict[str, Cost]:
    """Cost of the parts of the job that others do, where they are installed."""
    costs = {}
    command = [sys.executable, str(PEERS)]
    costs["nilearn"] = measure([*command, "nilearn", str(bids)])
    if shutil.which("tck2connectome"):
        labels = out.parent / "labels.nii.gz"
        measure([*command, "labels", str(bids), str(labels)])
        tracks, result = str(list_tracks(bids)[0]), str(out.parent / "peer.csv")
        options = ["-symmetric", "-nthreads", "0", "-quiet", "-force"]
        costs["tck2connectome"] = measure(
            ["tck2connectome", tracks, str(labels), result, *options]
        )
    return costs


def report(
    runs: list[tuple[Cost, dict[str, float]]],
    floor: Cost,
    peers: dict[str, Cost],
    *,
    is_full: bool,
) -> None:
    ordered = sorted(runs, key=lambda run: run[0].wall)
    cost, stages = ordered[len(ordered) // 2]
    print("| what | wall, s | CPU, s | peak memory, GB | wall / floor | target |")
    print("|---|---:|---:|---:|---:|---|")
    met = cost.wall < TARGET_S and max(run.peak for run, _ in runs) < TARGET_GB
    verdict = f"< {TARGET_S:.0f} s, < {TARGET_GB:.0f} GB: {'met' if met else 'MISSED'}"
    name = f"kraken-bids participant (median of {len(runs)})"
    print(_row(name, cost, floor, verdict if is_full else ""))
    if len(runs) > 1:
        print(_row("… fastest", ordered[0][0], floor))
        print(_row("… slowest", ordered[-1][0], floor))
    print(_row("floor: inflate the BOLD files (isal), read the tracks (median)", floor, floor))
    print("\n| stage of the median run | wall, s | share |\n|---|---:|---:|")
    for stage, seconds in stages.items():
        print(f"| {stage} | {seconds:.1f} | {seconds / cost.wall:.0%} |")
    if peers:
        _print_peers(peers, stages)


def _row(name: str, cost: Cost, floor: Cost, verdict: str = "") -> str:
    numbers = f"{cost.wall:.1f} | {cost.cpu:.1f} | {cost.peak:.2f} | {cost.wall / floor.wall:.2f}"
    return f"| {name} | {numbers} | {verdict} |"


def _print_peers(peers: dict[str, Cost], stages: dict[str, float]) -> None:
    ours = {
        "nilearn": ("BOLD", "NiftiLabelsMasker, one run, one atlas", 6),
        "tck2connectome": ("tractogram", "one tractogram, one atlas, one metric", 24),
    }
    print("\n| peer, measured once | wall, s | CPU, s | peak memory, GB "
          "| calls for the same job | extrapolated, s | our stages, s | ratio |")  # fmt: skip
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, (prefix, what, n_calls) in ours.items():
        if name not in peers:
            print(f"| {name}: not installed | | | | | | | |")
            continue
        cost = peers[name]
        mine = sum(seconds for stage, seconds in stages.items() if stage.startswith(prefix))
        total = n_calls * cost.wall
        print(
            f"| {name}: {what} | {cost.wall:.1f} | {cost.cpu:.1f} | {cost.peak:.2f} | {n_calls} "
            f"| {total:.0f} | {mine:.1f} | {total / mine:.1f} |"
        )


if __name__ == "__main__":
    main()
