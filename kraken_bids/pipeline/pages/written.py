"""What has been written for one session: its measured and predicted connectomes, read back."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.custom_atlases import read_region_table
from kraken_bids.bids.outputs import (
    OUTPUT,
    latents_path,
    prediction_archive_path,
    region_table_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.cohort.standing import flavor_of
from kraken_bids.connectome.matrices import fill_square, find_missing_regions, square_to_edges
from kraken_bids.exceptions import FlavorError
from kraken_bids.flavors import Flavor, describe_flavor, parse_flavor
from kraken_bids.io.facts import Facts, read_facts, read_table
from kraken_bids.io.foreign_hdf5 import list_hdf5, read_dataset
from kraken_bids.io.tables import read_relmat
from kraken_bids.parcellations import Parcellation, list_parcellations, load_parcellation
from kraken_bids.pipeline.pages.arrays import read_means
from kraken_bids.pipeline.pages.leftovers import Leftovers
from kraken_bids.pipeline.pages.tables import Columns, read_or_none
from kraken_bids.report.pages import FlavorPanel, Prediction
from kraken_bids.settings import MAX_IMPUTED_SHARE

Floats = NDArray[np.float64]

CROSS_MODAL = {"FC": "fusionSC", "SC": "fusionFC"}
PARCELLATION_ORDER = ("fs86", "shen268", "coco439")
MAX_PREDICTIONS = 2


@dataclass(frozen=True)
class Written:
    """The files of one session in OUTPUT_DIR."""

    output_dir: Path
    member: Member

    @property
    def folder(self) -> Path:
        """``sub-X`` or ``sub-X/ses-Y``."""
        return next(iter(self.member.connectomes.values())).parent.parent

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
        labels = tuple(range(1, n_regions + 1))
        return Parcellation(
            name=name,
            space="",
            source="image",
            image="",
            description=f"regions of {name}, whose table cannot be read",
            region_names=tuple(f"{name}_{label}" for label in labels),
            hemispheres=("M",) * n_regions,
            groups=(name,) * n_regions,
            labels=labels,
        )

    @property
    def own_atlases(self) -> tuple[str, ...]:
        """Atlases of the user's own that were measured; no model knows them."""
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
        return self.predicted.part("InputSources").by_name()

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
        found = read_means(self.output_dir)
        return {
            name: (own, training)
            for name, (own, training) in found.items()
            if own is not None and training is not None
        }

    @cached_property
    def leftovers(self) -> Leftovers:
        """What an earlier run has left, which is not shown."""
        return Leftovers(self.output_dir, self.member.subject, self.member.session)

    def list_files(self, pattern: str) -> list[Path]:
        """Files of the session by name, without what an earlier run has left."""
        found = sorted(self.folder.glob(pattern))
        return [path for path in found if not self.leftovers.holds(path)]

    @cached_property
    def _predicted(self) -> Mapping[str, object]:
        """What the archive of predictions holds."""
        return read_or_none(lambda: list_hdf5(OUTPUT, self.archive, up_to=0)) or {}

    def list_targets(self) -> list[Flavor]:
        """Flavors that were predicted, in the order shown."""
        if self.archive.exists():
            names = {name.partition("/")[2] for name in self._predicted if "/" in name}
        else:
            files = self.folder.glob("*/*kraken_relmat.json") if self.sources else ()
            names = {_name_flavor(path) for path in files}
        return sorted(parse_known(names), key=display_order)

    def read_prediction(self, flavor: Flavor, source: str, n_regions: int) -> Floats | None:
        """Predicted square matrix; None where it was not written, or is damaged."""
        if self.archive.exists():
            key = f"{source}/{flavor.name}"
            if key not in self._predicted:
                return None
            read = partial(read_dataset, OUTPUT, self.archive, key, dtype=np.float64)
            square = read_or_none(read)
        else:
            entities = {"sub": self.member.subject}
            entities |= {"ses": self.member.session} if self.member.session else {}
            path = relmat_path(self.output_dir, entities, flavor, source=source)
            if not path.exists():
                return None
            square = read_or_none(partial(read_relmat, path))
        return square if square is not None and square.shape == (n_regions, n_regions) else None


