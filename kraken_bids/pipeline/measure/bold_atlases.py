"""Atlases of single files that a BOLD run is averaged over: label images, and maps."""

import logging
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.bids.custom_atlases import find_names, read_custom_parcellation
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.bids.transforms import TemplateOptions, find_label_space, match_spaces
from kraken_bids.parcellations import Parcellation, list_parcellations, load_parcellation
from kraken_bids.pipeline.measure.probabilistic_atlases import (
    check_maps_space,
    read_maps_parcellation,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BoldAtlas:
    """A label image that a BOLD run is averaged over."""

    image: LabelImage
    parcellation: Parcellation
    names_file: Path | None
    """Where the names come from, if from a file of the user's."""
    remark: str
    """What is doubtful about its template; or ''."""
    has_maps: bool = False
    """Whether it is probabilistic: the image has a map for each region."""

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.image.parcellation


def read_atlas(
    name: str, path: Path, run: BoldRun, *, templates: TemplateOptions, needs_place: bool
) -> BoldAtlas:
    """Regions of a label image: of an atlas of the model its own, of any other what it holds.

    Where the names of image and run say different templates, a transform between the two is
    found. Without ``needs_place`` the image may lie anywhere, as the run does.

    Raises
    ------
    InputError
        If the image or its table is missing, broken or without regions, or in another space that
        no transform leads to.
    """
    is_known = name in list_parcellations()
    transforms, remark = match_spaces(path, run.space, templates)
    if remark:
        logger.warning("%s: %s", path, remark)
    return BoldAtlas(
        LabelImage(name, path, find_label_space(path), transforms),
        load_parcellation(name)
        if is_known
        else read_custom_parcellation(name, str(path), needs_place=needs_place),
        names_file=None if is_known else find_names(path),
        remark=remark,
    )


def read_maps(name: str, path: Path, run: BoldRun, templates: TemplateOptions) -> BoldAtlas:
    """Regions of a probabilistic atlas.

    Raises
    ------
    InputError
        If the image or its table is missing or broken, or names say another space.
    """
    remark = check_maps_space(path, run.space, allows_mismatch=templates.allows_mismatch)
    if remark:
        logger.warning("%s: %s", path, remark)
    return BoldAtlas(
        LabelImage(name, path, find_label_space(path)),
        read_maps_parcellation(name, path),
        names_file=find_names(path),
        remark=remark,
        has_maps=True,
    )
