"""Functional connectomes of one participant from fMRIPrep's output, beside giga_connectome.

Two runs, one atlas, a matrix for each run, from files to files, on one core, in turns. The peer
is installed into an environment of its own; what it would fetch from TemplateFlow is put where it
looks. Usage: ``python benchmarks/bench_giga.py [--small] [--giga SOURCE]``.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import venv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench_participant import COMMAND, Cost, measure, write_model_to
from participant_data import FULL, SMALL, SUBJECT, TEMPLATE, write_participant

GIGA = "git+https://github.com/bids-apps/giga_connectome@76f1bd5faf74babc939d6a098ec8dfdad4a2cd42"
"""0.6.0 and 45 commits, of July 2026: the release itself asks for an older nilearn."""
ATLAS = "shen268"
FLAVOR = "FCcorr_shen268_hpf"
PEER_TEMPLATE = "MNI152NLin2009cAsym"
"""Whose grey matter giga_connectome asks TemplateFlow for."""


def main() -> None:
    arguments = parse_arguments()
    size = replace(SMALL if arguments.small else FULL, n_streamlines=2000)
    folder = Path(tempfile.mkdtemp(prefix="kraken_bench_", dir=arguments.folder))
    try:
        peer = install_peer(folder / "venv", arguments.giga)
        bids, model = folder / "bids", folder / "model"
        write_participant(bids, size)
        write_model_to(model, 32, 16)
        write_templates(bids, folder)
        print(
            f"{size.n_runs} runs of {size.bold_shape} x {size.n_volumes}, {ATLAS}.\n", flush=True
        )
        os.sched_setaffinity(0, {arguments.core})
        commands: dict[str, Callable[[Path], list[str]]] = {
            "kraken_bids": lambda out: list_own(bids, out, model),
            peer.name: lambda out: list_peer(peer, bids, out, folder),
        }
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for turn in range(arguments.repeats):
            for name, command in commands.items():
                costs[name].append(measure(command(folder / f"{name}-{turn}")))
        report(costs, compare(folder / "kraken_bids-0", folder / f"{peer.name}-0"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of it, to try this out")
    parser.add_argument(
        "--giga", default=GIGA, metavar="SOURCE", help="as pip takes it, or its command"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each  [%(default)s]")
    parser.add_argument("--core", type=int, default=0, help="CPU to stay on  [%(default)s]")
    parser.add_argument("--folder", type=Path, help="where 4 GB fit  [the temporary folder]")
    return parser.parse_args()


def install_peer(place: Path, source: str) -> Path:
    """Install giga_connectome; returns its command, or the one that was given."""
    if Path(source).is_file():
        return Path(source).absolute()
    venv.create(place, with_pip=True)
    words = ["install", "--quiet", "--disable-pip-version-check", source]
    subprocess.run([str(place / "bin" / "pip"), *words], check=True)
    return place / "bin" / "giga_connectome"


def write_templates(bids: Path, folder: Path) -> None:
    """Put grey matter and atlas where TemplateFlow's own would be, and describe the atlas."""
    home = folder / "templateflow"
    os.environ["TEMPLATEFLOW_HOME"] = str(home)
    grey = home / f"tpl-{PEER_TEMPLATE}" / f"tpl-{PEER_TEMPLATE}_res-02_label-GM_probseg.nii.gz"
    atlas = home / f"tpl-{TEMPLATE}" / f"tpl-{TEMPLATE}_res-01_atlas-{ATLAS}_desc-268_dseg.nii.gz"
    derivatives = bids / "derivatives"
    (source,) = derivatives.glob(f"fmriprep/{SUBJECT}/anat/*_res-2_label-GM_probseg.nii.gz")
    (labels,) = derivatives.glob(f"atlases/*/anat/*_atlas-{ATLAS}_*dseg.nii.gz")
    for origin, target in ((source, grey), (labels, atlas)):
        target.parent.mkdir(parents=True)
        shutil.copy(origin, target)
    found = {"atlas": ATLAS, "template": TEMPLATE, "resolution": "01", "suffix": "dseg"}
    words = {"name": ATLAS, "parameters": found, "desc": ["268"], "templateflow_dir": str(home)}
    (folder / "atlas.json").write_text(json.dumps(words))
    space = {"space": TEMPLATE}
    (folder / "filter.json").write_text(json.dumps({"bold": space, "mask": space}))


def list_own(bids: Path, out: Path, model: Path) -> list[str]:
    """Words of our command: 24 motion regressors and a high-pass, and a matrix for each run."""
    words = ["--model", str(model), "--atlases", ATLAS, "--flavors", FLAVOR, "--denoise", "24p"]
    return [COMMAND, str(bids), str(out), "participant", *words, "--per-run", "--n-procs", "1"]


def list_peer(peer: Path, bids: Path, out: Path, folder: Path) -> list[str]:
    """Words of the peer's: the same regressors with white matter and CSF, nothing smoothed."""
    words = [
        "--atlas",
        str(folder / "atlas.json"),
        "--bids-filter-file",
        str(folder / "filter.json"),
    ]
    words += ["--denoise-strategy", "simple", "--smoothing-fwhm", "0"]
    words += ["--atlases-dir", str(out / "atlases"), "--reindex-bids"]
    return [str(peer), str(bids / "derivatives" / "fmriprep"), str(out), "participant", *words]


def compare(ours: Path, theirs: Path) -> float:
    """Correlation of the edges of the first run, ours with theirs."""
    own = np.loadtxt(min(ours.rglob("*run-01*_desc-singlerun_relmat.dense.tsv")))
    other = np.loadtxt(min(theirs.rglob("*run-01*_relmat.tsv")), skiprows=1)
    assert own.shape == other.shape, f"{own.shape} and {other.shape}"
    upper = np.triu_indices(len(own), 1)
    has = np.isfinite(own[upper]) & (other[upper] != 0)
    return float(np.corrcoef(own[upper][has], other[upper][has])[0, 1])


def report(costs: dict[str, list[Cost]], correlation: float) -> None:
    """Print medians, and how many times as long the peer takes."""
    middle = {
        name: Cost(
            *(statistics.median(getattr(run, k) for run in runs) for k in ("wall", "cpu", "peak"))
        )
        for name, runs in costs.items()
    }
    own, peer = middle.values()
    print("| | wall, s | CPU, s | peak memory, GB |")
    print("|---|---:|---:|---:|")
    for name, cost in middle.items():
        print(f"| {name} | {cost.wall:.1f} | {cost.cpu:.1f} | {cost.peak:.2f} |")
    print(f"\ngiga_connectome takes {peer.cpu / own.cpu:.1f} times the CPU, ", end="")
    print(f"{peer.peak / own.peak:.1f} times the memory. ", end="")
    print(f"Edges of the first run correlate with ours by {correlation:.3f}.")


if __name__ == "__main__":
    main()
