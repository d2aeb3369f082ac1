"""Finding the inputs of one participant and of all 500 in an fMRIPrep data set of 28 000 files.

Prints a table: wall and CPU of whole processes, against pybids in the same run. Usage:
``python benchmarks/bench_discovery.py [--repeats N] [--peer-participants N]``.
"""

import argparse
import json
import shutil
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what the processes that are measured import counts
    from bench_participant import Cost

COMMAND = str(Path(sysconfig.get_path("scripts")) / "kraken-bids")
N_PARTICIPANTS = 500
SPACES = ("T1w", "MNI152NLin6Asym_res-2", "MNI152NLin2009cAsym_res-2")
ATLASES = ("shen268", "coco439")
MAX_ONE_S, MAX_ALL_S = 1.0, 5.0
"""Targets: of the whole process that finds one participant's inputs, and of everyone's."""


def main() -> None:
    arguments = parse_arguments()
    if arguments.task:
        TASKS[arguments.task](arguments.folder)
        return
    folder = Path(tempfile.mkdtemp(prefix="kraken_bench_", dir=arguments.folder))
    try:
        tree, part = folder / "fmriprep", folder / "part" / "fmriprep"
        n_files = write_dataset(tree, N_PARTICIPANTS)
        n_part = write_dataset(part, arguments.peer_participants)
        print(f"{n_files} files of {N_PARTICIPANTS} participants; ", end="")
        print(f"pybids gets {n_part} files of {arguments.peer_participants}.\n")
        report(measure_all(tree, part, arguments.repeats), n_files / n_part)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="of all but pybids  [%(default)s]")
    parser.add_argument(
        "--peer-participants", type=int, default=50, help="that pybids indexes  [%(default)s]"
    )
    parser.add_argument("--folder", type=Path, help="where 100 MB fit  [the temporary folder]")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure_all(tree: Path, part: Path, repeats: int) -> dict[str, list["Cost"]]:
    """Cost of each process, turn by turn; pybids once, on a part of the tree."""
    from bench_participant import measure

    dry = [COMMAND, str(tree), str(tree.parent / "out"), "participant", "--dry-run"]
    commands = {
        "one": list_task("one", tree),
        "dry-one": [*dry, "--participant-label", "0250"],
        "all": list_task("all", tree),
        "dry-all": dry,
        "walk": list_task("walk", tree),
        "start": [sys.executable, "-c", "import numpy"],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for turn in range(repeats + 1):
        for name, command in commands.items():
            cost = measure(command)
            if turn:  # the first turn fills the disk cache
                costs[name].append(cost)
    costs["pybids"] = [measure(list_task("pybids", part))]
    return costs


def list_task(task: str, folder: Path) -> list[str]:
    return [sys.executable, __file__, "--task", task, "--folder", str(folder)]


def report(costs: dict[str, list["Cost"]], times_larger: float) -> None:
    """Print medians as a table; pybids' time is also scaled up to the whole tree."""
    wall = {name: statistics.median(cost.wall for cost in runs) for name, runs in costs.items()}
    cpu = {name: statistics.median(cost.cpu for cost in runs) for name, runs in costs.items()}
    whole = cpu["pybids"] * times_larger
    names = {
        "one": ("inputs of one participant, from a cold start", MAX_ONE_S),
        "dry-one": ("`kraken-bids … participant --participant-label 0250 --dry-run`", MAX_ONE_S),
        "all": ("inputs of all participants, from a cold start", MAX_ALL_S),
        "dry-all": ("`kraken-bids … participant --dry-run`", MAX_ALL_S),
        "walk": ("`os.walk` over the tree, nothing done with the names", None),
        "start": ("`python -c 'import numpy'`", None),
        "pybids": (f"pybids: `BIDSLayout`, 1/{times_larger:.0f} of the tree (once)", None),
    }
    print("| what | wall, s | CPU, s | CPU of pybids over the whole tree / this | target |")
    print("|---|---:|---:|---:|---|")
    for name, (words, target) in names.items():
        verdict = ""
        if target is not None:
            verdict = f"< {target:g} s: {'met' if wall[name] < target else 'MISSED'}"
        ratio = f"{whole / cpu[name]:.0f}" if target is not None else ""
        print(f"| {words} | {wall[name]:.2f} | {cpu[name]:.2f} | {ratio} | {verdict} |")
    scaled = f"{wall['pybids'] * times_larger:.0f} | {whole:.0f}"
    print(f"| … extrapolated to the whole tree | {scaled} | 1 | |")


def write_dataset(root: Path, n_participants: int) -> int:
    """Lay out what fMRIPrep 25 writes, images empty; returns the number of files."""
    content = {"Name": "fMRIPrep", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    content["GeneratedBy"] = [{"Name": "fMRIPrep", "Version": "25.2.0"}]
    root.mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps(content))
    template = root / "tpl-MNI152NLin6Asym" / "anat"
    template.mkdir(parents=True)
    for atlas in ATLASES:
        name = f"tpl-MNI152NLin6Asym_atlas-{atlas}_res-01_dseg.nii.gz"
        (template / name).touch()
    for number in range(1, n_participants + 1):
        label = f"sub-{number:04d}"
        for folder in ("anat", "func", "figures"):
            (root / label / folder).mkdir(parents=True)
        (root / f"{label}.html").touch()
        for name in list_names(label):
            (root / label / name).write_text('{"RepetitionTime": 2.0}' * name.endswith(".json"))
    return sum(1 for path in root.rglob("*") if path.is_file())


def list_names(label: str) -> Iterator[str]:
    """Files of one participant: two runs in three spaces."""
    for ending in (
        *("desc-preproc_T1w.nii.gz", "desc-preproc_T1w.json", "desc-brain_mask.nii.gz"),
        *("dseg.nii.gz", "desc-aparcaseg_dseg.nii.gz", "desc-aseg_dseg.nii.gz"),
        *(f"label-{tissue}_probseg.nii.gz" for tissue in ("GM", "WM", "CSF")),
        *(f"space-{SPACES[1]}_label-{tissue}_probseg.nii.gz" for tissue in ("GM", "WM", "CSF")),
        *("from-T1w_to-fsnative_mode-image_xfm.txt", "from-fsnative_to-T1w_mode-image_xfm.txt"),
        *("from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5",),
        *("from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5",),
    ):
        yield f"anat/{label}_{ending}"
    for run in ("01", "02"):
        stem = f"func/{label}_task-rest_run-{run}"
        yield f"{stem}_desc-confounds_timeseries.tsv"
        yield f"{stem}_desc-confounds_timeseries.json"
        yield f"{stem}_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"
        yield f"{stem}_desc-hmc_boldref.nii.gz"
        for space in SPACES:
            yield f"{stem}_space-{space}_desc-preproc_bold.nii.gz"
            yield f"{stem}_space-{space}_desc-preproc_bold.json"
            yield f"{stem}_space-{space}_boldref.nii.gz"
            yield f"{stem}_space-{space}_desc-brain_mask.nii.gz"
            yield f"{stem}_space-{space}_desc-brain_mask.json"
    yield f"figures/{label}_task-rest_desc-carpetplot_bold.svg"


def find_one(tree: Path) -> None:
    """Find the inputs of one participant, as a participant job does."""
    find_inputs(tree, ("0250",))


def find_all(tree: Path) -> None:
    find_inputs(tree, ())


def find_inputs(tree: Path, wanted: tuple[str, ...]) -> None:
    from kraken_bids.bids.datasets import find_datasets, find_subjects
    from kraken_bids.bids.inputs import find_session_inputs
    from kraken_bids.parcellations import load_parcellation

    datasets = find_datasets(tree, {})
    parcellations = [load_parcellation(name) for name in ("fs86", *ATLASES)]
    for label in find_subjects(datasets, wanted):
        (session,) = find_session_inputs(datasets, label, parcellations=parcellations)
        assert len(session.bold_runs) == 4, session
        labels = {(run.space, name) for run in session.bold_runs for name in run.labels}
        assert len(labels) == 3, session


def walk(tree: Path) -> None:
    import os

    assert sum(len(files) for _, _, files in os.walk(tree)) > N_PARTICIPANTS


def index_with_pybids(part: Path) -> None:
    """Index a part of the tree, and ask for the BOLD series of one participant."""
    from bids import BIDSLayout

    layout = BIDSLayout(part, validate=False, is_derivative=True)
    last = max(layout.get_subjects())
    found = layout.get(subject=last, suffix="bold", desc="preproc", extension=".nii.gz")
    assert len(found) == 2 * len(SPACES), found


TASKS = {
    "one": find_one,
    "all": find_all,
    "walk": walk,
    "pybids": index_with_pybids,
}

if __name__ == "__main__":
    main()
