"""Region means of one BOLD run for three atlases, on one core, against nilearn and the floor.

Prints a table: wall, CPU and memory of whole processes. Usage:
``python benchmarks/bench_functional.py [--small] [--repeats N]``.
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
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # what the processes that are measured import counts
    from bench_participant import Cost

ATLASES = ("fs86", "shen268", "coco439")
COMMAND = str(Path(sysconfig.get_path("scripts")) / "kraken-tools")
MAX_FLOORS, MIN_SPEEDUP, MAX_MB = 1.2, 5.0, 250.0
"""Targets: of the region means, in times of the floor and of the masker; of the whole tool."""


def main() -> None:
    arguments = parse_arguments()
    if arguments.task:
        TASKS[arguments.task](arguments.folder)
        return
    import kraken_bids

    compileall.compile_dir(str(Path(kraken_bids.__file__).parent), quiet=1)  # as an install does
    folder = Path(tempfile.mkdtemp(prefix="kraken_bench_", dir=arguments.folder))
    try:
        # in a process of its own: what this one holds would count as its children's memory
        task = "write-small" if arguments.small else "write"
        subprocess.run(list_task(task, folder), check=True)
        size = (folder / "bold.nii.gz").stat().st_size / 1e6
        print(f"{size:.0f} MB; atlases {', '.join(ATLASES)} on the grid of the run.\n")
        os.sched_setaffinity(0, {arguments.core})
        report(*measure_all(folder, arguments.repeats))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of it, to try this out")
    parser.add_argument("--repeats", type=int, default=3, help="of all but nilearn  [%(default)s]")
    parser.add_argument("--core", type=int, default=0, help="CPU to stay on  [%(default)s]")
    parser.add_argument("--folder", type=Path, help="where 1 GB fits  [the temporary folder]")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    return parser.parse_args()


def list_task(task: str, folder: Path) -> list[str]:
    return [sys.executable, __file__, "--task", task, "--folder", str(folder)]


def measure_all(folder: Path, repeats: int) -> tuple[dict[str, list["Cost"]], float]:
    """Cost of each process, turn by turn, and by how much the means differ from nilearn's."""
    from bench_participant import measure

    labels = [f"{name}={folder / name}.nii.gz" for name in ATLASES]
    tool = [COMMAND, "fc", str(folder / "bold.nii.gz"), "--labels", *labels]
    tool += ["--confounds", str(folder / "confounds.tsv"), "--mask", str(folder / "mask.nii.gz")]
    tool += ["--denoise", "36p", "--output-dir", str(folder / "out")]
    commands = {
        "start": list_task("start", folder),
        "floor": list_task("floor", folder),
        "means": list_task("means", folder),
        "tool": tool,
        "imports": list_task("imports", folder),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            costs[name].append(measure(command))
    costs["nilearn"] = [measure(list_task("nilearn", folder))]
    worst = 0.0
    for name in ATLASES:
        ours, theirs = (np.load(folder / f"{name}_{who}.npy") for who in ("means", "nilearn"))
        worst = max(worst, float(np.abs(ours / theirs - 1).max()))
    return costs, worst


def report(costs: dict[str, list["Cost"]], worst: float) -> None:
    """Print medians as a table."""
    names = {
        "start": "start Python and numpy",
        "floor": "floor: start Python and numpy, inflate the file (isal)",
        "means": "region means of three atlases, one read",
        "tool": "`kraken-tools fc`: cleaned, 9 matrices, all written",
        "imports": "start Python, import what the region means need",
        "nilearn": "nilearn: `NiftiLabelsMasker`, three calls (measured once)",
    }
    middle = {name: _median(runs) for name, runs in costs.items()}
    floor = middle["floor"]
    print("| what | wall, s | CPU, s | peak memory, MB | wall / floor | CPU / floor |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, words in names.items():
        cost = middle[name]
        ratios = f"{cost.wall / floor.wall:.2f} | {cost.cpu / floor.cpu:.2f}"
        seconds = f"{cost.wall:.2f} | {cost.cpu:.2f}"
        print(f"| {words} | {seconds} | {1000 * cost.peak:.0f} | {ratios} |")
    # on one core CPU is the time that it takes where nobody else wants the core
    start, imports, means, peer = (
        middle[name].cpu for name in ("start", "imports", "means", "nilearn")
    )
    peak = 1000 * middle["means"].peak
    ratio = means / floor.cpu
    inner = (means - imports) / (floor.cpu - start)
    print(f"\nRegion means, CPU of whole processes: {ratio:.2f} floors ", end="")
    print(f"({_verdict(ratio <= MAX_FLOORS)}: at most {MAX_FLOORS}; ", end="")
    print(f"{inner:.2f} without either's start), ", end="")
    print(f"{peer / means:.1f} x faster than nilearn ", end="")
    print(f"({_verdict(peer / means >= MIN_SPEEDUP)}: at least {MIN_SPEEDUP:.0f}), ", end="")
    print(f"{peak:.0f} MB ({_verdict(peak < MAX_MB)}: below {MAX_MB:.0f}).")
    print(f"Largest difference from nilearn's means: {worst:.1e} of the signal.")


def _median(runs: Sequence["Cost"]) -> "Cost":
    from bench_participant import Cost

    columns = ([getattr(run, name) for run in runs] for name in ("wall", "cpu", "peak"))
    return Cost(*(statistics.median(column) for column in columns))


def _verdict(is_met: bool) -> str:  # noqa: FBT001
    return "met" if is_met else "MISSED"


def write_data(folder: Path, *, is_small: bool = False) -> None:
    """One run, its mask and confounds, and label images on its grid."""
    from participant_data import FULL, SMALL, draw_confounds, write_bold

    from kraken_bids.demo.formats import write_image, write_table
    from kraken_bids.demo.template_brain import grid_affine, grid_points, load_brain, look_up

    size = SMALL if is_small else FULL
    affine = grid_affine(size.bold_mm, size.bold_shape)
    points = grid_points(affine, size.bold_shape)
    brain = load_brain()
    for name in ATLASES:
        labels = look_up(brain.regions[name], points).astype(np.int16)
        write_image(folder / f"{name}.nii.gz", labels, affine)
    inside = look_up(brain.tissue, points) > 0
    write_image(folder / "mask.nii.gz", inside.astype(np.uint8), affine)
    write_table(folder / "confounds.tsv", draw_confounds(size, 1))
    path = folder / "run_space-x_bold.nii.gz"  # the name seeds the noise
    write_bold(path, points, affine, size=size)
    path.rename(folder / "bold.nii.gz")
    print(f"One run of {size.bold_shape} x {size.n_volumes} float32, ", end="", flush=True)


def write_small_data(folder: Path) -> None:
    write_data(folder, is_small=True)


def inflate(folder: Path) -> None:
    from isal import igzip

    buffer = bytearray(1 << 22)
    with igzip.open(folder / "bold.nii.gz") as stream:
        while stream.readinto(buffer):
            pass


def start(_folder: Path) -> None:
    """Do nothing: numpy is imported above."""


def import_all(_folder: Path) -> None:
    pass


def compute_means(folder: Path) -> None:
    """Region means of three atlases from one read, as the app takes them."""
    from kraken_bids.bids.bold_series import open_bold
    from kraken_bids.bids.custom_atlases import read_custom_parcellation
    from kraken_bids.bids.label_images import LabelImage
    from kraken_bids.pipeline.measure.bold_grids import Grids
    from kraken_bids.pipeline.measure.bold_runs import read_region_series

    bold = open_bold(folder / "bold.nii.gz", tr=None)
    images = {name: LabelImage(name, folder / f"{name}.nii.gz", "") for name in ATLASES}
    grids = Grids(images, lambda name: read_custom_parcellation(name, str(images[name].path)))
    mask = grids.mask(folder / "mask.nii.gz", bold)
    series = read_region_series(bold, grids.regions(bold), brain_mask=mask, tissues={})
    for name, means in series.means.items():
        np.save(folder / f"{name}_means.npy", means)


def mask_with_nilearn(folder: Path) -> None:
    """Region means of three atlases, a call each: a masker takes one label image."""
    from nilearn.maskers import NiftiLabelsMasker

    for name in ATLASES:
        masker = NiftiLabelsMasker(str(folder / f"{name}.nii.gz"), standardize=None)
        means = masker.fit_transform(str(folder / "bold.nii.gz"))
        np.save(folder / f"{name}_nilearn.npy", means)


TASKS = {
    "write": write_data,
    "write-small": write_small_data,
    "start": start,
    "floor": inflate,
    "imports": import_all,
    "means": compute_means,
    "nilearn": mask_with_nilearn,
}

if __name__ == "__main__":
    main()
