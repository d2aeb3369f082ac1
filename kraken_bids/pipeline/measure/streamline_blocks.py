"""Streamlines of a tractogram block by block, with what is wanted of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.structural.end_extent import EndExtent
from kraken_bids.connectome.structural.lengths import (
    LengthHistogram,
    compute_lengths,
    compute_track_lengths,
)
from kraken_bids.connectome.structural.tally import SCALE, StreamlineValues
from kraken_bids.connectome.structural.track_samples import TrackSampler
from kraken_bids.exceptions import InputError
from kraken_bids.io.track_blocks import TrackBlock
from kraken_bids.io.tractograms import open_tractogram, read_weights
from kraken_bids.pipeline.measure.tractogram_options import TractogramOptions
from kraken_bids.resources import Threads

Floats = NDArray[np.floating[Any]]


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
    extent: EndExtent | None = None,
) -> Iterator[Streamlines]:
    """Read a tractogram block by block, with what the options want of each streamline.

    Parameters
    ----------
    samplers : mapping of str to TrackSampler
        As of :func:`~kraken_bids.pipeline.measure.tractogram_scalars.open_samplers`; they count
        what they meet.
    lengths : LengthHistogram, optional
        Gets the length of every streamline.
    extent : EndExtent, optional
        Gets the ends of every streamline.

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
            if extent is not None:
                extent.add(ends)
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
