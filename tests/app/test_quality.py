"""Quality of a run in its files: frames, cleaned series, regions, and what is too short."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.texts import read_json

RUNS = ("task-rest_run-01_space-T1w", "task-rest_run-02_space-T1w")


@pytest.fixture
def func(app: Any) -> Iterator[Path]:
    """Give the functional files of the finished run of sub-01."""
    app.copy_done()
    return app.out / "sub-01" / "func"


def read_series(func: Path, run: str, ending: str) -> np.ndarray:
    """Series [n_volumes, n_regions] of a run."""
    columns = read_columns(func / f"sub-01_{run}_{ending}.tsv")
    return np.stack(list(columns.values()), axis=1)


def test_frames_hold_fmripreps_numbers(app: Any, func: Path) -> None:
    """Displacement and std_dvars are its columns; volumes that count are those of the sidecar."""
    for number, run in enumerate(RUNS, start=1):
        table = read_columns(func / f"sub-01_{run}_desc-quality_timeseries.tsv")
        name = f"sub-01_task-rest_run-0{number}_desc-confounds_timeseries.tsv"
        confounds = read_columns(app.world.bids / "derivatives/fmriprep/sub-01/func" / name)
        for column in ("framewise_displacement", "std_dvars"):
            np.testing.assert_allclose(table[column], confounds[column], atol=1e-5)
        known = read_json(next(func.glob("*FCcorrHPF_relmat.json")))["Runs"][number - 1]
        assert table["kept"].sum() == known["VolumesUsed"]
        counted = confounds["std_dvars"][table["kept"] == 1]
        assert known["MeanDVARS"] == pytest.approx(np.nanmean(counted), abs=1e-4)
        assert known["DVARSSource"] == "std_dvars of the confounds"


def test_cleaned_series_are_what_the_connectome_is_made_of(func: Path) -> None:
    """Volumes that count, z-scored within runs and joined, correlate as the matrix says."""
    parts = []
    for run in RUNS:
        series = read_series(func, run, "atlas-fs86_desc-hpf_timeseries")
        kept = read_columns(func / f"sub-01_{run}_desc-quality_timeseries.tsv")["kept"] == 1
        parts.append((series[kept] - series[kept].mean(axis=0)) / series[kept].std(axis=0))
    expected = np.corrcoef(np.concatenate(parts).T)
    square = read_relmat(next(func.glob("*FCcorrHPF_relmat.dense.tsv")))
    np.testing.assert_allclose(square, expected, atol=2e-6)


def test_regions_are_those_that_were_averaged(app: Any, func: Path) -> None:
    """The image's voxels of each region, averaged over the BOLD file, are the region series."""
    labels = np.asarray(
        nibabel.load(func / "sub-01_task-rest_space-T1w_atlas-fs86_dseg.nii.gz").dataobj
    )
    values = nibabel.load(
        app.world.bids / "derivatives/fmriprep/sub-01/func" / app.bold("01").name
    ).get_fdata()
    series = read_series(func, RUNS[0], "atlas-fs86_timeseries")
    for region in (1, 20, 86):
        expected = np.asarray(values, float)[labels == region].mean(axis=0)
        np.testing.assert_allclose(series[:, region - 1], expected, rtol=1e-4)


def test_tsnr_is_taken_over_volumes_that_count(func: Path) -> None:
    """Mean over runs of mean over SD in time; its median stands in the sidecar."""
    table = read_columns(func / "sub-01_task-rest_space-T1w_atlas-fs86_coverage.tsv")
    ratios = []
    for run in RUNS:
        kept = read_columns(func / f"sub-01_{run}_desc-quality_timeseries.tsv")["kept"] == 1
        frames = read_series(func, run, "atlas-fs86_timeseries")[kept]
        ratios.append(frames.mean(axis=0) / frames.std(axis=0))
    np.testing.assert_allclose(table["tsnr"], np.mean(ratios, axis=0), atol=1e-3)
    known = read_json(next(func.glob("*FCcorrHPF_relmat.json")))
    assert known["MedianTSNR"] == pytest.approx(np.median(table["tsnr"]), abs=1e-3)
    assert known["CorrelationNoise"] == pytest.approx(1 / np.sqrt(known["Frames"] - 1), abs=1e-4)
    assert known["Warnings"] == []


def test_a_run_too_short_for_its_regions_is_said_everywhere(app: Any) -> None:
    """In the log, the sidecar and the report: minutes, and frames below the regions."""
    app.copy_bids("01")
    app.bold("01", run=2).unlink()
    options = ("--drop-volumes", 120, "--min-minutes", 30)
    done = app.participant(*options, flavors=("FCcorr_fs86_hpf",))
    assert done.exit_code == 0
    (path,) = (app.out / "sub-01/func").glob("*FCcorrHPF_relmat.json")
    known = read_json(path)
    assert known["Frames"] < 86
    minutes, frames = known["Warnings"]
    assert "minutes of BOLD are left after cleaning, less than 30" in minutes
    assert f"{known['Frames']} frames are left for 86 regions" in frames
    page = (app.out / "sub-01.html").read_text()
    for sentence in known["Warnings"]:
        assert done.says(sentence)
        assert sentence in page


