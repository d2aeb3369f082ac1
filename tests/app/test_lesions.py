"""A lesion is kept out of tissues and regions, and said, through the command."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from kraken_bids.connectome.functional.timeseries import RegionSeries
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.writing import write_table
from kraken_bids.pipeline.measure import bold_runs

AFFINE = np.diag([3.0, 3, 3, 1])
SHAPE, N = (12, 9, 9), 90
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
LABELS = np.zeros(SHAPE, np.int16)
LABELS[1:11, 1:8, 1:8] = 1 + np.arange(10)[:, None, None] // 2
LESION = np.zeros(SHAPE, np.uint8)
LESION[1:4, 1:8, 1:5] = 1
"""Most of region 1, some of region 2."""
IDENTITY = (
    "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
    "Parameters: 1 0 0 0 1 0 0 0 1 {} 0 0\nFixedParameters: 0 0 0\n"
)


@dataclass(frozen=True)
class Study:
    """A raw dataset with fMRIPrep's derivatives of two participants."""

    bids: Path
    small: Any

    @property
    def out(self) -> Path:
        """OUTPUT_DIR."""
        return self.bids.parent / "out"

    @property
    def fmriprep(self) -> Path:
        """Its folder."""
        return self.bids / "derivatives/fmriprep"

    def write_subject(self, subject: str) -> np.ndarray:
        """Write BOLD in T1w space with tissue maps; the series."""
        rng = np.random.default_rng(int(subject))
        stem = f"sub-{subject}_task-rest"
        func, anat = (self.fmriprep / f"sub-{subject}" / name for name in ("func", "anat"))
        for folder in (func, anat, self.bids / f"sub-{subject}/anat"):
            folder.mkdir(parents=True, exist_ok=True)
        values = 1000 + rng.normal(size=(*SHAPE, N)) + rng.normal(size=(6, N))[LABELS]
        values = values.astype(np.float32)
        base = func / f"{stem}_space-T1w"
        self.small.save_bold(Path(f"{base}_desc-preproc_bold.nii.gz"), values, facts={})
        save(Path(f"{base}_desc-brain_mask.nii.gz"), np.ones(SHAPE, np.uint8))
        for tissue in ("GM", "WM", "CSF"):
            save(anat / f"sub-{subject}_label-{tissue}_probseg.nii.gz", np.ones(SHAPE, np.float32))
        motion = rng.normal(0, 0.001, (N, 6))
        table = dict(zip(MOTION, motion.T, strict=True)) | {"global_signal": np.zeros(N)}
        write_table(func / f"{stem}_desc-confounds_timeseries.tsv", table)
        return values

    def run(self, *words: object) -> Any:
        """Run the participant level."""
        atlas = self.bids.parent / "atlas_space-T1w_dseg.nii.gz"
        return self.small.measure(self.bids, self.out, f"mine={atlas}", *words)

    def find(self, ending: str, subject: str = "01") -> Path:
        """Path of a file in func."""
        name = f"sub-{subject}_task-rest_space-T1w_atlas-mine_{ending}"
        return self.out / f"sub-{subject}/func" / name

    def sidecar(self, subject: str = "01") -> dict[str, Any]:
        """Sidecar of a matrix."""
        return dict(json.loads(self.find("meas-FCcorrHPF_relmat.json", subject).read_text()))


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


