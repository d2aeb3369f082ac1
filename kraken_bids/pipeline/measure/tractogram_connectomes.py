"""``kraken-tools sc``: one read of a tractogram, matrices for several label images and metrics."""

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.output_checks import check_atlas_names
from kraken_bids.connectome.labels.label_numbers import index_labels
from kraken_bids.connectome.structural.assignments import (
    Visits,
    find_all_regions,
    find_regions_inwards,
    find_voxel_regions,
)
from kraken_bids.connectome.structural.nearest_labels import (
    RegionSearch,
    build_region_search,
    find_regions,
)
from kraken_bids.connectome.structural.streamlines import compute_lengths
from kraken_bids.connectome.structural.tally import StreamlineValues, StructuralTally
from kraken_bids.connectome.structural.tractogram_space import check_space, measure_space_fit
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.io.images import read_labels
from kraken_bids.io.tables import read_weights
from kraken_bids.io.track_blocks import TrackBlock
from kraken_bids.io.tractograms import open_tractogram
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.pipeline.measure.label_grids import identify_image, list_doubts
from kraken_bids.pipeline.measure.tractogram_files import Atlas, TrackWriter
from kraken_bids.pipeline.measure.tractogram_options import TrackOptions, check_options
from kraken_bids.resources import Threads

logger = logging.getLogger(__name__)

MAX_LABEL = 6000
"""Matrices are dense: a label of 12175 would mean a gigabyte each."""
FEW_REGIONS = "Where regions are few and small, --skip-space-check leaves this out."

Floats = NDArray[np.floating[Any]]
Found = NDArray[np.int32] | Visits


def write_track_connectomes(
    tracks: Path, images: Mapping[str, Path], options: TrackOptions, output_dir: Path
) -> list[Path]:
    """Read a tractogram once and write a matrix per label image and metric.

    Parameters
    ----------
    tracks : path
        Tractogram.
    images : mapping of str to path
        Label image of each atlas, in the space of the tractogram.
    options : TrackOptions
        See there.
    output_dir : path
        Receives ``ATLAS_METRIC.csv`` and ``.json``, and ``ATLAS_assignments.csv`` on request.

    Returns
    -------
    list of path
        The matrices.

    Raises
    ------
    SettingsError
        If the options contradict each other, or the name of an atlas is no file name.
    InputError
        If a file is missing or broken, or weights are not as many as the streamlines.
    ConnectomeError
        If a label image is unusable, or plainly in another space.
    """
    check_options(options)
    check_atlas_names(images)
    atlases = [_read_atlas(name, path, options) for name, path in images.items()]
    writer = TrackWriter(tracks, options, output_dir)
    with ExitStack() as stack:
        if options.keeps_assignments:
            for atlas in atlases:
                stack.enter_context(writer.open_assignments(atlas.name))
        n_streamlines = 0
        for batch, found in _assign(_read_batches(tracks, options), atlases, options):
            if not n_streamlines:
                _check_spaces(tracks, batch.ends, atlases, options)
            n_streamlines += len(batch.ends)
            for atlas, regions in zip(atlases, found, strict=True):
                atlas.tally.add(regions, batch.values)
                writer.write_assignments(atlas.name, regions)
        if not n_streamlines:
            raise InputError(
                f"{tracks}: expected streamlines; found none. Was the tractography finished?"
            )
    return writer.write(atlases)


@dataclass(frozen=True)
class _Batch:
    """A block of streamlines on its way: copies, since the reader overwrites its own."""

    ends: Floats
    """[n, 2, 3]"""
    block: TrackBlock | None
    """Whole tracks, where ends do not suffice."""
    values: StreamlineValues


def _read_atlas(name: str, path: Path, options: TrackOptions) -> Atlas:
    labels, affine = read_labels(path, as_mrtrix=True)
    n_regions, doubts = int(labels.max(initial=0)), []
    if options.units == "krakencoder" and name in list_parcellations():
        parcellation = load_parcellation(name)
        identity = identify_image(path, labels, affine, parcellation)
        doubts = list_doubts(path, parcellation)
        if identity.values != tuple(range(1, n_regions + 1)):
            labels = index_labels(labels, identity.values, in_place=True)
        n_regions = parcellation.n_regions
    if n_regions > MAX_LABEL:
        raise InputError(
            f"{path}: expected regions numbered from 1 on; found labels up to {n_regions}. "
            "Renumber them, for example with MRtrix's labelconvert."
        )
    try:
        search = build_region_search(labels, affine, radius=options.radius)
        tally = StructuralTally(
            search.n_voxels(n_regions),
            search.voxel_mm3,
            metrics=options.all_metrics,
            units=options.units,
        )
    except ConnectomeError as error:
        raise ConnectomeError(f"{path}: {error}") from error
    return Atlas(name, path, search, tally, tuple(doubts))


