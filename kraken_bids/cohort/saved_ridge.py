"""The ridge λ that the group level saved for everyone."""

import logging
from collections.abc import Mapping
from pathlib import Path

from kraken_bids.bids.outputs import group_path, sidecar_path
from kraken_bids.cohort.measurements import FUNCTIONAL
from kraken_bids.cohort.sidecars import redo_digest
from kraken_bids.flavors import Flavor
from kraken_bids.io.facts import read_facts

logger = logging.getLogger(__name__)


TABLE = "pcorr.tsv"
"""In ``group/``: the error of every λ tried; what was chosen stands in its sidecar."""


MAX_RIDGE = 1e3
"""As of ``--pcorr-lambda``."""


def read_saved_ridges(output_dir: Path) -> dict[str, float]:
    """λ per atlas that a group run saved in OUTPUT_DIR; empty where none did."""
    path = sidecar_path(group_path(output_dir, TABLE))
    if not path.exists():
        return {}
    chosen = read_facts(path).part("Atlases").by_name()
    ridges = {atlas: facts.number(FUNCTIONAL.lambda_) for atlas, facts in chosen.items()}
    known = {
        atlas: ridge
        for atlas, ridge in ridges.items()
        if ridge is not None and 0 <= ridge <= MAX_RIDGE
    }
    if not known or len(known) < len(ridges):
        logger.warning(
            "%s is damaged: where it holds no λ, the published one is taken. Run the group level "
            "with --refit-pcorr again, for one λ for everyone",
            path,
        )
    return known


def add_ridge(
    measured: str, flavor: Flavor, given: Mapping[str, float], saved: Mapping[str, float]
) -> str:
    """``RunDigest`` of a functional connectome, with the λ that a group run saved for it.

    A λ that the user gave is among the settings, and in the digest already.

    Parameters
    ----------
    measured : str
        Digest of inputs and settings.
    given, saved : mapping of str to float
        λ per atlas, of the user and of a group run.
    """
    atlas = flavor.parcellation
    if flavor.measure != "FCpcorr" or atlas in given or atlas not in saved:
        return measured
    return redo_digest(measured, saved[atlas])
