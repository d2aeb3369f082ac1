"""A participant of the demo, a tiny model, and what the app makes of both."""

import fcntl
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

from kraken_bids.cli.app import main
from kraken_bids.demo.cohort import simulate_cohort
from kraken_bids.demo.dataset import write_demo_dataset
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.itk_transforms import read_transform
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.training import TrainingSettings, train_model
from kraken_bids.report.section import Page
from kraken_bids.report.sections import registration

FLAVORS = ("FCcorr_fs86_hpf", "FCcorr_shen268_hpf", "SCifod2act_fs86_volnorm")
TINY = TrainingSettings(
    transform="pca4", latent_size=4, dropout=0.0, n_epochs=1, batch_size=4, device="cpu"
)


def draw_registration(page: Page) -> dict[str, bytes]:
    """Show what was drawn while measuring, and draw no other figure of a page."""
    return dict(registration.SECTION.draw(page.data.get("registration", ())))


@dataclass(frozen=True)
class Participant:
    """One participant's files, as fMRIPrep and QSIRecon name them; read only."""

    bids: Path
    """Raw root with derivatives."""
    model: Path
    """Model of :data:`FLAVORS`."""
    done: Path
    """OUTPUT_DIR of ``kraken-bids … participant`` with this model."""
    labels_dwi: Path
    """fs86 in the space of the tractogram."""

    @property
    def fmriprep(self) -> Path:
        """Derivatives of fMRIPrep."""
        return self.bids / "derivatives" / "fmriprep"

    def func(self, ending: str) -> list[str]:
        """Files of both runs."""
        found = sorted(map(str, (self.fmriprep / "sub-01" / "func").glob(f"*{ending}")))
        assert len(found) == 2, ending
        return found

    def tpms(self, space: str = "") -> list[str]:
        """Grey matter, white matter, CSF."""
        anat = self.fmriprep / "sub-01" / "anat"
        return [str(anat / f"sub-01{space}_label-{t}_probseg.nii.gz") for t in ("GM", "WM", "CSF")]

    @property
    def t1(self) -> dict[str, Any]:
        """Inputs for T1w space."""
        anat = self.fmriprep / "sub-01" / "anat"
        return {
            "bold_t1": self.func("_space-T1w_desc-preproc_bold.nii.gz"),
            "bold_mask_t1": self.func("_space-T1w_desc-brain_mask.nii.gz"),
            "confounds_file": self.func("_desc-confounds_timeseries.tsv"),
            "t1w_tpms": self.tpms(),
            "fs86_dseg": str(anat / "sub-01_desc-aparcaseg_dseg.nii.gz"),
        }

    @property
    def std(self) -> dict[str, Any]:
        """Inputs for the template's space."""
        folder = self.bids / "derivatives" / "atlases" / "tpl-MNI152NLin6Asym" / "anat"
        name = "tpl-MNI152NLin6Asym_atlas-shen268_res-02_dseg.nii.gz"
        return {
            "bold_std": self.func("_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz"),
            "bold_mask_std": self.func("_space-MNI152NLin6Asym_res-2_desc-brain_mask.nii.gz"),
            "std_tpms": self.tpms("_space-MNI152NLin6Asym_res-2"),
            "shen268_dseg": str(folder / name),
        }

    @property
    def dwi(self) -> dict[str, Any]:
        """Inputs for the tractogram."""
        stem = self.bids / "derivatives/qsirecon/sub-01/dwi/sub-01_space-ACPC_model-ifod2"
        return {
            "ifod2_tracks": f"{stem}_streamlines.tck.gz",
            "ifod2_weights": f"{stem}_desc-sift2_streamlineweights.csv",
            "fs86_dseg_dwi": str(self.labels_dwi),
        }

    def app_files(self, pattern: str) -> dict[str, Path]:
        """Files of the app's by name."""
        return {path.name: path for path in sorted((self.done / "sub-01").rglob(pattern))}


@pytest.fixture(scope="session")
def participant(tmp_path_factory: pytest.TempPathFactory) -> Participant:
    """Build the participant once, also where several pytest processes share it."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "workflows"
    root.mkdir(exist_ok=True)
    labels = root / "sub-01_space-ACPC_atlas-fs86_dseg.nii.gz"
    found = Participant(root / "bids", root / "model", root / "done", labels)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "complete").exists():
            _build(found)
            (root / "complete").touch()
    return found


def _build(participant: Participant) -> None:
    write_demo_dataset(participant.bids, 1, seed=3)
    cohort = simulate_cohort(8, 1, parcellations=("fs86", "shen268"))
    few = {flavor: cohort[flavor] for flavor in map(parse_flavor, FLAVORS)}
    write_model(train_model(few, settings=TINY), participant.model)
    anat = participant.bids / "derivatives/qsirecon/sub-01/anat"
    # as image transform, it carries points from ACPC to T1w
    ((to_t1w, _),) = read_transform(anat / "sub-01_from-T1w_to-ACPC_mode-image_xfm.txt")
    image = nibabel.load(participant.t1["fs86_dseg"])
    labels = nibabel.Nifti1Image(np.asarray(image.dataobj), np.linalg.inv(to_t1w) @ image.affine)
    nibabel.save(labels, participant.labels_dwi)
    words = [participant.bids, participant.done, "participant", "--model", participant.model]
    words += ["--atlases", "fs86", "shen268", "--adaptation", "none"]
    words += ["--parcellation", f"fs86={participant.labels_dwi}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kraken_bids.report.page.draw_figures", draw_registration)
        result = CliRunner().invoke(main, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for handler in list(logging.getLogger("kraken_bids").handlers):
        logging.getLogger("kraken_bids").removeHandler(handler)
        handler.close()
    logging.captureWarnings(capture=False)


@pytest.fixture(autouse=True)
def folder_of_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what nipype writes outside a workflow's folder, such as crash files, out of the way."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
