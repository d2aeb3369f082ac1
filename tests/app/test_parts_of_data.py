"""Connectomes of single runs and of the first minutes lie beside the whole, and feed nothing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from kraken_bids.bids.outputs import find_relmats
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.writing import write_table

LABELS = np.repeat(np.arange(1, 7), 12).reshape(6, 4, 3).astype(np.int16)
N = 60
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
STEM = "sub-01_task-rest{}_space-T1w_atlas-mine_meas-{}{}_relmat.dense.tsv"


@dataclass(frozen=True)
class Study:
    """Two participants with two runs of two minutes."""

    root: Path
    out: Path
    small: Any

    def write_run(self, subject: str, run: str, seed: int) -> None:
        """Write BOLD in T1w space and its confounds."""
        rng = np.random.default_rng(seed)
        func = self.root / f"sub-{subject}/func"
        func.mkdir(parents=True, exist_ok=True)
        stem = f"sub-{subject}_task-rest_run-{run}"
        values = 1000 + rng.normal(size=(*LABELS.shape, N)) + rng.normal(size=(7, N))[LABELS]
        self.small.save_bold(func / f"{stem}_space-T1w_desc-preproc_bold.nii.gz", values)
        table = dict(zip(MOTION, rng.normal(0, 0.001, (N, 6)).T, strict=True))
        table["global_signal"] = values.mean((0, 1, 2))
        table["framewise_displacement"] = np.where(np.arange(N) == 7, 0.9, 0.1)
        write_table(func / f"{stem}_desc-confounds_timeseries.tsv", table)

    def run(self, *words: object, level: str = "participant") -> Any:
        """Run a level."""
        atlas = self.root.parent / "atlas_space-T1w_dseg.nii.gz"
        fixed = ("--denoise", "24p", "--fd-threshold", "0.5", *words)
        return self.small.measure(self.root, self.out, f"mine={atlas}", *fixed, level=level)

    def matrix(self, run: str = "", part: str = "", meas: str = "FCcorrHPF") -> np.ndarray:
        """Cells of a matrix of sub-01."""
        return read_relmat(self.find(run, part, meas))

    def find(self, run: str = "", part: str = "", meas: str = "FCcorrHPF") -> Path:
        """Path of a matrix of sub-01."""
        return self.out / "sub-01/func" / STEM.format(run, meas, part)

    def read_series(self, run: str) -> np.ndarray:
        """Read the cleaned series of the volumes of a run that count, z-scored."""
        name = f"sub-01_task-rest_run-{run}_space-T1w_atlas-mine_desc-hpf_timeseries"
        path = self.out / f"sub-01/func/{name}.tsv"
        series = np.stack([*read_columns(path).values()], axis=1)
        kept = json.loads(path.with_suffix(".json").read_text())["VolumesKept"]
        series = series[np.asarray(kept) == 1]
        return (series - series.mean(axis=0)) / series.std(axis=0)


@pytest.fixture
def study(tmp_path: Path, small: Any) -> Study:
    root = tmp_path / "fmriprep"
    small.describe(root, "fMRIPrep", "25.2.5")
    image = nibabel.Nifti1Image(LABELS, np.diag([3.0, 3, 3, 1]))
    nibabel.save(image, tmp_path / "atlas_space-T1w_dseg.nii.gz")
    study = Study(root, tmp_path / "out", small)
    for seed, (subject, run) in enumerate([("01", "1"), ("01", "2"), ("02", "1"), ("02", "2")]):
        study.write_run(subject, run, seed)
    return study


def test_parts_are_correlations_of_what_they_say(study: Study) -> None:
    """Each run alone; the first minutes of the volumes that count, over the end of a run."""
    outcome = study.run("--per-run", "--minutes", "1", "2.5", "10", "all")
    assert outcome.exit_code == 0, outcome.output
    first, second = study.read_series("1"), study.read_series("2")
    assert len(first) == len(second) == N - 1
    for run, series in (("_run-1", first), ("_run-2", second)):
        own = study.matrix(run, "_desc-singlerun")
        np.testing.assert_allclose(own, np.corrcoef(series.T), atol=2e-5)
    both = np.concatenate([first, second])
    for part, n_frames in (("1min", 30), ("2p5min", 75)):
        own = study.matrix("", f"_desc-{part}")
        np.testing.assert_allclose(own, np.corrcoef(both[:n_frames].T), atol=2e-5)
    np.testing.assert_allclose(study.matrix(), np.corrcoef(both.T), atol=2e-5)
    assert "no connectome of the first 10 minutes: 3.93 minutes count" in outcome.output
    told = json.loads(
        study.find("", "_desc-1min").with_suffix("").with_suffix(".json").read_text()
    )
    assert (told["Part"], told["Frames"], told["EffectiveDuration"]) == ("1min", 30, 60.0)
    assert len(told["Runs"]) == 1
    # of the 31 frames until then, of which one moves and does not count
    assert told["MeanFD"] == pytest.approx((30 * 0.1 + 0.9) / 31, abs=1e-5)


def test_how_alike_they_are_is_in_tables_and_pages(study: Study) -> None:
    """Correlations of edges as numpy has them; overlap is said; the group has medians."""
    assert study.run("--per-run", "--minutes", "1").exit_code == 0
    table = read_columns(study.out / "sub-01/func/sub-01_task-rest_space-T1w_reliability.tsv")
    rows = {
        (flavor, first, second): k
        for k, (flavor, first, second) in enumerate(
            zip(table["flavor"], table["first"], table["second"], strict=True)
        )
    }
    upper = np.triu_indices(6, 1)
    one, other = (study.matrix(f"_run-{k}", "_desc-singlerun")[upper] for k in (1, 2))
    row = rows["FCcorr_mine_hpf", "run-1", "run-2"]
    assert table["correlation"][row] == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-4)
    assert table["difference"][row] == pytest.approx(np.abs(one - other).mean(), abs=1e-4)
    assert table["shared_minutes"][row] == 0
    assert table["n_edges"][row] == 15
    assert table["shared_minutes"][rows["FCcorr_mine_hpf", "run-1", "1min"]] == 1
    assert table["shared_minutes"][rows["FCcorr_mine_hpf", "run-2", "1min"]] == 0
    assert "minutes shared" in (study.out / "sub-01.html").read_text()
    outcome = study.run(level="group")
    assert outcome.exit_code == 0, outcome.output
    summary = read_columns(study.out / "group/reliability.tsv")
    assert set(summary["n_sessions"]) == {2}
    assert "minutes shared" in (study.out / "group.html").read_text()


def test_nothing_reads_parts_as_measurements(study: Study) -> None:
    """The cohort is the same with them and without, here and from a folder of tables."""
    assert study.run().exit_code == 0
    before = [member.connectomes for member in list_members(study.out)]
    assert study.run("--per-run", "--minutes", "1").exit_code == 0
    assert len(list(study.out.rglob("*_desc-1min_relmat.dense.tsv"))) == 2 * 3
    members = list_members(study.out)
    assert [member.connectomes for member in members] == before
    assert not any(member.repeats for member in members)
    assert not any("desc" in file.entities for file in find_relmats(study.out))
    outcome = study.run("-v", "--per-run", "--minutes", "1")
    assert "up to date" in outcome.output
    assert study.run("-v", "--minutes", "1").output.count("up to date") == 0


def test_wrong_minutes_are_refused(study: Study) -> None:
    """Words and lengths that hold nothing."""
    for word in ("five", "0"):
        outcome = study.run("--minutes", word)
        assert outcome.exit_code == 2
        assert "--minutes: expected" in outcome.output
