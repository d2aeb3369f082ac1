"""Confounds of a synthetic run, named and computed as fMRIPrep 25 does."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from kraken_bids.demo.brain import CSF, WHITE
from kraken_bids.demo.signals import N_DUMMIES, N_VOLUMES, TR

FloatArray = NDArray[np.float64]
Columns = dict[str, FloatArray]

_COSINE_CUTOFF_S = 128.0
_MAX_COMPONENTS = 8
_MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


def compute_confounds(
    series: NDArray[np.float32], tissue: NDArray[np.int32], motion: FloatArray
) -> tuple[Columns, dict[str, Any]]:
    """Columns and sidecar of ``desc-confounds_timeseries``.

    Parameters
    ----------
    series : ndarray [n_voxels, n_volumes]
        All voxels of the brain mask.
    tissue : ndarray [x, y, z]
        Tissue per voxel; those above 0 are the voxels of ``series``, in C order.
    motion : ndarray [n_volumes, 6]
        mm and rad.
    """
    inside = tissue > 0
    core = {kind: binary_erosion(tissue == kind)[inside] for kind in (CSF, WHITE)}
    columns, sidecar = _compute_means(series, core)
    columns |= _compute_dvars(series) | _compute_displacement(motion)
    cosines = compute_cosines(N_VOLUMES - N_DUMMIES)
    masks = {"c": core[CSF], "w": core[WHITE], "a": core[CSF] | core[WHITE]}
    for prefix, name in (("c", "CSF"), ("w", "WM"), ("a", "combined")):
        found = _compute_components(series[masks[prefix]], cosines, f"{prefix}_comp_cor", name)
        columns |= found[0]
        sidecar |= found[1]
    columns |= {f"cosine_{i:02d}": _pad(wave) for i, wave in enumerate(cosines.T)}
    ones = np.eye(N_VOLUMES)
    columns |= {f"non_steady_state_outlier{i:02d}": ones[i] for i in range(N_DUMMIES)}
    for name, course in zip(_MOTION, motion.T, strict=True):
        columns |= _expand(name, course)
    moved = columns["framewise_displacement"] > 0.5
    bad = np.flatnonzero(moved | (columns["std_dvars"] > 1.5))
    columns |= {f"motion_outlier{i:02d}": ones[v] for i, v in enumerate(bad[bad > N_DUMMIES])}
    return columns, sidecar


def _compute_means(
    series: NDArray[np.float32], core: dict[int, NDArray[np.bool_]]
) -> tuple[Columns, dict[str, Any]]:
    means = {
        "csf": series[core[CSF]].mean(axis=0),
        "white_matter": series[core[WHITE]].mean(axis=0),
        "global_signal": series.mean(axis=0),
    }
    columns: Columns = {}
    for name, mean in means.items():
        columns |= _expand(name, mean.astype(np.float64))
    return columns, {name: {"Method": "Mean"} for name in means}


def compute_cosines(n_volumes: int) -> FloatArray:
    """Discrete cosines slower than 128 s, [n_volumes, n_cosines]."""
    order = int(2 * n_volumes * TR / _COSINE_CUTOFF_S)
    time = np.arange(n_volumes)[:, None] + 0.5
    waves = np.cos(np.pi * time * np.arange(1, order + 1) / n_volumes)
    return np.asarray(np.sqrt(2 / n_volumes) * waves)


def _expand(name: str, course: FloatArray) -> Columns:
    step = np.concatenate([[np.nan], np.diff(course)])
    return {
        name: course,
        f"{name}_derivative1": step,
        f"{name}_power2": course**2,
        f"{name}_derivative1_power2": step**2,
    }


def _compute_dvars(series: NDArray[np.float32]) -> Columns:
    step = np.diff(series, axis=1)
    dvars = np.concatenate([[np.nan], np.sqrt((step.astype(np.float64) ** 2).mean(axis=0))])
    return {"std_dvars": dvars / np.nanmedian(dvars), "dvars": dvars}


def _compute_displacement(motion: FloatArray) -> Columns:
    step = np.abs(np.diff(motion, axis=0))
    framewise = step[:, :3].sum(axis=1) + 50 * step[:, 3:].sum(axis=1)
    rms = np.sqrt((step[:, :3] ** 2).sum(axis=1))
    return {
        "framewise_displacement": np.concatenate([[np.nan], framewise]),
        "rmsd": np.concatenate([[np.nan], rms]),
    }


def _compute_components(
    series: NDArray[np.float32], cosines: FloatArray, prefix: str, mask: str
) -> tuple[Columns, dict[str, Any]]:
    """Principal components of a tissue's voxels after the slow cosines are taken out."""
    rows = series[:, N_DUMMIES:].astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    rows -= (rows @ cosines) @ cosines.T
    values, vectors = np.linalg.eigh(rows.T @ rows)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1]
    share = values / values.sum()
    columns, sidecar = {}, {}
    for i in range(_MAX_COMPONENTS):
        name = f"{prefix}_{i:02d}"
        columns[name] = _pad(vectors[:, i])
        sidecar[name] = {
            "CumulativeVarianceExplained": float(share[: i + 1].sum()),
            "Mask": mask,
            "Method": "aCompCor",
            "Retained": True,
            "SingularValue": float(np.sqrt(values[i])),
            "VarianceExplained": float(share[i]),
        }
    return columns, sidecar


def _pad(course: FloatArray) -> FloatArray:
    return np.concatenate([np.zeros(N_DUMMIES), course])