def _read_batches(tracks: Path, options: TrackOptions) -> Iterator[_Batch]:
    """Blocks of the tractogram, in single precision as in MRtrix, with the streamlines' values."""
    weights, scales = (
        _StreamlineFile(path, tracks) for path in (options.weights, options.scale_file)
    )
    tractogram = open_tractogram(tracks)
    if options.takes_vertices:
        for read in tractogram.blocks():
            block = TrackBlock(read.vertices.astype(np.float32), read.starts, read.stops)
            lengths = None
            if options.takes_lengths:
                lengths = compute_lengths(block.vertices, block.starts, block.stops)
            values = StreamlineValues(lengths, weights.take(len(block)), scales.take(len(block)))
            yield _Batch(block.ends, block, values)
    else:
        for ends in tractogram.ends():
            values = StreamlineValues(None, weights.take(len(ends)), scales.take(len(ends)))
            yield _Batch(ends.astype(np.float32, copy=False), None, values)
    weights.check_used()
    scales.check_used()


class _StreamlineFile:
    """A file with a value per streamline, handed out in the order of the tracks."""

    def __init__(self, path: Path | None, tracks: Path) -> None:
        self._path = path
        self._tracks = tracks
        self._values = None if path is None else read_weights(path)
        self._n_used = 0

    def take(self, n: int) -> NDArray[np.float32] | None:
        """Return the values of the next streamlines; None where there is no file."""
        if self._values is None:
            return None
        first, self._n_used = self._n_used, self._n_used + n
        if self._n_used > len(self._values):
            raise InputError(
                f"{self._path}: expected a value for every streamline of {self._tracks}; found "
                f"{len(self._values)} for at least {self._n_used} streamlines. Are they of "
                "another tractogram?"
            )
        return self._values[first : self._n_used]

    def check_used(self) -> None:
        """Raise if values are left over."""
        if self._values is not None and len(self._values) != self._n_used:
            raise InputError(
                f"{self._path}: expected {self._n_used} values, one per streamline of "
                f"{self._tracks}; found {len(self._values)}. Are they of another tractogram?"
            )


def _assign(
    batches: Iterator[_Batch], atlases: Sequence[Atlas], options: TrackOptions
) -> Iterator[tuple[_Batch, list[Found]]]:
    """Regions of every batch in every atlas; threads work ahead, the order stays."""
    if options.n_threads == 1:
        for batch in batches:
            yield batch, [_find(batch, atlas.search, options) for atlas in atlases]
        return
    # this thread reads and adds up, the others search
    waiting: deque[tuple[_Batch, list[Future[Found]]]] = deque()
    with Threads(options.n_threads - 1) as pool:
        for batch in batches:
            waiting.append(
                (batch, [pool.submit(_find, batch, atlas.search, options) for atlas in atlases])
            )
            if len(waiting) > 2 * options.n_threads:
                done, futures = waiting.popleft()
                yield done, [future.result() for future in futures]
        while waiting:
            done, futures = waiting.popleft()
            yield done, [future.result() for future in futures]


def _find(batch: _Batch, search: RegionSearch, options: TrackOptions) -> Found:
    if options.assignment == "radial":
        return find_regions(search, batch.ends)
    if options.assignment == "end-voxels":
        return find_voxel_regions(search, batch.ends)
    block = batch.block
    assert block is not None
    if options.assignment == "all-voxels":
        return find_all_regions(search, block.vertices, block.starts, block.stops)
    return find_regions_inwards(
        search, block.vertices, block.starts, block.stops, max_distance=options.max_distance
    )


def _check_spaces(
    tracks: Path, ends: Floats, atlases: Sequence[Atlas], options: TrackOptions
) -> None:
    if options.checks_space:
        for atlas in atlases:
            fit = measure_space_fit(atlas.search, ends)
            if doubt := check_space(fit, f"{tracks} and {atlas.path}", way_out=FEW_REGIONS):
                logger.warning("%s", doubt)
