"""What a prediction owes to each edge of its inputs: exact derivatives, and knock-outs.

A model without activations is affine but for the scaling of each input's latent to unit length, so
the derivative has a closed form; with activations torch differentiates the layers that have them.
All in float64, for one subject.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError, FlavorError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import Adaptation
from kraken_bids.models.krakencoder.exact_steps import (
    Adapt,
    Chain,
    Floats,
    Step,
    ToUnitLength,
    make_branch,
    make_reduction,
)
from kraken_bids.models.krakencoder.model import Model

BLOCK = 16
"""Altered connectomes that are followed at once."""


@dataclass(frozen=True, eq=False)
class Score:
    """A number that follows from a prediction: a weighted sum of edges, or of a latent."""

    target: Flavor | None
    """The flavor whose predicted edges are weighted; None: the latent is."""
    weights: NDArray[np.floating]
    """``[n_edges]`` or ``[n_latent]``."""


@dataclass(frozen=True)
class Sensitivity:
    """A score at one subject's inputs, and its derivative by every edge of theirs."""

    value: float
    """The score, in units of the target times those of the weights."""
    gradients: Mapping[Flavor, Floats]
    """By input: change of the score per unit of each edge as it was given, ``[n_edges]``; the
    other inputs stay. NaN where the subject lacks the edge."""
    kinks: tuple[str, ...]
    """Where the model has no derivative at these inputs, in words."""


@dataclass(frozen=True, eq=False)
class ScorePath:
    """The way from a subject's inputs to a score, as a source of predictions takes it.

    Parameters
    ----------
    inputs : mapping of Flavor to ndarray of shape (n_edges,)
        The source's inputs that the subject has, as they were given; NaN for missing edges, which
        count as the training mean once adapted.
    renormalize : bool
        Whether fused latents are scaled to unit length.

    Raises
    ------
    CheckpointError
        If the adaptation lacks an input.
    ConnectomeError
        If a connectome lacks edges and the model keeps no training mean.
    """

    model: Model
    score: Score
    inputs: Mapping[Flavor, NDArray[np.floating]]
    adaptation: Adaptation | None = None
    renormalize: bool = False

    def __post_init__(self) -> None:
        """Check that there are inputs."""
        if not self.inputs:
            raise FlavorError("expected at least one input to explain; found none.")

    @cached_property
    def adapted(self) -> dict[Flavor, Floats]:
        """Adapted edges ``[n_edges]`` of each input; the training mean for missing ones."""
        found = {}
        for flavor, given in self.inputs.items():
            edges = self._adapt(flavor).run(np.asarray(given, np.float64)[None])[0]
            missing = np.isnan(edges)
            found[flavor] = (
                np.where(missing, self.training_mean(flavor), edges) if (missing.any()) else edges
            )
        return found

    def training_mean(self, flavor: Flavor) -> Floats:
        """Mean training connectome ``[n_edges]``.

        Raises
        ------
        ConnectomeError
            If the model keeps none.
        """
        mean = self.model.reductions[flavor].training_mean
        if mean is None:
            raise ConnectomeError(
                f"expected a model that keeps the training mean of {flavor}, which missing and "
                f"knocked-out edges are set to; the transform of {self.model.name} keeps none. "
                "Ask for no knock-outs, and give connectomes without missing regions."
            )
        return mean.astype(np.float64)

    def explain(self) -> Sensitivity:
        """Differentiate the score by every edge of every input.

        Raises
        ------
        ConnectomeError
            If a latent has no length, so that scaling it has no derivative.
        """
        latents = {f: self._encoder(f).run(x[None])[0] for f, x in self.adapted.items()}
        fused = np.mean(list(latents.values()), axis=0)
        share = self._after.pull(fused, np.asarray(self._weights)) / len(latents)
        kinks = self._after.find_kinks(fused)
        gradients = {}
        for flavor, given in self.inputs.items():
            encoder, x = self._encoder(flavor), self.adapted[flavor]
            gradient = self._adapt(flavor).pull(x, encoder.pull(x, share))
            gradients[flavor] = np.where(np.isnan(given), np.nan, gradient)
            kinks += encoder.find_kinks(x)
        return Sensitivity(self._finish(fused[None])[0], gradients, tuple(dict.fromkeys(kinks)))

    def knock_out(self, masks: Sequence[Mapping[Flavor, NDArray[np.bool_]]]) -> Floats:
        """Change of the score where some edges of the inputs are set to their training mean.

        Parameters
        ----------
        masks : sequence of mapping of Flavor to ndarray of shape (n_edges,)
            Each one knock-out: the edges of some inputs that are set; the others stay.

        Returns
        -------
        ndarray of shape (n_masks,)
            Score with them set, less the score as it is.

        Raises
        ------
        ConnectomeError
            If the model keeps no training mean of an input.
        """
        latents = {f: self._encoder(f).run(x[None])[0] for f, x in self.adapted.items()}
        fused = np.tile(np.mean(list(latents.values()), axis=0), (len(masks), 1))
        for flavor, x in self.adapted.items():
            encoder, mean = self._encoder(flavor), None
            concerned = [k for k, mask in enumerate(masks) if flavor in mask]
            for start in range(0, len(concerned), BLOCK):
                rows = concerned[start : start + BLOCK]
                mean = self.training_mean(flavor) if mean is None else mean
                altered = np.where([masks[k][flavor] for k in rows], mean, x)
                fused[rows] += (encoder.run(altered) - latents[flavor]) / len(latents)
        before = np.mean(list(latents.values()), axis=0)[None]
        return self._finish(fused) - self._finish(before)

    def _finish(self, fused: Floats) -> Floats:
        return np.asarray(self._after.run(fused) @ self._weights)

    @property
    def _weights(self) -> Floats:
        return np.asarray(self.score.weights, np.float64)

    def _adapt(self, flavor: Flavor) -> Step:
        fit = self.adaptation.of(flavor) if self.adaptation else None
        return Adapt(fit) if fit is not None and fit.mode != "none" else Chain([])

    def _encoder(self, flavor: Flavor) -> Step:
        """Transform, encoder and translation to the target's group."""
        weights, target = self.model.network, self.score.target
        path = weights.architecture.group_path(flavor.name, target.name) if target else ""
        branches = [f"encoders.{flavor.name}", *([f"translations.{path}"] if path else [])]
        steps = [make_branch(weights, name, self._network) for name in branches]
        return Chain([make_reduction(self.model.reductions[flavor]), *steps])

    @cached_property
    def _after(self) -> Step:
        """What follows the mean of the latents."""
        steps: list[Step] = [ToUnitLength("the fusion")] if self.renormalize else []
        target = self.score.target
        if target is not None:
            name = f"decoders.{target.name}"
            steps.append(make_branch(self.model.network, name, self._network))
            steps.append(make_reduction(self.model.reductions[target], is_inverse=True))
        return Chain(steps)

    @cached_property
    def _torch_network(self) -> object:
        from kraken_bids.models.krakencoder.network import Network

        return Network.from_weights(self.model.network).double()

    def _network(self) -> object:
        return self._torch_network
