"""BOLD runs in the template that decoders of whole volumes take, of one subject."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.bids.bold_choice import is_preprocessed_bold, keep_one_dataset, rank_series
from kraken_bids.bids.bold_companions import CONFOUNDS, find_mask
from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.index import SubjectFile, list_subject_files
from kraken_bids.bids.names import format_name, full_space, parse_name
from kraken_bids.bids.query import Query
from kraken_bids.exceptions import InputError

logger = logging.getLogger(__name__)

SPACE = "MNI152NLin6Asym"
ASKED = f"Run fMRIPrep with --output-spaces {SPACE}:res-2."


@dataclass(frozen=True)
class VolumeSource:
    """One run, preprocessed, with its brain mask."""

    subject: str
    session: str | None
    bold: Path
    mask: Path


def find_volume_runs(
    datasets: Sequence[Dataset], subject: str, query: Query
) -> list[VolumeSource]:
    """Find the runs of a subject: each of one dataset, of several resolutions that of 2 mm.

    Raises
    ------
    InputError
        If there are none, or a run has no brain mask.
    """
    every = list_subject_files(datasets, subject)
    series = [
        one
        for one in every
        if is_preprocessed_bold(one)
        and not one.is_misnamed
        and query.accepts_session(one.session)
        and query.accepts("bold", one.entities)
    ]
    notes: list[str] = []
    kept = keep_one_dataset([one for one in series if full_space(one.entities) == SPACE], notes)
    for note in notes:
        logger.warning("sub-%s: %s", subject, note)
    if not kept:
        spaces = sorted({full_space(one.entities) for one in series})
        raise InputError(
            f"expected preprocessed BOLD of sub-{subject} in {SPACE}, to decode its volumes; "
            f"found {', '.join(spaces) if spaces else 'none in any template'}. {ASKED}"
        )
    # of several resolutions of a run the last one that is put in: the one that ranks first
    chosen = {one.run_key: one for one in sorted(kept, key=rank_series, reverse=True)}
    return [
        VolumeSource(subject, one.session, one.path, _find_mask(one, every))
        for one in sorted(chosen.values(), key=lambda file: file.path)
    ]


def find_confounds_beside(bold: Path) -> Path:
    """Find fMRIPrep's confounds of a run in its folder.

    Raises
    ------
    InputError
        If there are none.
    """
    dropped = {"space", "cohort", "res", "den", "desc", "suffix", "extension"}
    run = {key: value for key, value in parse_name(bold).items() if key not in dropped}
    named = {**run, "desc": "confounds"}
    names = [format_name(named, suffix=suffix, extension=".tsv") for suffix in CONFOUNDS]
    for name in names:
        if bold.with_name(name).is_file():
            return bold.with_name(name)
    raise InputError(
        f"expected the confounds of {bold.name} at {bold.with_name(names[0])} (or {names[1]}), to "
        "regress them; found neither. Copy the file from fMRIPrep's folder, or give --cleaning "
        "deeplight, which needs none."
    )


def _find_mask(series: SubjectFile, every: Sequence[SubjectFile]) -> Path:
    mask = find_mask(series, [one for one in every if one.dataset == series.dataset])
    if mask is not None:
        return mask
    raise InputError(
        f"expected the brain mask of {series.path} beside it (desc-brain_mask); found none. Copy "
        "it from fMRIPrep's folder."
    )