def stack_latents(columns: Columns) -> Floats:
    """Latents ``[n_rows, n_latent]`` of a table of latents."""
    rows = [v for key, v in columns.items() if key.startswith("z") and v.dtype.kind == "f"]
    return np.stack(rows, axis=1)


def _name_flavor(path: Path) -> str:
    """Id of a prediction's flavor, by its name, which need not be opened; else by its sidecar."""
    try:
        return flavor_of(path.name).name
    except FlavorError:
        return read_facts(path).text("Flavor")


def parse_known(names: Iterable[str]) -> list[Flavor]:
    """Flavors of those names that are ids of flavors."""
    found = []
    for name in names:
        with suppress(FlavorError):
            found.append(parse_flavor(name))
    return found


def build_panels(written: Written) -> tuple[FlavorPanel, ...]:
    """Measured and predicted matrices of every flavor of the model, side by side.

    Then those measured in atlases of the user's own. Other flavors that were measured and that the
    model does not know are among the files only.
    """
    measured = sorted(written.measured, key=display_order)
    targets = written.list_targets()
    own = [flavor for flavor in measured if flavor.parcellation in written.own_atlases]
    shown = [*targets, *own] if targets else measured
    return tuple(_build_panel(written, flavor) for flavor in shown)


def _build_panel(written: Written, flavor: Flavor) -> FlavorPanel:
    table = written.read_regions(flavor.parcellation)
    path = written.member.connectomes.get(flavor)
    square = None if path is None else _read_measured(path, table.n_regions)
    n_missing = 0 if square is None else int(find_missing_regions(square).sum())
    usable = square is not None and n_missing <= MAX_IMPUTED_SHARE * table.n_regions
    return FlavorPanel(
        name=flavor.name,
        group=flavor.group,
        description=describe_flavor(flavor),
        region_groups=table.groups,
        hemispheres=table.hemispheres,
        measured=square,
        predictions=_list_predictions(written, flavor, square, table.n_regions),
        n_imputed=n_missing if usable else 0,
        used_as_input=usable,
        mean_edge=None if square is None else float(np.nanmean(square_to_edges(square))),
    )


def _read_measured(path: Path, n_regions: int) -> Floats | None:
    """Read a measured matrix; None where the file is broken, so that the rest can be shown."""
    found = read_or_none(lambda: fill_square(read_relmat(path), str(path)))
    return found[0] if found is not None and len(found[0]) == n_regions else None


def _list_predictions(
    written: Written, flavor: Flavor, measured: Floats | None, n_regions: int
) -> tuple[Prediction, ...]:
    """List the cross-modal prediction first, then the fusion of everything, then others."""
    rows: list[Prediction] = []
    means = written.means.get(flavor.name)
    for source in dict.fromkeys((CROSS_MODAL[flavor.group], "fusion", *written.sources)):
        if len(rows) == MAX_PREDICTIONS:
            break
        square = written.read_prediction(flavor, source, n_regions)
        if square is None:
            continue
        raw = residual = None
        if measured is not None:
            observed, edges = square_to_edges(measured), square_to_edges(square)
            raw = _correlate(observed, edges)
            if means is not None and means[0].shape == means[1].shape == edges.shape:
                residual = _correlate(observed - means[0], edges - means[1])
        known = written.predicted.part("Verdicts").part(source).part(flavor.name)
        verdict, reason = known.text("Verdict"), known.text("Reason")
        rows.append(Prediction(source, square, raw, residual, verdict, reason))
    return tuple(rows)


def _correlate(a: NDArray[np.floating], b: NDArray[np.floating]) -> float | None:
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3 or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return None
    return float(np.corrcoef(a[both], b[both])[0, 1])


def display_order(flavor: Flavor) -> tuple[str, int, str]:
    """Sort key of flavors as reports show them: FC first, then by parcellation."""
    order = (*PARCELLATION_ORDER, flavor.parcellation)
    return flavor.group, order.index(flavor.parcellation), flavor.name