@pytest.fixture
def study(tmp_path: Path, small: Any) -> Study:
    study = Study(tmp_path / "bids", small)
    small.describe(study.fmriprep, "fMRIPrep", "25.2.5")
    raw = {"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    (study.bids / "dataset_description.json").write_text(json.dumps(raw))
    save(tmp_path / "atlas_space-T1w_dseg.nii.gz", LABELS)
    return study


def test_lesion_is_in_no_tissue_and_no_region(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Region means, grey matter and voxels of components are those outside, as numpy has them."""
    values = study.write_subject("01").astype(np.float64)
    save(study.bids / "sub-01/anat/sub-01_T1w_label-lesion_roi.nii.gz", LESION)
    seen: list[RegionSeries] = []
    own = bold_runs.read_region_series
    monkeypatch.setattr(
        bold_runs, "read_region_series", lambda *a, **k: seen.append(own(*a, **k)) or seen[-1]
    )
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    outside = LESION == 0
    means = np.stack([values[(k == LABELS) & outside].mean(axis=0) for k in range(1, 6)], axis=1)
    table = read_columns(next(study.out.glob("sub-01/func/*_atlas-mine_timeseries.tsv")))
    np.testing.assert_allclose(np.stack([*table.values()], axis=1), means, rtol=1e-5)
    (series,) = seen
    assert series.grey_mean is not None
    np.testing.assert_allclose(series.grey_mean, values[outside].mean(axis=0))
    np.testing.assert_allclose(series.global_mean, values[outside].mean(axis=0))
    eroded = binary_erosion(outside, np.ones((3, 3, 3)))
    expected = values.transpose(2, 1, 0, 3)[eroded.transpose(2, 1, 0)].T
    np.testing.assert_allclose(series.tissue["WM"], expected, rtol=1e-6)


def test_regions_under_a_lesion_are_named_and_those_lost_are_missing(study: Study) -> None:
    """Coverage is what is left of the whole region; sidecar, table, log and page say it."""
    study.write_subject("01")
    study.write_subject("02")
    save(study.bids / "sub-01/anat/sub-01_label-lesion_mask.nii.gz", LESION)
    (study.bids / "sub-01/anat/._sub-01_label-lesion_mask.nii.gz").write_bytes(b"\0\5\x16\7")
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    whole = np.bincount(LABELS.ravel(), minlength=6)[1:]
    lost = np.bincount(LABELS[LESION > 0], minlength=6)[1:] / whole
    table = read_columns(study.find("coverage.tsv"))
    np.testing.assert_allclose(table["lesioned"], lost, atol=1e-4)
    np.testing.assert_allclose(table["coverage"], 1 - lost, atol=1e-4)
    told = study.sidecar()
    assert told["LesionVolume"] == pytest.approx(27 * LESION.sum())
    assert told["LesionedRegions"] == {
        f"mine_{k + 1}": pytest.approx(v, abs=1e-4) for k, v in enumerate(lost) if v
    }
    assert told["LesionMask"] == ["bids:bids:sub-01/anat/sub-01_label-lesion_mask.nii.gz"]
    assert told["MissingRegions"] == ["mine_1"]
    matrix = read_relmat(study.find("meas-FCcorrHPF_relmat.dense.tsv"))
    assert np.isnan(matrix[0]).all()
    assert np.isfinite(matrix[1:, 1:]).all()
    words = "holds parts of 2 regions (mine_1 (57%), mine_2 (29%))"
    assert words in " ".join(outcome.output.split())
    page = (study.out / "sub-01.html").read_text()
    assert "holds parts of 2 regions" in page
    assert "under the lesion" in page
    assert "lesion" not in (study.out / "sub-02.html").read_text()
    assert "LesionMask" not in study.sidecar("02")
    assert "lesioned" not in read_columns(study.find("coverage.tsv", "02"))


def test_mask_drawn_on_another_grid_is_carried(study: Study) -> None:
    """From the raw image by fMRIPrep's transform, here a shift of two voxels along x."""
    study.write_subject("01")
    xfm = study.fmriprep / "sub-01/anat/sub-01_from-orig_to-T1w_mode-image_xfm.txt"
    # ITK's x points the other way: points of T1w lie 6 mm to the right in the raw image
    xfm.write_text(IDENTITY.format(-6))
    moved = AFFINE.copy()
    moved[0, 3] = 6
    save(study.bids / "sub-01/anat/sub-01_label-lesion_mask.nii.gz", LESION, moved)
    assert study.run().exit_code == 0
    lost = np.bincount(LABELS[LESION > 0], minlength=6)[1:]
    lost = lost / np.bincount(LABELS.ravel(), minlength=6)[1:]
    np.testing.assert_allclose(
        read_columns(study.find("coverage.tsv"))["lesioned"], lost, atol=1e-4
    )


def test_explicit_masks_of_some(study: Study) -> None:
    """Controls have none; a path that nobody has is a slip, and one path is not everyone's."""
    for subject in ("01", "02"):
        study.write_subject(subject)
    folder = study.bids.parent / "masks"
    save(folder / "sub-01_lesion.nii.gz", LESION)
    outcome = study.run("--lesion-mask", folder / "sub-{subject}_lesion.nii.gz")
    assert outcome.exit_code == 0, outcome.output
    assert study.sidecar()["LesionVolume"]
    assert "LesionMask" not in study.sidecar("02")
    assert "no lesion mask of sub-02" in outcome.output
    outcome = study.run("--lesion-mask", folder / "sub-{subject}_typo.nii.gz")
    assert outcome.exit_code == 2
    assert "--lesion-mask: expected what at least one participant has" in outcome.output
    outcome = study.run("--lesion-mask", folder / "sub-01_lesion.nii.gz")
    assert outcome.exit_code == 2
    assert "{subject}" in outcome.output


def test_mask_in_a_space_that_nothing_leads_to_is_refused(study: Study) -> None:
    """Nobody is measured as if the lesion were not there."""
    study.write_subject("01")
    save(study.bids / "sub-01/anat/sub-01_space-MNI152NLin6Asym_label-lesion_mask.nii.gz", LESION)
    outcome = study.run()
    assert outcome.exit_code == 3
    assert "expected a transform from MNI152NLin6Asym to T1w for the lesion" in outcome.output


def test_columns_of_fmriprep_are_named_as_holding_the_lesion(study: Study) -> None:
    """Where components are fMRIPrep's, a note says that the lesion counted as tissue."""
    study.write_subject("01")
    save(study.bids / "sub-01/anat/sub-01_label-lesion_mask.nii.gz", LESION)
    for path in (study.fmriprep / "sub-01/anat").glob("*probseg*"):
        path.unlink()
    table = next(study.fmriprep.rglob("*_timeseries.tsv"))
    columns = read_columns(table)
    rng = np.random.default_rng(1)
    names = [f"{tissue}_comp_cor_0{k}" for tissue in "wc" for k in range(4)]
    columns |= {name: rng.normal(size=N) for name in ("white_matter", "csf", *names)}
    write_table(table, columns)
    assert study.run().exit_code == 0
    assert any("in which the lesion counts as tissue" in n for n in study.sidecar()["Notes"])


def test_mask_on_the_grid_of_a_template_must_name_its_space(study: Study) -> None:
    """Drawn in MNI, with no space in its name: it is not taken for one on the T1w image."""
    study.write_subject("01")
    grid = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
    mask = np.zeros((182, 218, 182), np.uint8)
    mask[90:100, 120:130, 70:80] = 1
    path = study.bids / "sub-01/anat/sub-01_label-lesion_mask.nii.gz"
    save(path, mask, grid)
    outcome = study.run()
    assert outcome.exit_code == 3
    assert "the grid of a template in MNI space (182 x 218 x 182 voxels)" in outcome.output
    # a T1w image that has this grid itself: the mask is drawn on it
    save(study.bids / "sub-01/anat/sub-01_T1w.nii.gz", mask, grid)
    assert study.run().exit_code == 0
    (study.bids / "sub-01/anat/sub-01_T1w.nii.gz").unlink()
    path.rename(path.with_name("sub-01_space-T1w_label-lesion_mask.nii.gz"))
    assert study.run().exit_code == 0


def test_a_mask_of_a_template_s_shape_that_lies_elsewhere_is_one_on_the_t1w(study: Study) -> None:
    """The place of the grid counts as well."""
    study.write_subject("01")
    mask = np.zeros((91, 109, 91), np.uint8)
    mask[:4, :8, :8] = 1
    save(study.bids / "sub-01/anat/sub-01_label-lesion_mask.nii.gz", mask)
    assert study.run().exit_code == 0
