"""BOLD signals of one synthetic run, what a scanner adds to them, and fMRIPrep's confounds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from kraken_bids.demo.population import CELL_NOISE, N_NETWORKS, Subject, compute_loadings
from kraken_bids.demo.template_brain import CENTRE, CSF, GREY, N_CELLS, SEMI_AXES, WHITE

FloatArray = NDArray[np.float64]

TR = 2.0
"""Seconds."""
N_VOLUMES = 200
N_DUMMIES = 2
"""Volumes before the steady state; fMRIPrep marks them ``non_steady_state_outlier``."""
BASELINE = {GREY: 1000.0, WHITE: 800.0, CSF: 1300.0}
SIGNAL = 12.0
"""Amplitude of a cell's networks, in the units of ``BASELINE``."""
THERMAL_NOISE = 10.0
SPIKE_VOLUMES = (90, 100)
"""When the restless subject moves abruptly."""
_PHYSIOLOGY = 8.0
_LEAK = 0.3
"""Share of the white matter's and ventricles' own signals that reaches grey matter."""
_MOTION = 5.0
_DRIFT = 10.0


@dataclass(frozen=True)
class RunSignals:
    """Time courses of one run; every space is rendered from the same ones."""

    cells: FloatArray
    """[n_volumes, n_cells], amplitude about 1."""
    white: FloatArray
    """[n_volumes, 3], unit variance."""
    csf: FloatArray
    """[n_volumes, 3], unit variance."""
    drift: FloatArray
    """[n_volumes, 2]"""
    motion: FloatArray
    """[n_volumes, 6], translations in mm, then rotations in rad."""
    spikes: NDArray[np.bool_]
    """[n_volumes], volumes spoilt by abrupt motion."""


def simulate_run(subject: Subject, rng: np.random.Generator, *, restless: bool) -> RunSignals:
    """Draw the time courses of one run; a restless subject has an episode of abrupt motion."""
    n = N_VOLUMES
    loadings = compute_loadings(subject, modality="function")
    cells = draw_series(rng, N_NETWORKS, exponent=0.4) @ loadings.T
    cells += CELL_NOISE * draw_series(rng, N_CELLS, exponent=0.4)
    cells += subject.global_signal * draw_series(rng, 1, exponent=0.4)
    time = np.linspace(-1, 1, n)
    spikes = np.zeros(n, bool)
    if restless:
        first, last = SPIKE_VOLUMES
        spikes[rng.choice(np.arange(first, last), 4, replace=False)] = True
    return RunSignals(
        cells=cells,
        white=draw_series(rng, 3, exponent=1.0),
        csf=draw_series(rng, 3, exponent=1.0),
        drift=np.stack([time, np.cos(np.pi * (time + rng.uniform(-1, 1)))], 1),
        motion=_draw_motion(rng, subject.motion, spikes),
        spikes=spikes,
    )


def render_voxels(
    signals: RunSignals,
    *,
    points: FloatArray,
    tissue: NDArray[np.int32],
    cells: NDArray[np.int32],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Series of voxels, [n_voxels, n_volumes].

    Parameters
    ----------
    points : ndarray [n_voxels, 3]
        Where the voxels lie in the template, mm.
    tissue, cells : ndarray [n_voxels]
        Tissue (never 0) and, in grey matter, cell from 1.
    rng : Generator
        Draws the thermal noise.
    """
    place = (points - CENTRE) / SEMI_AXES
    share = {kind: np.where(tissue == kind, 1.0, _LEAK) for kind in (WHITE, CSF)}
    # smooth in space: physiology and motion do not look alike everywhere
    waves = np.stack([np.ones(len(place)), np.sin(2 * place[:, 1]), np.cos(2 * place[:, 2])], 1)
    moved = (signals.motion - signals.motion.mean(axis=0)) * np.array([1, 1, 1, 50, 50, 50])
    edge = np.concatenate([place, place**2], axis=1)
    loading = np.concatenate(
        [_PHYSIOLOGY * share[WHITE][:, None] * waves, _PHYSIOLOGY * share[CSF][:, None] * waves,
         np.full((len(place), 2), _DRIFT), _MOTION * edge], axis=1,
    )  # fmt: skip
    courses = np.concatenate([signals.white, signals.csf, signals.drift, moved], axis=1)
    series = rng.standard_normal((len(place), N_VOLUMES), np.float32) * np.float32(THERMAL_NOISE)
    series += loading.astype(np.float32) @ courses.T.astype(np.float32)
    grey = tissue == GREY
    series[grey] += (SIGNAL * signals.cells.T).astype(np.float32)[cells[grey] - 1]
    base = np.array([0.0, *(BASELINE[k] for k in (GREY, WHITE, CSF))], np.float32)
    series += base[tissue][:, None]
    series[:, :N_DUMMIES] *= np.linspace(1.25, 1.08, N_DUMMIES, dtype=np.float32)
    series[:, signals.spikes] *= (0.96 + 0.02 * place[:, 2:]).astype(np.float32)
    return series


def draw_series(rng: np.random.Generator, n_series: int, *, exponent: float) -> FloatArray:
    """Series [n_volumes, n_series] of unit variance; power falls as 1 / frequency ** exponent."""
    frequency = np.fft.rfftfreq(N_VOLUMES, TR)
    frequency[0] = frequency[1]
    shape = (len(frequency), n_series)
    spectrum = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    series = np.fft.irfft(spectrum / frequency[:, None] ** (exponent / 2), N_VOLUMES, axis=0)
    series -= series.mean(axis=0)
    return np.asarray(series / series.std(axis=0))


def _draw_motion(rng: np.random.Generator, scale: float, spikes: NDArray[np.bool_]) -> FloatArray:
    step = np.array([0.012, 0.015, 0.02, 2e-4, 1.5e-4, 1.5e-4]) * scale
    walk = np.cumsum(rng.standard_normal((N_VOLUMES, 6)) * step, axis=0)
    walk += rng.standard_normal((N_VOLUMES, 6)) * step
    jerk = np.array([0.4, 0.6, 0.9, 8e-3, 5e-3, 5e-3])
    walk[spikes] += rng.choice([-1.0, 1.0], (int(spikes.sum()), 6)) * jerk
    return np.asarray(walk - walk[0])


Columns = dict[str, FloatArray]


_COSINE_CUTOFF_S = 128.0


_MAX_COMPONENTS = 8


_MOTION_NAMES = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


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
    for name, course in zip(_MOTION_NAMES, motion.T, strict=True):
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
