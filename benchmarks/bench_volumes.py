"""Decoding of whole volumes: seconds and memory beside a plain loop in torch, of both networks.

Prints, for 2D and 3D: seconds a volume of a plain loop over volumes (explicit padding, one at a
time, float32) and of ours, in turns; relevance of a volume as a multiple of a forward and backward
pass; peak memory of relevance of one volume, and of decoding runs of several lengths, which should
be one. With ``--device cuda`` memory of relevance is what tensors took, and training on whole
grids is timed.

Usage: ``python benchmarks/bench_volumes.py [--volumes 6] [--turns 3] [--lengths 100 300]``.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

HERE = Path(__file__).resolve()
GRID = (91, 109, 91)
KINDS = ("2d", "3d")
RUNS_OF = "3d"
"""Network that runs are decoded with: what of a run lies in memory is the same for both."""
GIGABYTE = 1e6
"""Of ru_maxrss, in kilobytes."""


def main() -> None:
    arguments = parse_arguments()
    if arguments.task:
        name, *words = arguments.task
        print(json.dumps(TASKS[name](*words, arguments)))
        return
    print(f"{os.cpu_count()} cores, grid {'x'.join(map(str, GRID))}, inside a brain-like mask\n")
    print(
        "| network | plain loop, s | ours, s | plain / ours | relevance, s | both passes, s | "
        "ratio | memory of relevance, GB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for kind in KINDS:
        speed, relevance = call(["speed", kind], arguments), call(["relevance", kind], arguments)
        print(
            f"| {kind} | {speed['plain']:.3f} | {speed['ours']:.3f} | "
            f"{speed['plain'] / speed['ours']:.1f} | {relevance['relevance']:.2f} | "
            f"{relevance['passes']:.2f} | {relevance['relevance'] / relevance['passes']:.1f} | "
            f"{relevance['memory']:.2f} |",
            flush=True,
        )
    if arguments.device != "cpu":
        compare_training(arguments)
    print("\n| network | volumes of the run | peak memory, GB | seconds |")
    print("|---|---|---|---|")
    for length in arguments.lengths:
        found = call(["run", RUNS_OF, str(length)], arguments)
        print(
            f"| {RUNS_OF} | {length} | {found['memory']:.2f} | {found['seconds']:.1f} |",
            flush=True,
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--volumes", type=int, default=6)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--lengths", type=int, nargs="*", default=[100, 300])
    parser.add_argument("--device", default="cpu", help="  [%(default)s]")
    parser.add_argument("--batch-sizes", type=int, nargs="*", default=[32], help="of training")
    parser.add_argument("--task", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


def call(task: list[str], arguments: argparse.Namespace) -> dict[str, float]:
    """Run a task in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    for name in ("OMP", "OPENBLAS", "MKL"):
        environment.pop(f"{name}_NUM_THREADS", None)
    names = ("volumes", "turns", "device")
    words = [*(f"--{name}={getattr(arguments, name)}" for name in names), "--task", *task]
    done = subprocess.run(
        [sys.executable, str(HERE), *words],
        env=environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def make_network(kind: str):
    import torch

    from kraken_bids.models.volumes.architecture import PUBLISHED_STATES, VolumeArchitecture
    from kraken_bids.models.volumes.network import build_network

    torch.manual_seed(0)
    return build_network(VolumeArchitecture(kind, PUBLISHED_STATES[:16])).eval()


def make_mask() -> np.ndarray:
    """Make an ellipsoid of about the size of a brain."""
    axes = [(np.arange(n) - n / 2) / (0.4 * n) for n in GRID]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return x**2 + y**2 + z**2 < 1


def make_volumes(n_volumes: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_volumes, *GRID)).astype(np.float32) * make_mask()


