"""Datasets that are no BIDS datasets: folders of the Human Connectome Project and UK Biobank.

Their folders and runs are given BIDS labels here: everything else asks for them as for any.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kraken_bids.bids.folders import list_folder
from kraken_bids.bids.names import parse_name
from kraken_bids.exceptions import InputError

HCP, UK_BIOBANK = "hcp", "ukbiobank"
FOREIGN = {
    HCP: "the Human Connectome Project's minimal preprocessing (MNINonLinear)",
    UK_BIOBANK: "UK Biobank (fMRI/rfMRI.ica)",
}
"""What :class:`~kraken_bids.bids.datasets.Dataset` calls their pipelines, and in words."""
MNI_FOLDER = "MNINonLinear"
HCP_PLACES = ("*", "*/files", "sub-*/ses-*", "sub-*/ses-*/files")
"""Where a participant's ``MNINonLinear`` lies below the root: HCP's own releases; as XCP-D and
ABCD's releases have it; the HCP pipelines as a BIDS App."""
REST = "fMRI/rfMRI.ica"
REST_CLEANED = f"{REST}/filtered_func_data_clean.nii.gz"
ENDPOINTS = "tractography/endpoints"
UKB_PLACES = (REST, ENDPOINTS)
"""What shows a participant's folder of UK Biobank: resting BOLD, or UKB-connectomics' tracks."""
UKB_FOLDER = re.compile(
    r"(?:sub-)?(?P<sub>[A-Za-z0-9+]+)(?:_\d{5})?(?:_(?P<ses>\d+)_\d+)?", re.ASCII
)
"""``1000001``, ``1000001_2_0`` (instance 2), ``1000001_20227_2_0`` (one field of instance 2)."""
HCP_FOLDER = re.compile(r"(?:sub-)?(?P<sub>[A-Za-z0-9+]+)(?:_(?P<ses>[A-Za-z0-9+]+))?", re.ASCII)
"""``100307``, ``HCA6002236_V1_MR`` (visit V1; without ``_MR``)."""
MNI, NATIVE = "MNI152NLin6Asym", "boldref"
"""Spaces of the BOLD: FSL's MNI152, and that of the run itself."""
OF_BOLD = {"desc": "preproc", "suffix": "bold", "extension": ".nii.gz", "datatype": "func"}
DIRECTIONS = ("LR", "RL", "AP", "PA", "SI", "IS")
NAMED_RUN = re.compile(r"(?P<task>[A-Za-z]+)(?P<number>\d+[a-z]?)?", re.ASCII)
"""``REST1``, ``REST1a``, ``WM``: behind the modality, before the direction."""
RUN_ENTITIES = ("task", "acq", "rec", "dir", "run")
CLEANED = re.compile(r"_(?P<filter>hp\d+)_clean(?P<more>(?:_rclean)?(?:_tclean)?)")
"""ICA-FIX, without or with a second classification (rclean), temporal ICA (tclean)."""

SessionKey = tuple[str, str | None]
"""Subject and session label, without ``sub-`` and ``ses-``."""


@dataclass(frozen=True)
class HcpRun:
    """One folder of ``MNINonLinear/Results``."""

    folder: Path
    entities: Mapping[str, str]
    """``task``, ``acq``, ``dir``, ``run``."""
    bold: Path | None
    """The series cleaned by ICA-FIX, else the one that is not; None where there is neither."""
    is_fix: bool
    others: tuple[str, ...]
    """Names of further cleaned series of the run."""


def find_layout(folder: Path) -> str:
    """Return ``hcp`` or ``ukbiobank`` where a folder holds such participants' folders; '' else."""
    if any(_exists(folder, f"{place}/{MNI_FOLDER}") for place in HCP_PLACES):
        return HCP
    return UK_BIOBANK if any(_exists(folder, f"*/{place}") for place in UKB_PLACES) else ""


def explain_inside(folder: Path) -> str:
    """Say that a folder is one participant's, where it is; '' else."""
    if not any((folder / part).is_dir() for part in (MNI_FOLDER, *UKB_PLACES)):
        return ""
    return f"It is the folder of one participant: give the one above, {folder.parent}."


