"""From the tractograms of a session to its measured structural connectomes, one read of each."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.inputs import Tractography
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.outputs import relmat_path, sidecar_path
from kraken_bids.cohort.sidecars import forget_digest, matrix_sidecar, region_sidecar, size_of
from kraken_bids.connectome.matrices import square_to_edges
from kraken_bids.connectome.structural.lengths import LengthHistogram, compute_track_lengths
from kraken_bids.connectome.structural.nearest_labels import (
    RegionSearch,
    build_region_search,
    find_regions,
)
from kraken_bids.connectome.structural.streamline_counts import METRICS, EdgeCounter, Metric
from kraken_bids.connectome.structural.tractogram_space import check_space, measure_space_fit
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.flavors import Flavor, list_flavors
from kraken_bids.io.tables import read_weights
from kraken_bids.io.texts import read_text
from kraken_bids.io.tractograms import open_tractogram
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.parcellations import list_parcellations
from kraken_bids.pipeline.measure.label_grids import list_doubts, regions_for_tractogram
from kraken_bids.pipeline.measure.tasks import SessionTask, is_up_to_date

logger = logging.getLogger(__name__)

MEASURES = {"ifod2": "SCifod2act", "sdstream": "SCsdstream"}


def measure_structural(task: SessionTask) -> None:
    """Measure and write every structural connectome that the inputs of a session allow."""
    # tractograms of one space share their label images, and what is built from them
    searches: dict[LabelImage, RegionSearch] = {}
    for tracts in task.session.tractographies:
        flavors, paths, digest = _plan_tractogram(task, tracts)
        if flavors and not is_up_to_date(task, dict.fromkeys(paths, digest)):
            _measure_tractogram(task, tracts, flavors, known=searches, digest=digest)


def plan_structural(task: SessionTask) -> dict[Path, str]:
    """List the structural connectomes that a session is asked for, with their digests."""
    return {
        path: digest
        for tracts in task.session.tractographies
        for _, paths, digest in [_plan_tractogram(task, tracts)]
        for path in paths
    }


def _plan_tractogram(
    task: SessionTask, tracts: Tractography
) -> tuple[list[Flavor], list[Path], str]:
    """Flavors of a tractogram that are asked for, their files, and the digest of all of them."""
    flavors = _list_wanted(task, tracts)
    digest = task.digest("structural", _list_files(tracts), task.settings.structural)
    output = task.settings.data.output_dir
    paths = [relmat_path(output, tracts.entities, flavor, source=None) for flavor in flavors]
    return flavors, paths, digest


def _list_wanted(task: SessionTask, tracts: Tractography) -> list[Flavor]:
    return [
        flavor
        for flavor in list_flavors(tracts.labels, processings=METRICS)
        if flavor.measure == MEASURES[tracts.algorithm]
        and task.wants(flavor)
        and (tracts.weights is not None or not flavor.processing.startswith("sift2"))
    ]


def _list_files(tracts: Tractography) -> list[Path | None]:
    images = tracts.labels.values()
    return [
        tracts.tracks,
        tracts.weights,
        tracts.mu,
        *(path for image in images for path in (image.path, *image.transforms)),
    ]


def _measure_tractogram(
    task: SessionTask,
    tracts: Tractography,
    flavors: Sequence[Flavor],
    *,
    known: dict[LabelImage, RegionSearch],
    digest: str,
) -> None:
    parcellations = list(dict.fromkeys(flavor.parcellation for flavor in flavors))
    logger.info("%s: %s → %s", task.label, tracts.tracks.name, ", ".join(parcellations))
    for image in (tracts.labels[name] for name in parcellations):
        if image not in known:
            known[image] = _build_search(task, image)
    searches = {name: known[tracts.labels[name]] for name in parcellations}
    counters = {
        name: EdgeCounter(
            search.n_voxels(task.parcellation(name).n_regions),
            search.voxel_mm3,
            is_weighted=tracts.weights is not None,
        )
        for name, search in searches.items()
    }
    lengths, doubts = _count_streamlines(tracts, searches, counters)
    facts = {"LengthHistogram": lengths.to_plain(), "RunDigest": digest}
    for flavor in flavors:
        name = flavor.parcellation
        warned = [*list_doubts(tracts.labels[name].path, task.parcellation(name)), *doubts[name]]
        _write_connectome(
            task, tracts, flavor, counter=counters[name], facts={**facts, "Warnings": warned}
        )


def _build_search(task: SessionTask, image: LabelImage) -> RegionSearch:
    labels, affine = regions_for_tractogram(image, task.parcellation(image.parcellation))
    try:
        return build_region_search(labels, affine, radius=task.settings.structural.search_radius)
    except ConnectomeError as error:
        raise ConnectomeError(f"{image.path}: {error}") from error


def _count_streamlines(
    tracts: Tractography,
    searches: Mapping[str, RegionSearch],
    counters: Mapping[str, EdgeCounter],
) -> tuple[LengthHistogram, Mapping[str, list[str]]]:
    """Pass over the tractogram once, giving each block of ends to every parcellation.

    Returns lengths, and what is doubtful about the place of each parcellation.
    """
    doubts: Mapping[str, list[str]] = {}
    weights = None if tracts.weights is None else read_weights(tracts.weights)
    lengths = LengthHistogram()
    n_read = 0
    for tracks in open_tractogram(tracts.tracks).blocks():
        ends = tracks.ends
        if n_read == 0:
            doubts = _check_spaces(tracts, searches, ends)
        block = _take(weights, n_read, len(ends), tracts)
        for name, search in searches.items():
            counters[name].add(find_regions(search, ends), block)
        lengths.add(compute_track_lengths(tracks.vertices, tracks.starts, tracks.stops))
        n_read += len(ends)
    if n_read == 0:
        raise InputError(
            f"{tracts.tracks}: expected streamlines; found none. Was the tractography finished?"
        )
    if weights is not None and len(weights) != n_read:
        raise InputError(
            f"{tracts.weights}: expected {n_read} weights, one per streamline of "
            f"{tracts.tracks.name}; found {len(weights)}. Are they of another tractogram?"
        )
    return lengths, doubts


def _check_spaces(
    tracts: Tractography, searches: Mapping[str, RegionSearch], ends: NDArray[np.floating]
) -> dict[str, list[str]]:
    doubts: dict[str, list[str]] = {}
    for name, search in searches.items():
        image = tracts.labels[name]
        where = f"{tracts.tracks} (space-{tracts.space}) and {image.path} (space-{image.space})"
        fit = measure_space_fit(search, ends)
        try:
            doubt = check_space(fit, where)
        except InputError as error:
            # a few nuclei rightly hold few ends; the atlases of the model cover the brain
            if name in list_parcellations() or fit.given == 0:
                raise
            doubt = f"{name} is measured all the same: {error}"
        if doubt:
            logger.warning("%s", doubt)
        doubts[name] = [doubt] if doubt else []
    return doubts


def _take(
    weights: NDArray[np.float32] | None, start: int, n: int, tracts: Tractography
) -> NDArray[np.float32] | None:
    if weights is None:
        return None
    if start + n > len(weights):
        raise InputError(
            f"{tracts.weights}: expected a weight for every streamline of {tracts.tracks.name}; "
            f"found {len(weights)} for at least {start + n} streamlines. Give the weights that "
            "tcksift2 wrote for this tractogram."
        )
    return weights[start : start + n]


def _write_connectome(
    task: SessionTask,
    tracts: Tractography,
    flavor: Flavor,
    *,
    counter: EdgeCounter,
    facts: Mapping[str, object],
) -> None:
    metric: Metric = flavor.processing  # type: ignore[assignment]
    square = counter.connectome(metric, units=task.settings.structural.units)
    missing = counter.n_voxels == 0
    # in MRtrix's units too: zero would say that a region without voxels is not connected
    square[missing, :] = square[:, missing] = np.nan
    path = relmat_path(task.settings.data.output_dir, tracts.entities, flavor, source=None)
    forget_digest(path)
    write_relmat(path, square, header=task.header(flavor.parcellation))
    parcellation = task.parcellation(flavor.parcellation)
    known = region_sidecar(parcellation, missing)
    sidecar = _describe(task, tracts, flavor, counter) | known
    write_json(sidecar_path(path), {**sidecar, **facts, **size_of(path)})


def _describe(
    task: SessionTask, tracts: Tractography, flavor: Flavor, counter: EdgeCounter
) -> dict[str, object]:
    image = tracts.labels[flavor.parcellation]
    settings = task.settings.structural
    files = [path for path in _list_files(tracts) if path is not None]
    own = [path for path in files if path in (tracts.tracks, tracts.weights, tracts.mu)]
    units = {
        "krakencoder": "counts scaled to 5 million streamlines; volumes in voxels of 1.25 mm",
        "mrtrix": "counts as they are; volumes in voxels of the label image",
    }
    return {
        **matrix_sidecar(flavor),
        "Predicted": False,
        "NonNegative": True,
        "Sources": task.uris([*own, image.path, *image.transforms]),
        "TractographyAlgorithm": tracts.algorithm,
        "Space": tracts.space,
        "SearchRadius": settings.search_radius,
        "Units": settings.units,
        "UnitsDescription": units[settings.units],
        "SIFT2": flavor.processing.startswith("sift2"),
        "SIFT2Mu": _read_mu(tracts.mu),
        "SIFT2Weights": None if tracts.weights is None else task.uris([tracts.weights])[0],
        "Streamlines": _describe_streamlines(counter),
        "VoxelVolume": counter.voxel_mm3,
        "RegionVoxels": [int(n) for n in counter.n_voxels],
        **task.software(),
    }


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
