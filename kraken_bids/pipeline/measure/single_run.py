"""One BOLD run that no dataset holds: what lies beside it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kraken_bids.bids.cleaned_bold import (
    CleanedSource,
    describe_cleaned,
    is_cleaned,
    note_cleaned,
)
from kraken_bids.bids.datasets import Dataset, describe_folder
from kraken_bids.bids.index import SubjectFile
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.lesions import LESION
from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.bids.repetition_time import read_bold_metadata
from kraken_bids.bids.transforms import find_label_space
from kraken_bids.exceptions import InputError

logger = logging.getLogger(__name__)


def describe_run(
    bold: Path,
    confounds: Path | None,
    *,
    mask: Path | None,
    tissue: Mapping[str, Path],
    lesion: Path | None = None,
) -> BoldRun:
    """Describe a run that no dataset holds; the ``.json`` of the confounds lies beside them.

    Without confounds, its name or its sidecar's must say that it is cleaned already.

    Raises
    ------
    InputError
        If there are neither confounds nor a name of a cleaned series.
    """
    sidecar = sidecar_path(confounds) if confounds else None
    metadata = read_bold_metadata(bold)[0]
    return BoldRun(
        entities={},
        space=full_space(parse_name(bold)),
        bold=bold,
        confounds=confounds,
        confounds_json=sidecar if sidecar and sidecar.is_file() else None,
        mask=mask,
        tissue=tissue,
        metadata=metadata,
        cleaned=None if confounds else _describe_cleaned(bold, metadata),
        lesion=LabelImage(LESION, lesion, find_label_space(lesion)) if lesion else None,
    )


def _describe_cleaned(bold: Path, metadata: Mapping[str, Any]) -> CleanedSource:
    """Say how a series was cleaned, by its name and the tables beside it."""
    if not is_cleaned(parse_name(bold)):
        raise InputError(
            f"expected the confounds of {bold} (--confounds), or a series whose name says that it "
            "is cleaned already (desc-denoised, desc-fix …); found neither. Give fMRIPrep's "
            "desc-confounds_timeseries.tsv."
        )
    folder = bold.parent
    root = next((p.parent for p in bold.parents if p.name.startswith("sub-")), folder)
    dataset = describe_folder(root) or Dataset("", folder, "derivative", "", "")
    own, *beside = (
        SubjectFile(dataset, path, None, parse_name(path) | {"datatype": folder.name})
        for path in (bold, *sorted(folder.glob("*.tsv")))
    )
    cleaned = describe_cleaned(own, beside, metadata)
    for note in note_cleaned([cleaned]):
        logger.warning("%s: %s", bold.name, note)
    return cleaned
