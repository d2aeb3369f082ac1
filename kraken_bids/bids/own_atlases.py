"""Atlases of the user's own: their regions from a label image and the table of names beside it."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.images import read_labels
from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.tables import read_columns
from kraken_bids.exceptions import InputError
from kraken_bids.parcellations import Parcellation

MAX_REGIONS = 6000
"""Matrices are dense, and a partial correlation of more takes minutes and gigabytes."""
MAX_LABEL = 10_000_000
DEFAULT_SPACE = "MNI152NLin6Asym"
"""Space of one image for everyone whose name says none: that of the published atlases."""
NAMES = ("name", "label")
"""Columns that may hold region names: as BIDS calls it, and as XCP-D does."""
HEMISPHERES = ("hemisphere", "hemi")
GROUPS = ("group", "network", "network_label", "lobe")
EXTENSIONS = (".nii.gz", ".nii", ".mgz")

logger = logging.getLogger(__name__)


def read_own_parcellation(name: str, image: str, table: Path | None = None) -> Parcellation:
    """Regions of a label image that no table of the package describes.

    With a table of names (given, or beside the image: same name, ``.tsv``) its rows are the
    regions, in its order; index 0 is background. Labels without a row are left out, which is said;
    rows whose label the image lacks stay regions, without data. Without a table every label above
    0 is a region, ascending, called ``<name>_<label>``.

    Parameters
    ----------
    name : str
        What the user calls it.
    image : str
        Path of the label image; with ``{subject}`` or ``{session}`` one per participant, for which
        a table must be given, so that everyone has the same regions.
    table : path, optional
        Table of names, columns ``index`` and ``name``; ``hemisphere`` and ``group`` are used too.

    Raises
    ------
    InputError
        If the image or its table is missing, broken or no parcellation.
    """
    space = full_space(parse_name(image))
    if "{" in image:
        if table is None:
            raise InputError(
                f"expected a table of names for {name}, whose image is another one for each "
                f"participant ({image}): without it they would not have the same regions. Give it "
                f"behind a comma, {name}=IMAGE,NAMES.tsv, with the columns index and name."
            )
        return read_region_table(name, table, space=space or "T1w")
    if not space:
        logger.info("%s: its name says no space-; taken as %s: %s", name, DEFAULT_SPACE, image)
    whole, _ = read_labels(Path(image))
    present = np.unique(whole[whole > 0])
    table = table or find_names(Path(image))
    if table is None:
        names = [f"{name}_{label}" for label in present]
        return _build(name, {"index": present, "name": names}, space=space, where=image)
    parcellation = read_region_table(name, table, space=space or DEFAULT_SPACE)
    unnamed = np.setdiff1d(present, parcellation.labels)
    if len(unnamed):
        logger.warning(
            "%s: %d label(s) without a row in %s are left out: %s",
            name,
            len(unnamed),
            table,
            ", ".join(map(str, unnamed[:10])),
        )
    return parcellation


def read_region_table(name: str, table: Path, *, space: str = "") -> Parcellation:
    """Regions of a table with the columns ``index`` and ``name``, in its order.

    Raises
    ------
    InputError
        If it is missing, lacks a column, or an index is no whole number or comes twice.
    """
    columns = read_columns(table)
    indices = columns.get("index", np.empty(0))
    is_whole = indices.dtype.kind == "f" and bool((indices == np.floor(indices)).all())
    if not set(NAMES) & set(columns) or not len(indices) or not is_whole or indices.min() < 0:
        raise InputError(
            f"expected a table of the regions of {name} with the columns index (whole numbers) "
            f"and name in {table}; found {', '.join(columns)}. Mend it, or move it away from the "
            "label image to name regions by their labels."
        )
    if len(set(indices.tolist())) < len(indices):
        raise InputError(f"expected each index once in {table}; found some twice. Mend it.")
    regions = {key: values[indices > 0] for key, values in columns.items()}
    return _build(name, regions, space=space, where=str(table))


def find_names(image: Path) -> Path | None:
    """Table of names beside a label image: same name, ``.tsv``."""
    extension = next((e for e in EXTENSIONS if image.name.endswith(e)), image.suffix)
    table = image.with_name(image.name.removesuffix(extension) + ".tsv")
    return table if table.is_file() else None


def _build(
    name: str, regions: Mapping[str, NDArray[Any] | Sequence[str]], *, space: str, where: str
) -> Parcellation:
    labels = tuple(int(value) for value in regions["index"])
    if not 1 < len(labels) <= MAX_REGIONS or max(labels) > MAX_LABEL:
        raise InputError(
            f"expected 2 to {MAX_REGIONS} regions of {name} in {where}, with labels up to "
            f"{MAX_LABEL}; found {len(labels)} regions, the largest label "
            f"{max(labels, default=0)}. Give a label image of a parcellation."
        )
    texts = _pick(regions, NAMES, labels, default=name)
    twice = {text for text, n in Counter(texts).items() if n > 1}
    sides = (text[:1].upper() for text in _pick(regions, HEMISPHERES, labels, default="M"))
    return Parcellation(
        name=name,
        space=space or DEFAULT_SPACE,
        source="image",
        image="",
        description=f"regions of {where}",
        region_names=tuple(
            f"{text}_{label}" if text in twice else text
            for text, label in zip(texts, labels, strict=True)
        ),
        hemispheres=tuple(side if side in {"L", "R"} else "M" for side in sides),
        groups=tuple(_pick(regions, GROUPS, labels, default=name)),
        labels=labels,
    )


def _pick(
    regions: Mapping[str, NDArray[Any] | Sequence[str]],
    wanted: Sequence[str],
    labels: Sequence[int],
    *,
    default: str,
) -> list[str]:
    """Words of the first of these columns that is there, numbers as they were spelled."""
    column = next((regions[key] for key in wanted if key in regions), [default] * len(labels))
    words = (f"{word:.15g}" if isinstance(word, float) else str(word) for word in column)
    return [" ".join(word.split()) or "n/a" for word in words]
