"""BOLD that XCP-D, fMRIPost or FIX cleaned is taken as it is, once, through the command."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

from kraken_bids.cli.tools import main as tools
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.writing import write_table

AFFINE = np.diag([3.0, 3, 3, 1])
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
LABELS = np.repeat(np.arange(1, 7), 12).reshape(6, 4, 3).astype(np.int16)
SPACE = "space-MNI152NLin6Asym_res-2"
BAND = {"Bandpass filter": {"High-pass cutoff (Hz)": 0.01, "Low-pass cutoff (Hz)": 0.08}}
N = 80


@dataclass(frozen=True)
class Study:
    """A raw dataset with derivatives of fMRIPrep and of software that cleans."""

    bids: Path
    small: Any

    @property
    def out(self) -> Path:
        """OUTPUT_DIR."""
        return self.bids.parent / "out"

    def describe(self, pipeline: str) -> Path:
        """Describe a dataset; the folder of its functional files."""
        root = self.bids / "derivatives" / pipeline
        self.small.describe(root, pipeline, "0.10.5")
        func = root / "sub-01/func"
        func.mkdir(parents=True, exist_ok=True)
        return func

    def write_fmriprep(self, stem: str = "sub-01_task-rest", *, seed: int = 5) -> None:
        """Write a run that is not cleaned."""
        func = self.describe("fmriprep")
        values = 1000 + draw(N, seed=seed)
        path = func / f"{stem}_{SPACE}_desc-preproc_bold.nii.gz"
        self.small.save_bold(path, values, facts={})
        save(func / f"{stem}_{SPACE}_desc-brain_mask.nii.gz", np.ones(LABELS.shape, np.uint8))
        rng = np.random.default_rng(seed)
        table = dict(zip(MOTION, rng.normal(0, 0.001, (N, 6)).T, strict=True))
        components = [f"{tissue}_comp_cor_0{k}" for tissue in "wc" for k in range(4)]
        table |= {name: rng.normal(size=N) for name in ("white_matter", "csf", *components)}
        table["framewise_displacement"] = np.full(N, 0.25)
        table["global_signal"] = values.mean((0, 1, 2))
        write_table(func / f"{stem}_desc-confounds_timeseries.tsv", table)

    def write_cleaned(
        self,
        stem: str = "sub-01_task-rest",
        *,
        pipeline: str = "xcp_d",
        desc: str = "denoised",
        values: np.ndarray | None = None,
        marked: np.ndarray | None = None,
        confounds: Mapping[str, Any] = {"trans_x": 0, "csf": 0},
    ) -> np.ndarray:
        """Write a run as XCP-D does: no mean, tables of motion, outliers and confounds."""
        func = self.describe(pipeline)
        values = draw(N) if values is None else values
        path = func / f"{stem}_{SPACE}_desc-{desc}_bold.nii.gz"
        facts = {"SoftwareFilters": BAND, "NuisanceParameters": "24P"}
        self.small.save_bold(path, values, facts=facts if pipeline == "xcp_d" else {})
        if marked is not None:
            displacement = np.where(marked, 0.9, 0.1)
            write_table(func / f"{stem}_outliers.tsv", {"framewise_displacement": marked * 1})
            write_table(func / f"{stem}_motion.tsv", {"framewise_displacement": displacement})
            columns = {name: np.zeros(len(marked)) for name in confounds}
            write_table(func / f"{stem}_desc-preproc_design.tsv", columns)
        return values

    def run(self, *words: object) -> Any:
        """Run the participant level."""
        atlas = self.bids.parent / "atlas_space-MNI152NLin6Asym_dseg.nii.gz"
        return self.small.measure(self.bids, self.out, f"mine={atlas}", *words)

    def find(self, meas: str, stem: str = "sub-01_task-rest") -> Path:
        """Path of a matrix."""
        name = f"{stem}_space-MNI152NLin6Asym_atlas-mine_meas-{meas}_relmat.dense.tsv"
        return self.out / "sub-01/func" / name

    def matrix(self, meas: str = "FCcorrHPF") -> np.ndarray:
        """Cells of a matrix."""
        return read_relmat(self.find(meas))

    def sidecar(self, meas: str = "FCcorrHPF") -> dict[str, Any]:
        """Sidecar of a matrix."""
        path = self.find(meas)
        text = path.with_name(path.name.replace(".dense.tsv", ".json")).read_text()
        return dict(json.loads(text))


def draw(n: int, *, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(*LABELS.shape, n)) + rng.normal(size=(7, n))[LABELS]


def save(path: Path, values: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), path)


def correlate(values: np.ndarray) -> np.ndarray:
    """Correlate region means as numpy does."""
    stored = values.astype(np.float32).astype(np.float64)
    return np.corrcoef([stored[label == LABELS].mean(axis=0) for label in range(1, 7)])


@pytest.fixture
def study(tmp_path: Path, small: Any) -> Study:
    bids = tmp_path / "bids"
    bids.mkdir()
    raw = {"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    (bids / "dataset_description.json").write_text(json.dumps(raw))
    save(tmp_path / "atlas_space-MNI152NLin6Asym_dseg.nii.gz", LABELS)
    return Study(bids, small)


def test_nothing_is_regressed_or_filtered(study: Study) -> None:
    """Correlations are those of the region means; sidecar, log and page say who cleaned."""
    values = study.write_cleaned(marked=np.zeros(N, bool))
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    np.testing.assert_allclose(study.matrix(), correlate(values), atol=2e-6)
    told = study.sidecar()
    assert told["Denoising"] == "none"
    assert told["HighPass"] == 0
    assert told["CleanedBy"].startswith("xcp_d 0.10.5 (confounds 24P; band-pass from 0.01 Hz")
    assert told["MeanFD"] == pytest.approx(0.1)
    assert "--denoise none is implied" in outcome.output
    assert "cleaned by xcp_d 0.10.5" in (study.out / "sub-01.html").read_text()


def test_volumes_filled_with_guesses_do_not_count(study: Study) -> None:
    """As many rows as volumes: the marked ones hold XCP-D's interpolation."""
    marked = np.zeros(N, bool)
    marked[[3, 20, 21]] = True
    values = draw(N)
    values[..., marked] = 50 * np.arange(3)
    study.write_cleaned(values=values, marked=marked)
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    np.testing.assert_allclose(study.matrix(), correlate(values[..., ~marked]), atol=2e-6)
    assert study.sidecar()["Runs"][0]["VolumesOutliers"] == 3


