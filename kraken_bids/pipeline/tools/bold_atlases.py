"""The label images of ``kraken-tools fc``: atlases of the model and any other."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.bids.read import Bold, read_columns, read_labels
from kraken_bids.connectome.labels import index_labels
from kraken_bids.connectome.resample import resample_labels
from kraken_bids.exceptions import InputError
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.pipeline.labels import regions_on_grid

MAX_REGIONS = 6000
"""Matrices are dense, and a partial correlation of more takes minutes and gigabytes."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BoldAtlas:
    """A label image on the grid of a BOLD run."""

    name: str
    path: Path
    labels: NDArray[np.int32]
    """[x, y, z]: region numbers 1 … n, 0 outside."""
    values: tuple[int, ...]
    """Of each region: its number in the model, or its label in the image."""
    region_names: tuple[str, ...]
    names_file: Path | None
    """Where the names come from, if from a file of the user's."""


def read_atlas(name: str, path: Path, bold: Bold) -> BoldAtlas:
    """Label image on the grid of a BOLD run, by nearest label in world coordinates.

    An atlas of the model has the model's regions. Of any other, the regions are the rows of the
    table beside the image (``IMAGE.tsv``, columns ``index`` and ``name``; index 0 is background),
    or without one every label above 0; in both cases by ascending label.

    Parameters
    ----------
    name : str
        Its name.
    path : path
        Label image in the space of the run.
    bold : Bold
        The run.

    Raises
    ------
    InputError
        If the image or its table is missing, broken, without regions, or wholly off the grid.
    """
    if name in list_parcellations():
        labels = regions_on_grid(LabelImage(name, path, ""), bold.shape[:3], bold.affine)
        known = load_parcellation(name)
        values = tuple(range(1, known.n_regions + 1))
        atlas = BoldAtlas(name, path, labels, values, known.region_names, None)
    else:
        atlas = _read_other(name, path, bold)
    if not atlas.labels.any():
        raise InputError(
            f"{path}: expected regions inside the field of view of {bold.path}; found none there. "
            "Is the image in the same space as the run (--labels)?"
        )
    return atlas


def _read_other(name: str, path: Path, bold: Bold) -> BoldAtlas:
    image, affine = read_labels(path)
    present = [int(value) for value in np.unique(image) if value > 0]
    table = sidecar_path(path).with_suffix(".tsv")
    names = _read_names(table) if table.is_file() else {value: str(value) for value in present}
    values = tuple(sorted(names))
    if not 1 < len(values) <= MAX_REGIONS:
        raise InputError(
            f"{path}: expected 2 to {MAX_REGIONS} regions, one per label; found {len(values)}. "
            "Give a label image of a parcellation."
        )
    unnamed = sorted(set(present) - set(values))
    if unnamed:
        logger.warning(
            "%s: %d label(s) without a row in %s are left out: %s",
            name,
            len(unnamed),
            table,
            ", ".join(map(str, unnamed[:10])),
        )
    labels = resample_labels(
        index_labels(image, values),
        affine,
        target_shape=bold.shape[:3],
        target_affine=bold.affine,
    ).astype(np.int32, copy=False)
    region_names = tuple(names[value] for value in values)
    return BoldAtlas(name, path, labels, values, region_names, table if table.is_file() else None)


def _read_names(table: Path) -> dict[int, str]:
    """Name of each label; a name that comes twice gets its label behind it."""
    columns = read_columns(table)
    indices = columns.get("index", np.empty(0))
    whole = indices.dtype.kind == "f" and bool((indices == np.floor(indices)).all())
    if "name" not in columns or not len(indices) or not whole or indices.min() < 0:
        raise InputError(
            f"expected a table of regions with the columns index (whole numbers) and name in "
            f"{table}, which lies beside the label image; found {', '.join(columns)}. "
            "Mend it, or move it away to name regions by their labels."
        )
    values = indices.astype(int).tolist()
    if len(set(values)) < len(values):
        raise InputError(f"expected each index once in {table}; found some twice. Mend it.")
    names = [str(text) for text in columns["name"]]
    return {
        value: text if names.count(text) == 1 else f"{text}_{value}"
        for value, text in zip(values, names, strict=True)
        if value > 0
    }
