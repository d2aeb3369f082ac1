"""The generative model: what subjects share, how they differ, and how both halves follow from it.

Each cell of grey matter has a loading on a dozen latent networks, a field that is smooth in space.
A subject's own factors bend that field. Function: the series of a cell is its loading times the
networks' series. Structure: two cells are joined the more, the closer they lie and the more alike
their loadings are. So structure and function are related subject by subject, and neither is the
other: some factors bend only one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kraken_bids.demo.template_brain import N_CELLS, PARCELLATIONS, load_brain

FloatArray = NDArray[np.float64]

N_NETWORKS = 12
N_SHARED = 12
N_OWN = 8
POPULATION_SEED = 20240413
ALGORITHMS = ("ifod2", "sdstream")
SHARED_STRENGTH = 0.42
OWN_STRENGTH = 0.32
CELL_NOISE = 0.6
"""SD of a cell's own series; the part that comes from the networks has about 1."""
_SMOOTHNESS_MM = 20.0
_CALLOSUM_MM = 12.0
"""How much farther than within the hemisphere a cell of the other one counts."""


@dataclass(frozen=True)
class Subject:
    """One synthetic subject: the numbers from which function and structure are computed."""

    shared: FloatArray
    """[N_SHARED], bend both function and structure."""
    function_only: FloatArray
    """[N_OWN]"""
    structure_only: FloatArray
    """[N_OWN]"""
    motion: float
    """Scale of head motion, 1 for an average subject."""
    global_signal: float
    """Amplitude of the signal that all grey matter shares, in units of a cell's series."""


@dataclass(frozen=True)
class Population:
    """The fields that all subjects share."""

    base: FloatArray
    """Mean loading, [n_cells, n_networks]; rows have about unit length."""
    shared: FloatArray
    """How each shared factor bends it, [N_SHARED, n_cells, n_networks]."""
    function_only: FloatArray
    """[N_OWN, n_cells, n_networks]"""
    structure_only: FloatArray
    """[N_OWN, n_cells, n_networks]"""
    distance: FloatArray
    """Path length between cells, [n_cells, n_cells], mm; across, by way of the mirrored cell."""


@cache
def load_population() -> Population:
    """Draw the population's fields (always the same)."""
    rng = np.random.default_rng(POPULATION_SEED)
    centres = load_brain().cell_centres
    direct = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    mirror = (np.arange(N_CELLS) + N_CELLS // 2) % N_CELLS
    # cells mirror each other within a voxel only: the mean of both ways is symmetric
    crossed = (direct[:, mirror] + direct[mirror]) / 2 + _CALLOSUM_MM
    kernel = np.exp(-0.5 * (direct / _SMOOTHNESS_MM) ** 2) + 1e-6 * np.eye(N_CELLS)
    root = np.linalg.cholesky(kernel)

    def draw_fields(n_fields: int) -> FloatArray:
        draw = rng.standard_normal((n_fields, N_CELLS, N_NETWORKS))
        field = np.einsum("cd,fdn->fcn", root, draw)
        field += 0.8 * field[:, mirror]  # homologous cells are alike
        return np.asarray(field / field.std())

    base = np.exp(1.6 * draw_fields(1)[0])  # sparse: a cell belongs to few networks
    base -= 0.8 * base.mean(axis=0)  # and networks partly oppose each other
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    bends = [draw_fields(n) / np.sqrt(N_NETWORKS * n) for n in (N_SHARED, N_OWN, N_OWN)]
    return Population(base, bends[0], bends[1], bends[2], np.minimum(direct, crossed))


def draw_subjects(n_subjects: int, seed: int | Sequence[int]) -> list[Subject]:
    """Draw subjects; the same seed gives the same subjects, however many are drawn."""
    rng = np.random.default_rng(seed)
    return [
        Subject(
            shared=rng.standard_normal(N_SHARED),
            function_only=rng.standard_normal(N_OWN),
            structure_only=rng.standard_normal(N_OWN),
            motion=float(rng.lognormal(0.0, 0.3)),
            global_signal=float(rng.uniform(0.25, 0.45)),
        )
        for _ in range(n_subjects)
    ]


def compute_loadings(subject: Subject, *, modality: str) -> FloatArray:
    """Compute the loading of each cell on each network, [n_cells, n_networks].

    Parameters
    ----------
    subject : Subject
        Whose.
    modality : str
        ``function`` or ``structure``: which own factors are added to the shared ones.
    """
    population = load_population()
    own = subject.function_only if modality == "function" else subject.structure_only
    fields = population.function_only if modality == "function" else population.structure_only
    bend = SHARED_STRENGTH * np.tensordot(subject.shared, population.shared, 1)
    return np.asarray(population.base + bend + OWN_STRENGTH * np.tensordot(own, fields, 1))


def compute_streamline_shares(subject: Subject, algorithm: str) -> FloatArray:
    """Share of the streamlines that join each ordered pair of cells, [n_cells, n_cells], sum 1.

    Probabilistic streamlines (``ifod2``) reach far; deterministic ones (``sdstream``) stay shorter
    and follow the strongest connections.
    """
    population = load_population()
    loadings = compute_loadings(subject, modality="structure")
    length = np.linalg.norm(loadings, axis=1)
    alike = loadings @ loadings.T / np.outer(length, length)
    reach, gain = {"ifod2": (22.0, 3.0), "sdstream": (16.0, 3.6)}[algorithm]
    size = sum(load_brain().overlap["fs86"].T)
    share = np.exp(gain * alike - population.distance / reach) * np.outer(size, size)
    return np.asarray(share / share.sum())


def compute_planted_correlation(subject: Subject) -> dict[str, FloatArray]:
    """Correlation between regions that endless, clean data would show, per parcellation [n, n]."""
    loadings = compute_loadings(subject, modality="function")
    cells = loadings @ loadings.T + CELL_NOISE**2 * np.eye(N_CELLS) + subject.global_signal**2
    planted = {}
    for name in PARCELLATIONS:
        weights = compute_region_weights(name)
        covariance = weights.T @ cells @ weights
        scale = np.sqrt(np.diag(covariance))
        planted[name] = covariance / np.outer(scale, scale)
    return planted


def compute_region_weights(parcellation: str) -> FloatArray:
    """Weight of each cell in the mean over each region, [n_cells, n_regions]; columns sum to 1."""
    overlap = load_brain().overlap[parcellation]
    return np.asarray(overlap / overlap.sum(axis=0, keepdims=True))


def compute_cell_shares(parcellation: str) -> FloatArray:
    """Share of each cell's voxels that each region has, [n_cells, n_regions]; rows sum to 1."""
    overlap = load_brain().overlap[parcellation]
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True))
