"""Sidecars say of every run what is its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from kraken_bids.bids.bold_origins import FMRIPREP, HCP_FIX, BoldOrigin
from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.connectome.functional.bold_quality import FrameQuality
from kraken_bids.connectome.functional.cleaning import CleanRun
from kraken_bids.io.records import to_sidecar
from kraken_bids.pipeline.measure.bold_records import describe_cleaning
from kraken_bids.settings import FunctionalSettings


def make_run(tr: float, n: int = 30) -> CleanRun:
    """Make a run of which only its length and repetition time count."""
    quiet = np.zeros(n)
    kept = np.ones(n, bool)
    return CleanRun(
        cleaned={},
        kept=kept,
        regressors=("ones",),
        n_volumes=n,
        n_dropped=0,
        n_outliers=0,
        outlier_rule="art",
        mean_fd=0.1,
        frames=FrameQuality(quiet, quiet, "none", quiet, kept),
        tr=tr,
        high_pass=0.01,
        high_pass_method="none",
        strategy="fmriclean",
        gsr=False,
        notes=(),
    )


def make_source(name: str, origin: BoldOrigin = FMRIPREP) -> BoldRun:
    """Make a run of which only its file and pipeline count."""
    path = Path(name)
    return BoldRun({}, "", path, path, None, None, {}, {}, origin=origin)


def test_pipelines_that_runs_come_from_are_named_with_what_follows_from_them() -> None:
    """One after the other, where runs of several are joined."""
    sources = [make_source("a.nii", HCP_FIX), make_source("b.nii", FMRIPREP)]
    told = to_sidecar(describe_cleaning(sources, [make_run(2.0)] * 2, FunctionalSettings()))
    assert told["Preprocessing"] == f"{HCP_FIX.name} and {FMRIPREP.name}"
    assert told["Notes"][:2] == [HCP_FIX.note, FMRIPREP.note]


def test_motion_is_the_mean_over_volumes_and_not_over_runs() -> None:
    """A run of 100 volumes counts ten times as much as one of 10; DVARS of those that count."""
    rng = np.random.default_rng(0)
    moved, changed = rng.gamma(3, 0.1, (2, 110))
    kept = rng.random(110) > 0.3
    changed[0] = moved[0] = moved[10] = changed[10] = np.nan
    runs = [
        replace(
            make_run(2.0, n=len(moved[part])),
            frames=FrameQuality(moved[part], changed[part], "x", moved[part], kept[part]),
        )
        for part in (slice(10), slice(10, None))
    ]
    sources = [make_source("a.nii"), make_source("b.nii")]
    told = to_sidecar(describe_cleaning(sources, runs, FunctionalSettings()))
    assert told["MeanFD"] == round(float(np.nanmean(moved)), 5)
    assert told["MeanDVARS"] == round(float(np.nanmean(changed[kept])), 5)


def test_motion_that_is_not_known_of_a_run_is_not_known_of_all() -> None:
    """The other runs do not stand for it."""
    nowhere = np.full(30, np.nan)
    unknown = FrameQuality(nowhere, nowhere, "x", nowhere, np.ones(30, bool))
    runs = [make_run(2.0), replace(make_run(2.0), frames=unknown)]
    sources = [make_source("a.nii"), make_source("b.nii")]
    told = to_sidecar(describe_cleaning(sources, runs, FunctionalSettings()))
    assert told["MeanFD"] is None or np.isnan(told["MeanFD"])


def test_runs_of_one_repetition_time() -> None:
    """It stands once at the top, and in each run."""
    sources = [make_source("a.nii"), make_source("b.nii")]
    told = to_sidecar(describe_cleaning(sources, [make_run(2.0)] * 2, FunctionalSettings()))
    assert told["RepetitionTime"] == 2.0
    assert [run["RepetitionTime"] for run in told["Runs"]] == [2.0, 2.0]
    assert not any("repetition times" in note for note in told["Notes"])


def test_runs_of_different_repetition_times() -> None:
    """No single one stands for all; each run has its own, and minutes add up by them."""
    sources = [make_source("a.nii"), make_source("b.nii")]
    runs = [make_run(2.0), make_run(0.8)]
    told = to_sidecar(describe_cleaning(sources, runs, FunctionalSettings()))
    assert "RepetitionTime" not in told
    assert [run["RepetitionTime"] for run in told["Runs"]] == [2.0, 0.8]
    assert told["EffectiveDuration"] == 30 * 2.8
    assert any("repetition times of 2 and 0.8 s" in note for note in told["Notes"])
