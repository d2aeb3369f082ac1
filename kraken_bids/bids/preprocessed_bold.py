"""BOLD runs of one session in the spaces that the parcellations need."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import lexists
from pathlib import Path
from typing import Any

from kraken_bids.bids.anatomy import add_anatomy
from kraken_bids.bids.bold_choice import (
    BoldBySpace,
    choose_series,
    choose_state,
    is_measurable,
    is_preprocessed_bold,
)
from kraken_bids.bids.bold_companions import find_confounds, find_mask, find_tissue
from kraken_bids.bids.bold_labels import SPACES_FLAG, find_bold_labels
from kraken_bids.bids.bold_origins import FMRIPREP, BoldOrigin, TissueImage
from kraken_bids.bids.cleaned_bold import CleanedSource, describe_cleaned, is_cleaned, note_cleaned
from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.index import Search, SubjectFile
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.lesions import find_lesion
from kraken_bids.bids.names import full_space
from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.bids.repetition_time import read_bold_metadata
from kraken_bids.exceptions import InputError
from kraken_bids.parcellations import Parcellation


@dataclass(frozen=True)
class BoldRun:
    """One BOLD series in one space, with what is needed to clean it, or cleaned already."""

    entities: Mapping[str, str]
    """``task``, ``run``, ``space``, ``res`` … as spelled in its name; ``sub`` and ``ses`` of the
    folders it lies in."""
    space: str
    """Cohort included: ``T1w``, ``MNI152NLin6Asym``, ``MNIPediatricAsym+2``."""
    bold: Path
    confounds: Path | None
    confounds_json: Path | None
    mask: Path | None
    tissue: Mapping[str, Path]
    """``GM``, ``WM``, ``CSF`` to the probability map in the same space (not on the same grid)."""
    metadata: Mapping[str, Any]
    """The sidecar: ``RepetitionTime`` …"""
    labels: Mapping[str, LabelImage] = field(default_factory=dict)
    """Parcellation to its label image, of the same anatomy."""
    sidecars: tuple[Path, ...] = ()
    """What the metadata were read from."""
    cleaned: CleanedSource | None = None
    """How it was cleaned before; None: it is cleaned here."""
    origin: BoldOrigin = FMRIPREP
    tissue_images: Mapping[str, tuple[TissueImage, ...]] = field(default_factory=dict)
    """``GM``, ``WM``, ``CSF`` to the images whose union it is, where ``tissue`` has no map."""
    lesion: LabelImage | None = None
    """Mask of what belongs to no tissue and no region."""
    atlas: str = ""
    """Atlas whose region means ``bold`` holds, a table in place of volumes."""
    coverage: Path | None = None
    """Table of how much of each region such means cover."""

    @property
    def atlases(self) -> tuple[str, ...]:
        """Atlases that it is measured in."""
        return (self.atlas,) if self.atlas else tuple(self.labels)

    @property
    def tables(self) -> tuple[Path, ...]:
        """The series, and the tables of its volumes."""
        before = self.cleaned.files if self.cleaned else ()
        every = (self.bold, self.confounds, self.coverage, *before)
        return tuple(path for path in every if path is not None)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every image and table that a connectome of this run rests on."""
        shown = (
            path for many in self.tissue_images.values() for one in many for path in one.files
        )
        images = (path for path in (self.mask, *self.tissue.values(), *shown) if path is not None)
        lesion = self.lesion.files if self.lesion else ()
        return tuple(dict.fromkeys((*self.tables, *images, *lesion)))


@dataclass(frozen=True)
class FunctionalInputs:
    """What was found for function in one session."""

    bold_runs: tuple[BoldRun, ...] = ()
    notes: tuple[str, ...] = ()


def find_functional_inputs(
    search: Search, parcellations: Sequence[Parcellation]
) -> FunctionalInputs:
    """BOLD runs of a session in the spaces that the parcellations need, each space once.

    Raises
    ------
    InputError
        If a run that would be used has no confounds or bears the name of another subject, or
        two would bear one name in the outputs.
    """
    _check_misnamed(search)
    here = [
        f for f in search.files if f.session == search.session and f.entities["datatype"] == "func"
    ]
    series = [f for f in here if is_measurable(f, search.query.bold_desc)]
    asked = [f for f in series if search.query.accepts("bold", f.entities)]
    of_state, notes = choose_state(asked, search.query.denoise)
    chosen, remarks = choose_series(of_state)
    notes += remarks
    if not series:
        notes += _explain_absence(here, search.query.bold_desc)
    elif not asked:
        tasks = sorted({f.entities.get("task", "none") for f in series})
        notes.append(
            f"none of {len(series)} preprocessed BOLD series (tasks: {', '.join(tasks)}) is asked "
            "for. Check --task-id, --bids-filter-file and --exclude-runs."
        )
    runs: list[BoldRun] = []
    for dataset, by_space in chosen.items():
        found, remarks = _find_in_dataset(search, dataset, by_space, parcellations)
        runs += found
        notes += remarks
    return FunctionalInputs(tuple(runs), tuple(dict.fromkeys(notes)))


def _check_misnamed(search: Search) -> None:
    """Refuse BOLD that bears the name of another subject or session than its folder."""
    found = [
        f.path
        for f in search.misnamed
        if f.session == search.session
        and is_measurable(f, search.query.bold_desc)
        and search.query.accepts("bold", f.entities)
    ]
    if found:
        raise InputError(explain_misnamed(found, search.label))


