"""From a tractogram to counts over any number of label images, in one read."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.structural.assignments import (
    TouchedRegions,
    find_all_regions,
    find_regions_inwards,
    find_voxel_regions,
)
from kraken_bids.connectome.structural.nearest_labels import (
    RegionSearch,
    build_region_search,
    find_regions,
)
from kraken_bids.connectome.structural.tally import StructuralTally, takes_weights
from kraken_bids.connectome.structural.tractogram_space import check_space, measure_space_fit
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.pipeline.measure.streamline_blocks import Floats, Streamlines
from kraken_bids.pipeline.measure.tractogram_options import TractogramOptions
from kraken_bids.resources import Threads
from kraken_bids.shared_work import check_wanted

logger = logging.getLogger(__name__)

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
    streamlines: Iterable[Streamlines],
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
        As of :func:`~kraken_bids.pipeline.measure.streamline_blocks.read_streamlines`.
    on_first : callable
        Gets the ends [n, 2, 3] of the first block before they are counted.
    on_block : callable, optional
        Gets the name of an atlas and the regions of each block, in file order.

    Raises
    ------
    InputError
        As of ``read_streamlines``.
    """
    is_first = True
    for batch, found in _assign(streamlines, atlases, options):
        check_wanted()
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
