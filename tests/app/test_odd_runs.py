"""Runs that are broken off, left out, or another participant's, through the command."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from kraken_bids.io.tables import read_relmat
from kraken_bids.io.writing import write_table

AFFINE = np.diag([3.0, 3, 3, 1])
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
LABELS = np.repeat(np.arange(1, 7), 12).reshape(6, 4, 3).astype(np.int16)


@dataclass(frozen=True)
class Study:
    """A derivative dataset of small runs, measured with an atlas of its own and no model."""

    root: Path
    out: Path
    small: Any

    def write_run(self, stem: str, n: int = 80, *, seed: int = 1, tr: float = 2.0) -> None:
        """Write BOLD in T1w space, its JSON, mask and confounds."""
        rng = np.random.default_rng(seed)
        func = self.root / stem.partition("_")[0] / "func"
        func.mkdir(parents=True, exist_ok=True)
        base = func / f"{stem}_space-T1w"
        values = 1000 + rng.normal(size=(*LABELS.shape, n)) + rng.normal(size=(7, n))[LABELS]
        path = Path(f"{base}_desc-preproc_bold.nii.gz")
        self.small.save_bold(path, values, tr=tr, facts={})
        save(Path(f"{base}_desc-brain_mask.nii.gz"), np.ones(LABELS.shape, np.uint8))
        motion = np.cumsum(rng.normal(0, 0.01, (n, 6)), axis=0)
        table = dict(zip(MOTION, motion.T, strict=True)) | {
            "global_signal": values.mean((0, 1, 2))
        }
        write_table(func / f"{stem}_desc-confounds_timeseries.tsv", table)

    def run(self, *words: object) -> Any:
        """Run the participant level."""
        atlas = self.root.parent / "atlas_space-T1w_dseg.nii.gz"
        fixed = ("--denoise", "24p")
        return self.small.measure(self.root, self.out, f"mine={atlas}", *fixed, *words)

    def sidecar(self, stem: str) -> dict[str, Any]:
        """Sidecar of a correlation matrix."""
        path = self._find(stem)
        return dict(
            json.loads(path.with_name(path.name.replace(".dense.tsv", ".json")).read_text())
        )

    def matrix(self, stem: str) -> np.ndarray:
        """Cells of a correlation matrix."""
        return read_relmat(self._find(stem))

    def _find(self, stem: str) -> Path:
        name = f"{stem}_space-T1w_atlas-mine_meas-FCcorrHPF_relmat.dense.tsv"
        return self.out / stem.partition("_")[0] / "func" / name


def save(path: Path, values: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), path)


@pytest.fixture
def study(tmp_path: Path, small: Any) -> Study:
    root = tmp_path / "fmriprep"
    small.describe(root, "fMRIPrep", "25.2.5")
    save(tmp_path / "atlas_space-T1w_dseg.nii.gz", LABELS)
    return Study(root, tmp_path / "out", small)


def test_a_run_that_was_broken_off_costs_only_itself(study: Study) -> None:
    """The others give the matrix that they give alone; log, sidecar and report name the run."""
    for run, n in ((1, 80), (2, 80), (3, 8)):
        study.write_run(f"sub-01_task-rest_run-{run}", n, seed=run)
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    short = "sub-01_task-rest_run-3_space-T1w_desc-preproc_bold.nii.gz"
    assert f"{short} is left out" in outcome.output
    told = study.sidecar("sub-01_task-rest")
    assert [run["File"] for run in told["Runs"]] == [
        f"sub-01_task-rest_run-{run}_space-T1w_desc-preproc_bold.nii.gz" for run in (1, 2)
    ]
    assert [run["File"] for run in told["RunsLeftOut"]] == [short]
    assert "degrees of freedom" in told["RunsLeftOut"][0]["Reason"]
    assert not any("run-3" in uri for uri in told["Sources"])
    assert "run-3" in (study.out / "sub-01.html").read_text()
    with_short = study.matrix("sub-01_task-rest")
    assert study.run("--exclude-runs", "sub-01_task-rest_run-3").exit_code == 0
    np.testing.assert_array_equal(study.matrix("sub-01_task-rest"), with_short)
    assert study.sidecar("sub-01_task-rest")["RunsLeftOut"] == []


def test_nothing_but_short_runs_is_an_error(study: Study) -> None:
    """Where none is left the participant fails, and the message says why."""
    for run in (1, 2):
        study.write_run(f"sub-01_task-rest_run-{run}", 8, seed=run)
    outcome = study.run()
    assert outcome.exit_code == 4
    assert "expected at least 10 degrees of freedom" in outcome.output


def test_a_run_is_left_out_for_one_participant(study: Study) -> None:
    """Named in a file, as one keeps such a list; the other participant keeps the same run."""
    for subject in ("01", "02"):
        for run in (1, 2):
            study.write_run(f"sub-{subject}_task-rest_run-{run}", seed=run)
    listed = study.root.parent / "left_out.txt"
    listed.write_text("sub-02_task-rest_run-2\tmoved\n")
    assert study.run("--exclude-runs", listed).exit_code == 0
    assert len(study.sidecar("sub-01_task-rest")["Runs"]) == 2
    assert len(study.sidecar("sub-02_task-rest_run-1")["Runs"]) == 1


def test_misspelled_exclusions_fail(study: Study) -> None:
    """That participant alone."""
    for subject in ("01", "02"):
        study.write_run(f"sub-{subject}_task-rest_run-1")
    outcome = study.run("--exclude-runs", "sub-02_task-rest_run-7")
    assert outcome.exit_code == 1
    assert "--exclude-runs sub-02_task-rest_run-7" in outcome.output
    assert study.sidecar("sub-01_task-rest_run-1")["Runs"]
    assert study.run("--exclude-runs", "sub-02").exit_code == 3


def test_files_of_one_in_the_folder_of_another_overwrite_nothing(study: Study) -> None:
    """A copy that went wrong: refused, and the results of the other stay."""
    for subject, seed in (("01", 1), ("02", 2)):
        study.write_run(f"sub-{subject}_task-rest", seed=seed)
    assert study.run("--participant-label", "01").exit_code == 0
    before = study.matrix("sub-01_task-rest")
    for path in sorted((study.root / "sub-02/func").iterdir()):
        path.rename(path.with_name(path.name.replace("sub-02", "sub-01")))
    outcome = study.run("--participant-label", "02")
    assert outcome.exit_code == 3
    assert "expected files of sub-02 in" in outcome.output
    np.testing.assert_array_equal(study.matrix("sub-01_task-rest"), before)
    assert not (study.out / "sub-02").exists()


def test_each_run_shows_its_own_repetition_time(study: Study) -> None:
    """In the sidecar and in the report's table of runs."""
    for run, tr in ((1, 2.0), (2, 0.8)):
        study.write_run(f"sub-01_task-rest_run-{run}", 150, seed=run, tr=tr)
    assert study.run().exit_code == 0
    told = study.sidecar("sub-01_task-rest")
    assert [run["RepetitionTime"] for run in told["Runs"]] == [2.0, 0.8]
    page = (study.out / "sub-01.html").read_text()
    assert "2.00" in page
    assert "0.80" in page


def test_reconstructions_of_one_scan_are_not_two_scans(study: Study) -> None:
    """Each is measured apart, of its own minutes."""
    for name in ("", "_rec-nordic"):
        study.write_run(f"sub-01_task-rest{name}", 90)
    outcome = study.run()
    assert outcome.exit_code == 0
    assert "rec-nordic" in outcome.output
    for stem in ("sub-01_task-rest", "sub-01_task-rest_rec-nordic"):
        assert study.sidecar(stem)["EffectiveDuration"] == pytest.approx(180, abs=20)


def test_regions_lie_on_the_grid_of_a_run_that_was_measured(study: Study) -> None:
    """The first one is too short: neither its grid nor its name is that of the regions."""
    for run, n in ((1, 8), (2, 80)):
        study.write_run(f"sub-01_task-rest_run-{run}", n, seed=run)
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    (sidecar,) = (study.out / "sub-01").rglob("*mine_dseg.json")
    assert "_run-2_" in json.loads(sidecar.read_text())["SpatialReference"]
