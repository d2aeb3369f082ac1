"""Prediction: connectomes to latents and back with a model in memory; numpy in, numpy out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor, find_flavor
from kraken_bids.models.krakencoder.adaptation import (
    Adaptation,
    FlavorAdaptation,
    apply_adaptation,
    check_adaptation,
    check_covers,
)
from kraken_bids.models.krakencoder.checks import (
    check_edges,
    check_latents,
    check_same_subjects,
    to_array,
)
from kraken_bids.models.krakencoder.devices import CPU, Array, Device, to_numpy
from kraken_bids.models.krakencoder.edge_layers import EdgeLayer, batch_size
from kraken_bids.models.krakencoder.folding import FEW_BYTES, MapCache, open_cache, slices
from kraken_bids.models.krakencoder.fusion import Selector, fuse
from kraken_bids.models.krakencoder.layers import InnerLayers
from kraken_bids.models.krakencoder.reduction import Reduction, check_reductions
from kraken_bids.models.krakencoder.weights import Weights
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
    """Folded maps that a model folder holds (``folding.py``); those that
    are not here are folded when they are first used."""

    def __post_init__(self) -> None:
        sizes = dict(zip(self.flavors, self.network.architecture.input_sizes, strict=True))
        check_reductions(self.reductions, sizes, self.name)

    def fold_maps(self, flavor: Flavor) -> dict[str, Array]:
        """Fold the maps between edges and the network's layers, as a model folder holds them.

        Returns
        -------
        dict
            ``inward.FLAVOR`` [n_edges, n_hidden] and ``outward.FLAVOR`` [n_hidden + 1, n_edges];
            empty where the flavor's transform is not affine.
        """
        if not self._reduction(flavor).is_affine:
            return {}
        return self._layer(flavor).fold()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made again, and what lies on a GPU."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def __repr__(self) -> str:
        return (
            f"<Model {self.name}: {len(self.flavors)} flavors, latent {self.latent_size}, "
            f"on {self.device}>"
        )

    def keep_few_maps(self) -> None:
        """Keep less of what is folded, for work that takes each flavor once; on a CPU only."""
        if not self.device.is_gpu:
            self._cache.max_bytes = FEW_BYTES

    def n_edges(self, flavor: Flavor | str) -> int:
        """Length of an edge vector of a flavor."""
        return self._reduction(flavor).n_edges

    def training_means(self) -> dict[Flavor, Array]:
        """Mean training connectome ``[n_edges]`` of every flavor whose transform keeps it."""
        means = {flavor: self.reductions[flavor].training_mean for flavor in self.flavors}
        return {flavor: mean for flavor, mean in means.items() if mean is not None}

    def project(self, flavor: Flavor | str, edges: NDArray[np.floating]) -> Array:
        """Transform and first linear layer of a flavor's encoder.

        Parameters
        ----------
        flavor : Flavor or str
        edges : ndarray of shape (n_subjects, n_edges)
            In edge units, not adapted; adapt afterwards with :meth:`adapt_projected`. A row of NaN
            (a subject without this flavor) stays NaN.

        Returns
        -------
        ndarray of shape (n_subjects, n_hidden)
            ``n_hidden`` is the latent size for models without hidden layers.

        Raises
        ------
        ConnectomeError
            If the number of edges is wrong, or a row is NaN only in part.
        FlavorError
            If the model has no such flavor.
        """
        flavor = self._known(flavor)
        check_edges(flavor, edges, self.n_edges(flavor))
        return self._layer(flavor).project(edges)

    def adapt_projected(
        self, flavor: Flavor, projected: Array, adaptation: Adaptation | FlavorAdaptation | None
    ) -> Array:
        """Adapt connectomes after their projection: the same as projecting adapted edges.

        Parameters
        ----------
        flavor : Flavor
        projected : ndarray of shape (n_subjects, n_hidden)
            From :meth:`project`.
        adaptation : Adaptation or FlavorAdaptation or None
            None, or one whose mode is ``none``, changes nothing.

        Raises
        ------
        CheckpointError
            If the adaptation lacks this flavor, or the flavor's transform is not affine: adapt
            its edges in place of this.
        """
        fit = adaptation.of(flavor) if isinstance(adaptation, Adaptation) else adaptation
        if fit is None or fit.mode == "none":
            return projected
        return self._layer(flavor).adapt(projected, b0=fit.b0, shift=fit.shift)

    def encode_projected(self, flavor: Flavor, projected: NDArray[np.floating]) -> Array:
        """Latents ``[n_subjects, n_latent]`` of projections ``[n_subjects, n_hidden]``."""
        return self._inner.encode(self._known(flavor).name, projected)

    def encode(
        self,
        flavor: Flavor | str,
        edges: NDArray[np.floating],
        adaptation: Adaptation | None = None,
    ) -> Array:
        """Latents of connectomes.

        Those that do not resemble the training mean, or do so in another order of regions or
        edges only, and values that the flavor cannot have, are logged as warnings.

        Parameters
        ----------
        flavor : Flavor or str
            A flavor, or its id: ``FCcorr_fs86_hpf``.
        edges : ndarray of shape (n_subjects, n_edges)
            In edge units; rows of NaN stay NaN.
        adaptation : Adaptation, optional
            Applied first.

        Returns
        -------
        ndarray of shape (n_subjects, n_latent)

        Raises
        ------
        CheckpointError
            If the adaptation was fitted for another model, or lacks this flavor.
        ConnectomeError
            If the number of edges is wrong, or a row is NaN only in part.
        FlavorError
            If the model has no such flavor.
        """
        flavor, edges = self._known(flavor), to_array(edges)
        if adaptation:
            check_adaptation(adaptation, self.sha256)
        check_edges(flavor, edges, self.n_edges(flavor))
        training_means = self.training_means()
        log_doubts(check_inputs(flavor, edges, training_means).list_doubts(training_means))
        return self.encode_judged(flavor, edges, adaptation)

    def encode_judged(
        self,
        flavor: Flavor,
        edges: NDArray[np.floating],
        adaptation: Adaptation | None = None,
    ) -> Array:
        """:meth:`encode` for connectomes of which nothing more is to be said."""
        if not self._reduction(flavor).is_affine:
            fit = adaptation.of(flavor) if adaptation else None
            return self.encode_projected(
                flavor, self.project(flavor, apply_adaptation(edges, fit))
            )
        projected = self.adapt_projected(flavor, self.project(flavor, edges), adaptation)
        return self.encode_projected(flavor, projected)

    def decode(
        self,
        flavor: Flavor | str,
        latents: NDArray[np.floating],
        *,
        source: Flavor | str | None = None,
    ) -> Array:
        """Predicted connectomes of latents, in the training domain.

        Parameters
        ----------
        flavor : Flavor or str
            What to predict.
        latents : ndarray of shape (n_subjects, n_latent)
        source : Flavor or str, optional
            The one flavor that the latents come from; only models that translate latents between
            groups look at it. Leave it out for fused latents.

        Returns
        -------
        ndarray of shape (n_subjects, n_edges)
            Rows of NaN for latents of NaN.

        Raises
        ------
        ConnectomeError
            If the latents have another length than the model's, or are infinite.
        """
        latents = to_array(latents)
        check_latents(latents, self.latent_size, self.name)
        flavor = self._known(flavor)
        layer = self._layer(flavor)
        if source is not None:
            latents = self.translate(latents, source, flavor)
        step = batch_size(self.device, self.n_edges(flavor))
        parts = (
            layer.expand(self._inner.decode(flavor.name, latents[rows]))[: rows.stop - rows.start]
            for rows in slices(len(latents), step)
        )
        if 0 < len(latents) <= step:
            return next(parts)
        # part after part into its place: they and the whole are never in memory twice
        edges = np.empty((len(latents), self.n_edges(flavor)), np.float32)
        for rows in slices(len(latents), step):
            edges[rows] = next(parts)
        return edges

    def factor_decoded(
        self,
        flavor: Flavor,
        latents: NDArray[np.floating],
        *,
        source: Flavor | None = None,
    ) -> tuple[Array, Array] | None:
        """Two matrices whose product is what :meth:`decode` gives, but for its rounding.

        Returns
        -------
        rows : ndarray of shape (n_subjects, n_hidden + 1)
        columns : ndarray of shape (n_hidden + 1, n_edges)
            None for both where the flavor's transform is not affine.
        """
        if not self._reduction(flavor).is_affine:
            return None
        if source is not None:
            latents = self.translate(latents, source, flavor)
        hidden = to_numpy(self._inner.decode(flavor.name, latents))[: len(latents)]
        rows = np.hstack([hidden, np.ones((len(hidden), 1), np.float32)])
        return rows, to_numpy(self._layer(flavor).outward)

    def translate(
        self, latents: NDArray[np.floating], source: Flavor | str, target: Flavor | str
    ) -> NDArray[np.floating]:
        """Carry latents to the group of another flavor; most models change nothing.

        Parameters
        ----------
        latents : ndarray of shape (n_subjects, n_latent)
        source, target : Flavor or str
            What they come from, and what is to be predicted.
        """
        return self._inner.translate(latents, self._known(source).name, self._known(target).name)

    def fuse_for(
        self,
        target: Flavor,
        latents: Mapping[Flavor, NDArray[np.floating]],
        selector: Selector | str = "fusion",
        *,
        renormalize: bool = False,
        exclude: Iterable[Flavor] = (),
    ) -> Array:
        """Fuse latents as the decoder of one flavor takes them.

        Most models have one latent space, where this is ``fuse``.
        Where latents are translated between groups, each input's are carried to the group of
        ``target`` before the mean is taken.

        Source: what ``run_model.py`` of the reference release computes for such models.
        """
        carried = {
            flavor: self.translate(rows, flavor, target) for flavor, rows in latents.items()
        }
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
        adaptation : Adaptation, optional

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

    def _reduction(self, flavor: Flavor | str) -> Reduction:
        return self.reductions[self._known(flavor)]

    def _layer(self, flavor: Flavor) -> EdgeLayer:
        name = flavor.name
        first, last = (
            self._inner.linears(f"{kind}.{name}")[at]
            for kind, at in (("encoders", 0), ("decoders", -1))
        )
        return EdgeLayer(
            name, self.reductions[flavor], first, last, self.device, self.maps, self._cache
        )

    @cached_property
    def _inner(self) -> InnerLayers:
        return InnerLayers(self.network, self.device)

    @cached_property
    def _cache(self) -> MapCache:
        return open_cache(self.device)
