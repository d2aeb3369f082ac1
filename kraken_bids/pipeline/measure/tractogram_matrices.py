"""Files that ``kraken-tools sc`` writes of one tractogram: matrices, sidecars, assignments."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.cohort.measurements import STRUCTURAL
from kraken_bids.cohort.sidecar_records import GENERATED_BY, REGIONS, WARNINGS
from kraken_bids.connectome.structural.assignments import TouchedRegions
from kraken_bids.connectome.structural.streamline_counts import (
    MODEL_N_STREAMLINES,
    MODEL_VOXEL_MM3,
)
from kraken_bids.connectome.structural.tally import SCALE, scalar_of, takes_weights
from kraken_bids.io.digests import fingerprint
from kraken_bids.io.files import atomic_path, make_folder
from kraken_bids.io.writing import write_json, write_text
from kraken_bids.pipeline.measure.structural_connectomes import CountedAtlas, Found
from kraken_bids.pipeline.measure.tractogram_options import TractogramOptions

Square = NDArray[np.floating[Any]]

RULES = {
    "count": "N",
    "volnorm": "N · 2/(V_i + V_j)",
    "sift2": "Σw",
    "sift2volnorm": "Σw · 2/(V_i + V_j)",
    "meanlength": "ΣL / N",
    "sift2meanlength": "ΣwL / Σw",
    "invlength": "Σ 1/L",
    "sift2invlength": "Σ w/L",
}
"""Of the streamlines of an edge; L: length in mm, w: weight, V: volume."""


def describe_rule(metric: str, statistic: str = "mean") -> str:
    """Say how the value of an edge is computed."""
    if metric in RULES:
        return RULES[metric]
    weighted = ", weighted" if takes_weights(metric) else ""
    scalar = scalar_of(metric)
    what = "values of ScaleFile" if scalar == SCALE else f"streamlines' means of {scalar}"
    return f"{statistic} of the {what}{weighted}"


class TractogramWriter:
    """Writes the outputs of one tractogram.

    Parameters
    ----------
    tracks : path
        Tractogram.
    options : TractogramOptions
        What was asked for.
    output_dir : path
        Receives the files; made where it does not exist.
    writes_ahead : bool
        Whether a process of its own writes matrices meanwhile: the text of many takes as long as
        counting does.
    """

    def __init__(
        self,
        tracks: Path,
        options: TractogramOptions,
        output_dir: Path,
        *,
        writes_ahead: bool = False,
    ) -> None:
        is_alone = options.n_threads == 1 or not writes_ahead
        self._pool = None if is_alone else _start_process()
        self._waiting: list[tuple[Future[None], Path, Square]] = []
        self._tracks = tracks
        self._options = options
        self._output_dir = output_dir
        self._streams: dict[str, TextIO] = {}
        make_folder(output_dir)

    def __enter__(self) -> "TractogramWriter":
        return self

    def __exit__(self, *error: object) -> None:
        """End the process; what it was asked for is written first."""
        try:
            self._finish()
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)

    @contextmanager
    def open_assignments(self, atlas: str) -> Iterator[None]:
        """Keep ``ATLAS_assignments.csv`` open; it appears when the block ends without error."""
        with (
            atomic_path(self._output_dir / f"{atlas}_assignments.csv") as path,
            path.open("w", encoding="utf-8") as stream,
        ):
            stream.write(f"# kraken-tools sc  (version={__version__})\n")
            self._streams[atlas] = stream
            yield

    def write_assignments(self, atlas: str, regions: Found) -> None:
        """Write the regions of each streamline of a block in a line, as tck2connectome does."""
        if atlas in self._streams:
            self._streams[atlas].writelines(_list_lines(regions))

    def write(
        self, atlases: Sequence[CountedAtlas], warnings: Mapping[str, Sequence[str]]
    ) -> list[Path]:
        """Write every matrix and its sidecar."""
        self._finish()  # no more than those of one call wait in memory
        common = self._describe_run()
        written = []
        for atlas in atlases:
            known = common | self._describe_atlas(atlas, warnings[atlas.name])
            for metric in self._options.all_metrics:
                path = self._output_dir / f"{atlas.name}_{metric}.csv"
                self._write(path, atlas.tally.connectome(metric))
                sidecar = {
                    "Metric": metric,
                    "Rule": describe_rule(metric, self._options.statistic),
                } | known
                write_json(path.with_suffix(".json"), sidecar)
                written.append(path)
        return written

    def _write(self, path: Path, square: Square) -> None:
        if self._pool is None:
            write_csv(path, square)
        else:
            self._waiting.append((self._pool.submit(write_csv, path, square), path, square))

    def _finish(self) -> None:
        for future, path, square in self._waiting:
            try:
                future.result()
            except BrokenExecutor:  # somebody ended it
                write_csv(path, square)
        self._waiting.clear()

    def _describe_run(self) -> dict[str, Any]:
        options = self._options
        files = {
            "Tracks": self._tracks,
            "Weights": options.weights,
            "ScaleFile": options.scale_file,
        }
        described: dict[str, Any] = {
            "Assignment": options.assignment,
            STRUCTURAL.units: options.units,
        }
        if options.assignment == "radial":
            described[STRUCTURAL.search_radius] = options.radius
        if options.assignment == "reverse":
            described["SearchDistance"] = options.max_distance
        for key, path in files.items():
            if path is not None:
                described[key] = fingerprint(path)
        if options.scalars:
            described["Scalars"] = {n: fingerprint(p) for n, p in options.scalars.items()}
        return described | GENERATED_BY

    def _describe_atlas(self, atlas: CountedAtlas, warnings: Sequence[str]) -> dict[str, Any]:
        counter = atlas.tally.counter
        statistics = atlas.tally.statistics()
        described: dict[str, Any] = {
            "Atlas": atlas.name,
            "LabelImage": fingerprint(atlas.path),
            STRUCTURAL.voxel_volume: counter.voxel_mm3,
            STRUCTURAL.region_voxels: counter.n_voxels.astype(int),
            "RegionVolumes": counter.n_voxels * counter.voxel_mm3,
            REGIONS.missing_regions: counter.missing_regions,
            WARNINGS: list(warnings),
        }
        if atlas.search is None:  # groups have no volumes
            for key in (STRUCTURAL.voxel_volume, STRUCTURAL.region_voxels, "RegionVolumes"):
                del described[key]
        if statistics is not None:
            described[STRUCTURAL.streamlines] = asdict(statistics)
        if self._options.units == "krakencoder" and statistics is not None:
            described |= {
                "VolumeUnit": MODEL_VOXEL_MM3,
                "StreamlineFactor": MODEL_N_STREAMLINES / max(1, statistics.n_streamlines),
            }
        return described


def _start_process() -> Executor:
    # here: few images need no process, and what these import takes as long as some thousand tracks
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    return ProcessPoolExecutor(1, get_context("spawn"))


def write_csv(path: Path, square: Square) -> None:
    """Write a symmetric matrix as MRtrix does."""
    write_text(path, format_csv(square))


def format_csv(square: Square) -> str:
    """Text of a symmetric matrix as MRtrix writes it: 15 digits, or 6 of single precision."""
    digits = "%.15g" if square.dtype == np.float64 else "%.6g"
    cells = np.full(square.shape, "0", object)
    upper = np.nonzero(np.triu(square))  # formatting takes longest: no zeros, and each edge once
    values = square[upper].tolist()
    texts = ((digits + " ") * len(values) % tuple(values)).split()
    cells[upper] = texts
    cells[upper[::-1]] = texts
    return "".join(",".join(row) + "\n" for row in cells.tolist())


def _list_lines(regions: Found) -> Iterator[str]:
    if not isinstance(regions, TouchedRegions):
        for first, last in regions.tolist():
            yield f"{first} {last}\n"
        return
    stops = np.cumsum(regions.n_regions)
    for part in np.split(regions.regions, stops[:-1]):
        yield " ".join(map(str, part.tolist())) + "\n" if len(part) else "0\n"