def decode_plainly(network, kind: str, volume):
    """One volume through the network's layers, as a reader of the paper would write it."""
    import torch
    from torch.nn import functional

    def pad(maps, stride):
        pads = []
        for n in reversed(maps.shape[2:]):
            total = max((-(-n // stride) - 1) * stride + 3 - n, 0)
            pads += [total // 2, total - total // 2]
        return functional.pad(maps, pads)

    if kind == "2d":
        maps = volume.permute(2, 1, 0).unsqueeze(1)
        for layer in network.convolutions:
            maps = functional.relu(layer(pad(maps, layer.stride[0])))
        states, _ = network.lstm(maps.permute(0, 2, 3, 1).flatten(1).unsqueeze(0))
        last = torch.cat([states[:, -1, :64], states[:, 0, 64:]], 1)
        return network.output(last).softmax(1)
    maps = volume[None, None]
    for layer, norm in zip(network.convolutions, network.norms, strict=True):
        maps = norm(functional.relu(layer(pad(maps, layer.stride[0]))))
    return functional.relu(network.output(maps)).mean((2, 3, 4)).softmax(1)


def compare_speed(kind: str, arguments: argparse.Namespace) -> dict[str, float]:
    import torch

    from kraken_bids.models.volumes.decoding import decode_volumes

    n_cores = os.cpu_count() or 1
    torch.set_num_threads(n_cores)
    network, volumes = make_network(kind).to(arguments.device), make_volumes(arguments.volumes)

    def plain() -> np.ndarray:
        with torch.inference_mode():
            parts = (torch.from_numpy(one).to(arguments.device) for one in volumes)
            return np.concatenate([decode_plainly(network, kind, one).cpu() for one in parts])

    def ours() -> np.ndarray:
        rows = decode_volumes(
            network, volumes.__getitem__, len(volumes), n_threads=n_cores, device=arguments.device
        )
        return np.array(list(rows))

    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(arguments.turns):
        found = {}
        for name, way in (("plain", plain), ("ours", ours)):
            begun = time.perf_counter()
            found[name] = way()
            seconds[name].append((time.perf_counter() - begun) / len(volumes))
        np.testing.assert_allclose(found["plain"], found["ours"], atol=1e-5)
    return {name: median(own) for name, own in seconds.items()}


def measure_relevance(kind: str, arguments: argparse.Namespace) -> dict[str, float]:
    import torch

    from kraken_bids.models.volumes.relevance import explain_volume

    network = make_network(kind).to(arguments.device)
    volume = torch.from_numpy(make_volumes(1)[0]).to(arguments.device)
    explain_volume(network, volume, 3)

    def explain() -> None:
        explain_volume(network, volume, 3).relevance.cpu()

    relevance = [clock(explain) for _ in range(arguments.turns)]
    memory = measure_memory(arguments.device)
    leaf = volume.clone().requires_grad_()

    def pass_both_ways() -> None:
        decode_plainly(network, kind, leaf)[0, 3].backward()
        float(leaf.grad[0, 0, 0])

    if arguments.device != "cpu":
        if kind == "2d":
            network.lstm.train()  # cuDNN goes backward in this mode alone; nothing is dropped
        pass_both_ways()
    passes = [clock(pass_both_ways) for _ in range(arguments.turns)]
    return {"relevance": median(relevance), "passes": median(passes), "memory": memory}


def measure_memory(device: str) -> float:
    """Peak of the process, or of tensors on a GPU, in GB."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIGABYTE
    import torch

    return torch.cuda.max_memory_allocated(device) / 1e9


def compare_training(arguments: argparse.Namespace) -> None:
    """Print steps per second on whole grids, and what they take."""
    print("\n| network | volumes of a step | steps per second | memory of tensors, GB |")
    print("|---|---|---|---|")
    for kind in KINDS:
        for size in arguments.batch_sizes:
            found = call(["train", kind, str(size)], arguments)
            print(
                f"| {kind} | {size} | {found['steps']:.2f} | {found['memory']:.1f} |", flush=True
            )


def train_on_grids(kind: str, size: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Train for some steps; volumes are in memory already."""
    import torch

    from kraken_bids.models.step_training import StepSettings
    from kraken_bids.models.volumes.training import train_decoder

    network, volumes = make_network(kind), make_volumes(32)
    seconds: list[float] = []

    def watch(_training, _result) -> bool:
        if arguments.device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter())
        return False

    train_decoder(
        network, lambda rows: volumes[rows], np.arange(len(volumes)) % 16,
        StepSettings(n_steps=4 + 8 * arguments.turns, device=arguments.device),
        batch_size=int(size), watch=watch,
    )  # fmt: skip
    return {
        "steps": 1 / median(np.diff(seconds[3:])), "memory": measure_memory(arguments.device)
    }  # fmt: skip


def clock(act) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def decode_run_of(kind: str, length: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Decode a run from its file; another process writes it, whose memory does not count."""
    from kraken_bids.models.volumes.checkpoint import VolumeModel
    from kraken_bids.pipeline.volumes.decoded_run import decode_run
    from kraken_bids.pipeline.volumes.decoding_request import DecodingRequest

    with tempfile.TemporaryDirectory(prefix="kraken_bench_") as folder:
        call(["write", folder, length], arguments)
        start = Path(folder) / "sub-01_space-MNI152NLin6Asym_desc"
        request = DecodingRequest(
            Path(f"{start}-preproc_bold.nii.gz"), Path(f"{start}-brain_mask.nii.gz"),
            Path(folder) / "out", n_threads=os.cpu_count() or 1, device=arguments.device,
        )  # fmt: skip
        network = make_network(kind).to(arguments.device)
        seconds = clock(lambda: decode_run(VolumeModel(network), request))
    return {"memory": measure_memory("cpu"), "seconds": seconds}


def write_run(folder: str, length: str, _: argparse.Namespace) -> dict[str, float]:
    from kraken_bids.io.nifti import write_labels, write_volumes
    from kraken_bids.pipeline.volumes.cleaned_volumes import AFFINE

    start, mask = Path(folder) / "sub-01_space-MNI152NLin6Asym_desc", make_mask()
    rng = np.random.default_rng(0)
    volumes = (
        (rng.integers(900, 1100, GRID) * mask).astype(np.float32) for _ in range(int(length))
    )
    write_volumes(
        Path(f"{start}-preproc_bold.nii.gz"), volumes, (*GRID, int(length)), AFFINE,
        repetition_time=0.72,
    )  # fmt: skip
    write_labels(Path(f"{start}-brain_mask.nii.gz"), mask.astype(np.int16), AFFINE)
    return {}


TASKS = {
    "speed": compare_speed,
    "relevance": measure_relevance,
    "run": decode_run_of,
    "train": train_on_grids,
    "write": write_run,
}

if __name__ == "__main__":
    main()
