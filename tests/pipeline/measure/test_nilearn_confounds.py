"""nilearn's strategies: its confounds, its volumes, and series cleaned as it cleans them."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn import signal
from nilearn.interfaces.fmriprep import load_confounds_strategy
from nilearn.maskers import NiftiLabelsMasker

from kraken_bids.bids.bold_series import open_bold
from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.connectome.functional.confounds import MOTION
from kraken_bids.connectome.functional.timeseries import RegionSeries
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.io.records import to_sidecar
from kraken_bids.pipeline.measure.bold_records import describe_cleaning
from kraken_bids.pipeline.measure.bold_runs import (
    clean_series,
    read_confounds,
    read_region_series,
)
from kraken_bids.pipeline.measure.label_grids import GridRegions
from kraken_bids.pipeline.measure.nilearn_confounds import choose_confounds
from kraken_bids.settings import FunctionalSettings

N_VOLUMES, TR = 90, 2.0
STRATEGIES = ("simple", "scrubbing", "compcor", "ica_aroma")
JUMPS = (30, 33, 60)
EXPANSIONS = ("", "_derivative1", "_power2", "_derivative1_power2")
DRIVING = {"csf": 3, "trans_x": 200}
"""Confounds that the volumes hold, and how much of them."""
ROUNDING = 1e-8
"""Of residuals of some tens: two ways to the same least squares."""


def make_table() -> dict[str, np.ndarray]:
    """Draw what fMRIPrep writes: n/a first in derivatives, jumps, two volumes not yet steady."""
    rng = np.random.default_rng(5)
    columns: dict[str, np.ndarray] = {}
    for name in ("csf", "white_matter", "global_signal", *MOTION):
        values = np.cumsum(rng.normal(0, 0.01 if name in MOTION else 3, N_VOLUMES))
        step = np.r_[np.nan, np.diff(values)]
        both = (values, step, values**2, step**2)
        columns |= {name + suffix: one for suffix, one in zip(EXPANSIONS, both, strict=True)}
    moved = rng.uniform(0.05, 0.3, N_VOLUMES)
    moved[list(JUMPS)] = 0.8
    columns["framewise_displacement"] = np.r_[np.nan, moved[1:]]
    columns["std_dvars"] = np.r_[np.nan, rng.uniform(0.8, 1.2, N_VOLUMES - 1)]
    columns["std_dvars"][70] = 1.8
    time = (np.arange(N_VOLUMES) + 0.5) / N_VOLUMES
    columns |= {f"cosine0{k}": np.cos(np.pi * (k + 1) * time) for k in range(2)}
    columns |= {f"a_comp_cor_0{k}": rng.normal(size=N_VOLUMES) for k in range(4)}
    columns |= {f"non_steady_state_outlier0{k}": np.eye(N_VOLUMES)[k] for k in range(2)}
    return columns


def write_run(folder: Path, columns: dict[str, np.ndarray], desc: str) -> tuple[Path, Path]:
    """Write a run under fMRIPrep's names; paths of BOLD and confounds."""
    rows = np.stack(list(columns.values()), axis=1)
    lines = ["\t".join("n/a" if np.isnan(v) else f"{v:.9g}" for v in row) for row in rows]
    table = folder / "sub-01_task-rest_desc-confounds_timeseries.tsv"
    table.write_text("\n".join(["\t".join(columns), *lines]) + "\n")
    told = {"Method": "aCompCor", "Mask": "combined", "Retained": True}
    components = {name: told for name in columns if "comp_cor" in name}
    table.with_suffix(".json").write_text(json.dumps(components))
    values = np.random.default_rng(1).normal(500, 20, (4, 4, 3, N_VOLUMES))
    values += sum(columns[name] * size for name, size in DRIVING.items() if name in columns)
    image = nib.Nifti1Image(values.astype(np.float32), np.diag([2.0, 2, 2, 1]))
    image.header.set_zooms((2, 2, 2, TR))
    bold = folder / f"sub-01_task-rest_space-MNI152NLin6Asym_desc-{desc}_bold.nii.gz"
    nib.save(image, bold)
    labels = np.arange(48).reshape(4, 4, 3) // 8 + 1
    nib.save(nib.Nifti1Image(labels.astype(np.int16), image.affine), folder / "labels.nii")
    return bold, table


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest) -> str:
    """Each of nilearn's."""
    return str(request.param)


@pytest.fixture
def run(tmp_path: Path, strategy: str) -> tuple[Path, Path]:
    """BOLD and confounds of a run."""
    desc = "smoothAROMAnonaggr" if strategy == "ica_aroma" else "preproc"
    return write_run(tmp_path, make_table(), desc)


def read_series(bold: Path) -> RegionSeries:
    """Region series of a run."""
    labels = np.asarray(nib.load(bold.parent / "labels.nii").dataobj, np.int32)
    regions = GridRegions(labels, np.bincount(labels.ravel())[1:])
    run = open_bold(bold, tr=None)
    return read_region_series(run, {"six": regions}, brain_mask=None, tissues={})


