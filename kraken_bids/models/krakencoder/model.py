"""Prediction: connectomes to latents and back with a model in memory; numpy in, numpy out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor, find_flavor
from kraken_bids.models.devices import CPU, Array, Device
from kraken_bids.models.krakencoder.adaptation import (
    Adaptation,
    FlavorAdaptation,
    apply_adaptation,
    check_adaptation,
    check_covers,
)
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.checks import (
    check_edges,
    check_latents,
    check_same_subjects,
    to_array,
)
from kraken_bids.models.krakencoder.fusion import Selector, fuse
from kraken_bids.models.krakencoder.layers import Layers
from kraken_bids.models.krakencoder.map_cache import FEW_BYTES
from kraken_bids.models.krakencoder.reduction import Reduction, check_reductions
from kraken_bids.scores.doubt_words import log_doubts
from kraken_bids.scores.plausibility import check_inputs


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A Krakencoder ready for use: network, transforms and where they come from."""

    name: str
    """For people: the name of the checkpoint or folder."""
    sha256: str
    """Identity of the model; the same for a published checkpoint and its converted folder."""
    flavors: tuple[Flavor, ...]
    """Its flavors, in the network's order."""
    latent_size: int
    """Length of a latent."""
    network: Weights
    """Its weights, as arrays of numpy."""
    reductions: Mapping[Flavor, Reduction]
    """Transform of every flavor."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where it comes from, as plain values."""
    device: Device = CPU
    """Where it computes."""
    maps: Mapping[str, Array] = field(default_factory=dict, repr=False)
    """Folded maps of a model folder; others are folded when they are first used."""

    def __post_init__(self) -> None:
        sizes = dict(zip(self.flavors, self.network.architecture.input_sizes, strict=True))
        check_reductions(self.reductions, sizes, self.name)

    def fold_maps(self, flavor: Flavor) -> dict[str, Array]:
        """Fold the maps between edges and layers, by name; none unless they are affine."""
        return self._layers.at_edges(flavor).fold()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made again, and what lies on a GPU."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def __repr__(self) -> str:
        held = f"{len(self.flavors)} flavors, latent {self.latent_size}"
        return f"<Model {self.name}: {held}, on {self.device}>"

    def keep_few_maps(self) -> None:
        """Keep less of what is folded, for work that takes each flavor once; on a CPU only."""
        if not self.device.is_gpu:
            self._layers.cache.max_bytes = FEW_BYTES

    def n_edges(self, flavor: Flavor | str) -> int:
        """Length of an edge vector of a flavor."""
        return self.reductions[self._known(flavor)].n_edges

    @property
    def sizes(self) -> dict[Flavor, int]:
        """Length of an edge vector of every flavor."""
        return {flavor: self.reductions[flavor].n_edges for flavor in self.flavors}

    def training_means(self) -> dict[Flavor, Array]:
        """Mean training connectome ``[n_edges]`` of every flavor whose transform keeps it."""
        means = {flavor: self.reductions[flavor].training_mean for flavor in self.flavors}
        return {flavor: mean for flavor, mean in means.items() if mean is not None}

    def project(self, flavor: Flavor | str, edges: NDArray[np.floating]) -> Array:
        """Transform and first linear layer: edges to ``[n_subjects, n_hidden]``.

        A row of NaN stays NaN. Adapt the result, not the edges (:meth:`adapt_projected`).

        Raises
        ------
        ConnectomeError
            If the number of edges is wrong, or a row is NaN only in part.
        """
        flavor = self._known(flavor)
        check_edges(flavor, edges, self.n_edges(flavor))
        return self._layers.at_edges(flavor).project(edges)

    def project_parts(self, flavor: Flavor, parts: Iterable[NDArray[np.floating]]) -> Array:
        """Project edges in parts (:meth:`~.edge_layers.EdgeLayer.project_parts`), unchecked."""
        return self._layers.at_edges(flavor).project_parts(parts)

    def adapt_projected(
        self, flavor: Flavor, projected: Array, adaptation: Adaptation | FlavorAdaptation | None
    ) -> Array:
        """Adapt connectomes after their projection: the same as projecting adapted edges.

        No adaptation, or one whose mode is ``none``, changes nothing.

        Raises
        ------
        CheckpointError
            If the adaptation lacks this flavor, or its transform is not affine.
        """
        fit = adaptation.of(flavor) if isinstance(adaptation, Adaptation) else adaptation
        if fit is None or fit.mode == "none":
            return projected
        return self._layers.at_edges(flavor).adapt(projected, b0=fit.b0, shift=fit.shift)

    def encode_projected(self, flavor: Flavor, projected: NDArray[np.floating]) -> Array:
        """Latents ``[n_subjects, n_latent]`` of projections ``[n_subjects, n_hidden]``."""
        return self._layers.encode(self._known(flavor).name, projected)

    def encode(
        self,
        flavor: Flavor | str,
        edges: NDArray[np.floating],
        adaptation: Adaptation | None = None,
    ) -> Array:
        """Latents ``[n_subjects, n_latent]`` of connectomes.

        Those that do not resemble the training mean, or do so in another order of regions or
        edges only, and values that the flavor cannot have, are logged as warnings.

        Parameters
        ----------
        edges : ndarray of shape (n_subjects, n_edges)
            In edge units; rows of NaN stay NaN.
        adaptation : Adaptation, optional
            Applied first.

        Raises
        ------
        CheckpointError
            If the adaptation was fitted for another model, or lacks this flavor.
        ConnectomeError
            If the number of edges is wrong, or a row is NaN only in part.
        """
        flavor, edges = self._known(flavor), to_array(edges)
        if adaptation:
            check_adaptation(adaptation, self.sha256, self.sizes)
        check_edges(flavor, edges, self.n_edges(flavor))
        training_means = self.training_means()
        log_doubts(check_inputs(flavor, edges, training_means).list_doubts(training_means))
        return self.encode_judged(flavor, edges, adaptation)

    def encode_judged(
        self, flavor: Flavor, edges: NDArray[np.floating], adaptation: Adaptation | None = None
    ) -> Array:
        """Encode as :meth:`encode`, without the checks that warn of unlikely connectomes."""
        if self.reductions[flavor].is_affine:
            projected = self.adapt_projected(flavor, self.project(flavor, edges), adaptation)
        else:
            fit = adaptation.of(flavor) if adaptation else None
            projected = self.project(flavor, apply_adaptation(edges, fit))
        return self.encode_projected(flavor, projected)

    def decode(
        self,
        flavor: Flavor | str,
        latents: NDArray[np.floating],
        *,
        source: Flavor | str | None = None,
    ) -> Array:
        """Predicted connectomes ``[n_subjects, n_edges]``, in the training domain.

        Parameters
        ----------
        flavor : Flavor or str
            What to predict.
        latents : ndarray of shape (n_subjects, n_latent)
            What rows of NaN give is NaN.
        source : Flavor or str, optional
            The one flavor that the latents come from; only models that translate latents between
            groups look at it. Leave it out for fused latents.

        Raises
        ------
        ConnectomeError
            If the latents have another length than the model's, or are infinite.
        """
        latents = to_array(latents)
        check_latents(latents, self.latent_size, self.name)
        flavor = self._known(flavor)
        if source is not None:
            latents = self.translate(latents, source, flavor)
        return self._layers.predict(flavor, latents)

    def factor_decoded(
        self, flavor: Flavor, latents: NDArray[np.floating], *, source: Flavor | None = None
    ) -> tuple[Array, Array] | None:
        """Two matrices whose product is what :meth:`decode` gives, but for its rounding.

        ``[n_subjects, n_hidden + 1]`` and ``[n_hidden + 1, n_edges]``; None where the flavor's
        transform is not affine.
        """
        if source is not None:
            latents = self.translate(latents, source, flavor)
        return self._layers.factor(flavor, latents)

    def translate(
        self, latents: NDArray[np.floating], source: Flavor | str, target: Flavor | str
    ) -> NDArray[np.floating]:
        """Carry latents of a flavor to the group of another one; most models change nothing."""
        return self._layers.translate(latents, self._known(source).name, self._known(target).name)

    def fuse_for(
        self,
        target: Flavor,
        latents: Mapping[Flavor, NDArray[np.floating]],
        selector: Selector | str = "fusion",
        *,
        renormalize: bool = False,
        exclude: Iterable[Flavor] = (),
    ) -> Array:
        """Fuse latents as the decoder of one flavor takes them; in most models this is ``fuse``.

        Where latents are translated between groups, each input's are carried to the group of
        ``target`` before the mean is taken.

        Source: what ``run_model.py`` of the reference release computes for such models.
        """
        carried = {own: self.translate(rows, own, target) for own, rows in latents.items()}
        return fuse(carried, selector, renormalize=renormalize, exclude=exclude)

    def predict(
        self,
        edges: Mapping[Flavor | str, NDArray[np.floating]] | Mapping[Flavor, NDArray[np.floating]],
        *,
        source: Flavor | str = "fusion",
        targets: Flavor | str | Iterable[Flavor | str] = (),
        adaptation: Adaptation | None = None,
    ) -> dict[Flavor, Array]:
        """Predicted connectomes of a cohort from one source.

        Parameters
        ----------
        edges : mapping of Flavor or str to ndarray of shape (n_subjects, n_edges)
            Rows of NaN where a subject lacks a flavor.
        source : Flavor or str
            ``fusion``, ``fusionSC``, ``fusionFC`` or a flavor id.
        targets : Flavor or str, or several
            What to predict (every flavor of the model).

        Returns
        -------
        dict of Flavor to ndarray of shape (n_subjects, n_edges)

        Raises
        ------
        CheckpointError
            If the adaptation was fitted for another model, or lacks an input flavor.
        ConnectomeError
            If the number of edges is wrong, or a row is NaN only in part.
        FlavorError
            If the model lacks a flavor, or no input fits the source.
        """
        inputs = {self._known(flavor): rows for flavor, rows in edges.items()}
        check_same_subjects(inputs)
        check_covers(adaptation, inputs)
        latents = {
            flavor: self.encode(flavor, rows, adaptation) for flavor, rows in inputs.items()
        }
        single = next((flavor for flavor in latents if flavor.name == str(source)), None)
        asked = (targets,) if isinstance(targets, Flavor | str) else targets
        wanted = tuple(self._known(target) for target in asked) or self.flavors
        return {
            target: self.decode(
                target,
                latents[single] if single else self.fuse_for(target, latents, str(source)),
                source=single,
            )
            for target in wanted
        }

    def _known(self, flavor: Flavor | str) -> Flavor:
        return find_flavor(flavor, self.flavors, f"the model {self.name}")

    @cached_property
    def _layers(self) -> Layers:
        return Layers(self.network, self.reductions, self.device, self.maps)
