"""Connectomes in QSIRecon's ``*_connectivity.mat``: chosen by atlas and measure, rows named."""

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kraken_bids.bids.datasets import DESCRIPTION
from kraken_bids.cohort.declared_flavors import NEMO_ATLASES
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.stored_rows import Rows
from kraken_bids.io.texts import read_json

KEY = re.compile(r"(?P<prefix>atlas_)?(?P<atlas>[^_]+)_(?P<measure>\w+)_connectivity")
"""``atlas_`` is new in QSIRecon 1.0."""
RADIUS = re.compile(r"radius\d+_")
PROCESSINGS = {
    "count": "count",
    "invnodevol_count": "volnorm",
    "sift_count": "sift2",
    "sift_invnodevol_count": "sift2volnorm",
}
"""Measures of QSIRecon's MRtrix workflows, without the radius, that are flavors."""
DOUBTED = ((1, 2, 0), (26, 0, 0))
"""First and last release whose MRtrix connectomes are in doubt."""
DOUBT = (
    "connectomes of MRtrix by QSIRecon 1.2.0 to 26.0.0 may be wrong: as qsirecon issue 399 reads "
    "the program (its author had not confirmed it with data), streamlines were counted over an "
    "atlas image that was left in the space of its template. Compare the grids of "
    "*_dseg.mif.gz and *_dseg.nii.gz (mrinfo), or count again: kraken-tools sc"
)

logger = logging.getLogger(__name__)


def find_measures(arrays: Mapping[str, Rows]) -> dict[str, tuple[str, str]]:
    """Atlas and measure of each connectome that QSIRecon wrote, by its key; of other files none.

    Such a file holds ``atlas_A_region_labels`` for every ``atlas_A_MEASURE_connectivity``.
    """
    matches = {key: match for key in arrays if (match := KEY.fullmatch(key))}
    return {
        key: (match["atlas"], match["measure"])
        for key, match in matches.items()
        if name_labels(key) in arrays
    }


def name_labels(key: str) -> str:
    """Key of the names of the regions of such a connectome."""
    match = KEY.fullmatch(key)
    return f"{match['prefix'] or ''}{match['atlas']}_region_labels" if match else ""


def choose_measure(flavor: Flavor, measures: Mapping[str, tuple[str, str]], path: Path) -> str:
    """Key of the connectome of a flavor; what is known against its release is warned of.

    Parameters
    ----------
    measures : mapping
        As of :func:`find_measures`.
    path : Path
        The file; releases are told by ``dataset_description.json`` in a folder above.

    Raises
    ------
    InputError
        If no connectome is of its atlas and processing.
    """
    atlases = dict.fromkeys(atlas for atlas, _ in measures.values())
    own = {
        key: measure
        for key, (atlas, measure) in measures.items()
        if NEMO_ATLASES.get(atlas, atlas).lower() == flavor.parcellation.lower()
    }
    if not own:
        raise InputError(
            f"expected a connectome of the atlas {flavor.parcellation} for {flavor} in {path}; "
            f"found those of {', '.join(atlases)}, which have other regions. QSIRecon knows "
            f"{flavor.parcellation} where a dataset of atlases that holds it is given "
            "(--datasets, --atlases); or count its streamlines with kraken-tools sc."
        )
    for key, measure in own.items():
        if PROCESSINGS.get(RADIUS.sub("", measure)) == flavor.processing:
            _warn_of_release(path)
            return key
    raise InputError(
        f"expected {flavor.processing} for {flavor} in {path}; found {', '.join(own.values())} "
        f"of {flavor.parcellation}. The flavors are {', '.join(PROCESSINGS.values())} by MRtrix "
        f"({', '.join(PROCESSINGS)}, whatever the radius); lengths and DSI Studio's measures are "
        "none."
    )


def _warn_of_release(path: Path) -> None:
    version = _find_version(path)
    release = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if not release:
        logger.warning("%s does not say which release wrote it; %s.", path, DOUBT)
    elif DOUBTED[0] <= release <= DOUBTED[1]:
        logger.warning("%s is of QSIRecon %s; %s.", path, version, DOUBT)


def _find_version(path: Path) -> str:
    """Version of QSIRecon, from the description of the dataset that a file lies in."""
    for folder in path.absolute().parents:
        if not (folder / DESCRIPTION).is_file():
            continue
        content: Any = {}
        with suppress(InputError):
            content = read_json(folder / DESCRIPTION)
        makers = content.get("GeneratedBy", []) if isinstance(content, dict) else []
        for maker in makers if isinstance(makers, list) else []:
            if isinstance(maker, dict) and str(maker.get("Name", "")).lower() == "qsirecon":
                return str(maker.get("Version", ""))
    return ""
