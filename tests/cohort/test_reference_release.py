"""run_model.py of the reference release on models that we wrote: its answers are ours.

Needs KRAKENCODER_REFERENCE: a checkout of github.com/kjamison/krakencoder whose requirements are
installed.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat

from kraken_bids.cohort.prediction_archives import collect_arrays
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.models.krakencoder.architecture import Architecture
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.network import Network
from kraken_bids.models.krakencoder.published_writer import write_upstream
from kraken_bids.models.krakencoder.recipe import TrainingSettings
from kraken_bids.models.krakencoder.reduction import fit_reduction
from kraken_bids.pipeline.file_predictions import encode_files
from kraken_bids.pipeline.model_files import convert_model
from kraken_bids.pipeline.model_training import train_files
from kraken_bids.pipeline.predict.prediction_options import PredictionOptions
from kraken_bids.pipeline.train.training_options import TrainingOptions

REFERENCE = os.environ.get("KRAKENCODER_REFERENCE", "")
NAMES = ("FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm", "FCpcorr_fs86_hpf")
FLAVORS = tuple(parse_flavor(name) for name in NAMES)
GROUPS: dict[str, Any] = {
    "groups": ("fc", "sc", "fc"),
    "group_paths": ("fc->sc", "sc->fc"),
    "group_sizes": (4,),
    "group_dropout": 0.5,
}

pytestmark = pytest.mark.skipif(
    not REFERENCE, reason="KRAKENCODER_REFERENCE names no checkout of the reference release"
)


def make_model(kind: str, **changes: Any) -> Model:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    n_inputs = 6 if kind.startswith("pca") else 3655
    architecture = Architecture(NAMES, (n_inputs,) * 3, 5, dropout=0.5, **changes)
    training = {f: rng.normal(size=(20, 3655)) + rng.normal(size=3655) for f in FLAVORS}
    return Model(
        name="x",
        sha256="",
        flavors=FLAVORS,
        latent_size=5,
        network=Network(architecture).freeze(),
        reductions={f: fit_reduction(x, kind) for f, x in training.items()},
    )


def ask(folder: Path, edges: dict[Flavor, np.ndarray], mode: str) -> dict[str, np.ndarray]:
    """Answers of the reference release."""
    subjects = np.array([str(100 + row) for row in range(12)], dtype=object)
    for flavor, rows in edges.items():
        squares = edges_to_square(rows, diagonal=flavor.diagonal)
        savemat(folder / f"{flavor}.mat", {"data": squares, "subjects": subjects})
    words = [
        "run_model.py", "--checkpoint", folder / "kraken_chkpt_x.pt",
        "--inputxform", folder / "kraken_ioxfm_x.npy",
        "--inputdata", *(f"{flavor}={folder}/{flavor}.mat" for flavor in edges),
        "--outputname", *NAMES, "--adaptmode", mode, "--output", folder / "theirs.mat",
        "--fusion", "--fusionnoself", "--fusioninclude", "fusion=all", "fusionFC=FC",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=REFERENCE,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = loadmat(folder / "theirs.mat", simplify_cells=True)["predicted_alltypes"]
    return {f"{source}->{target}": v for source in found for target, v in found[source].items()}


@pytest.mark.parametrize(
    ("kind", "mode", "changes"),
    [
        ("pca6", "meanfit+meanshift", {}),
        ("cfeat", "meanshift", {"hidden_sizes": (8,), "negative_slope": 0.2}),
        ("pca6", "meanfit", {**GROUPS}),
        ("pca6", "none", {**GROUPS, "hidden_sizes": (8,), "latent_normalize": False}),
    ],
)
def test_the_reference_release_predicts_what_we_predict(
    tmp_path: Path, kind: str, mode: str, changes: dict[str, Any]
) -> None:
    """Every flavor and fusion, without self too, adapted, translated between groups."""
    rng = np.random.default_rng(1)
    edges = {f: rng.normal(size=(12, 3655)) + 2 * rng.normal(size=3655) for f in FLAVORS}
    written = write_upstream(make_model(kind, **changes), tmp_path / "kraken_chkpt_x.pt")
    np.savez(tmp_path / "inputs.npz", **{f.name: rows for f, rows in edges.items()})
    options = PredictionOptions(
        adaptation_mode=mode, exclude_self=True, sources=("fusion", "fusionFC", "each")
    )

    expected = ask(tmp_path, edges, mode)

    model = load_model(written[0], transforms=[written[1]], device="cpu")
    actual = collect_arrays(encode_files([str(tmp_path / "inputs.npz")], model, options))
    assert len(expected) == 3 * 3 + 4 * 3
    for key, values in expected.items():
        assert np.abs(actual[key] - values).max() <= 1e-5 * np.abs(values).max(), key


def test_the_reference_release_takes_a_model_trained_here(tmp_path: Path) -> None:
    """From files to a folder, to the published format, to the same answers."""
    rng = np.random.default_rng(1)
    person = rng.normal(size=(24, 4))
    subjects = np.array([str(100 + row) for row in range(24)])
    edges = {
        f: 2 * rng.normal(size=3655) + person @ rng.normal(size=(4, 3655))
        + 0.3 * rng.normal(size=(24, 3655))
        for f in FLAVORS
    }  # fmt: skip
    np.savez(tmp_path / "all.npz", subjects=subjects, **{f.name: x for f, x in edges.items()})
    settings = TrainingSettings(
        transform="pca6", latent_size=5, batch_size=8, n_epochs=5, device="cpu"
    )
    train_files([str(tmp_path / "all.npz")], tmp_path / "own", TrainingOptions(settings))
    _, written = convert_model(str(tmp_path / "own"), tmp_path / "kraken_chkpt_x.pt")
    own = {f: rows[:12] for f, rows in edges.items()}

    expected = ask(tmp_path, own, "meanfit+meanshift")

    model = load_model(tmp_path / "own", device="cpu")
    np.savez(tmp_path / "inputs.npz", **{f.name: rows for f, rows in own.items()})
    options = PredictionOptions(
        adaptation_mode="meanfit+meanshift", exclude_self=True,
        sources=("fusion", "fusionFC", "each"),
    )  # fmt: skip
    actual = collect_arrays(encode_files([str(tmp_path / "inputs.npz")], model, options))
    assert [path.name for path in written] == ["kraken_chkpt_x.pt", "kraken_ioxfm_x.npy"]
    for key, values in expected.items():
        assert np.abs(actual[key] - values).max() <= 1e-5 * np.abs(values).max(), key
