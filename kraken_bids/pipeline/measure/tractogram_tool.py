"""``kraken-tools sc``: one tractogram, any label images, and the files of their matrices."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from kraken_bids.cohort.output_checks import check_atlas_names
from kraken_bids.connectome.labels.label_numbers import index_labels
from kraken_bids.connectome.structural.end_extent import EndExtent
from kraken_bids.connectome.structural.tally import base_of
from kraken_bids.exceptions import ConnectomeError, InputError, SettingsError, name_few
from kraken_bids.io.files import explain_absence
from kraken_bids.io.images import read_labels
from kraken_bids.io.trx import open_trx
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.pipeline.measure.identified_images import identify_image, list_doubts
from kraken_bids.pipeline.measure.streamline_blocks import Floats, Streamlines, read_streamlines
from kraken_bids.pipeline.measure.structural_connectomes import (
    CountedAtlas,
    check_place,
    count_streamlines,
    search_labels,
    start_tally,
)
from kraken_bids.pipeline.measure.tractogram_matrices import TractogramWriter
from kraken_bids.pipeline.measure.tractogram_options import TractogramOptions, check_options
from kraken_bids.pipeline.measure.tractogram_scalars import describe_samples, open_samplers
from kraken_bids.region_spellings import place_regions

logger = logging.getLogger(__name__)

IMAGES_AT_ONCE = 4
"""Label images in memory together; with more of them the streamlines are kept instead."""
MAX_LABEL = 6000
"""Matrices are dense: a label of 12175 would mean a gigabyte each."""
FEW_REGIONS = "Where regions are few and small, --skip-space-check leaves this out."


def write_tractogram_connectomes(
    tracks: Path,
    images: Mapping[str, Path],
    options: TractogramOptions,
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
    _check_wanted(images, options)
    named = list(images.items())
    groups = [named[i : i + IMAGES_AT_ONCE] for i in range(0, len(named), IMAGES_AT_ONCE)]
    tell, streamlines = _open_tracks(tracks, options)
    if len(groups) > 1 and not options.takes_tracks:
        # of many images not all are in memory at once, but ends and values of all streamlines
        streamlines = list(streamlines)
    written = []
    with TractogramWriter(tracks, options, output_dir, writes_ahead=len(groups) > 1) as writer:
        for number, group in enumerate(groups):
            if number and not isinstance(streamlines, list):
                tell, streamlines = _open_tracks(tracks, options)
            prepared = [_prepare(name, path, options) for name, path in group]
            warnings = {atlas.name: doubts for atlas, doubts in prepared}
            atlases = [atlas for atlas, _ in prepared]
            placed = atlases if checks_space else []
            check = partial(_check_places, tracks, placed, warnings=warnings)
            with ExitStack() as stack:
                for atlas in atlases if keeps_assignments else ():
                    stack.enter_context(writer.open_assignments(atlas.name))
                count_streamlines(
                    streamlines, atlases, options, on_first=check,
                    on_block=writer.write_assignments,
                )  # fmt: skip
            for doubts in warnings.values():
                doubts.extend(tell())
            written += writer.write(atlases, warnings)
    for doubt in tell():
        logger.warning("%s", doubt)
    return written


def _open_tracks(
    tracks: Path, options: TractogramOptions
) -> tuple[Callable[[], list[str]], Iterable[Streamlines]]:
    """Give what lists doubts about the streamlines once they are read, and the streamlines."""
    samplers, extent = open_samplers(options.scalars), EndExtent()

    def list_doubts_of_tracks() -> list[str]:
        return [*describe_samples(samplers), *extent.list_doubts(tracks)]

    streamlines = read_streamlines(tracks, options, samplers=samplers, extent=extent)
    return list_doubts_of_tracks, streamlines


def _check_wanted(images: Mapping[str, Path], options: TractogramOptions) -> None:
    """Raise before anything is read, since images are read when it is their turn."""
    check_options(options)
    check_atlas_names(images)
    for path in (*images.values(), *options.scalars.values()):
        if not path.exists():
            raise InputError(
                f"expected an image at {path}; found none. "
                f"{explain_absence(path) or 'Check the path.'}"
            )


def _check_places(
    tracks: Path,
    atlases: Sequence[CountedAtlas],
    ends: Floats,
    *,
    warnings: Mapping[str, list[str]],
) -> None:
    for atlas in atlases:
        where = f"{tracks} and {atlas.path}"
        warnings[atlas.name].extend(
            check_place(atlas, ends, where, way_out=FEW_REGIONS, is_strict=True)
        )


def _prepare(name: str, path: Path, options: TractogramOptions) -> tuple[CountedAtlas, list[str]]:
    if path.name.lower().endswith(".trx"):
        return prepare_groups(name, path, options), []
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
    tally = start_tally(n_voxels, search.voxel_mm3, options)
    return CountedAtlas(name, path, search, tally), doubts


def prepare_groups(name: str, path: Path, options: TractogramOptions) -> CountedAtlas:
    """Regions of every streamline by the groups of a TRX that are named as regions of an atlas.

    A streamline of two groups joins them; one of a single group joins nothing, since groups do
    not say whether both of its ends lie there. Groups of other names (bundles) are passed over.

    Parameters
    ----------
    name : str
        An atlas of the package; its regions tell what groups are called.
    path : Path
        The tractogram itself, or one of as many streamlines in the same order.

    Raises
    ------
    SettingsError
        If volumes are asked for, which groups do not have.
    InputError
        If no group is named as a region.
    ConnectomeError
        If a streamline is in more than two regions.
    """
    if any(base_of(metric) == "volnorm" for metric in options.all_metrics):
        raise SettingsError(
            f"--labels {name}={path}: groups of a TRX have no volumes; found --metric volnorm. "
            "Give a label image, or leave out volnorm and sift2volnorm."
        )
    table = load_parcellation(name)
    tracks = open_trx(path)
    groups = tracks.read_groups()
    places = place_regions(table, list(groups)) if groups else np.empty(0, np.intp)
    if not (places >= 0).any():
        raise InputError(
            f"expected groups that are called as the regions of {name} in {path}; found "
            f"{name_few(list(groups)) or 'none'}. Give a label image, or name them so."
        )
    pairs = np.zeros((tracks.n_declared, 2), np.int32)
    n_found = np.zeros(tracks.n_declared, np.int64)
    for place, own in zip(places.tolist(), groups.values(), strict=True):
        if place < 0:
            continue
        members = np.unique(own)
        if (n_found[members] > 1).any():
            raise ConnectomeError(
                f"expected every streamline in two regions at most in {path}; found streamline "
                f"{int(members[n_found[members] > 1][0]) + 1} in three. Are the groups those of "
                "its ends?"
            )
        pairs[members, np.minimum(n_found[members], 1)] = place + 1
        n_found[members] += 1
    n_voxels = np.isin(np.arange(table.n_regions), places).astype(np.int64)
    return CountedAtlas(name, path, None, start_tally(n_voxels, 1.0, options), pairs)
