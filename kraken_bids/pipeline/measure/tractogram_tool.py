"""``kraken-tools sc``: one tractogram, any label images, and the files of their matrices."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.cohort.output_checks import check_atlas_names
from kraken_bids.connectome.labels.label_numbers import index_labels
from kraken_bids.connectome.structural.assignments import TouchedRegions
from kraken_bids.connectome.structural.streamline_counts import (
    MODEL_N_STREAMLINES,
    MODEL_VOXEL_MM3,
)
from kraken_bids.connectome.structural.tally import (
    StructuralTally,
    takes_weights,
)
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.io.digests import fingerprint
from kraken_bids.io.files import atomic_path, make_folder
from kraken_bids.io.images import read_labels
from kraken_bids.io.writing import write_json, write_text
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.pipeline.measure.label_grids import identify_image, list_doubts
from kraken_bids.pipeline.measure.structural_connectomes import (
    CountedAtlas,
    Floats,
    Found,
    check_place,
    count_streamlines,
    search_labels,
)
from kraken_bids.pipeline.measure.track_options import TrackOptions, check_options

logger = logging.getLogger(__name__)

MAX_LABEL = 6000
"""Matrices are dense: a label of 12175 would mean a gigabyte each."""
FEW_REGIONS = "Where regions are few and small, --skip-space-check leaves this out."
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


def write_track_connectomes(
    tracks: Path,
    images: Mapping[str, Path],
    options: TrackOptions,
    output_dir: Path,
    *,
    keeps_assignments: bool = False,
    checks_space: bool = True,
) -> list[Path]:
    """Read a tractogram once and write a matrix per label image and metric.

    Parameters
    ----------
    images : mapping of str to path
        Label image of each atlas, in the space of the tractogram.
    output_dir : path
        Receives ``ATLAS_METRIC.csv`` and ``.json``.
    keeps_assignments : bool
        Whether ``ATLAS_assignments.csv`` is written too.
    checks_space : bool
        Whether the places of streamlines and labels are compared.

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
    prepared = [_prepare(name, path, options) for name, path in images.items()]
    atlases = [atlas for atlas, _ in prepared]
    warnings = {atlas.name: doubts for atlas, doubts in prepared}
    writer = TrackWriter(tracks, options, output_dir)

    def check(ends: Floats) -> None:
        for atlas in atlases if checks_space else ():
            where = f"{tracks} and {atlas.path}"
            warnings[atlas.name] += check_place(
                atlas, ends, where, way_out=FEW_REGIONS, is_strict=True
            )

    with ExitStack() as stack:
        for atlas in atlases if keeps_assignments else ():
            stack.enter_context(writer.open_assignments(atlas.name))
        count_streamlines(
            tracks, atlases, options, on_first=check, on_block=writer.write_assignments
        )
    return writer.write(atlases, warnings)


def _prepare(name: str, path: Path, options: TrackOptions) -> tuple[CountedAtlas, list[str]]:
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
    search = search_labels(path, labels, affine, radius=options.radius)
    try:
        n_voxels = search.n_voxels(n_regions)
    except ConnectomeError as error:
        raise ConnectomeError(f"{path}: {error}") from error
    tally = StructuralTally(
        n_voxels,
        search.voxel_mm3,
        metrics=options.all_metrics,
        units=options.units,
        is_weighted=any(map(takes_weights, options.all_metrics)),
    )
    return CountedAtlas(name, path, search, tally), doubts


class TrackWriter:
    """Writes the outputs of one tractogram.

    Parameters
    ----------
    tracks : path
        Tractogram.
    options : TrackOptions
        What was asked for.
    output_dir : path
        Receives the files; made where it does not exist.
    """

    def __init__(self, tracks: Path, options: TrackOptions, output_dir: Path) -> None:
        self._tracks = tracks
        self._options = options
        self._output_dir = output_dir
        self._streams: dict[str, TextIO] = {}
        make_folder(output_dir)

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
        common = self._describe_run()
        written = []
        for atlas in atlases:
            known = common | self._describe_atlas(atlas, warnings[atlas.name])
            for metric in self._options.all_metrics:
                path = self._output_dir / f"{atlas.name}_{metric}.csv"
                write_text(path, format_csv(atlas.tally.connectome(metric)))
                sidecar = {"Metric": metric, "Rule": self._rule(metric)} | known
                write_json(path.with_suffix(".json"), sidecar)
                written.append(path)
        return written

    def _rule(self, metric: str) -> str:
        if metric in RULES:
            return RULES[metric]
        weighted = ", weighted" if metric.startswith("sift2") else ""
        return f"{self._options.statistic} of the values of ScaleFile{weighted}"

    def _describe_run(self) -> dict[str, Any]:
        options = self._options
        files = {
            "Tracks": self._tracks,
            "Weights": options.weights,
            "ScaleFile": options.scale_file,
        }
        described: dict[str, Any] = {
            "Assignment": options.assignment,
            "Units": options.units,
        }
        if options.assignment == "radial":
            described["SearchRadius"] = options.radius
        if options.assignment == "reverse":
            described["SearchDistance"] = options.max_distance
        for key, path in files.items():
            if path is not None:
                described[key] = fingerprint(path)
        return described | {"GeneratedBy": {"Name": "kraken_bids", "Version": __version__}}

    def _describe_atlas(self, atlas: CountedAtlas, warnings: Sequence[str]) -> dict[str, Any]:
        counter = atlas.tally.counter
        statistics = atlas.tally.statistics()
        described: dict[str, Any] = {
            "Atlas": atlas.name,
            "LabelImage": fingerprint(atlas.path),
            "VoxelVolume": counter.voxel_mm3,
            "RegionVoxels": counter.n_voxels.astype(int),
            "RegionVolumes": counter.n_voxels * counter.voxel_mm3,
            "MissingRegions": counter.missing_regions,
            "Warnings": list(warnings),
        }
        if statistics is not None:
            described["Streamlines"] = asdict(statistics)
        if self._options.units == "krakencoder" and statistics is not None:
            described |= {
                "VolumeUnit": MODEL_VOXEL_MM3,
                "StreamlineFactor": MODEL_N_STREAMLINES / max(1, statistics.n_streamlines),
            }
        return described


def format_csv(square: NDArray[np.floating[Any]]) -> str:
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
