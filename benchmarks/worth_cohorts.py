"""Synthetic cohorts in which it is known what predictions are worth.

People of a :class:`~worth_population.Population`, whose methods tell gain, ceiling and slopes in
closed form; coverage is judged on new people of the same population.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from worth_population import (
    N_NOISE,
    N_OWN,
    N_SHARED,
    SCORE_FIDELITY,
    SOURCE_OF,
    FloatArray,
    Population,
    count_regions,
    edges_of_region,
    make_population,
)

from kraken_bids.flavors import Flavor


@dataclass(frozen=True)
class SyntheticCohort:
    """People of a population, measured and predicted."""

    population: Population
    measured: dict[Flavor, NDArray[np.float32]]
    """[n_subjects, n_edges]"""
    retest: dict[Flavor, NDArray[np.float32]]
    """The same people in another session."""
    predicted: dict[tuple[str, Flavor], NDArray[np.float32]]
    """By source (``fusionSC``, ``fusionFC``) and target, raw."""
    covariates: dict[str, FloatArray]
    """``age`` and ``score`` (standard normal), ``sex`` (0, 1), ``motion`` (scale of the noise)."""
    families: list[str]
    changed: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    """Whose function was changed in one region."""
    changed_region: int = -1

    @cached_property
    def subjects(self) -> list[str]:
        """Labels of the subjects."""
        return [f"{row + 1:04d}" for row in range(len(self.families))]


def make_cohort(  # noqa: PLR0913 - what a cohort may hold
    strength: str = "weak",
    *,
    n_subjects: int,
    seed: int,
    population: Population | None = None,
    siblings: bool = False,
    n_changed: int = 0,
    change: float = 1.0,
) -> SyntheticCohort:
    """Draw a cohort.

    Parameters
    ----------
    strength : str
        One of :data:`STRENGTHS`.
    n_subjects, seed : int
        The same seed gives the same people.
    population : Population, optional
        Whom they are drawn from; by default :func:`make_population` of the strength and the seed.
    siblings : bool
        Every two people share half of what stays with a person, and a family.
    n_changed : int
        Functional edges of one region are changed in so many people, in both sessions.
    change : float
        By how much, in standard deviations of each edge.
    """
    whole = population or make_population(strength, seed=seed)
    rng = np.random.default_rng([seed, 2])
    family = np.arange(n_subjects) // (2 if siblings else 1)

    def draw_traits(n_factors: int) -> FloatArray:
        together = rng.standard_normal((family[-1] + 1, n_factors))[family] if siblings else 0.0
        weight = np.sqrt(0.5) if siblings else 0.0
        alone = rng.standard_normal((n_subjects, n_factors))
        return np.asarray(weight * together + np.sqrt(1 - weight**2) * alone)

    shared, own = draw_traits(N_SHARED), {g: draw_traits(N_OWN) for g in SOURCE_OF}
    score = SCORE_FIDELITY * shared[:, 0]
    score += np.sqrt(1 - SCORE_FIDELITY**2) * rng.standard_normal(n_subjects)
    covariates = {
        "age": rng.standard_normal(n_subjects),
        "score": score,
        "sex": rng.integers(0, 2, n_subjects).astype(np.float64),
        "motion": np.exp(0.2 * rng.standard_normal(n_subjects) - 0.2**2),
    }
    sessions = [
        _draw_session(whole, shared, own, covariates=covariates, rng=rng) for _ in range(2)
    ]
    measured, retest = sessions
    predicted = {
        (SOURCE_OF[target.group], target): _predict(whole, target, measured)
        for target in whole.flavors
    }
    changed = np.sort(rng.choice(n_subjects, n_changed, replace=False))
    region = int(rng.integers(min(map(count_regions, whole.flavors)))) if n_changed else -1
    for session in sessions:
        for flavor in (f for f in session if f.group == "FC" and n_changed):
            edges = edges_of_region(flavor, region)
            size = change * np.sqrt(whole.truth(flavor).variance_measured[edges])
            session[flavor][np.ix_(changed, edges)] += size.astype(np.float32)
    names = [f"f{number:04d}" for number in family]
    return SyntheticCohort(whole, measured, retest, predicted, covariates, names, changed, region)


def _draw_session(
    population: Population,
    shared: FloatArray,
    own: Mapping[str, FloatArray],
    *,
    covariates: Mapping[str, FloatArray],
    rng: np.random.Generator,
) -> dict[Flavor, NDArray[np.float32]]:
    n_subjects = len(shared)
    motion = covariates["motion"][:, None]
    noise = {group: motion * rng.standard_normal((n_subjects, N_NOISE)) for group in own}
    found = {}
    for flavor, of in population.flavors.items():
        edges = of.mean + shared @ of.shared + own[flavor.group] @ of.own
        edges += np.outer(covariates["age"], of.age) + noise[flavor.group] @ of.noise
        edges += motion * rng.standard_normal(edges.shape) * of.edge_noise
        found[flavor] = edges.astype(np.float32)
    return found


def _predict(
    population: Population, target: Flavor, measured: Mapping[Flavor, NDArray[np.float32]]
) -> NDArray[np.float32]:
    of = population.flavors[target]
    inputs = population.inputs_of(target)
    factors = sum(
        (measured[f] - population.flavors[f].mean) @ population.readers[f] for f in inputs
    ) / len(inputs)
    return np.asarray(of.predicted_mean + factors @ of.decoder, np.float32)
