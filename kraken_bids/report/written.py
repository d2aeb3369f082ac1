"""What has been written for a session, read back for the reports."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.custom_atlases import read_region_table
from kraken_bids.bids.outputs import (
    OUTPUT,
    PREDICTED,
    group_path,
    latents_path,
    prediction_archive_path,
    region_table_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.recalled_matrices import recall_prediction, recall_relmat
from kraken_bids.cohort.sidecar_records import FILE, INPUT_SOURCES
from kraken_bids.cohort.sidecars import read_digest
from kraken_bids.cohort.standing import flavor_of
from kraken_bids.connectome.matrices import fill_square
from kraken_bids.exceptions import FlavorError, KrakenBidsError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.digests import file_stamps
from kraken_bids.io.facts import Facts, read_facts, read_table
from kraken_bids.io.foreign_hdf5 import list_hdf5, read_dataset, read_hdf5
from kraken_bids.io.tables import read_relmat
from kraken_bids.parcellations import (
    Parcellation,
    list_parcellations,
    load_parcellation,
    make_parcellation,
    number_regions,
)
from kraken_bids.report.leftovers import Leftovers
from kraken_bids.report.section import Floats
from kraken_bids.report.shown_files import list_shown

logger = logging.getLogger(__name__)

Columns = dict[str, NDArray[Any]]
T = TypeVar("T")
Means = tuple[Floats | None, Floats | None]
ORIGIN = re.compile(rf"[^/]+/[^/]*{PREDICTED}_relmat\.json")
"""Places of the sidecars of predictions in the folder of a session."""
PARCELLATION_ORDER = ("fs86", "shen268", "coco439")


class Known:
    """Keeps what several sections show, so that it is gathered once."""

    output_dir: Path

    @cached_property
    def _known(self) -> dict[Callable[[Any], Any], Any]:
        return {}

    def once(self, gather: Callable[[Self], T]) -> T:
        """Return what a function gathers of this, from the first call on."""
        if gather not in self._known:
            self._known[gather] = gather(self)
        return cast("T", self._known[gather])


ALL_OF_SESSIONS: list[Callable[[Any], Any]] = []


def of_each_session(gather: Callable[["Written"], T]) -> Callable[["Written"], T]:
    """Mark what the group's page shows of each session: one pass over them gathers it all."""
    ALL_OF_SESSIONS.append(gather)
    return gather


