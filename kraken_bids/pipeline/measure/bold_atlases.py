"""The label images of ``kraken-tools fc``: atlases of the model and any other."""

import logging
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.bids.bold import Bold
from kraken_bids.bids.custom_atlases import find_names, read_own_parcellation
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.transforms import TemplateOptions, find_label_space, match_spaces
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.pipeline.measure.label_checks import list_doubts
from kraken_bids.pipeline.measure.label_grids import GridRegions, regions_on_grid

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BoldAtlas:
    """A label image on the grid of a BOLD run."""

    name: str
    path: Path
    regions: GridRegions
    """Where its regions lie on the grid of the run, and how large they are beyond it."""
    values: tuple[int, ...]
    """Of each region: its number in the model, or its label in the image."""
    region_names: tuple[str, ...]
    names_file: Path | None
    """Where the names come from, if from a file of the user's."""
    transforms: tuple[Path, ...]
    """Through which its labels came to the space of the run."""
    warnings: tuple[str, ...]
    """What is doubtful about the image."""


def read_atlas(name: str, path: Path, bold: Bold, templates: TemplateOptions) -> BoldAtlas:
    """Label image on the grid of a BOLD run, by nearest label in world coordinates.

    An atlas of the model has the model's regions; any other those that
    ``read_own_parcellation`` finds. Where the names of image and
    run say different templates, a transform between the two is applied.

    Parameters
    ----------
    name : str
        Its name.
    path : path
        Label image in the space of the run, or in a template that a transform leads to.
    bold : Bold
        The run.
    templates : TemplateOptions
        What is to be done with another template.

    Raises
    ------
    InputError
        If the image or its table is missing, broken, without regions, wholly off the grid, or in
        another space that no transform leads to.
    """
    is_known = name in list_parcellations()
    space = full_space(parse_name(bold.path))
    transforms, remark = match_spaces(path, space, templates)
    if remark:
        logger.warning("%s: %s", path, remark)
    regions = (
        load_parcellation(name)
        if is_known
        else read_own_parcellation(name, str(path), needs_place=bold.is_placed)
    )
    image = LabelImage(name, path, find_label_space(path), transforms)
    on_grid = regions_on_grid(image, regions, bold)
    return BoldAtlas(
        name,
        path,
        on_grid,
        values=regions.indices,
        region_names=regions.region_names,
        names_file=None if is_known else find_names(path),
        transforms=transforms,
        warnings=tuple([remark] if remark else []) + tuple(list_doubts(path, regions)),
    )
