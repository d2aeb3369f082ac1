"""Flavors: one way of computing a connectome, ``<measure>_<parcellation>_<processing>``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property, lru_cache, total_ordering
from typing import Any, Literal, TypeVar

from kraken_bids.exceptions import FlavorError
from kraken_bids.parcellations import load_parcellation, read_table

Group = Literal["FC", "SC"]
T = TypeVar("T")

FLAVOR_ID = re.compile(r"(FC|SC)[a-zA-Z0-9.+-]*(_[a-zA-Z0-9.+-]+){2}")
"""Letters and digits: a file from outside must not write paths or control a terminal by it."""


@total_ordering
@dataclass(frozen=True)
class Flavor:
    """One way of computing a connectome; parsed once at the border, passed as a value inside."""

    measure: str
    """``FCcorr``, ``FCpcorr``, ``SCifod2act``, ``SCsdstream`` …"""
    parcellation: str
    """``fs86``, ``shen268``, ``coco439`` …"""
    processing: str
    """``hpf``, ``hpfgsr``, ``volnorm`` …"""

    def __reduce__(self) -> tuple[type["Flavor"], tuple[str, str, str]]:
        """Pickle the three words alone, whatever was made of them."""
        return Flavor, (self.measure, self.parcellation, self.processing)

    @cached_property
    def name(self) -> str:
        """The flavor id, as in the published files: ``FCcorr_fs86_hpf``."""
        return f"{self.measure}_{self.parcellation}_{self.processing}"

    @property
    def group(self) -> Group:
        """Whether it describes function (FC) or structure (SC)."""
        return "FC" if self.measure.startswith("FC") else "SC"

    @property
    def meas(self) -> str:
        """Label of the BIDS entity ``meas-``: ``FCcorrHPF``."""
        known = _meas_labels().get((self.measure, self.processing))
        return known or re.sub(r"[^a-zA-Z0-9]", "", self.measure + self.processing.upper())

    @property
    def datatype(self) -> Literal["func", "dwi"]:
        """Folder of a BIDS dataset that its files belong to."""
        return "func" if self.group == "FC" else "dwi"

    @property
    def diagonal(self) -> float:
        """What the diagonal of its square matrix holds: 1 for FC, 0 for SC."""
        return 1.0 if self.group == "FC" else 0.0

    @property
    def n_regions(self) -> int:
        """Number of regions of its parcellation.

        Raises
        ------
        FlavorError
            If the package has no region table for the parcellation.
        """
        return load_parcellation(self.parcellation).n_regions

    def __str__(self) -> str:
        return self.name

    def __lt__(self, other: "Flavor") -> bool:
        return self.name < other.name


def parse_flavor(name: str) -> Flavor:
    """Flavor of an id such as ``SCifod2act_coco439_volnorm``.

    Raises
    ------
    FlavorError
        If the id has not three parts or its measure is neither FC nor SC.
    """
    parts = name.split("_")
    if not FLAVOR_ID.fullmatch(name):
        raise FlavorError(
            "expected a flavor <measure>_<parcellation>_<processing> whose measure starts with FC "
            f"or SC, for example FCcorr_fs86_hpf; found {name!r}."
        )
    processing = "sift2" if parts[2] == "sift2count" else parts[2]
    return Flavor(parts[0], parts[1], processing)


def recognize_flavor(name: str) -> Flavor | None:
    """Flavor of a name; None where it is none."""
    try:
        return parse_flavor(name)
    except FlavorError:
        return None


def find_flavor(flavor: Flavor | str, known: Iterable[Flavor], where: str) -> Flavor:
    """Find a flavor, or the one of an id, among those of a model or a cohort.

    Parameters
    ----------
    where : str
        Whose they are, for the message.

    Raises
    ------
    FlavorError
        If it is not among them; names of much the same spelling are suggested.
    """
    present = tuple(known)
    name = str(flavor).replace("sift2count", "sift2")
    for one in present:
        if one.name == name:
            return one
    names = [one.name for one in present]
    raise FlavorError(
        f"expected a flavor of {where} ({', '.join(names)}); found {str(flavor)!r}."
        f"{suggest(name, names)}"
    )


class ByFlavor(dict[Flavor, T]):
    """Values by flavor, which are also found by the flavor's id.

    Examples
    --------
    >>> edges = ByFlavor({parse_flavor("FCcorr_fs86_hpf"): 1})
    >>> edges["FCcorr_fs86_hpf"], "FCcorr_fs86_hpf" in edges, edges.get("SCx_fs86_count")
    (1, True, None)
    """

    def __missing__(self, key: object) -> T:
        if isinstance(key, Flavor | str):
            return self[find_flavor(key, self, "the cohort")]
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return super().__contains__(key)
        return any(one.name == key.replace("sift2count", "sift2") for one in self)

    def get(self, key: object, default: Any = None) -> Any:
        """Value of a flavor or an id, or the default."""
        return self[key] if key in self else default  # type: ignore[index]  # noqa: SIM401


def suggest(word: str, known: Iterable[str]) -> str:
    """Sentence that asks whether known words of much the same spelling were meant, or nothing."""
    alike = get_close_matches(word, list(known), n=3)
    return f" Did you mean {' or '.join(alike)}?" if alike else ""


@lru_cache(maxsize=1024)
def parse_meas(meas: str, parcellation: str) -> Flavor:
    """Flavor of the BIDS labels ``meas-`` and ``atlas-``; the inverse of :attr:`Flavor.meas`.

    Raises
    ------
    FlavorError
        If no known measure is spelled that way.
    """
    for (measure, processing), label in _meas_labels().items():
        if label == meas:
            return Flavor(measure, parcellation, processing)
    raise FlavorError(
        f"expected one of meas-{', meas-'.join(_meas_labels().values())}; found meas-{meas}."
    )


def is_further_meas(meas: str) -> bool:
    """Whether a label ``meas-`` is of edges that no model takes: lengths, means of scalars."""
    measures = {measure for measure, _ in _meas_labels() if measure.startswith("SC")}
    own = next((meas.removeprefix(one) for one in measures if meas.startswith(one)), "")
    return re.fullmatch("(SIFT2)?(INVLENGTH|MEAN[A-Z0-9]+)", own) is not None


def list_flavors(parcellations: Iterable[str], *, processings: Iterable[str] = ()) -> list[Flavor]:
    """Every flavor that the package can measure for these parcellations, one after the other.

    Parameters
    ----------
    parcellations : iterable of str
        Their names.
    processings : iterable of str, optional
        Keep only these processings (all).
    """
    wanted = set(processings)
    return [
        Flavor(measure, parcellation, processing)
        for parcellation in parcellations
        for measure, processing in _meas_labels()
        if not wanted or processing in wanted
    ]


def describe_flavor(flavor: Flavor) -> str:
    """One line on how the flavor is computed, for sidecars and reports."""
    rows = {(row["measure"], row["processing"]): row for row in read_table("measures.tsv")}
    row = rows.get((flavor.measure, flavor.processing))
    return row["description"] if row else f"{flavor.measure}, {flavor.processing}"


@cache
def _meas_labels() -> dict[tuple[str, str], str]:
    return {(row["measure"], row["processing"]): row["meas"] for row in read_table("measures.tsv")}