def test_volumes_that_were_cut_out_are_no_part_of_it(study: Study) -> None:
    """Fewer volumes than rows; motion is that of the volumes left, and no filter may be laid."""
    marked = np.zeros(N, bool)
    marked[10:15] = True
    values = draw(N - 5)
    study.write_cleaned(values=values, marked=marked)
    outcome = study.run("--high-pass", "0.01")
    assert outcome.exit_code == 0, outcome.output
    assert "--high-pass 0.01 is not used: 5 volumes were cut out" in outcome.output
    np.testing.assert_allclose(study.matrix(), correlate(values), atol=2e-6)
    told = study.sidecar()
    assert told["MeanFD"] == pytest.approx(0.1)
    assert told["Frames"] == N - 5
    times = np.delete(2.0 * np.arange(N), slice(10, 15)).tolist()
    for path in study.out.glob("sub-01/func/*_timeseries.json"):
        if "atlas-mine" in path.name:
            assert json.loads(path.read_text())["VolumeTiming"] == times


def test_first_volumes_that_were_removed_are_counted_by_the_confounds_of_fmriprep(
    study: Study,
) -> None:
    """``--dummy-scans 4`` of XCP-D, of which its own files do not speak; two volumes were cut."""
    marked = np.zeros(N, bool)
    marked[10:12] = True
    study.write_cleaned(values=draw(N - 2), marked=marked)
    confounds = study.describe("fmriprep") / "sub-01_task-rest_desc-confounds_timeseries.tsv"
    write_table(confounds, {"framewise_displacement": np.zeros(N + 4)})
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    assert any("4 first volumes" in note for note in study.sidecar()["Notes"])
    (series,) = study.out.glob("sub-01/func/*atlas-mine_desc-hpf_timeseries.json")
    times = 2.0 * (4 + np.flatnonzero(~marked))
    assert json.loads(series.read_text())["VolumeTiming"] == times.tolist()


