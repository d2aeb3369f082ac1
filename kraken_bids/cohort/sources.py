"""What predictions start from: the fused latents of a cohort, and what a run makes of them."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import latents_path, prediction_archive_path, relmat_path
from kraken_bids.cohort.sidecar_records import ADAPTATION
from kraken_bids.cohort.warned import Warned
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import Adaptation, FlavorAdaptation
from kraken_bids.models.krakencoder.adapted_sites import SiteAdaptation
from kraken_bids.models.krakencoder.fusion import Selector, count_inputs, fuse, parse_selector
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """What predictions start from: the fused latents of every member."""

    name: str
    """``fusion``, ``fusionSC``, ``fusionFC`` or a flavor id."""
    flavors: tuple[Flavor, ...]
    """The inputs that it averages."""
    latents: Array
    """[n_members, n_latent]; NaN where a member has none of the inputs."""
    n_inputs: NDArray[np.int64]
    """[n_members]."""
    has_input: Mapping[Flavor, NDArray[np.bool_]]
    """Per input: which members have it [n_members]."""
    inputs: Mapping[Flavor, Array] = field(default_factory=dict)
    """Per input: latents [n_members, n_latent]."""
    scales: bool = False
    """Whether fused latents are scaled to unit length."""

    @property
    def single(self) -> Flavor | None:
        """The one flavor that it is, where it is no fusion."""
        return self.flavors[0] if self.flavors[0].name == self.name else None

    def predict(self, model: Model, target: Flavor, rows: slice | Sequence[int]) -> Array:
        """Predicted connectomes ``[n_rows, n_edges]`` of some members."""
        return model.decode(target, self.latents_for(model, target, rows), source=self.single)

    def factor(
        self, model: Model, target: Flavor, rows: Sequence[int]
    ) -> tuple[Array, Array] | None:
        """Two matrices whose product is :meth:`predict`, where there are such."""
        latents = self.latents_for(model, target, rows)
        return model.factor_decoded(target, latents, source=self.single)

    def latents_for(
        self,
        model: Model,
        target: Flavor,
        rows: slice | Sequence[int] = slice(None),
        *,
        exclude: Sequence[Flavor] = (),
    ) -> Array:
        """Latents ``[n_rows, n_latent]`` as the decoder of a target takes them.

        Parameters
        ----------
        rows : slice or sequence of int
            Of the members.
        exclude : sequence of Flavor
            Inputs to leave out.
        """
        if exclude or (self.single is None and model.network.architecture.group_paths):
            inputs = {flavor: own[rows] for flavor, own in self.inputs.items()}
            selector = Selector(self.name, self.flavors)
            return model.fuse_for(
                target, inputs, selector, renormalize=self.scales, exclude=exclude
            )
        return self.latents[rows]


def list_source_names(settings: Settings, model: Model) -> tuple[str, ...]:
    """List the sources whose latents are kept: those asked for, and every flavor by itself."""
    flavors = [flavor.name for flavor in model.flavors]
    return tuple(dict.fromkeys((*settings.prediction.sources, *flavors)))


def build_sources(latents: Mapping[Flavor, Array], names: Sequence[str]) -> tuple[Source, ...]:
    """Fused latents of the sources asked for; a source that nobody has inputs for is left out.

    Parameters
    ----------
    latents : mapping of Flavor to ndarray of shape (n_members, n_latent)
        Latents of every input flavor.
    names : sequence of str
        ``fusion``, ``fusionSC``, ``fusionFC``, ``each``, or flavor ids.
    """
    present = {flavor: rows for flavor, rows in latents.items() if np.isfinite(rows).any()}
    groups = {flavor.group for flavor in present}
    sources = []
    for name in _expand(names, present):
        lacks = {"fusionSC": "SC", "fusionFC": "FC"}.get(name)
        if not present or (lacks and lacks not in groups) or not _is_there(name, present):
            if name.startswith("fusion"):
                logger.info("source %s is left out: nobody has an input for it", name)
            continue
        sources.append(build_source(present, parse_selector(name, present)))
    return tuple(sources)


def build_source(
    latents: Mapping[Flavor, Array], selector: Selector, *, renormalize: bool = False
) -> Source:
    """Fuse the latents ``[n_members, n_latent]`` that a selector names into one source.

    Parameters
    ----------
    latents : mapping of Flavor to ndarray of shape (n_members, n_latent)
    renormalize : bool
        Scale fused latents to unit length.
    """
    inputs = {flavor: latents[flavor] for flavor in selector.flavors}
    scales = renormalize and selector.is_fusion
    return Source(
        selector.name,
        selector.flavors,
        latents=fuse(inputs, selector, renormalize=scales),
        n_inputs=count_inputs(inputs, selector),
        has_input={f: np.asarray(np.isfinite(z).all(axis=1)) for f, z in inputs.items()},
        inputs=inputs,
        scales=scales,
    )


def _expand(names: Sequence[str], flavors: Iterable[Flavor]) -> list[str]:
    all_flavors = list(flavors)
    expanded: list[str] = []
    for name in names:
        expanded += [flavor.name for flavor in all_flavors] if name == "each" else [name]
    return list(dict.fromkeys(expanded))


def _is_there(name: str, present: Mapping[Flavor, object]) -> bool:
    return name.startswith("fusion") or any(flavor.name == name for flavor in present)


@dataclass(frozen=True)
class PredictionPlan:
    """What all predictions of a run share."""

    model: Model
    adaptation: Adaptation | None
    sources: tuple[Source, ...]
    settings: Settings
    notice: str = ""
    """What readers must know about the adaptation, in plain words."""
    warned: Warned = field(default_factory=Warned)
    """What else they must know."""
    contents: Mapping[Flavor, Mapping[int, str]] = field(default_factory=dict)
    """Digest of the edges that were read of each member, by its index."""
    digests: dict[str, str] = field(default_factory=dict)
    """Digest of each session's predictions by its label, as they are written; '' where that
    failed."""
    judged: dict[str, list[str]] = field(default_factory=dict)
    """By a session's label, where its files say what was last found of them: their digest
    (:func:`~kraken_bids.cohort.sidecars.mark_whole`), and that of what was found."""

    @property
    def targets(self) -> tuple[Flavor, ...]:
        """Flavors to predict."""
        return self.settings.prediction.targets or self.model.flavors

    @cached_property
    def adapted(self) -> list[tuple[object, ...]]:
        """What tells one adaptation from another, for digests."""
        sites = self.adaptation.sites if isinstance(self.adaptation, SiteAdaptation) else {}
        by_site = [(site, *row) for site in sorted(sites) for row in _tell_fits(sites[site])]
        return [*_tell_fits(self.adaptation), *by_site]

    def tell_adaptation(self, label: str) -> list[tuple[object, ...]]:
        """Tell the adaptation of a session from others, for digests."""
        if not isinstance(self.adaptation, SiteAdaptation):
            return self.adapted
        return [(self.adaptation.column,), *_tell_fits(self.adaptation.of_session(label))]

    def fits_of(self, label: str) -> Mapping[Flavor, FlavorAdaptation]:
        """Give the fits that adapt a session, by flavor."""
        own = None if self.adaptation is None else self.adaptation.of_session(label)
        return {} if own is None else own.flavors

    def tell_site(self, label: str) -> dict[str, object]:
        """Tell the site of a session in its sidecars, where each site is adapted by itself."""
        if not isinstance(self.adaptation, SiteAdaptation):
            return {}
        site = self.adaptation.site_of.get(label) or "n/a"
        kept = list(self.adaptation.covariate_names)
        return {
            ADAPTATION.adaptation_by: self.adaptation.column,
            ADAPTATION.adaptation_site: site,
            **({ADAPTATION.adaptation_covariates: kept} if kept else {}),
        }

    @cached_property
    def written_sources(self) -> tuple[Source, ...]:
        """Sources whose predicted connectomes are written, of those whose latents are."""
        wanted = _expand(self.settings.prediction.sources, self.model.flavors)
        return tuple(source for source in self.sources if source.name in wanted)

    def list_files(self, index: int, entities: Mapping[str, str]) -> list[Path]:
        """List the files of a member's predictions, the latents first.

        Parameters
        ----------
        index : int
            Of the member.
        entities : mapping
            Its ``sub`` and ``ses``.
        """
        output, whose = self.settings.data.output_dir, (entities["sub"], entities.get("ses"))
        latents = latents_path(output, *whose)
        if self.settings.prediction.output_format == "h5":
            return [latents, prediction_archive_path(output, *whose)]
        has = [source.name for source in self.written_sources if source.n_inputs[index]]
        return [
            latents,
            *(relmat_path(output, entities, t, source=name) for name in has for t in self.targets),
        ]

    def decode(self, indices: Sequence[int]) -> dict[int, dict[tuple[str, Flavor], Array]]:
        """Predicted edges ``[n_edges]`` of some members, by source and target.

        They are decoded together, target after target, which costs little more than one alone.
        """
        decoded: dict[int, dict[tuple[str, Flavor], Array]] = {index: {} for index in indices}
        for target in self.targets:
            for source in self.written_sources:
                rows = [index for index in indices if source.n_inputs[index]]
                predicted = source.predict(self.model, target, rows)
                for index, edges in zip(rows, predicted, strict=True):
                    decoded[index][source.name, target] = edges
        return decoded


def _tell_fits(adaptation: Adaptation | None) -> list[tuple[object, ...]]:
    return [
        (flavor.name, fit.mode, fit.b0, fit.b1, fit.n_subjects, float(fit.mean_new.sum()))
        for flavor, fit in sorted(adaptation.flavors.items() if adaptation else ())
    ]
