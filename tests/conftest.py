"""Data that many tests share: trees of names, a small cohort and model, brains."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

if "PYTEST_XDIST_WORKER" in os.environ:  # read by numpy: two workers of two cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.bids.outputs import relmat_path
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.training import TrainingSettings, train_model

IDENTITY = (
    "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
    "Parameters: 1 0 0 0 1 0 0 0 1 0 0 0\nFixedParameters: 0 0 0\n"
)
MNI = "MNI152NLin6Asym_res-2"

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def describe(folder: Path, name: str, version: str = "1.0") -> None:
    """Write the description of a derivative dataset."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "Name": name,
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": name, "Version": version}],
    }
    (folder / "dataset_description.json").write_text(json.dumps(content))


def touch(folder: Path, *names: str) -> None:
    """Make files with the content that finding needs; images are empty."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = {".json": '{"RepetitionTime": 2.0}', ".txt": IDENTITY}.get(path.suffix, "")
        path.write_text(text)
        if name.endswith(".tck"):
            write_tck(path, [np.zeros((2, 3))])


def write_tck(
    path: Path, tracks: list[np.ndarray], *, keys: Mapping[str, str] | None = None
) -> None:
    """Write tracks [n, 3] little endian float32, as MRtrix does."""
    nan, inf = np.full((1, 3), np.nan), np.full((1, 3), np.inf)
    body = np.concatenate([part for t in tracks for part in (t, nan)] + [inf])
    lines = {"datatype": "Float32LE", **(keys or {}), "file": ". 200"}
    header = "mrtrix tracks\n" + "".join(f"{k}: {v}\n" for k, v in lines.items()) + "END\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.encode().ljust(200, b"\0") + body.astype("<f4").tobytes())


def write_run(func: Path, stem: str, spaces: tuple[str, ...] = ("T1w", MNI)) -> None:
    """Write the names of one run of fMRIPrep."""
    touch(func, f"{stem}_desc-confounds_timeseries.tsv", f"{stem}_desc-confounds_timeseries.json")
    for space in spaces:
        start = f"{stem}_space-{space}"
        touch(
            func,
            f"{start}_desc-preproc_bold.nii.gz",
            f"{start}_desc-preproc_bold.json",
            f"{start}_boldref.nii.gz",
            f"{start}_desc-brain_mask.nii.gz",
        )


def write_anat(anat: Path, stem: str, *, aparcaseg: bool = True) -> None:
    """Write the names of fMRIPrep's anatomy."""
    spaces = ("", f"_space-{MNI}")
    touch(
        anat,
        *(f"{stem}{s}_label-{t}_probseg.nii.gz" for s in spaces for t in ("GM", "WM", "CSF")),
        f"{stem}_from-fsnative_to-T1w_mode-image_xfm.txt",
        f"{stem}_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5",
        f"{stem}_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5",
    )
    if aparcaseg:
        touch(anat, f"{stem}_desc-aparcaseg_dseg.nii.gz")


@pytest.fixture(scope="session")
def tree() -> SimpleNamespace:
    """Give the functions above to tests that add to a tree."""
    functions = (describe, touch, write_tck, write_run, write_anat)
    return SimpleNamespace(**{function.__name__: function for function in functions})


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Make a raw dataset with one run of fMRIPrep of one participant, and atlas images."""
    root = tmp_path / "study"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    touch(root, "sub-01/func/sub-01_task-rest_bold.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz")
    derivatives = root / "derivatives"
    describe(derivatives / "fmriprep", "fMRIPrep", "25.2.5")
    write_run(derivatives / "fmriprep/sub-01/func", "sub-01_task-rest")
    write_anat(derivatives / "fmriprep/sub-01/anat", "sub-01")
    describe(derivatives / "atlases", "atlases")
    for name in ("shen268", "coco439"):
        file = f"tpl-MNI152NLin6Asym/anat/tpl-MNI152NLin6Asym_atlas-{name}_res-01_dseg.nii.gz"
        touch(derivatives / "atlases", file)
    return root


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRAKEN_BIDS_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))


FLAVORS = tuple(
    map(parse_flavor, ("FCcorr_fs86_hpf", "FCpcorr_fs86_hpf", "SCifod2act_fs86_volnorm"))
)
N_PEOPLE = 12
N_EDGES = 86 * 85 // 2


@pytest.fixture(scope="session")
def cohort_edges() -> dict[Flavor, NDArray[np.float64]]:
    """Edges [n_people, n_edges] that share six factors of each person across flavors."""
    rng = np.random.default_rng(5)
    person = rng.standard_normal((N_PEOPLE, 6))
    edges = {}
    for flavor in FLAVORS:
        common = rng.standard_normal(N_EDGES)
        own = person @ rng.standard_normal((6, N_EDGES))
        noise = rng.standard_normal((N_PEOPLE, N_EDGES))
        edges[flavor] = 0.3 * common + 0.1 * own + 0.02 * noise
    return edges


@pytest.fixture(scope="session")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory, cohort_edges: dict[Flavor, NDArray[np.float64]]
) -> Path:
    """Write an untrained model whose transforms were fitted on shifted copies of the cohort."""
    shifted = {flavor: 2 * rows + 0.1 for flavor, rows in cohort_edges.items()}
    settings = TrainingSettings(
        transform="pca6", latent_size=4, n_epochs=0, batch_size=4, device="cpu"
    )
    folder = tmp_path_factory.mktemp("model")
    return write_model(train_model(shifted, settings=settings), folder)


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    """Read the model back."""
    return load_model(model_folder, device="cpu")


@pytest.fixture(scope="session")
def brains() -> dict[Flavor, NDArray[np.float64]]:
    """Edges [n_people, n_edges] that flavors can have: no negative structure, no r beyond 1."""
    rng = np.random.default_rng(11)
    return {
        flavor: np.clip(
            0.9 * rng.beta(1, 5, N_EDGES) + 0.03 * rng.standard_normal((N_PEOPLE, N_EDGES)), 0, 1
        )
        for flavor in (FLAVORS[0], FLAVORS[2])
    }


@pytest.fixture(scope="session")
def brain_model(
    tmp_path_factory: pytest.TempPathFactory, brains: dict[Flavor, NDArray[np.float64]]
) -> Path:
    """Write an untrained model whose transforms were fitted on these people, a little changed."""
    settings = TrainingSettings(
        transform="pca4", latent_size=4, n_epochs=0, batch_size=4, device="cpu"
    )
    changed = {flavor: 0.9 * rows + 0.01 for flavor, rows in brains.items()}
    return write_model(
        train_model(changed, settings=settings), tmp_path_factory.mktemp("brain_model")
    )


@pytest.fixture
def output_dir(tmp_path: Path, cohort_edges: dict[Flavor, NDArray[np.float64]]) -> Path:
    """Write the cohort's connectomes as measured files of an output dataset."""
    for flavor, rows in cohort_edges.items():
        for k, row in enumerate(rows):
            square = edges_to_square(row, diagonal=flavor.diagonal)
            path = relmat_path(tmp_path, {"sub": f"{k + 1:02d}"}, flavor, source=None)
            write_relmat(path, square)
    return tmp_path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
