"""BOLD runs of one session in the spaces that the parcellations need."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os.path import lexists
from pathlib import Path
from typing import Any

from kraken_bids.bids.functional_labels import SPACES_FLAG, BoldBySpace, find_bold_labels
from kraken_bids.bids.index import Search, SubjectFile, pick_nearest
from kraken_bids.bids.label_images import IMAGES, LabelImage
from kraken_bids.bids.names import format_name
from kraken_bids.bids.tables import read_json
from kraken_bids.exceptions import InputError
from kraken_bids.parcellations import Parcellation

CONFOUNDS = ("timeseries", "regressors")
"""Suffix of fMRIPrep's confounds: now, and up to 20.1."""


@dataclass(frozen=True)
class BoldRun:
    """One preprocessed BOLD series in one space, with what is needed to clean it."""

    entities: Mapping[str, str]
    """``sub``, ``ses``, ``task``, ``run``, ``space``, ``res`` … as spelled in its name."""
    space: str
    bold: Path
    confounds: Path
    confounds_json: Path | None
    mask: Path | None
    tissue: Mapping[str, Path]
    """``GM``, ``WM``, ``CSF`` to the probability map in the same space (not on the same grid)."""
    metadata: Mapping[str, Any]
    """The sidecar: ``RepetitionTime`` …"""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every image and table that a connectome of this run rests on."""
        found = (self.bold, self.confounds, self.mask, *self.tissue.values())
        return tuple(path for path in found if path is not None)


@dataclass(frozen=True)
class FunctionalInputs:
    """What was found for function in one session."""

    bold_runs: tuple[BoldRun, ...] = ()
    labels: Mapping[tuple[str, str], LabelImage] = field(default_factory=dict)
    """(space, parcellation) to its label image."""
    notes: tuple[str, ...] = ()


def is_preprocessed_bold(file: SubjectFile) -> bool:
    """Whether a file is a preprocessed BOLD volume series in a named space, echoes combined."""
    return (
        file.is_called(suffix="bold", desc="preproc", echo=None, datatype="func")
        and file.entities["extension"] in IMAGES
        and "space" in file.entities
    )


def find_functional_inputs(
    search: Search, parcellations: Sequence[Parcellation]
) -> FunctionalInputs:
    """BOLD runs of a session in the spaces that the parcellations need, each space once.

    Raises
    ------
    InputError
        If a run that would be used has no confounds.
    """
    here = [
        f for f in search.files if f.session == search.session and f.entities["datatype"] == "func"
    ]
    series = [f for f in here if is_preprocessed_bold(f)]
    by_space, notes = _group_by_space(
        [f for f in series if search.query.accepts("bold", f.entities)]
    )
    if not series:
        notes += _explain_absence(here)
    elif not by_space:
        tasks = sorted({f.entities.get("task", "none") for f in series})
        notes.append(
            f"none of {len(series)} preprocessed BOLD series (tasks: {', '.join(tasks)}) is asked "
            "for. Check --task-id and --bids-filter-file."
        )
    labels: dict[tuple[str, str], LabelImage] = {}
    for parcellation in parcellations if by_space else ():
        image, space, remarks = find_bold_labels(parcellation, search, by_space)
        notes += remarks
        if image:
            labels[space, parcellation.name] = image
    spaces = list(dict.fromkeys(space for space, _ in labels))
    runs = [_describe_run(bold, search) for space in spaces for bold in by_space[space]]
    notes += _note_uneven_runs(by_space, spaces)
    notes += [
        f"no brain mask beside {run.bold.name}: every voxel that varies counts as covered."
        for run in runs
        if run.mask is None
    ]
    return FunctionalInputs(tuple(runs), labels, tuple(dict.fromkeys(notes)))


def _explain_absence(here: Sequence[SubjectFile]) -> list[str]:
    """Say why fMRIPrep's func folder has no volume series that could be used."""
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


def _group_by_space(
    bolds: Sequence[SubjectFile],
) -> tuple[dict[str, list[SubjectFile]], list[str]]:
    """One image per run and space: of the first dataset, res-2 before other resolutions."""
    groups: dict[tuple[str, frozenset[tuple[str, str]]], list[SubjectFile]] = defaultdict(list)
    for file in bolds:
        groups[file.entities["space"], file.run_key].append(file)
    by_space: dict[str, list[SubjectFile]] = defaultdict(list)
    notes = []
    for (space, _), choices in groups.items():
        own = [f for f in choices if f.dataset == choices[0].dataset]
        best = min(own, key=lambda f: (f.entities.get("res", "") not in {"2", "02"}, f.path.name))
        by_space[space].append(best)
        if len(choices) > 1:
            notes.append(
                f"{len(choices)} BOLD series fit {best.path.name}; the one of "
                f"{best.dataset.path} is used. Choose another with --bids-filter-file."
            )
    return dict(by_space), notes


def _note_uneven_runs(by_space: BoldBySpace, spaces: Sequence[str]) -> list[str]:
    every = {f.run_key for space in spaces for f in by_space[space]}
    return [
        f"{len(every) - len(by_space[space])} of {len(every)} runs have no BOLD in space {space}; "
        f"{SPACES_FLAG}."
        for space in spaces
        if len(by_space[space]) < len(every)
    ]


def _describe_run(bold: SubjectFile, search: Search) -> BoldRun:
    left_out = {"desc", "suffix", "extension", "datatype"}
    beside = [f for f in search.files if f.path.parent == bold.path.parent]
    sidecar = _replace_extension(bold.path, ".json")
    confounds = _find_confounds(bold, beside)
    confounds_json = _replace_extension(confounds, ".json")
    return BoldRun(
        entities={k: v for k, v in bold.entities.items() if k not in left_out},
        space=bold.entities["space"],
        bold=bold.path,
        confounds=confounds,
        confounds_json=confounds_json if lexists(confounds_json) else None,
        mask=_find_mask(bold, beside),
        tissue=_find_tissue(bold, search),
        metadata=read_json(sidecar) if lexists(sidecar) else {},
    )


def _find_confounds(bold: SubjectFile, beside: Sequence[SubjectFile]) -> Path:
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
        "copy the file. --task-id and --bids-filter-file leave a run out."
    )


def _find_mask(bold: SubjectFile, beside: Sequence[SubjectFile]) -> Path | None:
    grid = {key: bold.entities.get(key) for key in ("space", "cohort", "res")}
    masks = (
        f.path
        for f in beside
        if f.is_called(suffix="mask", desc="brain", **grid)
        and f.entities["extension"] in IMAGES
        and f.run_key == bold.run_key
    )
    return next(masks, None)


def _find_tissue(bold: SubjectFile, search: Search) -> dict[str, Path]:
    """Tissue probability maps of fMRIPrep's anat folder in the space of the BOLD series."""
    space = None if bold.entities["space"] == "T1w" else bold.entities["space"]
    tissue = {}
    for label in ("GM", "WM", "CSF"):
        maps = [
            f
            for f in search.files
            if f.is_called(datatype="anat", suffix="probseg", label=label, space=space)
            and f.entities["extension"] in IMAGES
            and f.dataset == bold.dataset
        ]
        same = [f for f in maps if f.entities.get("res") == bold.entities.get("res")]
        nearest = pick_nearest(same or maps, search.session)
        if nearest:
            tissue[label] = nearest.path
    return tissue


def _replace_extension(path: Path, extension: str) -> Path:
    return path.with_name(path.name.partition(".")[0] + extension)