def list_sessions(root: Path, layout: str) -> Mapping[SessionKey, tuple[Path, ...]]:
    """Folders of every session; several where fields of UK Biobank were unpacked apart.

    Listed once, as long as the root does not change: there may be tens of thousands.

    Raises
    ------
    InputError
        If two folders would be one participant's.
    """
    return _list_sessions(root, layout, root.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _list_sessions(
    root: Path, layout: str, _changed: int
) -> Mapping[SessionKey, tuple[Path, ...]]:
    found: dict[SessionKey, tuple[Path, ...]] = {}
    for key, folder in _list_hcp(root) if layout == HCP else _list_uk_biobank(root):
        if layout == HCP and key in found:
            raise InputError(
                f"expected one folder for each participant and visit in {root}; found "
                f"{found[key][0]} and {folder}, which both are sub-{key[0]}. Move one of them "
                "elsewhere, or rename it."
            )
        found[key] = (*found.get(key, ()), folder)
    if layout == HCP:
        return found
    return {
        key: folders
        for key, folders in found.items()
        if any((folder / place).is_dir() for folder in folders for place in UKB_PLACES)
    }


def list_named_files(
    root: Path, layout: str, subject: str
) -> Iterator[tuple[Path, str | None, dict[str, str]]]:
    """Yield what a subject has in a dataset: path, session, and the entities of a BIDS name.

    A session without any data is named too, so that it can be said what it lacks.
    """
    for (label, session), folders in list_sessions(root, layout).items():
        if label != subject:
            continue
        own = {"sub": label} | ({"ses": session} if session else {})
        listed = _name_hcp(folders[0]) if layout == HCP else _name_uk_biobank(folders)
        for path, entities in listed:
            yield path, session, own | entities


def _name_hcp(session: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    yield session / MNI_FOLDER, {"suffix": "none", "extension": "", "datatype": "func"}
    for run in list_hcp_runs(session):
        if run.bold:
            yield run.bold, {**run.entities, "space": MNI, **OF_BOLD}


def _name_uk_biobank(folders: Sequence[Path]) -> Iterator[tuple[Path, dict[str, str]]]:
    yield folders[0], {"suffix": "none", "extension": "", "datatype": "func"}
    bold = find_file(folders, REST_CLEANED)
    if bold:
        yield bold, {"task": "rest", "space": NATIVE, **OF_BOLD}


def find_file(folders: Sequence[Path], *names: str) -> Path | None:
    """First of some files that lies in one of the folders of a session, links to nowhere too."""
    paths = (folder / name for name in names for folder in folders)
    return next((path for path in paths if os.path.lexists(path)), None)


def list_hcp_runs(session: Path) -> tuple[HcpRun, ...]:
    """List the runs of a session, by name; the folder ``session`` holds ``MNINonLinear``."""
    results = session / MNI_FOLDER / "Results"
    if not results.is_dir():
        return ()
    folders = [Path(entry.path) for entry in list_folder(results) if entry.is_dir()]
    parsed = {folder: parse_run(folder.name) for folder in folders}
    return tuple(
        _describe_run(folder, _number(entities, list(parsed.values())))
        for folder, entities in parsed.items()
    )


def parse_run(name: str) -> dict[str, str]:
    """Entities of a run by its name, which is free: ``rfMRI_REST1_7T_PA``, ``task-rest_run-01``.

    Returns
    -------
    dict
        ``task``; ``acq``, ``dir`` and ``run`` where there are any. ``run`` may end in a letter.
    """
    if "task-" in name:
        found = parse_name(f"{name}.nii")
        return {key: found[key] for key in RUN_ENTITIES if key in found}
    words = re.findall("[A-Za-z0-9]+", name) or ["task"]
    modality = words.pop(0) if words[0].lower().endswith("fmri") else ""
    direction = words.pop() if words and words[-1].upper() in DIRECTIONS else ""
    task, *rest = words or ["rest" if modality == "rfMRI" else "task"]
    named = NAMED_RUN.fullmatch(task)
    entities = {"task": (named["task"] if named else task).lower()}
    if rest:
        entities["acq"] = "".join(rest)
    if direction:
        entities["dir"] = direction
    if named and named["number"]:
        entities["run"] = named["number"]
    return entities


def _number(entities: Mapping[str, str], all_runs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Entities with a whole number as ``run``: REST1a, REST1b, REST2a are 1, 2, 3."""
    own = dict(entities)
    same = [one["run"] for one in all_runs if one["task"] == own["task"] and "run" in one]
    if "run" in own and any(not run.isdecimal() for run in same):
        own["run"] = str(sorted(set(same)).index(own["run"]) + 1)
    return own


def _describe_run(folder: Path, entities: Mapping[str, str]) -> HcpRun:
    names = {entry.name for entry in list_folder(folder)}
    cleaned = []
    for name in names:
        stem = name.removesuffix(".gz").removesuffix(".nii")
        found = CLEANED.fullmatch(stem.removeprefix(folder.name)) if stem != name else None
        if found and stem.startswith(folder.name):
            # first what the published model was trained on
            cleaned.append((len(found["more"]), found["filter"] != "hp2000", name))
    if cleaned:
        (*_, best), *others = sorted(cleaned)
        return HcpRun(
            folder, entities, folder / best, is_fix=True, others=tuple(o[-1] for o in others)
        )
    plain = next((n for n in (f"{folder.name}.nii.gz", f"{folder.name}.nii") if n in names), None)
    return HcpRun(folder, entities, folder / plain if plain else None, is_fix=False, others=())


def _list_hcp(root: Path) -> Iterator[tuple[SessionKey, Path]]:
    for place in HCP_PLACES:
        for path in sorted(root.glob(f"{place}/{MNI_FOLDER}")):
            names = [name for name in path.relative_to(root).parts[:-1] if name != "files"]
            if len(names) == 2:
                yield (
                    (_to_label(names[0].removeprefix("sub-")), names[1].removeprefix("ses-")),
                    path.parent,
                )
            else:
                yield _parse_folder(names[0].removesuffix("_MR"), HCP_FOLDER), path.parent


def _list_uk_biobank(root: Path) -> Iterator[tuple[SessionKey, Path]]:
    for entry in list_folder(root):
        if entry.is_dir() and not entry.name.startswith("."):
            yield _parse_folder(entry.name, UKB_FOLDER), Path(entry.path)


def _parse_folder(name: str, pattern: re.Pattern[str]) -> SessionKey:
    found = pattern.fullmatch(name)
    return (found["sub"], found["ses"]) if found else (_to_label(name), None)


def _to_label(name: str) -> str:
    """Letters and digits of a name, all that a BIDS label may hold."""
    return re.sub("[^A-Za-z0-9+]", "", name)


def _exists(folder: Path, pattern: str) -> bool:
    return next(folder.glob(pattern), None) is not None
