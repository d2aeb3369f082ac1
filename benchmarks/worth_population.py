"""Populations in which it is known what predictions are worth.

Everything is linear and Gaussian: a connectome is the mean of the group, what structure and
function of a person share, what only its own modality has, an effect of age, and the noise of one
session, which moves in part many edges at once and in part a single one. Predictions are those of
a model that was trained elsewhere: it reads connectomes of the other modality through a fixed
linear map, has the wrong group mean and the wrong scale. So gain, ceiling and slopes are known in
closed form.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from kraken_bids.flavors import Flavor

FloatArray = NDArray[np.float64]

STRENGTHS = {"none": 0.0, "weak": 0.09, "medium": 0.2, "strong": 0.4}
"""Correlation over edges of a person's connectome with its prediction, both without their mean;
0.09 is that of SC → FC in HCP's young adults."""
CEILING = 0.49
"""The same of two sessions of one person; also the share of variance that stays with a person."""
N_SHARED, N_OWN, N_NOISE = 6, 12, 8
ALIGNMENT = 0.84
"""How far the decoder follows what the shared factors do to the target, as a cosine."""
SPREAD_PREDICTED, BIAS = 0.2, 0.17
"""Standard deviation of predictions, and of their mean's error; an edge's own is 1 on average."""
AGE_SHARE = 0.02
SCORE_FIDELITY = 0.6
"""Correlation of the score, a phenotype, with the first shared factor."""
SOURCE_OF = {"FC": "fusionSC", "SC": "fusionFC"}
"""The source that predicts the flavors of a group."""


@dataclass(frozen=True)
class Flavored:
    """How connectomes of one flavor, and their predictions, follow from what a person is."""

    mean: FloatArray
    """Of the population, [n_edges]."""
    shared: FloatArray
    """[N_SHARED, n_edges]"""
    own: FloatArray
    """[N_OWN, n_edges]"""
    noise: FloatArray
    """Noise that moves many edges at once, [N_NOISE, n_edges]."""
    edge_noise: FloatArray
    """Standard deviation of each edge's own noise, [n_edges]."""
    age: FloatArray
    """What a standard deviation of age adds, [n_edges]."""
    predicted_mean: FloatArray
    """[n_edges]"""
    decoder: FloatArray
    """What a unit of each estimated factor adds to the prediction, [N_SHARED, n_edges]."""


@dataclass(frozen=True)
class Truth:
    """Moments of an edge and its prediction over all people who could have been drawn."""

    mean_measured: FloatArray
    mean_predicted: FloatArray
    variance_measured: FloatArray
    variance_predicted: FloatArray
    covariance: FloatArray

    @property
    def slope(self) -> FloatArray:
        """The best slope of each edge."""
        return self.covariance / self.variance_predicted

    @property
    def best_gain(self) -> float:
        """Gain over the mean of the best line of each edge."""
        return self.gain(self.mean_measured, self.slope, self.mean_predicted)

    @property
    def raw_gain(self) -> float:
        """Gain over the mean of raw predictions."""
        return self.gain(self.mean_predicted, np.ones(()), self.mean_predicted)

    @property
    def residual_correlation(self) -> float:
        """Correlation with the prediction, without the means, all edges taken together."""
        spread = self.variance_measured.sum() * self.variance_predicted.sum()
        return float(self.covariance.sum() / np.sqrt(spread))

    def gain(
        self,
        mean_measured: FloatArray,
        slope: FloatArray,
        mean_predicted: FloatArray,
        *,
        n_fitted: float = np.inf,
    ) -> float:
        """Gain over the mean of ``mean_measured + slope * (prediction - mean_predicted)``.

        For new people, 1 - expected squared error / that of the mean of ``n_fitted`` people.
        """
        shift = mean_measured + slope * (self.mean_predicted - mean_predicted) - self.mean_measured
        variance = self.variance_measured
        error = variance - 2 * slope * self.covariance + slope**2 * self.variance_predicted
        return float(1 - (error + shift**2).sum() / (variance.sum() * (1 + 1 / n_fitted)))