def test_tables_of_another_run_are_refused(study: Study) -> None:
    """Neither as many rows as volumes, nor as many without a mark."""
    study.write_cleaned(values=draw(N - 2), marked=np.arange(N) < 5)
    outcome = study.run()
    assert outcome.exit_code == 3
    assert "found 80 rows, 5 of them marked" in outcome.output


@pytest.mark.parametrize(("with_gsr", "given"), [(True, "FCcorrHPFGSR"), (False, "FCcorrHPF")])
def test_global_signal_decides_the_flavor(study: Study, with_gsr: bool, given: str) -> None:
    """What 36P cleaned is no connectome without global signal regression, and the reverse."""
    confounds = {"trans_x": 0, "global_signal" if with_gsr else "csf": 0}
    values = study.write_cleaned(marked=np.zeros(N, bool), confounds=confounds)
    assert study.run().exit_code == 0
    found = {path.name.split("meas-")[1].split("_")[0] for path in study.out.glob("*/*/*relmat*v")}
    assert found == ({"FCcorrHPFGSR"} if with_gsr else {"FCcorrHPF", "FCpcorrHPF"})
    np.testing.assert_allclose(study.matrix(given), correlate(values), atol=2e-6)
    assert study.sidecar(given)["GlobalSignalRegression"] is with_gsr
    again = study.run()
    assert "up to date" in again.output or again.exit_code == 0
    assert study.run("-v").output.count("up to date") >= 1


def test_an_empty_table_of_confounds_is_no_sign_that_the_global_signal_is_in(
    study: Study,
) -> None:
    """As of a download that did not finish: what the sidecar says decides."""
    study.write_cleaned(marked=np.zeros(N, bool))
    func = study.bids / "derivatives" / "xcp_d" / "sub-01" / "func"
    (table,) = func.glob("*_design.tsv")
    table.write_bytes(b"")
    (sidecar,) = func.glob("*_bold.json")
    sidecar.write_text(sidecar.read_text().replace('"24P"', '"36P"'))

    assert study.run().exit_code == 0
    assert study.sidecar("FCcorrHPFGSR")["GlobalSignalRegression"] is True
    assert not study.find("FCcorrHPF").exists()


def test_a_set_of_confounds_that_nobody_knows_says_nothing_of_the_global_signal(
    study: Study,
) -> None:
    study.write_cleaned()
    func = study.bids / "derivatives" / "xcp_d" / "sub-01" / "func"
    (sidecar,) = func.glob("*_bold.json")
    sidecar.write_text(sidecar.read_text().replace('"24P"', '"mine.yml"'))

    assert "Nothing says whether the global signal was regressed" in study.run().output


def test_runs_with_and_without_the_global_signal_are_not_joined(study: Study) -> None:
    """Nothing is measured of them, which is said."""
    for run, name in enumerate(("global_signal", "csf"), start=1):
        study.write_cleaned(
            f"sub-01_task-rest_run-{run}", marked=np.zeros(N, bool), confounds={name: 0}
        )

    outcome = study.run()

    assert "of some cleaned runs the global signal was regressed, of others not" in outcome.output
    assert not list(study.out.glob("*/*/*relmat*"))


def test_a_run_counts_once(study: Study) -> None:
    """XCP-D joins runs in a further file, which is left out; smoothed ones too."""
    first, second = draw(N), draw(N, seed=2)
    for run, values in ((1, first), (2, second)):
        study.write_cleaned(f"sub-01_task-rest_run-{run}", values=values)
        study.write_cleaned(f"sub-01_task-rest_run-{run}", values=values, desc="denoisedSmoothed")
    study.write_cleaned(values=np.concatenate([first, second], axis=3))
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    told = study.sidecar()
    assert [run["File"].split("_space")[0] for run in told["Runs"]] == [
        "sub-01_task-rest_run-1",
        "sub-01_task-rest_run-2",
    ]
    assert all("desc-denoised_" in run["File"] for run in told["Runs"])
    assert told["Frames"] == 2 * N
    assert "XCP-D joined in it the runs" in outcome.output


