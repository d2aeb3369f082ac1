"""Custom atlases: their regions from a label image and the table of names beside it."""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.exceptions import InputError
from kraken_bids.io.images import read_labels
from kraken_bids.io.tables import read_columns
from kraken_bids.parcellations import SERIES, Parcellation

MAX_REGIONS = 6000
"""Matrices are dense, and a partial correlation of more takes minutes and gigabytes."""
MAX_LABEL = 10_000_000
DEFAULT_SPACE = "MNI152NLin6Asym"
"""Space of one image for everyone whose name says none: that of the published atlases."""
NAMES = ("name", "label")
"""Columns that may hold region names: as BIDS calls it, and as XCP-D does."""
OF_SERIES = ("label", "name")
"""Of both, XCP-D writes the first above its region series."""
HEMISPHERES = ("hemisphere", "hemi")
GROUPS = ("group", "network", "network_label", "lobe")
EXTENSIONS = (".nii.gz", ".nii", ".mgz", ".mif.gz", ".mif")
WHOSE = ("atlas", "seg")
"""Entities that say which parcellation a table is of."""
BACKGROUND = re.compile(
    r"\W*(background|bg|unknown|none|null|n/?a|nan|0|outside|exterior|void|empty|clear label|"
    r"(un|not? )label+ed|medial.?wall|rest|other|white.?matter|csf)?\W*",
    re.IGNORECASE,
)
"""What tables call index 0 where it is no region."""

logger = logging.getLogger(__name__)


