"""BOLD runs in the template that decoders of whole volumes take, of one subject."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.bids.bold_choice import is_preprocessed_bold
from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.index import SubjectFile, list_subject_files
from kraken_bids.bids.names import full_space
from kraken_bids.bids.query import Query
from kraken_bids.exceptions import InputError

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
    """Find the runs of a subject; of several resolutions of one run the one of 2 mm, if any.

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
    chosen: dict[tuple[Path, frozenset[tuple[str, str]]], SubjectFile] = {}
    for one in sorted(series, key=lambda file: file.entities.get("res") not in {"2", "02"}):
        if full_space(one.entities) == SPACE:
            chosen.setdefault((one.dataset.path, one.run_key), one)
    if not chosen:
        spaces = sorted({full_space(one.entities) for one in series})
        raise InputError(
            f"expected preprocessed BOLD of sub-{subject} in {SPACE}, to decode its volumes; "
            f"found {', '.join(spaces) if spaces else 'none in any template'}. {ASKED}"
        )
    return [
        VolumeSource(subject, one.session, one.path, _find_mask(one, every))
        for one in sorted(chosen.values(), key=lambda file: file.path)
    ]


def _find_mask(series: SubjectFile, every: Sequence[SubjectFile]) -> Path:
    wanted = {**series.entities, "desc": "brain", "suffix": "mask"}
    for one in every:
        if one.dataset == series.dataset and one.entities == wanted:
            return one.path
    raise InputError(
        f"expected the brain mask of {series.path} beside it (desc-brain_mask); found none. Copy "
        "it from fMRIPrep's folder."
    )
