"""The app's tractograms: from those of a session to the files of its structural connectomes."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.outputs import relmat_path, sidecar_path
from kraken_bids.bids.tractographies import Tractography
from kraken_bids.cohort.measurements import LENGTHS, StructuralRecord
from kraken_bids.cohort.sidecar_records import FILE, ORIGIN, SOFTWARE, WARNINGS
from kraken_bids.cohort.sidecars import forget_digest, matrix_sidecar, region_sidecar, size_of
from kraken_bids.connectome.labels.field_of_view import cover_labels
from kraken_bids.connectome.matrices import square_to_edges
from kraken_bids.connectome.resample import Step, carry_grid, resample_labels
from kraken_bids.connectome.structural.end_extent import EndExtent
from kraken_bids.connectome.structural.lengths import LengthHistogram
from kraken_bids.connectome.structural.nearest_labels import RegionSearch
from kraken_bids.connectome.structural.streamline_counts import METRICS, EdgeCounter
from kraken_bids.connectome.structural.tally import StructuralTally, takes_weights
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor, list_flavors
from kraken_bids.io.endpoints import holds_ends_only
from kraken_bids.io.records import to_sidecar
from kraken_bids.io.texts import read_text
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.parcellations import Parcellation, list_parcellations
from kraken_bids.pipeline.measure.finished_files import is_up_to_date
from kraken_bids.pipeline.measure.identified_images import list_doubts
from kraken_bids.pipeline.measure.label_grids import Affine, Labels, read_regions, read_steps
from kraken_bids.pipeline.measure.session_scalars import find_scalars, list_further
from kraken_bids.pipeline.measure.streamline_blocks import Floats, read_streamlines
from kraken_bids.pipeline.measure.structural_connectomes import (
    CountedAtlas,
    check_place,
    count_streamlines,
    search_labels,
)
from kraken_bids.pipeline.measure.tasks import MEASURES, SessionTask
from kraken_bids.pipeline.measure.tractogram_matrices import describe_rule
from kraken_bids.pipeline.measure.tractogram_options import TractogramOptions
from kraken_bids.pipeline.measure.tractogram_scalars import describe_samples, open_samplers
from kraken_bids.shared_work import while_wanted

logger = logging.getLogger(__name__)

UNITS = {
    "krakencoder": "counts scaled to 5 million streamlines; volumes in voxels of 1.25 mm",
    "mrtrix": "counts as they are; volumes in voxels of the label image",
}
GRID_MM = 1.25
"""Voxel size of labels that are carried to a tractogram: the model's volumes count such voxels."""
WAY_OUT = "Give --parcellation ATLAS=FILE for this."


def measure_structural(task: SessionTask) -> None:
    """Measure and write every structural connectome that the inputs of a session allow."""
    searches = _Searches()
    for tracts in task.session.tractographies:
        flavors, paths, digest = _plan_tractogram(task, tracts)
        if flavors and not is_up_to_date(task, dict.fromkeys(paths, digest)):
            _measure(task, tracts, flavors, searches=searches, digest=digest)


class _Searches:
    """What tractograms of one session share: label images in their space, made searchable.

    Transforms are read once, and a grid that several label images take is carried once.
    """

    def __init__(self) -> None:
        self._known: dict[LabelImage, RegionSearch] = {}
        self._steps: dict[object, list[Step]] = {}
        self._grid: tuple[object, list[Affine]] | None = None

    def find(self, image: LabelImage, parcellation: Parcellation, radius: float) -> RegionSearch:
        """Make a label image searchable, once."""
        if image not in self._known:
            labels, affine = self._carry(image, parcellation)
            self._known[image] = search_labels(image.path, labels, affine, radius=radius)
        return self._known[image]

    def _carry(self, image: LabelImage, parcellation: Parcellation) -> tuple[Labels, Affine]:
        """Region numbers and affine: on the image's own grid, or on one of its own if carried."""
        labels, affine = read_regions(image, parcellation, as_mrtrix=True)
        way = image.fsl, image.transforms
        if way not in self._steps:
            self._steps[way] = read_steps(image)
        steps = self._steps[way]
        if not steps:
            return labels, affine
        shape, target = cover_labels(labels, affine, steps=steps, voxel_mm=GRID_MM)
        key = way, shape, target.tobytes()
        if self._grid is None or self._grid[0] != key:
            self._grid = key, list(while_wanted(carry_grid(shape, target, steps)))
        moved = resample_labels(
            labels, affine, target_shape=shape, target_affine=target, carried=self._grid[1]
        )
        return moved.astype(np.int32, copy=False), target


