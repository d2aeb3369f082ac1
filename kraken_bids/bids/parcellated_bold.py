"""Region series that XCP-D took of BOLD: cleaned, and averaged over an atlas, already."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kraken_bids.bids.bold_choice import TAKES_CLEANED, choose_series
from kraken_bids.bids.cleaned_bold import describe_cleaned, note_cleaned
from kraken_bids.bids.datasets import XCP_D
from kraken_bids.bids.index import OF_THE_IMAGE, Search, SubjectFile
from kraken_bids.bids.lesions import has_lesion
from kraken_bids.bids.names import full_space
from kraken_bids.bids.preprocessed_bold import BoldRun, FunctionalInputs
from kraken_bids.bids.repetition_time import KEY, is_repetition_time
from kraken_bids.exceptions import InputError
from kraken_bids.io.texts import read_json

OF_ATLAS = ("atlas", "seg", "stat", "den")
"""Entities of region series that the BOLD they were taken of has not."""
COVERAGES = ({"suffix": "bold", "stat": "coverage"}, {"suffix": "coverage"})
"""Names of the table of coverage: now, and up to XCP-D 0.6."""


def find_parcellated_bold(search: Search, atlases: Sequence[str]) -> FunctionalInputs:
    """Find the region series of a session in some atlases, among the files of XCP-D.

    ``func/*_seg-<atlas>_stat-mean_timeseries.tsv`` or ``func/*_atlas-<atlas>_timeseries.tsv``.

    Parameters
    ----------
    search : Search
        Of conditions on images (``space``, ``desc`` …) in its filters none counts.
    atlases : sequence of str
        As XCP-D calls them.

    Raises
    ------
    InputError
        If cleaning is asked for, or nothing says the repetition time.
    """
    here = [f for f in search.files if f.session == search.session]
    runs, notes = list[BoldRun](), list[str]()
    for atlas in atlases:
        found, remarks = _find_atlas(replace(search, files=here), atlas)
        runs += found
        notes += remarks
    if runs and search.query.denoise not in TAKES_CLEANED:
        raise InputError(
            f"expected --denoise auto or none for region series of XCP-D; found --denoise "
            f"{search.query.denoise}, and {runs[0].bold}, which is cleaned already. Leave "
            "--denoise out, or give the atlas as an image: --atlas NAME=DSEG."
        )
    if runs and has_lesion(search):
        notes.append(
            f"the lesion mask of {search.label} is not laid over region series of XCP-D "
            f"({', '.join(dict.fromkeys(run.atlas for run in runs))}): means of regions that the "
            "lesion reaches hold it."
        )
    sources = [run.cleaned for run in runs if run.cleaned]
    return FunctionalInputs(tuple(runs), tuple(dict.fromkeys([*notes, *note_cleaned(sources)])))


def _find_atlas(search: Search, atlas: str) -> tuple[list[BoldRun], list[str]]:
    query = search.query
    conditions = query.filters.get("bold", {})
    query = replace(
        query,
        filters={"bold": {k: v for k, v in conditions.items() if k not in OF_THE_IMAGE}},
    )
    series = [f for f in search.files if _is_of_atlas(f, atlas) and _is_series(f)]
    asked = [_name_as_bold(f) for f in series if query.accepts("bold", f.entities)]
    if not asked:
        why = "found none" if not series else f"none of {len(series)} is asked for (--task-id …)"
        return [], [
            f"no region series of {atlas}: expected func/*_seg-{atlas}_stat-mean_timeseries.tsv, "
            f"or *_atlas-{atlas}_timeseries.tsv, of XCP-D for {search.label}; {why}. Name its "
            "dataset with -d xcp_d=PATH, and the atlas as XCP-D does."
        ]
    chosen, notes = choose_series(asked)
    tables = [f for by_space in chosen.values() for many in by_space.values() for f in many]
    return [_describe(table, search, atlas) for table in tables], notes


def _is_of_atlas(file: SubjectFile, atlas: str) -> bool:
    is_theirs = file.dataset.pipeline == XCP_D and file.entities["datatype"] == "func"
    return is_theirs and atlas in {file.entities.get("seg"), file.entities.get("atlas")}


def _is_series(file: SubjectFile) -> bool:
    is_mean = file.entities.get("stat", "mean") == "mean"
    return is_mean and file.is_called(suffix="timeseries", extension=".tsv", desc=None)


def _name_as_bold(file: SubjectFile) -> SubjectFile:
    """Leave out of a name what says the atlas, as the BOLD and its tables do."""
    return replace(file, entities={k: v for k, v in file.entities.items() if k not in OF_ATLAS})


def _describe(table: SubjectFile, search: Search, atlas: str) -> BoldRun:
    beside = [f for f in map(_name_as_bold, search.files) if f.run_key == table.run_key]
    metadata, sidecars = _read_metadata(table, beside)
    left_out = {"suffix", "extension", "datatype", "sub", "ses", "res", "desc"}
    coverages = [
        f.path
        for named in COVERAGES
        for f in search.files
        if f.path.parent == table.path.parent
        and _is_of_atlas(f, atlas)
        and f.is_called(**named, extension=".tsv")
        and _name_as_bold(f).run_key == table.run_key
        and full_space(f.entities) == full_space(table.entities)
    ]
    return BoldRun(
        entities=search.names | {k: v for k, v in table.entities.items() if k not in left_out},
        space=full_space(table.entities),
        bold=table.path,
        confounds=None,
        confounds_json=None,
        mask=None,
        tissue={},
        metadata=metadata,
        sidecars=sidecars,
        cleaned=describe_cleaned(table, beside, metadata),
        atlas=atlas,
        coverage=next(iter(coverages), None),
    )


def _read_metadata(
    table: SubjectFile, beside: Sequence[SubjectFile]
) -> tuple[Mapping[str, Any], tuple[Path, ...]]:
    """Sidecar of the denoised BOLD of a table, whose own has no repetition time.

    Where there is none, the repetition time is that of another BOLD of the run.
    """
    sidecars = [f for f in beside if f.is_called(suffix="bold", extension=".json")]
    own = [f.path for f in sidecars if f.dataset == table.dataset and f.is_called(desc="denoised")]
    metadata: dict[str, Any] = read_json(own[0]) if own else {}
    used = own[:1]
    for path in (f.path for f in sidecars if KEY not in metadata):
        said = read_json(path).get(KEY)
        if said is not None:
            metadata[KEY] = said
            used.append(path)
    tr = metadata.get(KEY)
    if not is_repetition_time(tr):
        raise InputError(
            f"expected {KEY} in seconds for {table.path}, in the sidecar of its BOLD "
            f"(*_desc-denoised_bold.json beside it, or fMRIPrep's); found "
            f"{'none' if tr is None else repr(tr)}. Copy that sidecar too."
        )
    return metadata, tuple(used)
