"""What lies beside a BOLD series of fMRIPrep: confounds, brain mask, tissue maps."""

from collections.abc import Sequence
from pathlib import Path

from kraken_bids.bids.anatomy import IMAGES
from kraken_bids.bids.index import Search, SubjectFile, pick_nearest
from kraken_bids.bids.names import format_name, full_space
from kraken_bids.exceptions import InputError

CONFOUNDS = ("timeseries", "regressors")
"""Suffix of fMRIPrep's confounds: now, and up to 20.1."""


def find_confounds(bold: SubjectFile, beside: Sequence[SubjectFile]) -> Path:
    """Find fMRIPrep's confounds of a run.

    Raises
    ------
    InputError
        If there are none.
    """
    for suffix in CONFOUNDS:
        for file in beside:
            named = file.is_called(desc="confounds", suffix=suffix, extension=".tsv")
            if named and file.run_key == bold.run_key:
                return file.path
    run = {
        **{k: v for k, v in bold.entities.items() if (k, v) in bold.run_key},
        "desc": "confounds",
    }
    names = [format_name(run, suffix=suffix, extension=".tsv") for suffix in CONFOUNDS]
    raise InputError(
        f"expected the confounds of {bold.path.name} at {bold.path.with_name(names[0])} "
        f"(or {names[1]}); found neither. fMRIPrep writes them with --level full: rerun it, or "
        "copy the file. --exclude-runs leaves a run out."
    )


def find_mask(bold: SubjectFile, beside: Sequence[SubjectFile]) -> Path | None:
    """Find the brain mask of a run on its grid."""
    grid = {key: bold.entities.get(key) for key in ("space", "cohort", "res")}
    masks = (
        f.path
        for f in beside
        if f.is_called(suffix="mask", desc="brain", **grid)
        and f.entities["extension"] in IMAGES
        and f.run_key == bold.run_key
    )
    return next(masks, None)


def find_tissue(bold: SubjectFile, search: Search) -> dict[str, Path]:
    """Find the tissue probability maps of its anatomy in the space of the BOLD series."""
    space = full_space(bold.entities)
    tissue = {}
    for label in ("GM", "WM", "CSF"):
        maps = [
            f
            for f in search.anatomy
            if f.is_called(datatype="anat", suffix="probseg", label=label)
            and f.entities["extension"] in IMAGES
            and (full_space(f.entities) or "T1w") == space
        ]
        same = [f for f in maps if f.entities.get("res") == bold.entities.get("res")]
        nearest = pick_nearest(same or maps, search.session)
        if nearest:
            tissue[label] = nearest.path
    return tissue
