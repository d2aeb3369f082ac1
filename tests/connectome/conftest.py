"""Synthetic runs and a dense, independent copy of fmriclean's mathematics."""

import numpy as np
import pytest

from kraken_bids.connectome.functional.timeseries import RegionSeries

MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


def make_series(n_volumes=200, n_regions=8, seed=0, tissue=("WM", "CSF")):
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(size=(n_volumes, 3)), axis=0)

    def voxels(n):
        return drift @ rng.normal(size=(3, n)) + rng.normal(1000, 3, (n_volumes, n))

    means = {"a": voxels(n_regions), "b": voxels(5)}
    return RegionSeries(
        means=means,
        coverage={},
        n_voxels={},
        global_mean=means["a"].mean(axis=1),
        grey_mean=means["b"].mean(axis=1),
        tissue={name: voxels(60).astype(np.float32) for name in tissue},
    )


def make_columns(n_volumes=200, seed=1, n_non_steady=3):
    rng = np.random.default_rng(seed)
    columns = {}
    for name in MOTION:
        scale = 0.02 if name.startswith("trans") else 0.0003
        columns[name] = np.cumsum(rng.normal(scale=scale, size=n_volumes))
        columns[f"{name}_derivative1"] = np.concatenate([[np.nan], np.diff(columns[name])])
        columns[f"{name}_power2"] = columns[name] ** 2
        columns[f"{name}_derivative1_power2"] = columns[f"{name}_derivative1"] ** 2
    columns["framewise_displacement"] = np.concatenate([[np.nan], rng.random(n_volumes - 1) / 3])
    for name in ("csf", "white_matter", "global_signal"):
        columns[name] = rng.normal(1000, 5, n_volumes)
    for prefix in ("w", "c", "a"):
        for i in range(6):
            columns[f"{prefix}_comp_cor_{i:02d}"] = rng.normal(size=n_volumes)
    t = np.arange(n_volumes)
    for k in range(1, 6):
        columns[f"cosine_{k - 1:02d}"] = np.cos(np.pi * (t + 0.5) * k / n_volumes)
    for i in range(n_non_steady):
        columns[f"non_steady_state_outlier{i:02d}"] = (t == i).astype(float)
    columns["motion_outlier00"] = (t == 77).astype(float)
    return columns


@pytest.fixture
def series():
    return make_series()


@pytest.fixture
def columns():
    return make_columns()
