"""Region series that XCP-D took become connectomes of a custom atlas, through the command."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.writing import write_table

NAMES = ("V1", "M1", "PCC", "Insula", "Thalamus", "Putamen")
N = 80
STEM = "sub-01_task-rest_space-fsLR_seg-Mine_stat-mean"


@dataclass(frozen=True)
class Study:
    """Folders of XCP-D with region series alone."""

    root: Path
    small: Any

    @property
    def out(self) -> Path:
        """OUTPUT_DIR."""
        return self.root / "out"

    @property
    def func(self) -> Path:
        """Folder of the functional files of sub-01."""
        return self.root / "xcp_d/sub-01/func"

    @property
    def atlas(self) -> Path:
        """Table of the names of regions."""
        return self.root / "xcp_d/atlases/atlas-Mine/atlas-Mine_dseg.tsv"

    def describe(self) -> None:
        """Write what describes the dataset, and its atlas."""
        self.func.mkdir(parents=True)
        self.atlas.parent.mkdir(parents=True)
        self.small.describe(self.root / "xcp_d", "xcp_d", "0.10.5")
        write_table(self.atlas, {"index": range(1, 7), "label": NAMES})

    def write(
        self,
        values: np.ndarray,
        *,
        stem: str = STEM,
        names: Sequence[str] = NAMES,
        marked: np.ndarray | None = None,
        facts: Mapping[str, Any] = {"RepetitionTime": 2.0, "NuisanceParameters": "24P"},
    ) -> None:
        """Write series as XCP-D does: n/a where too little is covered, tables of volumes."""
        write_table(self.func / f"{stem}_timeseries.tsv", dict(zip(names, values.T, strict=True)))
        # XCP-D 26 writes this word, and no repetition time
        sidecar = json.dumps({"SamplingFrequency": "TR"})
        (self.func / f"{stem}_timeseries.json").write_text(sidecar)
        run = "_".join(
            word for word in stem.split("_") if word.split("-")[0] in {"sub", "task", "run"}
        )
        denoised = self.func / f"{run}_space-fsLR_den-91k_desc-denoised_bold.json"
        denoised.write_text(json.dumps(facts))
        if marked is not None:
            displacement = np.where(marked, 0.9, 0.1)
            write_table(self.func / f"{run}_outliers.tsv", {"framewise_displacement": marked * 1})
            write_table(self.func / f"{run}_motion.tsv", {"framewise_displacement": displacement})

    def run(self, *words: object) -> Any:
        """Run the participant level."""
        return self.small.measure(self.root / "xcp_d", self.out, f"Mine={self.atlas}", *words)

    def find(self, stem: str = "sub-01_task-rest_space-fsLR", meas: str = "FCcorrHPF") -> Path:
        """Path of a matrix."""
        return self.out / f"sub-01/func/{stem}_atlas-Mine_meas-{meas}_relmat.dense.tsv"

    def sidecar(self) -> dict[str, Any]:
        """Sidecar of the matrix."""
        path = self.find()
        text = path.with_name(path.name.replace(".dense.tsv", ".json")).read_text()
        return dict(json.loads(text))


def draw(n: int = N, *, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 6)) + rng.normal(size=(n, 1))


@pytest.fixture
def study(tmp_path: Path, small: Any) -> Study:
    made = Study(tmp_path, small)
    made.describe()
    return made


def test_correlations_are_those_of_the_table(study: Study) -> None:
    """Marked volumes hold guesses and do not count; the sidecar says who cleaned."""
    values, marked = draw(), np.isin(np.arange(N), [3, 20, 21])
    values[marked] = 50 * np.arange(6)
    study.write(values, marked=marked)
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    found = read_relmat(study.find())
    np.testing.assert_allclose(found, np.corrcoef(values[~marked].T), atol=1e-6)
    told = study.sidecar()
    assert told["CleanedBy"].startswith("xcp_d 0.10.5 (confounds 24P")
    assert told["Denoising"] == "none"
    assert told["Frames"] == N - 3
    assert told["MeanFD"] == pytest.approx(0.1 + 0.8 * 3 / N)
    assert told["EffectiveDuration"] == pytest.approx((N - 3) * 2)
    assert told["Space"] == "fsLR"
    assert "cleaned by xcp_d 0.10.5" in (study.out / "sub-01.html").read_text()


def test_a_high_pass_alone_is_a_filter(study: Study) -> None:
    """XCP-D spells it otherwise than the two ends of a band."""
    filters = {"High-pass filter": {"cutoff (Hz)": 0.01, "Filter order": 2}}
    study.write(draw(), facts={"RepetitionTime": 2.0, "SoftwareFilters": filters})
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    assert "high-pass from 0.01 Hz" in study.sidecar()["CleanedBy"]
    assert "slow drifts remain" not in outcome.output


def test_columns_are_known_by_name(study: Study) -> None:
    """Another order of the columns is put into that of the table."""
    values, order = draw(), [3, 0, 5, 1, 4, 2]
    study.write(values[:, order], names=[NAMES[k] for k in order])
    assert study.run().exit_code == 0
    np.testing.assert_allclose(read_relmat(study.find()), np.corrcoef(values.T), atol=1e-6)


def test_regions_that_are_hardly_covered_are_missing(study: Study) -> None:
    """n/a in all volumes, or zeros as before XCP-D 0.4; other shares are those of its table."""
    values = draw()
    values[:, 1], values[:, 4] = np.nan, 0
    study.write(values)
    shares = {"Node": NAMES, "coverage": [1, 0.2, 0.75, 1, 0, 1]}
    write_table(study.func / f"{STEM.replace('mean', 'coverage')}_bold.tsv", shares)
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    assert study.sidecar()["MissingRegions"] == ["M1", "Thalamus"]
    found = read_relmat(study.find())
    kept = [0, 2, 3, 5]
    expected = np.corrcoef(values[:, kept].T)
    np.testing.assert_allclose(found[np.ix_(kept, kept)], expected, atol=1e-6)
    assert np.isnan(found[1]).all()
    table = study.out / "sub-01/func/sub-01_task-rest_space-fsLR_atlas-Mine_coverage.tsv"
    assert read_columns(table)["coverage"].tolist() == [1, 0, 0.75, 1, 0, 1]


def test_runs_are_joined_once_and_by_the_name_of_older_releases(study: Study) -> None:
    """Single runs are z-scored and joined; what XCP-D joined of them is left out."""
    runs = [draw(seed=2), 3 * draw(N + 10, seed=3)]
    for k, values in enumerate(runs, start=1):
        study.write(values, stem=f"sub-01_task-rest_run-{k}_space-fsLR_atlas-Mine")
    study.write(np.vstack(runs), stem="sub-01_task-rest_space-fsLR_atlas-Mine")
    outcome = study.run()
    assert outcome.exit_code == 0, outcome.output
    scaled = [(values - values.mean(axis=0)) / values.std(axis=0) for values in runs]
    np.testing.assert_allclose(
        read_relmat(study.find()), np.corrcoef(np.vstack(scaled).T), atol=1e-6
    )
    assert "XCP-D joined in it" in outcome.output


def test_global_signal_decides_the_flavor(study: Study) -> None:
    """36P regressed it: no connectome without global signal regression can be had."""
    study.write(draw(), facts={"RepetitionTime": 2.0, "NuisanceParameters": "36P"})
    assert study.run().exit_code == 0
    assert study.find(meas="FCcorrHPFGSR").exists()
    assert not study.find().exists()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("V1", "M1", "PCC", "Insula", "Thalamus", "Caudate"), "among them Caudate"),
        (("1", "2", "3", "4", "5", "6"), "among them 1, 2, 3, 4 and 2 more"),
    ],
)
def test_another_atlas_is_refused(study: Study, names: tuple[str, ...], said: str) -> None:
    """Regions that the table does not have are never taken by their place."""
    study.write(draw(), names=names)
    outcome = study.run()
    assert outcome.exit_code == 3
    assert said in outcome.output


def test_tables_of_another_run_and_gaps_are_refused(study: Study) -> None:
    """Neither as many rows as volumes, nor a region with some volumes only."""
    study.write(draw(N - 2), marked=np.arange(N) < 5)
    outcome = study.run()
    assert outcome.exit_code == 3
    assert "found 80 rows, 5 of them marked" in outcome.output
    values = draw()
    values[7, 2] = np.nan
    study.write(values, marked=np.zeros(N, bool))
    outcome = study.run()
    assert outcome.exit_code == 3
    assert "found both in PCC" in outcome.output


def test_what_is_lacking_is_said(study: Study) -> None:
    """No series of the atlas; no repetition time; cleaning that came too late."""
    study.write(draw(), stem=STEM.replace("Mine", "Other"))
    outcome = study.run()
    assert outcome.exit_code == 3
    assert "no region series of Mine: expected func/*_seg-Mine_stat-mean" in outcome.output
    study.write(draw(), facts={})
    outcome = study.run()
    assert outcome.exit_code == 3
    assert "expected RepetitionTime in seconds for" in outcome.output
    study.write(draw())
    outcome = study.run("--denoise", "36p")
    assert outcome.exit_code == 3
    assert "which is cleaned already" in outcome.output


def test_parts_and_a_second_atlas_have_files_of_their_own(study: Study) -> None:
    """Reliability of each atlas; the table of volumes, which both share, is written once."""
    study.write(draw(), marked=np.zeros(N, bool))
    study.write(draw(seed=9), stem=STEM.replace("Mine", "Other"), marked=np.zeros(N, bool))
    other = study.root / "other.tsv"
    write_table(other, {"index": range(1, 7), "name": NAMES})
    outcome = study.run("--atlas", f"Other={other}", "--minutes", "1")
    assert outcome.exit_code == 0, outcome.output
    func = study.out / "sub-01/func"
    assert len(list(func.glob("*_reliability.tsv"))) == 2
    assert len(list(func.glob("*_desc-quality_timeseries.tsv"))) == 1
    assert len(list(func.glob("*_meas-FCcorrHPF_relmat.dense.tsv"))) == 2


def test_a_lesion_mask_is_said_to_be_of_no_use(study: Study) -> None:
    """Means that XCP-D took hold the lesion."""
    study.write(draw())
    outcome = study.run("--lesion-mask", study.atlas)
    assert "is not laid over region series of XCP-D (Mine)" in outcome.output
