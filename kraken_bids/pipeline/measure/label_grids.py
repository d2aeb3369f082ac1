"""A label image: where its regions lie on the grid of the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.bold_series import Bold
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.transforms import FslTransform
from kraken_bids.connectome.inverse_warps import invert_field
from kraken_bids.connectome.labels.field_of_view import (
    count_whole_regions,
    find_cut_regions,
)
from kraken_bids.connectome.labels.label_numbers import index_labels
from kraken_bids.connectome.resample import Step, resample_labels
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.io.fsl_transforms import read_field, read_flirt
from kraken_bids.io.image_headers import read_geometry
from kraken_bids.io.images import read_labels
from kraken_bids.io.itk_transforms import read_transform
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.measure.identified_images import identify_image, note_doubt

NAMED_AT_MOST = 8

Labels = NDArray[np.int32]
Affine = NDArray[np.float64]


def read_regions(
    image: LabelImage,
    parcellation: Parcellation,
    *,
    as_mrtrix: bool = False,
    needs_place: bool = True,
) -> tuple[Labels, Affine]:
    """Region numbers 1 … n on the image's own grid, and its affine.

    Raises
    ------
    InputError
        If the image cannot be read, or its labels are not the parcellation's.
    """
    labels, affine = read_labels(image.path, as_mrtrix=as_mrtrix, needs_place=needs_place)
    identity = identify_image(image.path, labels, affine, parcellation)
    return index_labels(labels, identity.values, in_place=True), affine


def read_steps(image: LabelImage) -> list[Step]:
    """Read the steps that carry points into the space of a label image."""
    steps = read_fsl_steps(image.fsl)
    return steps + [step for path in image.transforms for step in read_transform(path)]


def read_fsl_steps(transforms: Sequence[FslTransform]) -> list[Step]:
    """Read transforms of FSL's as steps, in their order.

    Raises
    ------
    InputError
        If a file is missing, damaged, or a field that cannot be turned round.
    """
    return [
        step
        for one in transforms
        for step in _read_fsl(one, tuple(path.stat().st_mtime_ns for path in one.files))
    ]


@lru_cache(maxsize=4)
def _read_fsl(transform: FslTransform, _changed: tuple[int, ...]) -> list[Step]:
    """Read a transform; the atlases of a run share it, and turning a field round takes seconds."""
    points_of = read_geometry(transform.points_of)
    into = read_geometry(transform.into) if transform.into else None
    if transform.kind == "matrix":
        return [read_flirt(transform.path, points_of, into)]
    if transform.kind == "field":
        return list(read_field(transform.path, into))
    try:
        return invert_field(
            read_field(transform.path, points_of),
            shape=points_of.shape[:3],
            affine=points_of.affine,
        )
    except ConnectomeError as error:
        raise InputError(f"{transform.path}: {error}") from error


@dataclass(frozen=True)
class GridRegions:
    """Regions on the grid of a BOLD series."""

    labels: Labels
    """[x, y, z] Region numbers 1 … n, 0 outside."""
    n_whole: NDArray[np.int64]
    """[n] Voxels of each region if the grid went on as far as the label image."""


def regions_on_grid(image: LabelImage, parcellation: Parcellation, bold: Bold) -> GridRegions:
    """Regions on the grid of a BOLD series, and how large they are beyond it.

    Regions that the edge of the label image itself cuts are named in a warning.

    Raises
    ------
    InputError
        If no region of the image lies on the grid, or nobody knows where it lies.
    """
    # where the run itself has no place, both are guessed alike
    labels, own = read_regions(image, parcellation, needs_place=bold.is_placed)
    steps = read_steps(image)
    moved = put_on_grid(labels, own, bold, steps)
    if not moved.any():
        raise InputError(
            f"{image.path}: expected regions of {parcellation.name} inside the field of view of "
            "the data; found none there. Is the image in the same space as the data"
            + (f" (space-{image.space})?" if image.space else "?")
        )
    _note_cut_regions(image, parcellation, labels)
    n_whole = count_whole_regions(
        labels,
        own,
        moved,
        target_affine=bold.affine,
        steps=steps,
        n_regions=parcellation.n_regions,
    )
    return GridRegions(moved, n_whole)


def put_on_grid(labels: Labels, affine: Affine, bold: Bold, steps: Sequence[Step]) -> Labels:
    """Labels, or a mask, on the grid of a BOLD series."""
    moved = resample_labels(
        labels, affine, target_shape=bold.shape[:3], target_affine=bold.affine, steps=steps
    )
    return moved.astype(np.int32, copy=False)


def _note_cut_regions(image: LabelImage, parcellation: Parcellation, labels: Labels) -> None:
    cut = find_cut_regions(labels)
    if not len(cut):
        return
    names = [parcellation.region_names[number - 1] for number in cut]
    named = ", ".join(names[:NAMED_AT_MOST]) + (" …" if len(names) > NAMED_AT_MOST else "")
    note_doubt(
        image.path,
        parcellation,
        f"the edge of the image cuts through {len(cut)} of {parcellation.n_regions} regions "
        f"({named}): what lies beyond it is not known, and their coverage is the share of what "
        "the image holds. Give a label image of the whole brain; it may have any grid.",
    )
