"""What is left of measured function beside what structure predicts of it, region by region."""

import logging
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.custom_atlases import read_region_table
from kraken_bids.bids.outputs import region_table_path
from kraken_bids.cohort.calibrated_pairs import CalibratedPair
from kraken_bids.cohort.sources import Source
from kraken_bids.connectome.edge_groups import EdgeGroups, group_edges
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.parcellations import recognize_parcellation
from kraken_bids.pipeline.check.kept_results import Kept, digest_array
from kraken_bids.scores.discordance import MEASURES, measure_residuals
from kraken_bids.scores.quality_control import CROSS_MODAL

logger = logging.getLogger(__name__)

NAME = "residuals"


@dataclass(frozen=True)
class RegionResiduals:
    """Residuals of one functional target of those who have it, and structure to predict it."""

    source: str
    target: Flavor
    subjects: tuple[int, ...]
    """Index of the members."""
    measures: Mapping[str, NDArray[np.float32]]
    """``shift`` and ``size`` [n_subjects, n_groups], by name."""

    def to_plain(self) -> list[object]:
        """Give what JSON holds of it."""
        arrays = [b64encode(self.measures[m].tobytes()).decode() for m in MEASURES]
        return [self.source, self.target.name, list(self.subjects), *arrays]


@cache
def find_edge_groups(output_dir: Path, parcellation: str) -> EdgeGroups:
    """Group the edges of a parcellation: of the package, else of its table in OUTPUT_DIR.

    Raises
    ------
    InputError
        If that table cannot be read.
    """
    known = recognize_parcellation(parcellation)
    table = region_table_path(output_dir, parcellation)
    return group_edges(known or read_region_table(parcellation, table))


class ResidualReader:
    """Takes residuals, region by region, of every functional target."""

    def __init__(self, output_dir: Path) -> None:
        self._output_dir = output_dir
        self.found: dict[tuple[str, Flavor], RegionResiduals] = {}
        self._failed: set[tuple[str, Flavor]] = set()
        self._is_new = False

    def wants(self, source: str, target: Flavor) -> bool:
        """Whether a pair is of function and what structure predicts of it, and was not seen yet.

        Structure is not compared with what function predicts: streamline counts scatter by
        orders of magnitude, and the tests assume normal residuals.
        """
        key = source, target
        is_function = target.group == "FC" and source == CROSS_MODAL["FC"]
        return is_function and key not in {*self.found, *self._failed}

    def read(self, pair: CalibratedPair) -> None:
        """Take the measures of the residuals of a pair; regions that nobody knows are said."""
        key = pair.source, pair.target
        try:
            groups = find_edge_groups(self._output_dir, pair.target.parcellation)
        except KrakenBidsError as error:
            logger.warning("no discordance of %s: %s", pair.target, error)
            self._failed.add(key)
            return
        measures = measure_residuals(pair.measured, pair.fitted.held_out, groups)
        kept = {name: values.astype(np.float32) for name, values in measures.items()}
        self.found[key] = RegionResiduals(*key, tuple(pair.subjects), kept)
        self._is_new = True

    def recall(self, kept: Kept, rests_on: object, flavors: Sequence[Flavor]) -> None:
        """Take over what was kept of an earlier run on the same inputs.

        Parameters
        ----------
        rests_on : object
            What predictions and their calibration rest on besides the inputs.
        flavors : sequence of Flavor
            Of the model.
        """
        by_name = {flavor.name: flavor for flavor in flavors}
        found = kept.find(NAME, rests_on) or {"pairs": ()}
        for source, target, subjects, *arrays in found["pairs"]:
            values = [np.frombuffer(b64decode(text), np.float32) for text in arrays]
            measures = {
                name: own.reshape(len(subjects), -1)
                for name, own in zip(MEASURES, values, strict=True)
            }
            key = source, by_name[target]
            if self.wants(*key):
                self.found[key] = RegionResiduals(*key, tuple(subjects), measures)

    def leave_out(self, pairs: Collection[tuple[str, Flavor]]) -> None:
        """Leave out pairs that could not be calibrated, also where they were recalled."""
        self.found = {key: one for key, one in self.found.items() if key not in pairs}

    def keep(self, kept: Kept, rests_on: object) -> None:
        """Keep what was found for :meth:`recall`, unless all of it was recalled."""
        if self._is_new:
            kept.keep(NAME, rests_on, {"pairs": [one.to_plain() for one in self.found.values()]})


def name_inputs(model: Model, sources: Sequence[Source], families: Sequence[str]) -> object:
    """Name what predictions across modalities and their calibration rest on, for :class:`Kept`."""
    across = [source for source in sources if source.name in CROSS_MODAL.values()]
    latents = [(s.name, digest_array(s.latents), s.n_inputs.tolist()) for s in across]
    return [model.sha256, str(model.device), latents, list(families)]
