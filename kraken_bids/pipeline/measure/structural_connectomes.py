"""From a tractogram to counts over any number of label images, in one read."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.structural.assignments import (
    TouchedRegions,
    find_all_regions,
    find_regions_inwards,
    find_voxel_regions,
)
from kraken_bids.connectome.structural.lengths import (
    LengthHistogram,
    compute_lengths,
    compute_track_lengths,
)
from kraken_bids.connectome.structural.nearest_labels import (
    RegionSearch,
    build_region_search,
    find_regions,
)
from kraken_bids.connectome.structural.tally import (
    SCALE,
    StreamlineValues,
    StructuralTally,
    takes_weights,
)
from kraken_bids.connectome.structural.track_samples import TrackSampler
from kraken_bids.connectome.structural.tractogram_space import check_space, measure_space_fit
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.io.track_blocks import TrackBlock
from kraken_bids.io.tractograms import open_tractogram, read_weights
from kraken_bids.pipeline.measure.tractogram_options import TractogramOptions
from kraken_bids.resources import Threads

logger = logging.getLogger(__name__)

Floats = NDArray[np.floating[Any]]
Found = NDArray[np.int32] | TouchedRegions


@dataclass(frozen=True)
class CountedAtlas:
    """A label image and what is counted over it."""

    name: str
    path: Path
    search: RegionSearch | None
    tally: StructuralTally
    assigned: NDArray[np.int32] | None = None
    """Regions of every streamline [n, 2], where these are known and not searched."""


def start_tally(
    n_voxels: NDArray[np.int64], voxel_mm3: float, options: TractogramOptions
) -> StructuralTally:
    """Make the tally of everything that is asked for of a label image, without streamlines."""
    metrics = options.all_metrics
    return StructuralTally(
        n_voxels,
        voxel_mm3,
        metrics=metrics,
        units=options.units,
        is_weighted=any(map(takes_weights, metrics)),
    )


def search_labels(
    path: Path, labels: NDArray[np.int32], affine: NDArray[np.float64], *, radius: float
) -> RegionSearch:
    """Make a label image ready for the search of regions; errors name its file."""
    try:
        return build_region_search(labels, affine, radius=radius)
    except ConnectomeError as error:
        raise ConnectomeError(f"{path}: {error}") from error


def count_streamlines(
    streamlines: Iterable["Streamlines"],
    atlases: Sequence[CountedAtlas],
    options: TractogramOptions,
    *,
    on_first: Callable[[Floats], None],
    on_block: Callable[[str, Found], None] | None = None,
) -> None:
    """Add streamlines to the tally of every atlas.

    Parameters
    ----------
    streamlines : iterable of Streamlines
        As of :func:`read_streamlines`.
    on_first : callable
        Gets the ends [n, 2, 3] of the first block before they are counted.
    on_block : callable, optional
        Gets the name of an atlas and the regions of each block, in file order.

    Raises
    ------
    InputError
        As of :func:`read_streamlines`.
    """
    is_first = True
    for batch, found in _assign(streamlines, atlases, options):
        if is_first:
            on_first(batch.ends)
        is_first = False
        for atlas, regions in zip(atlases, found, strict=True):
            atlas.tally.add(regions, batch.values)
            if on_block is not None:
                on_block(atlas.name, regions)


def check_place(
    atlas: CountedAtlas, ends: Floats, where: str, *, way_out: str, is_strict: bool
) -> list[str]:
    """Compare the place of streamlines and labels; doubts are logged and returned.

    Where not ``is_strict`` labels need not cover the brain: few ends near them are a doubt.

    Raises
    ------
    InputError
        If they plainly lie in different spaces.
    """
    if atlas.search is None:
        return []
    fit = measure_space_fit(atlas.search, ends)
    try:
        doubt = check_space(fit, where, way_out=way_out)
    except InputError as error:
        if is_strict or fit.given == 0:
            raise
        doubt = f"{atlas.name} is measured all the same: {error}"
    if doubt:
        logger.warning("%s", doubt)
    return [doubt] if doubt else []


@dataclass(frozen=True)
class Streamlines:
    """A block of streamlines on its way: copies, since the reader overwrites its own."""

    ends: Floats
    """[n, 2, 3]"""
    first: int
    """Number, from 0 on, of the first of them in the file."""
    block: TrackBlock | None
    """Whole tracks, where ends do not suffice."""
    values: StreamlineValues


def read_streamlines(
    tracks: Path,
    options: TractogramOptions,
    *,
    samplers: Mapping[str, TrackSampler],
    lengths: LengthHistogram | None = None,
) -> Iterator[Streamlines]:
    """Read a tractogram block by block, with what the options want of each streamline.

    Parameters
    ----------
    tracks : path
    options : TractogramOptions
    samplers : mapping of str to TrackSampler
        As of :func:`open_samplers`; they count what they meet.
    lengths : LengthHistogram, optional
        Gets the length of every streamline.

    Raises
    ------
    InputError
        If a file is broken, holds no streamlines, or weights are not as many as these.
    """
    weights = _StreamlineFile(options.weights, tracks, "weight")
    scales = _StreamlineFile(options.scale_file, tracks, "value")
    n_streamlines = 0
    with Threads(options.n_threads) as pool:
        for ends, block in _read_tracks(tracks, options, lengths):
            n = len(ends)
            n_streamlines += n
            values = scales.take(n)
            scalars = {} if values is None else {SCALE: values}
            own = None
            if block is not None:
                waiting = {name: pool.submit(one.add, block) for name, one in samplers.items()}
                if options.takes_lengths:
                    own = compute_lengths(block.vertices, block.starts, block.stops)
                scalars |= {name: future.result() for name, future in waiting.items()}
            kept = block if options.takes_tracks else None
            yield Streamlines(
                ends, n_streamlines - n, kept, StreamlineValues(own, weights.take(n), scalars)
            )
    if not n_streamlines:
        raise InputError(
            f"{tracks}: expected streamlines; found none. Was the tractography finished?"
        )
    weights.check_used()
    scales.check_used()


def _read_tracks(
    tracks: Path, options: TractogramOptions, histogram: LengthHistogram | None
) -> Iterator[tuple[Floats, TrackBlock | None]]:
    """Yield ends of each block, and whole tracks where these are needed."""
    tractogram = open_tractogram(tracks)
    if not options.takes_vertices and histogram is None:
        for ends in tractogram.ends():
            yield ends.astype(np.float32, copy=False), None
        return
    for read in tractogram.blocks():
        if histogram is not None:
            histogram.add(compute_track_lengths(read.vertices, read.starts, read.stops))
        ends = read.ends
        ends = ends.astype(np.float32) if options.rounds_to_single else ends
        block = None
        if options.takes_vertices:
            block = TrackBlock(read.vertices.astype(np.float32), read.starts, read.stops)
        yield ends, block


class _StreamlineFile:
    """A file with a value per streamline, handed out in the order of the tracks."""

    def __init__(self, path: Path | None, tracks: Path, what: str) -> None:
        self._path = path
        self._what = what
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
                f"{self._path}: expected a {self._what} for every streamline of {self._tracks}; "
                f"found {len(self._values)} for at least {self._n_used} streamlines. Are they of "
                "another tractogram? tcksift2 writes the weights of one."
            )
        return self._values[first : self._n_used]

    def check_used(self) -> None:
        """Raise if values are left over."""
        if self._values is not None and len(self._values) != self._n_used:
            raise InputError(
                f"{self._path}: expected {self._n_used} {self._what}s, one per streamline of "
                f"{self._tracks}; found {len(self._values)}. Are they of another tractogram?"
            )


def _assign(
    batches: Iterable[Streamlines], atlases: Sequence[CountedAtlas], options: TractogramOptions
) -> Iterator[tuple[Streamlines, list[Found]]]:
    """Regions of every batch in every atlas; threads work ahead, the order stays."""
    if options.n_threads == 1:
        for batch in batches:
            yield batch, [_find(batch, atlas, options) for atlas in atlases]
        return
    # this thread reads and adds up, the others search; where all is read it hardly has to work
    n_searching = options.n_threads if isinstance(batches, list) else options.n_threads - 1
    waiting: deque[tuple[Streamlines, list[Future[Found]]]] = deque()
    with Threads(n_searching) as pool:
        for batch in batches:
            waiting.append(
                (batch, [pool.submit(_find, batch, atlas, options) for atlas in atlases])
            )
            if len(waiting) > 2 * options.n_threads:
                done, futures = waiting.popleft()
                yield done, [future.result() for future in futures]
        while waiting:
            done, futures = waiting.popleft()
            yield done, [future.result() for future in futures]


def _find(batch: Streamlines, atlas: CountedAtlas, options: TractogramOptions) -> Found:
    search = atlas.search
    if search is None:
        assert atlas.assigned is not None
        found = atlas.assigned[batch.first : batch.first + len(batch.ends)]
        if len(found) != len(batch.ends):
            raise InputError(
                f"expected the groups in {atlas.path} to be of this tractogram; found "
                f"{len(atlas.assigned)} streamlines there, and more here. Give its own TRX."
            )
        return found
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