@pytest.mark.parametrize("gsr", [False, True])
def test_series_are_cleaned_as_nilearn_cleans_them(
    run: tuple[Path, Path], strategy: str, gsr: bool
) -> None:
    """Over nilearn's volumes: its signal.clean to rounding, its masker to single precision."""
    bold, table = run
    series = read_series(bold)
    settings = FunctionalSettings(denoise=strategy)  # type: ignore[arg-type]
    confounds = read_confounds(table, table.with_suffix(".json"), n_volumes=N_VOLUMES)
    ours = clean_series(series, confounds, settings, bold=bold, tr=TR, with_gsr=True)[gsr]
    assert not isinstance(ours, str)
    assert ours is not None

    options = {"global_signal": "basic"} if gsr else {}
    wanted, kept = load_confounds_strategy(str(bold), strategy, **options)
    assert kept is not None
    np.testing.assert_array_equal(np.flatnonzero(ours.kept), kept)
    chosen = [name for name in ours.regressors if name != "ones" and "outlier" not in name]
    assert sorted(chosen) == sorted(wanted.columns)

    cleaned = signal.clean(
        series.means["six"], detrend=False, standardize=None, confounds=wanted, sample_mask=kept
    )
    centred = cleaned - cleaned.mean(axis=0)
    np.testing.assert_allclose(ours.cleaned["six"][kept], centred, atol=ROUNDING)
    masker = NiftiLabelsMasker(str(bold.parent / "labels.nii"), standardize=None)
    masked = masker.fit_transform(str(bold), confounds=wanted, sample_mask=kept)
    np.testing.assert_allclose(centred, masked - masked.mean(axis=0), atol=1e-3)


def test_sidecars_name_strategy_and_columns(run: tuple[Path, Path], strategy: str) -> None:
    """Who chose the confounds, which, by which rule volumes are left out, what filters."""
    bold, table = run
    settings = FunctionalSettings(denoise=strategy)  # type: ignore[arg-type]
    confounds = read_confounds(table, table.with_suffix(".json"), n_volumes=N_VOLUMES)
    plain, _, _ = clean_series(
        read_series(bold), confounds, settings, bold=bold, tr=TR, with_gsr=False
    )
    source = BoldRun({}, "", bold, table, None, None, {}, {})
    told = to_sidecar(describe_cleaning([source], [plain], settings))
    assert told["Denoising"] == strategy
    assert any("load_confounds_strategy" in note and strategy in note for note in told["Notes"])
    assert {"cosine00", "cosine01"} <= set(told["Runs"][0]["Confounds"])
    assert told["HighPassMethod"] == "regression of fMRIPrep's cosines"
    n_scrubbed = {"scrubbing": 5}.get(strategy, 0)
    assert told["Runs"][0]["VolumesDropped"] == 2
    assert told["Runs"][0]["VolumesOutliers"] >= n_scrubbed
    assert ("nilearn" in told["OutlierRule"]) == (strategy == "scrubbing")


@pytest.mark.parametrize("threshold", [None, 0.25])
def test_scrubbing_takes_the_threshold_of_the_user(tmp_path: Path, threshold: float) -> None:
    """--fd-threshold is nilearn's fd_threshold there."""
    bold, table = write_run(tmp_path, make_table(), "preproc")
    given = {} if threshold is None else {"fd_threshold": threshold}
    _, kept = load_confounds_strategy(str(bold), "scrubbing", **given)
    found = choose_confounds(
        "scrubbing",
        bold,
        table,
        table.with_suffix(".json"),
        fd_threshold=threshold,
        with_gsr=False,
    )
    np.testing.assert_array_equal(np.flatnonzero(found.kept), kept)


@pytest.mark.parametrize(
    ("strategy", "gone", "message"),
    [
        ("simple", "csf", "csf"),
        ("simple", "rot_x", "rot_x"),
        ("scrubbing", "std_dvars", "no column 'std_dvars'"),
        ("compcor", "a_comp_cor_02", "a_comp_cor_02"),
        ("ica_aroma", "white_matter", "white_matter"),
    ],
)
def test_missing_columns_are_named(tmp_path: Path, strategy: str, gone: str, message: str) -> None:
    """The message says what nilearn did not find, in which table, and what to do."""
    columns = make_table()
    del columns[gone]
    desc = "smoothAROMAnonaggr" if strategy == "ica_aroma" else "preproc"
    bold, table = write_run(tmp_path, columns | {"x": np.zeros(N_VOLUMES)}, desc)
    settings = FunctionalSettings(denoise=strategy)  # type: ignore[arg-type]
    confounds = read_confounds(table, table.with_suffix(".json"), n_volumes=N_VOLUMES)
    told = json.loads(table.with_suffix(".json").read_text())
    told["a_comp_cor_02"] = {"Method": "aCompCor", "Mask": "combined", "Retained": True}
    table.with_suffix(".json").write_text(json.dumps(told))
    with pytest.raises(
        ConnectomeError, match=f"(?s)timeseries.tsv.*{strategy}.*{message}.*choose"
    ):
        clean_series(read_series(bold), confounds, settings, bold=bold, tr=TR, with_gsr=False)


def test_a_global_signal_that_is_missing_costs_its_flavor_alone(tmp_path: Path) -> None:
    """Without the column the plain series are there, and the reason is said."""
    columns = make_table()
    del columns["global_signal"]
    bold, table = write_run(tmp_path, columns, "preproc")
    found = choose_confounds("simple", bold, table, None, fd_threshold=None, with_gsr=True)
    assert found.global_signal is None
    assert "global_signal" in found.missing


def test_what_a_strategy_cannot_do_without(tmp_path: Path) -> None:
    """Compcor needs the sidecar, ica_aroma the series that ICA-AROMA cleaned."""
    bold, table = write_run(tmp_path, make_table(), "preproc")
    for strategy, message in (("compcor", "sidecar"), ("ica_aroma", "desc-smoothAROMAnonaggr")):
        with pytest.raises(InputError, match=f"--denoise {strategy}: expected.*{message}"):
            choose_confounds(strategy, bold, table, None, fd_threshold=None, with_gsr=False)