@dataclass(frozen=True)
class Written(Known):
    """The files of one session in OUTPUT_DIR."""

    output_dir: Path
    member: Member
    href: str = ""
    """Address of the session's page."""

    @property
    def folder(self) -> Path:
        """``sub-X`` or ``sub-X/ses-Y``."""
        return self.output_dir.joinpath(*(f"{k}-{v}" for k, v in self.member.entities.items()))

    @property
    def latents(self) -> Path:
        """Table of latents."""
        return latents_path(self.output_dir, self.member.subject, self.member.session)

    @property
    def archive(self) -> Path:
        """HDF5 file of predictions, where they were written so."""
        return prediction_archive_path(self.output_dir, self.member.subject, self.member.session)

    def read_regions(self, name: str) -> Parcellation:
        """Regions of a parcellation: the package's, or those that its table in OUTPUT_DIR says."""
        if name in list_parcellations():
            return load_parcellation(name)
        path = region_table_path(self.output_dir, name)
        found = read_or_none(lambda: read_region_table(name, path))
        return found or self._number_regions(name)

    def _number_regions(self, name: str) -> Parcellation:
        """Regions without names, as many as a measured connectome of the atlas has."""
        own = (
            path for f, path in sorted(self.member.connectomes.items()) if f.parcellation == name
        )
        squares = (read_or_none(partial(read_relmat, path)) for path in own)
        n_regions = next((len(square) for square in squares if square is not None), 0)
        return make_parcellation(
            name,
            number_regions(name, n_regions),
            description=f"regions of {name}, whose table cannot be read",
        )

    @property
    def custom_atlases(self) -> tuple[str, ...]:
        """Custom atlases that were measured; no model knows them."""
        names = dict.fromkeys(flavor.parcellation for flavor in sorted(self.measured))
        return tuple(name for name in names if name not in list_parcellations())

    @cached_property
    def measured(self) -> dict[Flavor, Facts]:
        """Sidecar of every measured flavor; empty where a file came without one."""
        connectomes = self.member.connectomes
        return {flavor: read_facts(sidecar_path(path)) for flavor, path in connectomes.items()}

    @cached_property
    def predicted(self) -> Facts:
        """Sidecar of the latents; empty before there are predictions."""
        return read_facts(sidecar_path(self.latents)) if self.latents.exists() else Facts()

    @property
    def sources(self) -> Mapping[str, Facts]:
        """Facts of every source of predictions: model, inputs, adaptation."""
        return self.predicted.part(INPUT_SOURCES).by_name()

    @cached_property
    def latent_columns(self) -> Columns:
        """Columns of the table of latents; none before there are predictions."""
        if not self.latents.exists():
            return {}
        numbers = ("n_inputs", "z000")
        read = partial(read_table, self.latents, numbers=numbers, texts=("source",))
        return read_or_none(read) or {}

    @cached_property
    def means(self) -> dict[str, tuple[Floats, Floats]]:
        """Per flavor: mean measured edges of the cohort, and of the model's training data.

        Empty before the group level has run. The measured matrix is judged against the one, its
        prediction, which lies in the training domain, against the other.
        """
        found = self.once(read_means)
        return {
            name: (own, training)
            for name, (own, training) in found.items()
            if own is not None and training is not None
        }

    @cached_property
    def leftovers(self) -> Leftovers:
        """What an earlier run has left, which is not shown."""
        return Leftovers(self.output_dir, self.member.subject, self.member.session)

    def list_files(self, pattern: str = "*") -> list[Path]:
        """Files of the session by name, without what an earlier run has left."""
        return [self.folder / name for name in self._current if fnmatchcase(name, pattern)]

    @cached_property
    def _current(self) -> list[str]:
        return [name for name in self.shown if not self.leftovers.holds(self.folder / name)]

    @cached_property
    def shown(self) -> list[str]:
        """Files of the session, by their place in its folder."""
        return list_shown(self.folder)

    def read_measured(self, flavor: Flavor, n_regions: int) -> Floats | None:
        """Measured square matrix; None where it was not measured, or is damaged."""
        path = self.member.connectomes.get(flavor)
        if path is None:
            return None
        found = read_or_none(lambda: fill_square(recall_relmat(path), str(path)))
        return found[0] if found is not None and len(found[0]) == n_regions else None

    @cached_property
    def _predicted(self) -> Mapping[str, object]:
        """What the archive of predictions holds."""
        return read_or_none(lambda: list_hdf5(OUTPUT, self.archive, up_to=0)) or {}

    @cached_property
    def _has_archive(self) -> bool:
        return self.archive.exists() and self._is_current(self.archive)

    def _is_current(self, path: Path) -> bool:
        """Whether the run that wrote the latents wrote this prediction."""
        found = read_digest(path)
        return found is None or found == self.predicted.text(FILE.run_digest)

    def list_targets(self) -> list[Flavor]:
        """Flavors that were predicted, in the order shown."""
        if self._has_archive:
            names = {name.partition("/")[2] for name in self._predicted if "/" in name}
        else:
            found = self.shown if self.sources else ()
            files = [name for name in found if ORIGIN.fullmatch(name)]
            names = {_name_flavor(self.folder / name, self.member.label) for name in files}
        return sort_flavors(names)

    def read_prediction(self, flavor: Flavor, source: str, n_regions: int) -> Floats | None:
        """Predicted square matrix; None where the last run did not write it, or it is damaged."""
        if self._has_archive:
            key = f"{source}/{flavor.name}"
            if key not in self._predicted:
                return None
            read = partial(read_dataset, OUTPUT, self.archive, key, dtype=np.float64)
            square = read_or_none(read)
        else:
            entities = {"sub": self.member.subject}
            entities |= {"ses": self.member.session} if self.member.session else {}
            path = relmat_path(self.output_dir, entities, flavor, source=source)
            if not path.exists() or not self._is_current(path):
                return None
            square = read_or_none(partial(recall_prediction, path, diagonal=flavor.diagonal))
        return square if square is not None and square.shape == (n_regions, n_regions) else None


def read_or_none(read: Callable[[], T]) -> T | None:
    """Read something; None where it is damaged, which is said, so that the rest can be shown."""
    try:
        return read()
    except (KrakenBidsError, OSError) as error:
        logger.warning("left out of the report: %s", error)
        return None


def read_means(written: Known) -> dict[str, Means]:
    """Read the mean measured edges of the cohort, and of the training data, by flavor.

    Empty before the group level has run.
    """
    path = group_path(written.output_dir, "mean_connectomes.h5")
    stamps = tuple(file_stamps([path]))
    content = (read_or_none(lambda: _read_means(path, stamps)) if stamps else None) or {}
    return {
        name: (content.get(f"{name}/measured"), content.get(f"{name}/training"))
        for name in sorted({name.partition("/")[0] for name in content})
    }


@lru_cache(maxsize=1)  # every page of a run shows the same
def _read_means(path: Path, _stamps: tuple[object, ...]) -> Mapping[str, Floats]:
    found = {n: array.astype(np.float64) for n, array in read_hdf5(OUTPUT, path).items()}
    for array in found.values():
        array.flags.writeable = False
    return found


def _name_flavor(path: Path, label: str) -> str:
    """Id of a prediction's flavor, by its name, which need not be opened; else by its sidecar."""
    try:
        return flavor_of(path.name.removeprefix(label)).name
    except FlavorError:
        return read_facts(path).text("Flavor")


def parse_known(names: Iterable[str]) -> list[Flavor]:
    """Flavors of those names that are ids of flavors."""
    found = []
    for name in names:
        with suppress(FlavorError):
            found.append(parse_flavor(name))
    return found


def display_order(flavor: Flavor) -> tuple[str, int, str]:
    """Sort key of flavors as reports show them: FC first, then by parcellation."""
    order = (*PARCELLATION_ORDER, flavor.parcellation)
    return flavor.group, order.index(flavor.parcellation), flavor.name


def sort_flavors(names: Iterable[str]) -> list[Flavor]:
    """Flavors of these names that are known, in the order of :func:`display_order`."""
    return sorted(parse_known(names), key=display_order)
