"""A label image as region numbers on the grid where it is needed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.read import Bold, read_labels
from kraken_bids.bids.transforms import read_transform
from kraken_bids.connectome.grids import cover_labels
from kraken_bids.connectome.labels import index_labels
from kraken_bids.connectome.resample import Step, resample_labels
from kraken_bids.exceptions import InputError
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.connectomes.label_checks import identify_image

TRACTOGRAM_GRID_MM = 1.25
"""Voxel size of labels that are carried to a tractogram: the model's volumes count such voxels."""

Labels = NDArray[np.int32]
Affine = NDArray[np.float64]


def read_regions(
    image: LabelImage,
    parcellation: Parcellation,
    *,
    as_mrtrix: bool = False,
    needs_place: bool = True,
) -> tuple[Labels, Affine, Sequence[Step]]:
    """Region numbers 1 … n on the image's own grid, its affine, and the steps into its space.

    Raises
    ------
    InputError
        If the image cannot be read, or its labels are not the parcellation's.
    """
    labels, affine = read_labels(image.path, as_mrtrix=as_mrtrix, needs_place=needs_place)
    identity = identify_image(image.path, labels, affine, parcellation)
    indexed = index_labels(labels, identity.values)
    steps = [step for path in image.transforms for step in read_transform(path)]
    return indexed, affine, steps


def regions_on_grid(image: LabelImage, parcellation: Parcellation, bold: Bold) -> Labels:
    """Region numbers on the grid of a BOLD series.

    Raises
    ------
    InputError
        If no region of the image lies on the grid, or nobody knows where it lies.
    """
    # where the run itself has no place, both are guessed alike
    labels, own, steps = read_regions(image, parcellation, needs_place=bold.is_placed)
    moved = resample_labels(
        labels, own, target_shape=bold.shape[:3], target_affine=bold.affine, steps=steps
    )
    if not moved.any():
        raise InputError(
            f"{image.path}: expected regions of {parcellation.name} inside the field of view of "
            "the data; found none there. Is the image in the same space as the data"
            + (f" (space-{image.space})?" if image.space else "?")
        )
    return moved.astype(np.int32, copy=False)


def regions_for_tractogram(image: LabelImage, parcellation: Parcellation) -> tuple[Labels, Affine]:
    """Region numbers in tractogram space: the image's own grid, or a 1.25 mm one if carried."""
    labels, affine, steps = read_regions(image, parcellation, as_mrtrix=True)
    if not steps:
        return labels, affine
    shape, target = cover_labels(labels, affine, steps=steps, voxel_mm=TRACTOGRAM_GRID_MM)
    moved = resample_labels(labels, affine, target_shape=shape, target_affine=target, steps=steps)
    return moved.astype(np.int32, copy=False), target
