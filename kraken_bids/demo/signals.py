"""BOLD signals of one run: what the cells do, and everything that a scanner adds to it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.demo.brain import CENTRE, CSF, GREY, N_CELLS, SEMI_AXES, WHITE
from kraken_bids.demo.population import CELL_NOISE, N_NETWORKS, Person, compute_loadings

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
"""When the restless person moves abruptly."""
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


def simulate_run(person: Person, rng: np.random.Generator, *, restless: bool) -> RunSignals:
    """Draw the time courses of one run; a restless person has an episode of abrupt motion."""
    n = N_VOLUMES
    loadings = compute_loadings(person, modality="function")
    cells = draw_series(rng, N_NETWORKS, exponent=0.4) @ loadings.T
    cells += CELL_NOISE * draw_series(rng, N_CELLS, exponent=0.4)
    cells += person.global_signal * draw_series(rng, 1, exponent=0.4)
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
        motion=_draw_motion(rng, person.motion, spikes),
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
    signals : RunSignals
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
    moved = signals.motion - signals.motion.mean(axis=0)
    moved = moved * np.array([1, 1, 1, 50, 50, 50])
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
    series += np.array([0.0, *(BASELINE[k] for k in (GREY, WHITE, CSF))], np.float32)[tissue][
        :, None
    ]
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