def explain_misnamed(paths: Sequence[Path], label: str) -> str:
    """Say that files bear the name of another subject or session than their folder."""
    return (
        f"expected files of {label} in {paths[0].parent}; found {paths[0].name}"
        f"{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}, whose name says another "
        "participant or session. Whose data they are cannot be told: rename or move them."
    )


def _find_in_dataset(
    search: Search, dataset: Dataset, by_space: BoldBySpace, parcellations: Sequence[Parcellation]
) -> tuple[list[BoldRun], list[str]]:
    """Describe the runs of one dataset with its anatomy's label images; and remarks."""
    local, notes = add_anatomy(search, dataset)
    labels: dict[str, dict[str, LabelImage]] = defaultdict(dict)
    for parcellation in parcellations:
        image, space, remarks = find_bold_labels(parcellation, local, by_space)
        notes += remarks
        if image:
            labels[space][parcellation.name] = image
    runs = []
    for space, images in labels.items():
        lesion, remarks = find_lesion(local, space)
        notes += remarks
        runs += [replace(_describe_run(b, local, images), lesion=lesion) for b in by_space[space]]
    notes += _note_uneven_runs(by_space, list(labels))
    notes += [
        f"no brain mask beside {run.bold.name}: every voxel that varies counts as covered."
        for run in runs
        if run.mask is None and run.cleaned is None
    ]
    notes += note_cleaned([run.cleaned for run in runs if run.cleaned])
    return runs, [*notes, *_note_tissue(runs)]


def _note_tissue(runs: Sequence[BoldRun]) -> list[str]:
    """Say where tissue maps are missing, without which other regressors are used."""
    missing = {
        run.space: [name for name in ("GM", "WM", "CSF") if name not in run.tissue]
        for run in runs
        if run.cleaned is None
    }
    return [
        f"no tissue probability maps ({', '.join(f'label-{name}_probseg' for name in names)}) "
        f"for BOLD in {space}: with --denoise fmriclean, fMRIPrep's own columns are regressed "
        "instead, and correlations differ from those of other participants. They lie in "
        "fMRIPrep's anat folder; name an sMRIPrep dataset with -d smriprep=PATH."
        for space, names in missing.items()
        if names
    ]


def _explain_absence(here: Sequence[SubjectFile], desc: str) -> list[str]:
    """Say why fMRIPrep's func folder has no volume series that could be used."""
    if desc != "preproc" and any(is_preprocessed_bold(f) for f in here):
        return [
            f"preprocessed BOLD was found, and no desc-{desc}_bold, which --denoise ica_aroma "
            "takes: fMRIPrep up to 23.0 writes it with --use-aroma. Choose another --denoise."
        ]
    if any(f.entities["extension"].endswith((".dtseries.nii", ".func.gii")) for f in here):
        return [
            "only surface BOLD (CIFTI or GIFTI) was found; region means are taken from volumes so "
            f"far: {SPACES_FLAG} besides --cifti-output."
        ]
    if any(f.is_called(suffix="bold", desc="preproc") for f in here):
        return [
            "preprocessed BOLD was found only in its native space or as single echoes: "
            f"{SPACES_FLAG} and --level full."
        ]
    if any(f.entities["suffix"] in {"xfm", "boldref"} for f in here):
        return [
            "fMRIPrep left transforms and references but no desc-preproc_bold: it ran with "
            "--level minimal (or resampling). Rerun it with --level full and "
            "--output-spaces T1w MNI152NLin6Asym:res-2."
        ]
    return []


def _note_uneven_runs(by_space: BoldBySpace, spaces: Sequence[str]) -> list[str]:
    every = {f.run_key for space in spaces for f in by_space[space]}
    return [
        f"{len(every) - len(by_space[space])} of {len(every)} runs have no BOLD in space {space}; "
        f"{SPACES_FLAG}."
        for space in spaces
        if len(by_space[space]) < len(every)
    ]


def _describe_run(bold: SubjectFile, search: Search, labels: Mapping[str, LabelImage]) -> BoldRun:
    left_out = {"desc", "suffix", "extension", "datatype", "sub", "ses"}
    metadata, sidecars = read_bold_metadata(bold.path, bold.dataset.bold_sidecars)
    beside = [f for f in search.files if f.path.parent == bold.path.parent]
    cleaned = confounds = None
    if is_cleaned(bold.entities):
        # mask and motion may be those of the dataset that it was made from
        beside = [*beside, *(f for f in search.files if f.session == bold.session)]
        cleaned = describe_cleaned(bold, beside, metadata)
    else:
        confounds = find_confounds(bold, beside)
    confounds_json = sidecar_path(confounds) if confounds else None
    return BoldRun(
        # names of outputs come from the session, whatever the file says
        entities=search.names | {k: v for k, v in bold.entities.items() if k not in left_out},
        space=full_space(bold.entities),
        bold=bold.path,
        confounds=confounds,
        confounds_json=confounds_json if confounds_json and lexists(confounds_json) else None,
        mask=find_mask(bold, beside),
        tissue={} if cleaned else find_tissue(bold, search),
        metadata=metadata,
        labels=labels,
        sidecars=sidecars,
        cleaned=cleaned,
    )