def plan_structural(task: SessionTask) -> dict[Path, str]:
    """List the connectomes, for models, that a session is asked for, with their digests."""
    return {
        path: digest
        for tracts in task.session.tractographies
        for flavors, paths, digest in [_plan_tractogram(task, tracts)]
        for flavor, path in zip(flavors, paths, strict=True)
        if flavor.processing in METRICS
    }


def list_tractogram_flavors(task: SessionTask, tracts: Tractography) -> list[Flavor]:
    """List the flavors of a tractogram that a session is asked for, further edges among them."""
    flavors = [
        flavor
        for flavor in list_flavors(tracts.labels, processings=METRICS)
        if flavor.measure == MEASURES[tracts.algorithm]
        and task.wants(flavor)
        and (tracts.weights is not None or not takes_weights(flavor.processing))
    ]
    return flavors + list_further(task, tracts, MEASURES[tracts.algorithm], find_scalars(task))


def _plan_tractogram(
    task: SessionTask, tracts: Tractography
) -> tuple[list[Flavor], list[Path], str]:
    """Flavors of a tractogram that are asked for, their files, and the digest of all of them."""
    flavors = list_tractogram_flavors(task, tracts)
    files = [tracts.tracks, tracts.weights, tracts.mu, *find_scalars(task).values()]
    files += [path for image in tracts.labels.values() for path in image.files]
    digest = task.digest("structural", files, task.settings.structural)
    output = task.settings.data.output_dir
    paths = [relmat_path(output, tracts.entities, flavor, source=None) for flavor in flavors]
    return flavors, paths, digest


def _measure(
    task: SessionTask,
    tracts: Tractography,
    flavors: Sequence[Flavor],
    *,
    searches: _Searches,
    digest: str,
) -> None:
    names = list(dict.fromkeys(flavor.parcellation for flavor in flavors))
    logger.info("%s: %s → %s", task.label, tracts.tracks.name, ", ".join(names))
    options = _choose_options(task, tracts, flavors)
    atlases = {name: _prepare(task, tracts.labels[name], searches, options) for name in names}
    doubts: dict[str, list[str]] = {}
    check = partial(_check_places, tracts, atlases, doubts)
    lengths = LengthHistogram()
    samplers = open_samplers(options.scalars)
    known = None if holds_ends_only(tracts.tracks) else lengths
    extent = EndExtent()
    streamlines = read_streamlines(
        tracts.tracks, options, samplers=samplers, lengths=known, extent=extent
    )
    count_streamlines(streamlines, list(atlases.values()), options, on_first=check)
    sampled = [*describe_samples(samplers), *extent.list_doubts(tracts.tracks)]
    for doubt in sampled:
        logger.warning("%s: %s", task.label, doubt)
    for flavor in flavors:
        name = flavor.parcellation
        warned = [
            *list_doubts(tracts.labels[name].path, task.parcellation(name)),
            *doubts[name],
            *sampled,
        ]
        facts = {LENGTHS: lengths.to_plain(), FILE.run_digest: digest, WARNINGS: warned}
        _write(task, tracts, flavor, tally=atlases[name].tally, facts=facts)


def _check_places(
    tracts: Tractography,
    atlases: Mapping[str, CountedAtlas],
    doubts: dict[str, list[str]],
    ends: Floats,
) -> None:
    tracks = f"{tracts.tracks} (space-{tracts.space})"
    for name, atlas in atlases.items():
        where = f"{tracks} and {tracts.labels[name].path} (space-{tracts.labels[name].space})"
        # a few nuclei rightly hold few ends; the atlases of the model cover the brain
        is_strict = name in list_parcellations()
        doubts[name] = check_place(atlas, ends, where, way_out=WAY_OUT, is_strict=is_strict)


