"""Tiny trees laid out like the outputs of fMRIPrep, FreeSurfer and QSIRecon: names, not data."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

IDENTITY = (
    "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
    "Parameters: 1 0 0 0 1 0 0 0 1 0 0 0\nFixedParameters: 0 0 0\n"
)
MNI = "MNI152NLin6Asym_res-2"


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


@pytest.fixture
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
