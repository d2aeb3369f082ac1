"""Fused latents that predictions start from."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.fusion import count_inputs, fuse, parse_selector
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

    @property
    def single(self) -> Flavor | None:
        """The one flavor that it is, where it is no fusion."""
        return self.flavors[0] if self.flavors[0].name == self.name else None

    def predict(self, model: Model, target: Flavor, rows: slice | Sequence[int]) -> Array:
        """Predicted connectomes ``[n_rows, n_edges]`` of some members."""
        return model.decode(target, self._fuse(model, target, rows), source=self.single)

    def factor(
        self, model: Model, target: Flavor, rows: Sequence[int]
    ) -> tuple[Array, Array] | None:
        """Two matrices whose product is :meth:`predict`, where there are such."""
        return model.factor_decoded(target, self._fuse(model, target, rows), source=self.single)

    def _fuse(self, model: Model, target: Flavor, rows: slice | Sequence[int]) -> Array:
        """Latents ``[n_rows, n_latent]`` as the decoder of a target takes them."""
        if self.single is None and model.network.architecture.group_paths:
            inputs = {flavor: own[rows] for flavor, own in self.inputs.items()}
            return model.fuse_for(target, inputs)
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
        selector = parse_selector(name, present)
        sources.append(
            Source(
                name,
                selector.flavors,
                latents=fuse(present, selector),
                n_inputs=count_inputs(present, selector),
                has_input={f: _has_row(present[f]) for f in selector.flavors},
                inputs={f: present[f] for f in selector.flavors},
            )
        )
    return tuple(sources)


def _expand(names: Sequence[str], flavors: Iterable[Flavor]) -> list[str]:
    all_flavors = list(flavors)
    expanded: list[str] = []
    for name in names:
        expanded += [flavor.name for flavor in all_flavors] if name == "each" else [name]
    return list(dict.fromkeys(expanded))


def _is_there(name: str, present: Mapping[Flavor, object]) -> bool:
    return name.startswith("fusion") or any(flavor.name == name for flavor in present)


def _has_row(latents: Array) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(latents).all(axis=1), np.bool_)
