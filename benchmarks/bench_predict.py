"""Speed and memory of prediction, on a model of the published size with random weights.

Prints a table for each part, whole processes: ``predict`` (100 and 400 subjects, 15 inputs, three
fusions, 15 targets), ``mat`` (the same of MATLAB files), ``start`` (until the first latent of one
subject), ``cohort`` (adaptation, encoding and fusion of 1 000 and 4 000 subjects) and ``text``
(matrices as TSV).
Usage: ``python benchmarks/bench_predict.py [PART ...] [--folder DIR] [--repeats N]``, with
``--reference CHECKOUT`` the reference release itself is measured too, in the same run; with
``--device cuda`` ``predict`` and ``cohort`` compute on a GPU.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from mat_files import KINDS, READ_BY_REFERENCE, reference_command, write_mats
from numpy.lib import format as npy

HERE = Path(__file__).resolve().parent
TOOL = str(Path(sysconfig.get_path("scripts")) / "kraken-tools")
PARTS = ("predict", "mat", "start", "cohort", "text")
SPEED_UP = 15.0
"""By how much to be faster than the reference release, where its checkout is given."""
MAX_GB, MAX_GROWTH = 1.5, 1.1
MAT_SPEED_UP, MAX_MAT_GROWTH = 14.0, 1.15
MAX_START_S = 1.5
TEXT_SPEED_UP = 5.0
N_COHORT = (1000, 4000)
N_EXTRAPOLATED = 40_000


@dataclass(frozen=True)
class Cost:
    """Of one process."""

    wall: float
    cpu: float
    gigabytes: float

    def row(self) -> str:
        """Cells of a table."""
        return f"{self.wall:.1f} | {self.cpu:.1f} | {self.gigabytes:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="  [all]")
    parser.add_argument("--folder", type=Path, help="for the data, 15 GB  [a temporary one]")
    parser.add_argument("--repeats", type=int, default=3, help="  [%(default)s]")
    parser.add_argument("--reference", type=Path, help="checkout of the reference release")
    parser.add_argument("--device", default="cpu", help="of predict and cohort  [%(default)s]")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=words.folder) as name:
        folder = Path(name)
        for part in words.parts or PARTS:
            more = [words.reference] if part in {"predict", "mat"} else []
            more += [words.device] if part in {"predict", "cohort"} else []
            globals()[f"bench_{part}"](folder, words.repeats, *more)


def bench_predict(folder: Path, repeats: int, reference: Path | None, device: str) -> None:
    files = write_models(folder)
    few, many = (write_inputs(folder, files[0], n) for n in (100, 400))
    peer = [
        sys.executable,
        str(HERE / "predict_peer.py"),
        "predict",
        *map(str, files[1:]),
        str(few),
    ]
    runs: dict[str, list[str]] = {"peer: all in memory, .mat": [*peer, str(folder / "peer.mat")]}
    for name, model in (("published files", files[1]), ("our folder", files[0])):
        for suffix in (".npz", ".h5"):
            runs[f"ours, {name}, {suffix}"] = predict_command(
                model, [str(few)], folder / f"o{suffix}", device
            )
    runs["ours, our folder, 400 subjects, .h5"] = predict_command(
        files[0], [str(many)], folder / "m.h5", device
    )
    costs = measure_all(runs, repeats)
    reference_s = None
    if reference:
        command = reference_command(reference, files[1:], write_mats(folder, few))
        costs["peer: reference release, .mat"] = measure(command, cwd=reference)
        reference_s = costs["peer: reference release, .mat"].wall
    print_costs("100 subjects, 15 inputs, 3 fusions, 15 targets", costs)
    base, grown = (costs[f"ours, our folder, {x}"] for x in (".h5", "400 subjects, .h5"))
    growth = grown.gigabytes / base.gigabytes
    print(f"\n{compare(reference_s, base.wall, SPEED_UP)}")
    print(f"Memory {base.gigabytes:.2f} GB, {verdict(is_met=base.gigabytes < MAX_GB)} {MAX_GB}; "
          f"of 400 subjects {growth:.2f} times that of 100, "
          f"{verdict(is_met=growth <= MAX_GROWTH)} {MAX_GROWTH}")  # fmt: skip


def bench_mat(folder: Path, repeats: int, reference: Path | None) -> None:
    files = write_models(folder)
    few, many = (write_inputs(folder, files[0], n) for n in (100, 400))
    runs = {"ours, .npz": predict_command(files[0], [str(few)], folder / "o.npz")}
    for kind in KINDS:
        for words, inputs in (("", few), (", 400 subjects", many)):
            mats = write_mats(folder, inputs, kind)
            runs[f"ours, {kind}{words}"] = predict_command(files[0], mats, folder / "o.npz")
    costs = measure_all(runs, repeats)
    reference_s: dict[str, float] = {}
    for kind in READ_BY_REFERENCE if reference else ():
        assert reference
        command = reference_command(reference, files[1:], write_mats(folder, few, kind))
        cost = measure(command, cwd=reference)
        costs[f"peer: reference release, {kind}"] = cost
        reference_s[kind] = cost.wall
    print_costs("100 subjects, 15 inputs, 3 fusions, 15 targets", costs, reference_s.get("v5"))
    for kind in KINDS:
        base, grown = costs[f"ours, {kind}"], costs[f"ours, {kind}, 400 subjects"]
        growth = grown.gigabytes / base.gigabytes
        own = kind if kind in READ_BY_REFERENCE else READ_BY_REFERENCE[0]
        words = "" if own == kind else f" (it reads no {kind}: its time for {own})"
        print(f"\n{kind}{words}: {compare(reference_s.get(own), base.wall, MAT_SPEED_UP)}; memory "
              f"of 400 subjects {growth:.2f} times that of 100, "
              f"{verdict(is_met=growth <= MAX_MAT_GROWTH)} {MAX_MAT_GROWTH}")  # fmt: skip


def bench_start(folder: Path, repeats: int) -> None:
    ours, checkpoint, transforms = write_models(folder)
    first = [sys.executable, str(HERE / "predict_ours.py"), "first"]
    peer = [sys.executable, str(HERE / "predict_peer.py"), "first"]
    runs = {
        "ours, our folder": [*first, str(ours)],
        "ours, published files": [*first, str(checkpoint)],
        "peer: published files": [*peer, str(checkpoint), str(transforms)],
        "import torch": [sys.executable, "-c", "import os, torch; os._exit(0)"],
    }
    costs = measure_all(runs, repeats)
    print_costs("start, to the first latent of one subject", costs)
    print(f"\n{verdict(is_met=costs['ours, our folder'].wall < MAX_START_S)} {MAX_START_S} s")


def bench_cohort(folder: Path, repeats: int, device: str) -> None:
    model = write_models(folder)[0]
    costs, sizes = {}, {}
    for n_subjects in N_COHORT:
        paths = write_cohort(folder / f"cohort{n_subjects}", model, n_subjects)
        sizes[n_subjects] = sum(path.stat().st_size for path in paths) / 1e9
        inputs = [f"{path.stem}={path}" for path in paths]
        ours = [sys.executable, str(HERE / "predict_ours.py"), "encode", device, str(model)]
        read = "; ".join(f"dd if={path} of=/dev/null bs=4M status=none" for path in paths)
        runs = {"ours": [*ours, *inputs], "reading the bytes": ["sh", "-c", read]}
        costs[n_subjects] = measure_all(runs, repeats)
    print("\n| subjects | stored, GB | what | wall, s | CPU, s | peak memory, GB | GB/s |")
    print("|---:|---:|---|---:|---:|---:|---:|")
    for n_subjects, several in costs.items():
        for name, cost in several.items():
            speed = sizes[n_subjects] / cost.wall
            print(
                f"| {n_subjects} | {sizes[n_subjects]:.1f} | {name} | {cost.row()} | {speed:.2f} |"
            )
    low, high = (costs[n]["ours"] for n in N_COHORT)
    each = (high.wall - low.wall) / (N_COHORT[1] - N_COHORT[0])
    print(f"\nEach further subject {1000 * each:.2f} ms; {N_EXTRAPOLATED} subjects: "
          f"{(low.wall + each * (N_EXTRAPOLATED - N_COHORT[0])) / 60:.1f} minutes if the disk "
          "gives the bytes as fast as here")  # fmt: skip


def bench_text(folder: Path, repeats: int) -> None:
    from kraken_bids.io.tables import read_relmat
    from kraken_bids.io.writing import write_relmat

    print("\n| regions | numpy.savetxt, ms | write_relmat, ms | ratio | numpy.loadtxt, ms "
          "| read_relmat, ms | ratio |\n|---:|---:|---:|---:|---:|---:|---:|")  # fmt: skip
    rows = {}
    for n_regions in (439, 268, 86):  # the first one's memory serves the others, as in a run
        square = np.random.default_rng(0).uniform(-1, 1, (n_regions, n_regions))
        square += square.T
        theirs, ours = folder / f"{n_regions}.theirs.tsv", folder / f"{n_regions}.ours.tsv"
        jobs: list[Callable[[], object]] = [
            partial(np.savetxt, theirs, square, fmt="%.6g", delimiter="\t"),
            partial(write_relmat, ours, square),
            partial(np.loadtxt, theirs, delimiter="\t"),
            partial(read_relmat, theirs),
        ]
        ms = [1000 * min(time_cpu(job) for _ in range(20 * repeats)) for job in jobs]
        assert ours.read_bytes() == theirs.read_bytes()
        rows[str(n_regions)] = ms
    rows["all three"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    for name, ms in rows.items():
        print(f"| {name} | {ms[0]:.1f} | {ms[1]:.1f} | {ms[0] / ms[1]:.1f} "
              f"| {ms[2]:.1f} | {ms[3]:.2f} | {ms[2] / ms[3]:.1f} |")  # fmt: skip
    print(f"\nCPU time, fastest of {20 * repeats}; target {TEXT_SPEED_UP:.0f}")


def write_models(folder: Path) -> tuple[Path, Path, Path]:
    """Our folder, and checkpoint and transforms as published, of one random model."""
    marker = folder / "models.json"
    if not marker.exists():
        # in a process of its own, so that its memory is gone when others are measured
        code = (
            "import json, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
            "from random_model import build_random_model;"
            "from kraken_bids.models.krakencoder.checkpoint import write_model;"
            "from kraken_bids.models.krakencoder.published_writer import write_upstream;"
            "folder = Path(sys.argv[2]); model = build_random_model(256, 128);"
            "files = [write_model(model, folder / 'model'),"
            " *write_upstream(model, folder / 'published' / 'kraken_chkpt_random.pt')];"
            "(folder / 'models.json').write_text(json.dumps([str(f) for f in files]))"
        )
        subprocess.run([sys.executable, "-c", code, str(HERE), str(folder)], check=True)
    ours, checkpoint, transforms = (Path(p) for p in json.loads(marker.read_text()))
    return ours, checkpoint, transforms


def write_inputs(folder: Path, model: Path, n_subjects: int) -> Path:
    """Random connectomes [n_subjects, n_edges] of every flavor in one ``.npz``."""
    rng = np.random.default_rng(n_subjects)
    path = folder / f"in{n_subjects}.npz"
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("subjects.npy", "w") as stream:
            npy.write_array(stream, np.array([f"{k:05d}" for k in range(n_subjects)]))
        for name, n_edges in list_sizes(model).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                npy.write_array(stream, rng.random((n_subjects, n_edges), np.float32))
    return path


def write_cohort(folder: Path, model: Path, n_subjects: int) -> list[Path]:
    """Connectomes of every flavor as ``.npy``; a hundred people, again and again."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = []
    for name, n_edges in list_sizes(model).items():
        block = rng.random((100, n_edges), np.float32)
        paths.append(folder / f"{name}.npy")
        with paths[-1].open("wb") as stream:
            header = {"descr": "<f4", "fortran_order": False, "shape": (n_subjects, n_edges)}
            npy.write_array_header_1_0(stream, header)
            for _ in range(n_subjects // len(block)):
                stream.write(block.data)
    return paths


def list_sizes(model: Path) -> dict[str, int]:
    transforms = json.loads((model / "model.json").read_text())["transforms"]
    return {name: entry["n_edges"] for name, entry in transforms.items()}


def predict_command(
    model: Path, inputs: Sequence[str], output: Path, device: str = "cpu"
) -> list[str]:
    given = [word for one in inputs for word in ("--input", one)]
    words = ["--model", model, *given, "--device", device, "--output", output]
    return [TOOL, "predict", *map(str, words)]


def measure_all(runs: dict[str, list[str]], repeats: int) -> dict[str, Cost]:
    """Median by wall time of each, turn by turn, after one turn that fills the page cache."""
    found: dict[str, list[Cost]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, command in runs.items():
            if Path(command[-1]).suffix in {".mat", ".npz", ".h5"} and "predict" in command:
                Path(command[-1]).unlink(missing_ok=True)  # removing it is not part of the work
            os.sync()  # nobody waits for what the run before has left to the disk
            cost = measure(command)
            if turn:
                found[name].append(cost)
    return {
        name: sorted(costs, key=lambda cost: cost.wall)[len(costs) // 2]
        for name, costs in found.items()
    }


def measure(command: Sequence[str], cwd: Path | None = None) -> Cost:
    start = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=cwd, env={**os.environ, "MPLBACKEND": "agg"}, **quiet)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    wall = time.perf_counter() - start
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6)


def time_cpu(job: Callable[[], object]) -> float:
    start = time.process_time()
    job()
    return time.process_time() - start


def compare(reference_s: float | None, own_s: float, target: float) -> str:
    """Say how much faster ours is than the reference release, where that ran in this run."""
    if reference_s is None:
        return "not compared with the reference release: give its checkout with --reference"
    faster = reference_s / own_s
    words = f"reference {reference_s:.0f} s / ours {own_s:.1f} s = {faster:.1f}"
    return f"{words}, {verdict(is_met=faster >= target)} {target:.0f}"


def print_costs(title: str, costs: dict[str, Cost], base: float | None = None) -> None:
    base = base or max((cost.wall for name, cost in costs.items() if "peer" in name), default=None)
    print(f"\n| {title} | wall, s | CPU, s | peak memory, GB | peer / it |")
    print("|---|---:|---:|---:|---:|")
    for name, cost in costs.items():
        print(f"| {name} | {cost.row()} | {f'{base / cost.wall:.1f}' if base else ''} |")


def verdict(*, is_met: bool) -> str:
    return "met:" if is_met else "MISSED:"


if __name__ == "__main__":
    main()