def test_fmriprep_is_taken_where_both_are_there(study: Study) -> None:
    """Whatever their names; the other one by name, or first with -d."""
    study.write_fmriprep()
    values = study.write_cleaned(marked=np.zeros(N, bool))
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    told = study.sidecar()
    assert told["Denoising"] == "fmriclean"
    assert "CleanedBy" not in told
    assert "(desc-denoised) are left aside" in outcome.output
    outcome = study.run("-d", f"xcp_d={study.bids / 'derivatives/xcp_d'}")
    assert outcome.exit_code == 0, outcome.output
    np.testing.assert_allclose(study.matrix(), correlate(values), atol=2e-6)
    assert len(study.sidecar()["Runs"]) == 1
    wanted = study.bids.parent / "filter.json"
    wanted.write_text(json.dumps({"bold": {"desc": "denoised"}}))
    assert study.run("--bids-filter-file", wanted).exit_code == 0
    assert study.sidecar()["CleanedBy"]


def test_cleaning_twice_is_refused(study: Study) -> None:
    """An explicit strategy needs BOLD that is not cleaned."""
    study.write_cleaned()
    outcome = study.run("--denoise", "24p")
    assert outcome.exit_code == 3
    assert "is cleaned already (desc-denoised)" in outcome.output
    study.write_fmriprep()
    outcome = study.run("--denoise", "24p", "-d", f"x={study.bids / 'derivatives/xcp_d'}")
    assert outcome.exit_code == 0, outcome.output
    assert study.sidecar()["Denoising"] == "24p"


def test_aroma_takes_motion_and_first_volumes_of_fmriprep(study: Study) -> None:
    """fMRIPost-AROMA writes neither; volumes before the steady state do not count."""
    study.write_fmriprep()
    func = study.describe("fmriprep")
    table = next(func.glob("*_timeseries.tsv"))
    columns = read_columns(table)
    columns["non_steady_state_outlier00"] = np.eye(N)[0]
    write_table(table, columns)
    study.describe("fMRIPost-AROMA")
    values = study.write_cleaned(pipeline="fMRIPost-AROMA", desc="nonaggrDenoised")
    study.write_cleaned(pipeline="fMRIPost-AROMA", desc="aggrDenoised", values=draw(N, seed=9))
    outcome = study.run("-d", f"aroma={study.bids / 'derivatives/fMRIPost-AROMA'}")
    assert outcome.exit_code == 0, outcome.output
    np.testing.assert_allclose(study.matrix(), correlate(values[..., 1:]), atol=2e-6)
    told = study.sidecar()
    assert told["MeanFD"] == pytest.approx(0.25)
    assert told["Runs"][0]["VolumesDropped"] == 1
    assert any("desc-brain_mask" in uri for uri in told["Sources"])
    assert "slow drifts remain" in outcome.output


def test_motion_must_be_known_to_scrub_by_it(study: Study) -> None:
    """A threshold that nothing can be held against is refused."""
    study.write_cleaned(desc="fix", pipeline="own")
    outcome = study.run("--fd-threshold", "0.3")
    assert outcome.exit_code == 4
    assert "expected the framewise displacement" in outcome.output
    assert study.run().exit_code == 0


def test_single_run_needs_no_confounds(study: Study) -> None:
    """kraken-tools fc reads the tables beside it; of BOLD that is not cleaned it asks for them."""
    values = study.write_cleaned(marked=np.zeros(N, bool))
    bold = next(study.bids.rglob("*denoised_bold.nii.gz"))
    atlas = study.bids.parent / "atlas_space-MNI152NLin6Asym_dseg.nii.gz"
    out = study.bids.parent / "fc"
    words = ["fc", str(bold), "--labels", f"mine={atlas}", "--output-dir", str(out)]
    outcome = CliRunner().invoke(tools, words, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    np.testing.assert_allclose(
        read_relmat(out / "FCcorr_mine_hpf.tsv"), correlate(values), atol=2e-6
    )
    assert not (out / "FCcorr_mine_hpfgsr.tsv").exists()
    assert len(json.loads((out / "FCcorr_mine_hpf.json").read_text())["VolumeTables"]) == 2
    plain = bold.with_name(bold.name.replace("denoised", "preproc"))
    bold.rename(plain)
    words[1] = str(plain)
    outcome = CliRunner().invoke(tools, words, catch_exceptions=False)
    assert outcome.exit_code == 3
    assert "--confounds" in outcome.output