def _choose_options(
    task: SessionTask, tracts: Tractography, flavors: Sequence[Flavor]
) -> TractogramOptions:
    return TractogramOptions(
        metrics=tuple(dict.fromkeys(flavor.processing for flavor in flavors)),
        units=task.settings.structural.units,
        radius=task.settings.structural.search_radius,
        weights=tracts.weights,
        scalars={} if holds_ends_only(tracts.tracks) else find_scalars(task),
        rounds_to_single=False,
        n_threads=task.settings.run.omp_nthreads,
    )


def _prepare(
    task: SessionTask,
    image: LabelImage,
    searches: _Searches,
    options: TractogramOptions,
) -> CountedAtlas:
    parcellation = task.parcellation(image.parcellation)
    search = searches.find(image, parcellation, options.radius)
    tally = StructuralTally(
        search.n_voxels(parcellation.n_regions),
        search.voxel_mm3,
        metrics=options.metrics,
        units=options.units,
        is_weighted=options.weights is not None,
    )
    return CountedAtlas(parcellation.name, image.path, search, tally)


def _write(
    task: SessionTask,
    tracts: Tractography,
    flavor: Flavor,
    *,
    tally: StructuralTally,
    facts: Mapping[str, object],
) -> None:
    square: NDArray[np.floating] = tally.connectome(flavor.processing)
    missing = tally.counter.n_voxels == 0
    # in MRtrix's units too: zero would say that a region without voxels is not connected
    square[missing, :] = square[:, missing] = np.nan
    path = relmat_path(task.settings.data.output_dir, tracts.entities, flavor, source=None)
    forget_digest(path)
    write_relmat(path, square, header=task.header(flavor.parcellation))
    image = tracts.labels[flavor.parcellation]
    own = [path for path in (tracts.tracks, tracts.weights, tracts.mu) if path is not None]
    write_json(sidecar_path(path), {
        **matrix_sidecar(flavor),
        ORIGIN.predicted: False,
        "NonNegative": not bool((square < 0).any()),
        "Rule": describe_rule(flavor.processing),
        ORIGIN.sources: task.uris([*own, *image.files]),
        **to_sidecar(_describe(task, tracts, flavor, tally.counter)),
        **SOFTWARE,
        **region_sidecar(
            task.parcellation(flavor.parcellation),
            missing,
            is_known=task.is_known(flavor.parcellation),
        ),
        **facts,
        **size_of(path),
    })  # fmt: skip


def _describe(
    task: SessionTask, tracts: Tractography, flavor: Flavor, counter: EdgeCounter
) -> StructuralRecord:
    settings = task.settings.structural
    return StructuralRecord(
        tractography_algorithm=tracts.algorithm,
        space=tracts.space,
        search_radius=settings.search_radius,
        units=settings.units,
        units_description=UNITS[settings.units],
        sift2=takes_weights(flavor.processing),
        sift2_mu=_read_mu(tracts.mu),
        sift2_weights=None if tracts.weights is None else task.uris([tracts.weights])[0],
        streamlines=_describe_streamlines(counter),
        voxel_volume=counter.voxel_mm3,
        region_voxels=tuple(int(n) for n in counter.n_voxels),
    )


def _describe_streamlines(counter: EdgeCounter) -> dict[str, object]:
    """Where the ends lie, and the share of pairs of different regions that are connected."""
    counts = square_to_edges(counter.connectome("count", units="mrtrix"))
    n_present = int((counter.n_voxels > 0).sum())
    n_pairs = n_present * (n_present - 1) // 2
    density = int((counts > 0).sum()) / n_pairs if n_pairs else None
    return {**asdict(counter.statistics()), "density": density}


def _read_mu(path: Path | None) -> float | None:
    """SIFT2's proportionality coefficient, recorded and not applied."""
    if path is None:
        return None
    text = read_text(path).strip()
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"{path}: expected one number, SIFT2's mu; found {text[:40]!r}."
        ) from None
