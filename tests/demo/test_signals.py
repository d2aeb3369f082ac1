"""Confounds of a synthetic run."""

import numpy as np
import pytest

from kraken_bids.demo.population import draw_subjects
from kraken_bids.demo.signals import (
    N_DUMMIES,
    N_VOLUMES,
    RunSignals,
    compute_confounds,
    compute_cosines,
    render_voxels,
    simulate_run,
)
from kraken_bids.demo.template_brain import CSF, GREY, WHITE


@pytest.fixture(scope="module")
def run() -> tuple[RunSignals, np.ndarray, np.ndarray]:
    """Signals, voxel series and tissue of a small block with a restless subject inside."""
    rng = np.random.default_rng(0)
    signals = simulate_run(draw_subjects(1, 0)[0], rng, restless=True)
    tissue = np.zeros((12, 12, 12), np.int32)
    tissue[1:11, 1:11, 1:4], tissue[1:11, 1:11, 4:7], tissue[1:11, 1:11, 7:11] = GREY, WHITE, CSF
    inside = tissue > 0
    points = np.argwhere(inside) * 5.0
    cells = np.where(tissue[inside] == GREY, 17, 0).astype(np.int32)
    series = render_voxels(signals, points=points, tissue=tissue[inside], cells=cells, rng=rng)
    return signals, series, tissue


def test_names_are_those_of_fmriprep(run: tuple[RunSignals, np.ndarray, np.ndarray]) -> None:
    """24 motion columns, tissue means with expansions, split CompCor described in the sidecar."""
    signals, series, tissue = run
    columns, sidecar = compute_confounds(series, tissue, signals.motion)
    assert sum(name.startswith(("trans_", "rot_")) for name in columns) == 24
    for name in ("csf", "white_matter_power2", "global_signal_derivative1_power2", "std_dvars"):
        assert len(columns[name]) == N_VOLUMES
    assert sidecar["w_comp_cor_00"]["Mask"] == "WM"
    assert sidecar["c_comp_cor_04"]["Method"] == "aCompCor"
    assert np.isnan(columns["framewise_displacement"][0])
    assert columns["non_steady_state_outlier01"][1] == 1


def test_abrupt_motion_is_marked(run: tuple[RunSignals, np.ndarray, np.ndarray]) -> None:
    """Every spoilt volume has its own motion_outlier column, numbered in time."""
    signals, series, tissue = run
    columns, _ = compute_confounds(series, tissue, signals.motion)
    marks = [column for name, column in columns.items() if name.startswith("motion_outlier")]
    marked = [int(np.flatnonzero(mark)[0]) for mark in marks]
    assert marked == sorted(marked)
    assert set(np.flatnonzero(signals.spikes)) <= set(marked)
    assert all(mark.sum() == 1 for mark in marks)


def test_slow_waves_are_orthonormal() -> None:
    """Cosines of the high-pass filter are orthonormal and have no mean."""
    cosines = compute_cosines(N_VOLUMES - N_DUMMIES)
    assert np.allclose(cosines.T @ cosines, np.eye(cosines.shape[1]))
    assert np.allclose(cosines.sum(axis=0), 0)
