"""Latents of a cohort to predicted connectomes, one target after the other, in blocks of rows."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.prediction_archives import ARROW, ENCODED
from kraken_bids.cohort.sources import Source
from kraken_bids.exceptions import FlavorError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.fusion import list_excluded
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.row_groups import ROWS

logger = logging.getLogger(__name__)

Array = NDArray[np.float32]

BLOCK = ROWS
"""Rows of one target that are decoded at once: as many as are multiplied at once."""

LEFT_OUT = {"noself": "flavor", "noatlas": "parcellation"}
"""What a variant leaves out: the target's own."""


@dataclass(frozen=True)
class Prediction:
    """One array to predict: a target from a source."""

    source: str
    target: Flavor
    latents: Array
    """[n_subjects, n_latent]."""
    single: Flavor | None
    """The one flavor that the latents come from, where they are not fused."""

    @property
    def key(self) -> str:
        """``SOURCE->TARGET``."""
        return f"{self.source}{ARROW}{self.target.name}"


@dataclass(frozen=True)
class CohortPredictions:
    """Latents of a cohort, and the connectomes that are predicted from them when asked for."""

    model: Model
    subjects: tuple[str, ...]
    encoded: Mapping[str, Array]
    """Per source: latents [n_subjects, n_latent]."""
    predictions: tuple[Prediction, ...]
    warnings: tuple[str, ...] = ()
    """What is unlikely about the inputs, in plain words."""

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Shape of every array ``SOURCE->TARGET``, in the order of :meth:`blocks`."""
        shapes = {
            f"{source}{ARROW}{ENCODED}": (len(z), z.shape[1]) for source, z in self.encoded.items()
        }
        for one in self._ordered():
            shapes[one.key] = (len(self.subjects), self.model.n_edges(one.target))
        return shapes

    def blocks(self) -> Iterator[tuple[str, Array]]:
        """Rows of the arrays: one array after the other, its rows from first to last."""
        for source, latents in self.encoded.items():
            yield f"{source}{ARROW}{ENCODED}", latents
        groups = groupby(self._ordered(), lambda one: (one.target, self._origin(one)))
        for (target, origin), group in groups:
            yield from self._decode(target, origin, list(group))

    def _decode(
        self, target: Flavor, origin: Flavor | None, group: Sequence[Prediction]
    ) -> Iterator[tuple[str, Array]]:
        """Decode several sources as one, so that no block is mostly padding."""
        rows = [(one, row) for one in group for row in range(len(self.subjects))]
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            latents = np.stack([one.latents[row] for one, row in block])
            edges = self.model.decode(target, latents, source=origin)
            first = 0
            for key, members in groupby(block, lambda place: place[0].key):
                n_rows = len(list(members))
                yield key, edges[first : first + n_rows]
                first += n_rows

    def _ordered(self) -> list[Prediction]:
        """By target, so that each target's map is needed once; then by origin."""
        targets = list(dict.fromkeys(one.target for one in self.predictions))
        return sorted(
            self.predictions,
            key=lambda one: (targets.index(one.target), getattr(self._origin(one), "name", "")),
        )

    def _origin(self, one: Prediction) -> Flavor | None:
        """Flavor that the decoder must know of: only where latents are translated."""
        return one.single if self.model.network.architecture.group_paths else None


def list_predictions(
    model: Model, source: Source, targets: Sequence[Flavor], variants: Sequence[str]
) -> list[Prediction]:
    """List what is predicted from a source.

    Parameters
    ----------
    variants : sequence of str
        ``noself``, ``noatlas``: also fusions without each target's own flavor or parcellation.

    Raises
    ------
    FlavorError
        If a variant leaves no input for any target.
    """
    found = [
        Prediction(source.name, target, source.latents_for(model, target), source.single)
        for target in targets
    ]
    for variant in variants if source.single is None else ():
        found += _list_variant(model, source, targets, variant)
    return found


def _list_variant(
    model: Model, source: Source, targets: Sequence[Flavor], variant: str
) -> list[Prediction]:
    """Predictions without each target's own flavor or parcellation."""
    excluded = {target: list_excluded(variant, target, source.flavors) for target in targets}
    impossible = [f.name for f, own in excluded.items() if len(own) == len(source.flavors)]
    name = f"{source.name}.{variant}"
    if len(impossible) == len(targets):
        raise FlavorError(
            f"expected inputs that {name} can use; found only "
            f"{', '.join(f.name for f in source.flavors)}, which it leaves out for every "
            f"target. Give inputs of another {LEFT_OUT[variant]}, or drop this option."
        )
    if impossible:
        logger.warning("%s has no input left for %s", name, ", ".join(impossible))
    return [
        Prediction(name, target, source.latents_for(model, target, exclude=left_out), None)
        for target, left_out in excluded.items()
        if target.name not in impossible
    ]
