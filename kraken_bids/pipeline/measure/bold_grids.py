"""Label images and masks on the grids of BOLD series."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.bold_origins import TissueImage
from kraken_bids.bids.bold_series import Bold
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.connectome.functional.map_weights import GridMaps
from kraken_bids.connectome.resample import Step
from kraken_bids.io.images import read_image, read_labels
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.measure.label_grids import (
    GridRegions,
    Labels,
    put_on_grid,
    read_fsl_steps,
    read_steps,
    regions_on_grid,
)
from kraken_bids.pipeline.measure.probabilistic_atlases import maps_on_grid

logger = logging.getLogger(__name__)

TISSUES = ("GM", "WM", "CSF")
Grid = tuple[tuple[int, ...], bytes]
"""Shape and affine of a BOLD series."""


class Grids:
    """Label images and masks on the grids of runs: runs of one space mostly share a grid.

    Threads may ask at once; each image is laid once.

    Parameters
    ----------
    images : mapping of str to LabelImage
        Label image of each atlas.
    parcellation_of : callable
        Regions of an atlas by its name.
    maps : mapping of str to Path
        4D image of each probabilistic atlas.
    """

    def __init__(
        self,
        images: Mapping[str, LabelImage],
        parcellation_of: Callable[[str], Parcellation],
        maps: Mapping[str, Path] = MappingProxyType({}),
    ) -> None:
        self._images = images
        self._maps = maps
        self._parcellation_of = parcellation_of
        self._regions: dict[Grid, dict[str, GridRegions]] = {}
        self._lesions: dict[Grid, Labels] = {}
        self._masks: dict[tuple[tuple[TissueImage, ...], Grid], Labels] = {}
        self._laid: dict[Path, Grid] = {}
        self._lock = Lock()

    def regions(self, bold: Bold) -> dict[str, GridRegions]:
        """Regions of every atlas on the grid of a run."""
        grid = _grid_of(bold)
        if grid not in self._regions:
            self._regions[grid] = {
                name: regions_on_grid(image, self._parcellation_of(name), bold)
                for name, image in self._images.items()
            }
        return self._regions[grid]

    def mask(self, path: Path, bold: Bold) -> Labels:
        """Mask on the grid of a run."""
        return self.tissue((TissueImage(path),), bold)

    def tissue(self, images: tuple[TissueImage, ...], bold: Bold) -> Labels:
        """Mask of a tissue, the union of some images, on the grid of a run."""
        key = images, _grid_of(bold)
        if key not in self._masks:
            self._masks[key] = tissue_on_grid(images, bold)
        return self._masks[key]

    def lay(
        self, run: BoldRun, bold: Bold
    ) -> tuple[dict[str, GridRegions], Labels | None, dict[str, Labels]]:
        """Regions, brain mask and tissues of a run on its grid, none of them inside a lesion."""
        with self._lock:
            self._laid[run.bold] = _grid_of(bold)
            regions = self.regions(bold)
            mask = None if run.mask is None else self.mask(run.mask, bold)
            tissues = {
                name: self.mask(run.tissue[name], bold) for name in TISSUES if name in run.tissue
            } | {name: self.tissue(images, bold) for name, images in run.tissue_images.items()}
            if run.lesion is None:
                return regions, mask, tissues
            sound = 1 - self._lay_lesion(run.lesion, bold)
        return (
            {
                name: replace(region, labels=region.labels * sound)
                for name, region in regions.items()
            },
            None if mask is None else mask * sound,
            {name: tissue * sound for name, tissue in tissues.items()},
        )

    def lay_maps(self, run: BoldRun, bold: Bold, mask: Labels | None) -> dict[str, GridMaps]:
        """Lay maps of probabilistic atlases on the grid of a run, in a mask, out of a lesion."""
        if not self._maps:
            return {}
        inside = np.ones(bold.shape[:3], bool) if mask is None else mask > 0
        if run.lesion is not None:
            with self._lock:
                inside &= self._lay_lesion(run.lesion, bold) == 0
        return {name: maps_on_grid(path, bold, inside) for name, path in self._maps.items()}

    def _lay_lesion(self, image: LabelImage, bold: Bold) -> Labels:
        grid = _grid_of(bold)
        if grid not in self._lesions:
            self._lesions[grid] = mask_on_grid(image.path, bold, read_steps(image))
        return self._lesions[grid]

    def laid(
        self, run: BoldRun
    ) -> tuple[NDArray[np.float64], dict[str, GridRegions], Labels | None]:
        """Affine, regions and lesion of the grid of a run; the lesion is None without a mask."""
        grid = self._laid[run.bold]
        return np.frombuffer(grid[1]).reshape(4, 4), self._regions[grid], self._lesions.get(grid)


def _grid_of(bold: Bold) -> Grid:
    return bold.shape[:3], bold.affine.tobytes()


def mask_on_grid(path: Path, bold: Bold, steps: Sequence[Step] = ()) -> Labels:
    """1 in voxels of a mask or probability map above one half, on the BOLD grid.

    Raises
    ------
    InputError
        If the image is missing, damaged or has other than three axes.
    """
    # where the run itself has no place, both are guessed alike
    values, affine = read_image(path, needs_place=bold.is_placed)
    inside = (values > 0.5).astype(np.int32)
    moved = put_on_grid(inside, affine, bold, steps)
    if not moved.any():
        logger.warning("%s: no voxel above one half on the grid of %s", path, bold.path)
    return moved


def tissue_on_grid(images: Sequence[TissueImage], bold: Bold) -> Labels:
    """1 in voxels of a tissue, the union of what images show, on the BOLD grid.

    Raises
    ------
    InputError
        If an image is missing, damaged or has other than three axes.
    """
    first, *others = (_show_tissue(image, bold) for image in images)
    for other in others:
        first = np.maximum(first, other)
    return first


def _show_tissue(image: TissueImage, bold: Bold) -> Labels:
    if not image.labels and not image.fsl:
        return mask_on_grid(image.path, bold)
    if image.labels:
        labels, affine = read_labels(image.path)
        inside = np.isin(labels, image.labels)
    else:
        values, affine = read_image(image.path)
        inside = values > 0.5
    return put_on_grid(inside.astype(np.int32), affine, bold, read_fsl_steps(image.fsl))