@dataclass(frozen=True)
class Population:
    """All people who can be drawn, and the model that predicts them."""

    strength: str
    flavors: Mapping[Flavor, Flavored]
    readers: Mapping[Flavor, FloatArray]
    """What the model reads from each input, [n_edges, N_SHARED]; the inputs' are averaged."""

    def inputs_of(self, target: Flavor) -> list[Flavor]:
        """Flavors of the other modality."""
        return [flavor for flavor in self.flavors if flavor.group != target.group]

    def truth(self, target: Flavor) -> Truth:
        """Moments of measured and predicted edges of a flavor, from every other-modality input."""
        of = self.flavors[target]
        parts = [of.shared, of.own, of.noise, of.age[None], of.edge_noise[None]]
        carried = self._carried(target)
        predicted = [part @ of.decoder for part in carried]
        return Truth(
            of.mean,
            of.predicted_mean,
            sum((part**2).sum(axis=0) for part in parts),
            sum((part**2).sum(axis=0) for part in predicted),
            (of.shared * predicted[0]).sum(axis=0) + of.age * predicted[3][0],
        )

    def ceiling(self, target: Flavor) -> float:
        """Correlation of two sessions of a person, without the mean, all edges together."""
        of = self.flavors[target]
        stable = sum((part**2).sum() for part in (of.shared, of.own, of.age))
        return float(stable / self.truth(target).variance_measured.sum())

    def slope_on(self, target: Flavor, covariate: str) -> FloatArray:
        """Regression slope of each measured edge on ``age`` or ``score`` (alone), [n_edges]."""
        of = self.flavors[target]
        return of.age if covariate == "age" else SCORE_FIDELITY * of.shared[0]

    def _carried(self, target: Flavor) -> list[FloatArray]:
        """Carry factors, noise and age of the inputs to the factors that the model estimates."""
        inputs = self.inputs_of(target)
        found = []
        for part in ("shared", "own", "noise", "age"):
            each = [
                np.atleast_2d(getattr(self.flavors[f], part)) @ self.readers[f] for f in inputs
            ]
            found.append(np.mean(each, axis=0))
        found += [self.flavors[f].edge_noise[:, None] * self.readers[f] for f in inputs]
        return found[:4] + [part / len(inputs) for part in found[4:]]


def make_flavors(n_regions: Sequence[int] = (30,), *, fifteen: bool = False) -> list[Flavor]:
    """One flavor of FC and one of SC per parcellation, or the model's five."""
    kinds = [("FCcorr", "hpf"), ("SCifod2act", "volnorm")]
    if fifteen:
        kinds += [("FCcorr", "hpfgsr"), ("FCpcorr", "hpf"), ("SCsdstream", "volnorm")]
    return [Flavor(kind, f"toy{n}", way) for n in n_regions for kind, way in kinds]


def make_population(
    strength: str = "weak", *, flavors: Iterable[Flavor] | None = None, seed: int = 0
) -> Population:
    """Draw a population whose predictions have one of :data:`STRENGTHS`, on average of flavors."""
    rng = np.random.default_rng([seed, 1])
    chosen = make_flavors() if flavors is None else list(flavors)
    drawn = {flavor: _draw_flavored(flavor, rng) for flavor in chosen}
    readers = {flavor: np.linalg.pinv(of.shared) for flavor, of in drawn.items()}

    def share(part: float) -> Population:
        shared = {flavor: _share(of, part) for flavor, of in drawn.items()}
        return Population(strength, shared, readers)

    def too_strong(part: float) -> float:
        reached = [share(part).truth(flavor).residual_correlation for flavor in chosen]
        return float(np.mean(reached)) - STRENGTHS[strength]

    found = share(brentq(too_strong, 1e-6, CEILING - AGE_SHARE) if STRENGTHS[strength] else 0.0)
    scaled = {}
    for flavor, of in found.flavors.items():
        spread = np.sqrt(found.truth(flavor).variance_predicted.mean())
        scaled[flavor] = replace(of, decoder=of.decoder * (SPREAD_PREDICTED / spread))
    return Population(strength, scaled, readers)


def edges_of_region(flavor: Flavor, region: int) -> NDArray[np.intp]:
    """Find the edges of one region."""
    rows, columns = np.triu_indices(count_regions(flavor), 1)
    return np.flatnonzero((rows == region) | (columns == region))


def count_regions(flavor: Flavor) -> int:
    """Read the number of regions from the parcellation's name."""
    return int(flavor.parcellation.removeprefix("toy"))


def _draw_flavored(flavor: Flavor, rng: np.random.Generator) -> Flavored:
    """Draw the directions of a flavor; what is shared and own has a variance of 1 yet."""
    n = count_regions(flavor)
    n_edges = n * (n - 1) // 2
    scale = np.exp(0.3 * rng.standard_normal(n_edges))
    scale /= np.sqrt(np.mean(scale**2))

    def draw(n_factors: int, share: float) -> FloatArray:
        factors = rng.standard_normal((n_factors, n_edges)) * scale
        return np.asarray(factors * np.sqrt(share * n_edges / (factors**2).sum()))

    lost = 1 - CEILING
    shared = draw(N_SHARED, 1.0)
    mean = 1.43 * rng.standard_normal(n_edges)
    return Flavored(
        mean=mean,
        shared=shared,
        own=draw(N_OWN, 1.0),
        noise=draw(N_NOISE, 0.3 * lost),
        edge_noise=scale * np.sqrt(0.7 * lost),
        age=draw(1, AGE_SHARE)[0] * (flavor.group == "FC"),
        predicted_mean=mean + BIAS * rng.standard_normal(n_edges),
        decoder=ALIGNMENT * shared + np.sqrt(1 - ALIGNMENT**2) * draw(N_SHARED, 1.0),
    )


def _share(of: Flavored, part: float) -> Flavored:
    """Let this part of the variance be shared; what stays with a person is the ceiling's."""
    own = CEILING - part - np.mean(of.age**2)
    return replace(of, shared=np.sqrt(part) * of.shared, own=np.sqrt(own) * of.own)