def read_custom_parcellation(
    name: str, image: str, table: Path | None = None, *, needs_place: bool = True
) -> Parcellation:
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
        Path of the label image; one with ``{subject}`` or ``{session}`` needs a table. '' for
        one whose region series are there, which needs it too.
    table : path, optional
        Columns ``index`` and ``name``; ``hemisphere`` and ``group`` are used too.
    needs_place : bool
        Whether an image is refused whose header does not say where it lies.

    Raises
    ------
    InputError
        If the image or its table is missing, broken or no parcellation.
    """
    if table is not None and not image:
        return replace(read_region_table(name, table, names=OF_SERIES), source=SERIES)
    space = full_space(parse_name(image))
    if "{" in image:
        return _read_table_alone(name, image, table, space=space or "T1w")
    if not space:
        logger.info("%s: its name says no space-; taken as %s: %s", name, DEFAULT_SPACE, image)
    whole, _ = read_labels(Path(image), needs_place=needs_place)
    present = np.unique(whole[whole > 0])
    table = table or find_names(Path(image))
    if table is None:
        names = [f"{name}_{label}" for label in present]
        return _build(name, {"index": present, "name": names}, space=space, where=image)
    parcellation = read_region_table(name, table, space=space or DEFAULT_SPACE)
    _check_labels(parcellation, image, table, present)
    return parcellation


def _read_table_alone(name: str, image: str, table: Path | None, *, space: str) -> Parcellation:
    """Regions of an atlas that has another image for each subject."""
    if table is None:
        raise InputError(
            f"expected a table of names for {name}, whose image is another one for each "
            f"participant ({image}): without it they would not have the same regions. Give it "
            f"behind a comma, {name}=IMAGE,NAMES.tsv, with the columns index and name."
        )
    parcellation = read_region_table(name, table, space=space)
    _check_first_label(name, image, table, np.empty(0, np.int32))
    return parcellation


def _check_labels(
    parcellation: Parcellation, image: str, table: Path, present: NDArray[np.integer]
) -> None:
    """Refuse a table that names none of the labels; say which ones it does not name."""
    name = parcellation.name
    logger.info("%s: names and order of its regions are those of %s", name, table)
    unnamed = np.setdiff1d(present, parcellation.labels)
    _check_first_label(name, image, table, unnamed)
    if len(unnamed) == len(present):
        raise InputError(
            f"expected labels of {image} in the table {table}; found none of them there: the "
            f"image holds {_name_some(present)}, the table {_name_some(parcellation.labels)}. "
            "It is the table of another atlas, or numbers regions otherwise."
        )
    if len(unnamed):
        logger.warning(
            "%s: %d label(s) without a row in %s are left out: %s",
            name, len(unnamed), table, _name_some(unnamed),
        )  # fmt: skip


def _check_first_label(name: str, image: str, table: Path, unnamed: NDArray[np.integer]) -> None:
    """Refuse a table that counts regions from 0 beside an image that counts them from 1."""
    columns = read_columns(table)
    indices = [int(index) for index in columns["index"]]
    rows = dict(zip(indices, _pick(columns, NAMES, indices, default=""), strict=True))
    first = rows.get(0, "")
    if BACKGROUND.fullmatch(first):
        return
    if len(unnamed) == 1 and unnamed[0] == max(rows) + 1:
        raise InputError(
            f"expected a table that calls the regions of {image} by its labels; found that "
            f"{table} counts from 0 (index 0: {first}), the image from 1 (label {unnamed[0]} has "
            "no row): every region would bear its neighbour's name. Add 1 to the column index."
        )
    logger.warning(
        "%s: index 0 (%s) of %s is no region here, since 0 is the background of a label image. "
        "If it is a region, number regions from 1 on in both",
        name, first, table,
    )  # fmt: skip


def _name_some(labels: Sequence[int] | NDArray[np.integer]) -> str:
    return ", ".join(str(int(label)) for label in labels[:10]) + (" …" if len(labels) > 10 else "")


def read_region_table(
    name: str, table: Path, *, space: str = "", names: Sequence[str] = NAMES
) -> Parcellation:
    """Regions of a table with the columns ``index`` and ``name``, in its order.

    ``names`` are the columns that may hold names, the first that is there counts.

    Raises
    ------
    InputError
        If it is missing, lacks a column, or an index is no whole number or comes twice.
    """
    columns = read_columns(table)
    indices = columns.get("index", np.empty(0))
    is_whole = indices.dtype.kind == "f" and bool(
        (np.isfinite(indices) & (indices == np.floor(indices))).all()
    )
    if not set(NAMES) & set(columns) or not len(indices) or not is_whole or indices.min() < 0:
        raise InputError(
            f"expected a table of the regions of {name} with the columns index (whole numbers) "
            f"and name in {table}; found {', '.join(columns)}. Mend it, or move it away from the "
            "label image to name regions by their labels."
        )
    if len(set(indices.tolist())) < len(indices):
        raise InputError(f"expected each index once in {table}; found some twice. Mend it.")
    regions = {key: values[indices > 0] for key, values in columns.items()}
    return _build(name, regions, space=space, where=str(table), names=names)


def find_names(image: Path) -> Path | None:
    """Table of names that belongs to a label image, by BIDS's rules of inheritance.

    The same name with ``.tsv``; else a table in the image's folder or the one above that has the
    same suffix and no entity that the image has not, ``atlas-`` or ``seg-`` among them:
    TemplateFlow leaves out ``res-``, AtlasPack ``space-`` too. The one that shares most is taken.
    """
    extension = next((e for e in EXTENSIONS if image.name.endswith(e)), image.suffix)
    table = image.with_name(image.name.removesuffix(extension) + ".tsv")
    if table.is_file():
        return table
    own = set(parse_name(image).items())
    if not any(key in WHOSE for key, _ in own):
        return None
    for folder in (image.parent, image.parent.parent):
        shared = {
            path: _count_shared(path, own)
            for path in sorted(folder.glob("*.tsv"))
            if path.is_file()
        }
        best = max(shared.values(), default=0)
        if best:
            return next(path for path, n in shared.items() if n == best)
    return None


def _count_shared(table: Path, own: set[tuple[str, str]]) -> int:
    """Count entities that a table has in common with an image; 0 where one is another."""
    entities = {key: value for key, value in parse_name(table).items() if key != "extension"}
    belongs = set(entities.items()) <= own and any(key in WHOSE for key in entities)
    return len(entities) if belongs else 0


def _build(
    name: str,
    regions: Mapping[str, NDArray[Any] | Sequence[str]],
    *,
    space: str,
    where: str,
    names: Sequence[str] = NAMES,
) -> Parcellation:
    labels = tuple(int(value) for value in regions["index"])
    if not 1 < len(labels) <= MAX_REGIONS or max(labels) > MAX_LABEL:
        raise InputError(
            f"expected 2 to {MAX_REGIONS} regions of {name} in {where}, with labels up to "
            f"{MAX_LABEL}; found {len(labels)} regions, the largest label "
            f"{max(labels, default=0)}. Give a label image of a parcellation."
        )
    texts = _pick(regions, names, labels, default=name)
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