def test_reports_stay_where_nothing_changed(app: Any) -> None:
    """A rerun leaves the page; --reports-only draws it again."""
    app.copy_done()
    app.copy_bids("01", "02", "03")
    assert app.participant().exit_code == 0
    page = app.out / "sub-01.html"
    drawn = page.stat().st_mtime_ns
    assert app.participant().says("report(s) up to date")
    assert page.stat().st_mtime_ns == drawn
    assert app.participant("--reports-only").exit_code == 0
    assert page.stat().st_mtime_ns > drawn


def test_broken_files_of_quality_leave_the_rest_of_the_report(app: Any) -> None:
    """A cut series or label image is left out and said; nothing fails."""
    app.copy_done()
    func = app.out / "sub-01" / "func"
    series = func / f"sub-01_{RUNS[0]}_atlas-fs86_timeseries.tsv"
    frames = func / f"sub-01_{RUNS[1]}_desc-quality_timeseries.tsv"
    labels = func / "sub-01_task-rest_space-T1w_atlas-fs86_dseg.nii.gz"
    for path in (frames, labels):
        path.write_bytes(path.read_bytes()[:-40])
    series.write_text("\n".join(series.read_text().splitlines()[:-9]) + "\n")
    done = app.participant("--participant-label", "01", "--reports-only")
    assert done.exit_code == 0
    for path in (series, frames, labels):
        assert done.says("left out of the report", path.name)
    page = (app.out / "sub-01.html").read_text()
    assert "task-rest run-01" in page
    assert "task-rest run-02" not in page


def test_files_of_an_earlier_version_are_missed_on_the_page(app: Any) -> None:
    """Without frames and regions the page says what it lacks, and how to get it."""
    app.copy_done()
    func = app.out / "sub-01" / "func"
    for path in (*func.glob("*_desc-quality_*"), *func.glob("*_dseg.nii.gz")):
        path.unlink()
    assert app.participant("--participant-label", "01", "--reports-only").exit_code == 0
    page = " ".join((app.out / "sub-01.html").read_text().split())
    assert "Not shown here: motion and signal over time, coverage on the brain." in page
    assert "Run the participant level again with --force" in page
    assert "Not shown here" not in (app.out / "sub-02.html").read_text()


def test_a_session_with_too_few_minutes_is_flagged_in_the_group(app: Any) -> None:
    """The group's table says how many minutes are left of how many that were wanted."""
    app.copy_done()
    for path in (app.out / "sub-01" / "func").glob("*_relmat.json"):
        content = read_json(path)
        if "EffectiveDuration" in content:
            path.write_text(json.dumps(content | {"EffectiveDuration": 150.0}))
    assert app.group().exit_code == 0
    page = (app.out / "group.html").read_text()
    wanted = read_json(next((app.out / "sub-02" / "func").glob("*HPF_relmat.json")))
    minimum = wanted["MinutesMinimum"]
    # once among the participants, once in the table of quality control
    assert page.count(f"too short: 2.5 of {minimum:g} minutes") == 2


def test_a_failure_is_on_the_page_until_it_is_mended(app: Any, break_file: Any) -> None:
    """The page of what is left says what failed; reports and group drawn again still know it."""
    app.copy_bids("01", "02")
    whole = app.bold("01").read_bytes()
    break_file(app.bold("01"))
    assert app.participant().exit_code == 1
    page = app.out / "sub-01.html"
    words = "The connectomes of sub-01 failed: expected"
    assert words in page.read_text()
    assert app.participant("--reports-only").exit_code == 0
    assert words in page.read_text()
    assert set(app.failures()) == {"sub-01"}
    app.group()
    assert words in page.read_text()
    assert set(app.failures()) == {"sub-01"}
    app.bold("01").write_bytes(whole)
    assert app.participant().exit_code == 0
    assert words not in page.read_text()
    assert app.failures() == {}


def test_unchanged_pages_stay_when_the_levels_alternate(app: Any) -> None:
    """The participant level keeps what the group level has judged, which is more."""
    app.copy_done()
    app.copy_bids("01", "02", "03")
    few = ("--adaptation-min-subjects", "2")
    assert app.participant(*few).exit_code == 0
    assert app.group(*few).exit_code == 0
    pages = {path: path.read_bytes() for path in app.out.glob("*.html")}
    sidecar = app.out / "sub-01" / "sub-01_desc-kraken_latents.json"
    judged = json.loads(sidecar.read_text())
    assert judged["TrustLevel"] == "group"

    for level in (app.participant, app.group, app.participant):
        assert level(*few).says("3 report(s) up to date, not drawn again")

    assert {path: path.read_bytes() for path in app.out.glob("*.html")} == pages
    assert json.loads(sidecar.read_text()) == judged


def test_who_has_nothing_to_draw_fails(app: Any) -> None:
    """A participant whose results are gone; the others' pages are drawn."""
    app.copy_done()
    shutil.rmtree(app.out / "sub-02")
    words = ("--participant-label", "01", "02", "--reports-only")
    outcome = app.participant(*words)
    assert outcome.exit_code == 1
    assert outcome.says("expected connectomes or decoded volumes of sub-02", "sub-01.html drawn")
    assert set(app.failures()) == {"sub-02"}
