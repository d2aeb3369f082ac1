"""Parcellations: their regions, in the model's order, from tables in ``data/``; no images."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from kraken_bids.exceptions import FlavorError

APARCASEG, SERIES = "aparcaseg", "series"


@dataclass(frozen=True)
class Parcellation:
    """The regions of one parcellation, in the order of its matrices."""

    name: str
    """``fs86``, ``shen268`` …, as in flavor ids and in the BIDS entity ``atlas-``."""
    space: str
    """Space of its label image: ``T1w`` (each subject's own) or a template."""
    source: str
    """``aparcaseg``: FreeSurfer's segmentation of the subject; ``image``: one label image;
    ``series``: none, since other software took the means of its regions."""
    image: str
    """File name of the published label image; empty where there is none."""
    description: str
    """One line for people."""
    region_names: tuple[str, ...]
    """Name of each region."""
    hemispheres: tuple[str, ...]
    """``L``, ``R`` or ``M`` (midline) of each region."""
    groups: tuple[str, ...]
    """Lobe, network or structure of each region, for display."""
    labels: tuple[int, ...]
    """Value of each region in the label image (FreeSurfer's numbers for ``aparcaseg``)."""

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return len(self.region_names)

    @property
    def indices(self) -> tuple[int, ...]:
        """Number of each region in tables: its label; its place where labels are FreeSurfer's."""
        return tuple(range(1, self.n_regions + 1)) if self.source == APARCASEG else self.labels

    @property
    def n_edges(self) -> int:
        """Number of edges: pairs of different regions."""
        return self.n_regions * (self.n_regions - 1) // 2


def make_parcellation(name: str, region_names: Sequence[str], *, description: str) -> Parcellation:
    """Regions of which no more than the names is known, numbered from 1 in their order."""
    n_regions = len(region_names)
    return Parcellation(
        name=name,
        space="",
        source="image",
        image="",
        description=description,
        region_names=tuple(region_names),
        hemispheres=("M",) * n_regions,
        groups=(name,) * n_regions,
        labels=tuple(range(1, n_regions + 1)),
    )


def number_regions(name: str, n_regions: int) -> list[str]:
    """Names of regions that have none: ``mine40_1``, ``mine40_2`` …."""
    return [f"{name}_{number}" for number in range(1, n_regions + 1)]


@cache
def list_parcellations() -> tuple[str, ...]:
    """Names of the parcellations that ship with the package."""
    return tuple(row["name"] for row in read_table("parcellations.tsv"))


@cache
def load_parcellation(name: str) -> Parcellation:
    """Region table of a parcellation.

    Raises
    ------
    FlavorError
        If no table of that name ships with the package.
    """
    rows = {row["name"]: row for row in read_table("parcellations.tsv")}
    if name not in rows:
        raise FlavorError(
            f"expected one of the parcellations {', '.join(rows)}; found {name!r}. "
            "Check its spelling."
        )
    regions = read_table(f"atlas-{name}_dseg.tsv")
    label_column = "freesurfer" if rows[name]["source"] == APARCASEG else "index"
    return Parcellation(
        **rows[name],
        region_names=tuple(row["name"] for row in regions),
        hemispheres=tuple(row["hemisphere"] for row in regions),
        groups=tuple(row["group"] for row in regions),
        labels=tuple(int(row[label_column]) for row in regions),
    )


@cache
def recognize_parcellation(name: str) -> Parcellation | None:
    """Parcellation of a name; None where the package has no table of it."""
    return load_parcellation(name) if name in list_parcellations() else None


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of a tab-separated table in ``kraken_bids/data``."""
    text = files("kraken_bids").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))
