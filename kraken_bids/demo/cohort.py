"""A cohort of connectomes, simulated region by region without writing images."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kraken_bids.demo.population import (
    ALGORITHMS,
    CELL_NOISE,
    Subject,
    compute_cell_shares,
    compute_loadings,
    compute_region_weights,
    compute_streamline_shares,
    draw_subjects,
)
from kraken_bids.demo.template_brain import FINE_MM, N_CELLS, PARCELLATIONS, load_brain
from kraken_bids.flavors import Flavor

FloatArray = NDArray[np.float64]

COHORT, DATA_SET = 0, 1
"""Second half of the seeds of subjects, which keeps training and demonstration apart."""
N_STREAMLINES = 20_000
"""Streamlines of each synthetic tractogram."""
KEPT_STREAMLINES = {"ifod2": 0.95, "sdstream": 0.7}
"""Share of the streamlines whose two ends both reach grey matter."""
PCORR_RIDGE = 0.06
N_INDEPENDENT_VOLUMES = 210
"""Independent samples that two cleaned runs are worth (calibrated on measured data sets)."""
TRAINING_STREAMLINES = 5_000_000
TRAINING_VOXEL_MM3 = 1.25**3


def simulate_cohort(
    n_subjects: int,
    seed: int,
    *,
    parcellations: Sequence[str] = PARCELLATIONS,
    on_subject: Callable[[], None] | None = None,
) -> dict[Flavor, NDArray[np.float32]]:
    """Connectomes of synthetic subjects, as the pipeline would measure them from their images.

    Parameters
    ----------
    n_subjects : int
        How many subjects.
    seed : int
        Which subjects: other seeds give others of the same population. None of them is in a
        data set of :func:`~kraken_bids.demo.dataset.write_demo_dataset`, whatever its seed.
    parcellations : sequence of str, optional
        Only these (all three).
    on_subject : callable, optional
        Called after each subject.

    Returns
    -------
    dict of Flavor to ndarray [n_subjects, n_edges]
        The flavors of the published model, five per parcellation; edges in row-major order of
        the strict upper triangle.
    """
    rng = np.random.default_rng([seed, COHORT, 1])
    cohort: dict[Flavor, NDArray[np.float32]] = {}
    for row, subject in enumerate(draw_subjects(n_subjects, [seed, COHORT])):
        for flavor, square in simulate_subject(subject, rng, parcellations=parcellations).items():
            n = len(square)
            edges = cohort.setdefault(flavor, np.empty((n_subjects, n * (n - 1) // 2), np.float32))
            edges[row] = square[np.triu_indices(n, 1)]
        if on_subject:
            on_subject()
    return cohort


def simulate_subject(
    subject: Subject, rng: np.random.Generator, *, parcellations: Sequence[str] = PARCELLATIONS
) -> dict[Flavor, FloatArray]:
    """Square connectomes [n_regions, n_regions] of one subject, five flavors per parcellation."""
    function = simulate_function(subject, rng, parcellations=parcellations)
    return function | simulate_structure(subject, rng, parcellations=parcellations)


def simulate_function(
    subject: Subject, rng: np.random.Generator, *, parcellations: Sequence[str] = PARCELLATIONS
) -> dict[Flavor, FloatArray]:
    """Simulate one subject's FC, three flavors per parcellation, from series of finite length."""
    n = N_INDEPENDENT_VOLUMES
    loadings = compute_loadings(subject, modality="function")
    cells = rng.standard_normal((n, loadings.shape[1])) @ loadings.T
    cells += CELL_NOISE * rng.standard_normal((n, N_CELLS))
    cells += subject.global_signal * rng.standard_normal((n, 1))
    grey = cells.mean(axis=1, keepdims=True)
    grey = grey - grey.mean()
    cells -= cells.mean(axis=0)
    without_global = cells - grey @ (grey.T @ cells) / (grey.T @ grey)
    found = {}
    for name in parcellations:
        weights = compute_region_weights(name)
        correlation = _correlate(cells @ weights)
        found[Flavor("FCcorr", name, "hpf")] = correlation
        found[Flavor("FCcorr", name, "hpfgsr")] = _correlate(without_global @ weights)
        found[Flavor("FCpcorr", name, "hpf")] = _partial_correlation(correlation)
    return found


def simulate_structure(
    subject: Subject, rng: np.random.Generator, *, parcellations: Sequence[str] = PARCELLATIONS
) -> dict[Flavor, FloatArray]:
    """Simulate one subject's SC, two flavors per parcellation, with its sampling noise.

    Units are the model's: streamlines out of five million, over the mean volume of the two
    regions in voxels of 1.25 mm.
    """
    found = {}
    for algorithm in ALGORITHMS:
        shares = compute_streamline_shares(subject, algorithm)
        for name in parcellations:
            split = compute_cell_shares(name)
            expected = 2 * N_STREAMLINES * KEPT_STREAMLINES[algorithm] * (split.T @ shares @ split)
            counts = np.triu(rng.poisson(expected), 1).astype(np.float64)
            volume = load_brain().overlap[name].sum(axis=0) * FINE_MM**3 / TRAINING_VOXEL_MM3
            scale = TRAINING_STREAMLINES / N_STREAMLINES * 2 / np.add.outer(volume, volume)
            measure = {"ifod2": "SCifod2act", "sdstream": "SCsdstream"}[algorithm]
            found[Flavor(measure, name, "volnorm")] = (counts + counts.T) * scale
    return found


def _correlate(series: FloatArray) -> FloatArray:
    return np.asarray(np.corrcoef(series, rowvar=False), dtype=np.float64)


def _partial_correlation(correlation: FloatArray) -> FloatArray:
    ridge = PCORR_RIDGE * np.trace(correlation) / len(correlation)
    precision = np.linalg.inv(correlation + ridge * np.eye(len(correlation)))
    scale = np.sqrt(np.diag(precision))
    partial = -precision / np.outer(scale, scale)
    np.fill_diagonal(partial, 1.0)
    return np.asarray(partial)
