"""Datasets and subjects: where they lie, which software wrote them."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from kraken_bids.bids.folders import check_folder, explain_folder, is_folder, is_nowhere
from kraken_bids.bids.foreign_layouts import FOREIGN, explain_inside, find_layout, list_sessions
from kraken_bids.bids.names import strip_label
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import suggest
from kraken_bids.io.texts import read_json

MAX_DEPTH = 3
DESCRIPTION = "dataset_description.json"
PARTICIPANT = re.compile("sub-[A-Za-z0-9+]+")
FOLDER = re.compile(r"\w[\w.+-]{0,99}")
"""A name of software that can be a folder's, and leads to no other."""
DATALAD = (".datalad", ".gitmodules")
"""What the root of a dataset holds whose parts may not be installed."""
NOT_SEARCHED = ("freesurfer", "kraken_bids")
"""Pipelines whose folders hold no BOLD or tractograms for us: FreeSurfer's and our own outputs."""
PIPELINES = (
    *("fmriprep", "qsirecon", "qsiprep", "freesurfer", "micapipe", "nibabies", "xcp_d"),
    *("fmripost", "kraken_bids"),
)
XCP_D = "xcp_d"
CLEANING = (XCP_D, "fmripost")
"""Pipelines whose BOLD is cleaned: what they were made from comes before them."""
FLAGS = (
    "fMRIPrep with --output-spaces T1w MNI152NLin6Asym:res-2 (and --level full, the default), "
    "or QSIRecon with a recon spec that saves its streamlines (mrtrix_*_ACT-hsvs)"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """One BIDS dataset, raw or derived; never written to."""

    name: str
    """How the user or its folder calls it; also its name in ``bids:`` URIs."""
    path: Path
    kind: Literal["raw", "derivative"]
    pipeline: str
    """Software that wrote it: ``fmriprep``, ``qsirecon``, ``freesurfer`` …; '' unknown."""
    version: str
    """Version of that software; '' unknown."""
    database: Path | None = None
    """Folder of a pybids database that lists its files; None: its folders are listed."""

    @property
    def is_searched(self) -> bool:
        """Whether BOLD series and tractograms are looked for in it."""
        return self.kind == "derivative" and self.pipeline not in NOT_SEARCHED

    def list_subjects(self) -> set[str]:
        """Labels of those who have a folder in it."""
        if self.pipeline in FOREIGN:
            return {subject for subject, _ in list_sessions(self.path, self.pipeline)}
        return set(_list_subjects(self.path))

    @cached_property
    def template_labels(self) -> tuple[Path, ...]:
        """Label images in templates' spaces, listed once for all subjects."""
        return tuple(sorted(self.path.glob("tpl-*/**/*_dseg.nii.gz")))

    @cached_property
    def bold_sidecars(self) -> tuple[Path, ...]:
        """JSON files at its root that BOLD series inherit from, listed once likewise."""
        return tuple(sorted(self.path.glob("*bold.json")))


def find_datasets(bids_dir: Path, extra: Mapping[str, Path]) -> tuple[Dataset, ...]:
    """Datasets to search: the ones that the user named first, then ``bids_dir`` and what it holds.

    Looks at most three folders below ``derivatives``; subjects' folders are never entered.
    Folders there that are closed, empty or links to nowhere are named in the log and left out.

    Parameters
    ----------
    bids_dir : path
        A raw dataset with ``derivatives/``, or a derivatives dataset itself.
    extra : mapping
        Further derivative datasets by name (``-d NAME=PATH``).

    Raises
    ------
    InputError
        If a folder is missing, a file, empty, without a dataset, or raw without derivatives.
    """
    found = []
    for name, path in extra.items():
        check_folder(Path(path), f"derivative dataset {name!r}")
        inside = list(_walk(Path(path), 0))
        if not inside:
            raise InputError(_nothing_inside(Path(path)))
        first = inside[0]
        found += [replace(first, name=name, kind="derivative"), *inside[1:]]
    bids_dir = Path(bids_dir)
    check_folder(bids_dir, "dataset")
    is_named = (bids_dir / DESCRIPTION).is_file() or has_subjects(bids_dir)
    if not is_named and not find_layout(bids_dir):
        raise InputError(_nothing_inside(bids_dir))
    inside = list(_walk(bids_dir, 0))
    found += sorted(inside, key=lambda d: d.path != bids_dir and d.pipeline in CLEANING)
    _check_derivatives(found, bids_dir)
    return make_unique(found)


def find_subjects(datasets: Sequence[Dataset], wanted: Sequence[str]) -> tuple[str, ...]:
    """Labels, without ``sub-``, of the subjects that the derivative datasets hold.

    Parameters
    ----------
    wanted : sequence of str
        Labels with or without ``sub-``; empty: everyone.

    Raises
    ------
    InputError
        If a wanted label does not exist, or nobody does.
    """
    derived = {s for d in datasets if d.is_searched for s in d.list_subjects()}
    raw = {s for d in datasets if d.kind == "raw" for s in _list_subjects(d.path)}
    where = ", ".join(str(d.path) for d in datasets if d.is_searched)
    if not derived:
        raise InputError(f"expected folders sub-<label>; found none in {where}. Run {FLAGS}.")
    labels = dict.fromkeys(strip_label(label, "sub") for label in wanted)
    unknown = [label for label in labels if label not in derived]
    if unknown:
        only_raw = [label for label in unknown if label in raw]
        hint = f" Only raw data exist for {', '.join(only_raw)}: run {FLAGS}." if only_raw else ""
        raise InputError(
            f"expected participants {', '.join(unknown)} in {where}; found there "
            f"{', '.join(sorted(derived))}.{hint} Check --participant-label."
            f"{suggest(unknown[0], derived)}"
        )
    if not labels and raw - derived:
        logger.warning("%d participants have raw data only and are left out", len(raw - derived))
    return tuple(labels or sorted(derived))


def has_subjects(folder: Path) -> bool:
    """Whether a folder holds ``sub-<label>`` folders."""
    return any(_list_subjects(folder))


def _list_subjects(folder: Path) -> Iterator[str]:
    """Labels of the folders ``sub-*``; a link to nowhere is one that is not installed."""
    for entry in folder.iterdir():
        is_one = PARTICIPANT.fullmatch(entry.name) and is_nowhere(entry)
        if entry.name.startswith("sub-") and (is_one or is_folder(entry)):
            yield entry.name.removeprefix("sub-")


def _walk(folder: Path, depth: int) -> Iterator[Dataset]:
    """Yield the datasets in a folder, outer before inner."""
    dataset = describe_folder(folder)
    if dataset:
        yield dataset
        inside = [folder / "derivatives", folder / "sourcedata" / "freesurfer"]
        # Layouts of fMRIPrep before 21.0: its own folder beside FreeSurfer's, or around it.
        if FOLDER.fullmatch(dataset.pipeline):
            inside += [folder / "freesurfer", folder / dataset.pipeline]
        if dataset.pipeline == "fmriprep" and folder.name == "fmriprep":
            inside.append(folder.parent / "freesurfer")
    else:
        inside = _list_folders(folder)
    for child in inside:
        if not _is_open(child):
            continue
        if child.name == "derivatives":
            for grandchild in _list_folders(child):
                if depth < MAX_DEPTH and _is_open(grandchild):
                    yield from _walk(grandchild, depth + 1)
        elif depth < MAX_DEPTH:
            yield from _walk(child, depth + 1)


def _list_folders(folder: Path) -> list[Path]:
    """Folders in a folder, and links to nowhere that may have been some."""
    return sorted(
        p
        for p in folder.iterdir()
        if not p.name.startswith((".", "sub-"))
        and (is_folder(p) or (is_nowhere(p) and not p.suffix[1:].isalpha()))
    )


def _is_open(folder: Path) -> bool:
    """Whether something may be found in a folder; says why not where it should be there."""
    if not is_folder(folder) and not is_nowhere(folder):
        return False
    reason = explain_folder(folder)
    if reason:
        roots = (folder.parent, folder.parent.parent)
        is_usual = reason.startswith(f"{folder} is empty") and not any(
            (root / name).exists() for root in roots for name in DATALAD
        )
        logger.log(logging.INFO if is_usual else logging.WARNING, "left out: %s", reason)
    return not reason


def describe_folder(folder: Path) -> Dataset | None:
    """Return the dataset whose root is this folder, or None."""
    if _is_freesurfer(folder):
        return Dataset("freesurfer", folder, "derivative", "freesurfer", "")
    is_described = (folder / DESCRIPTION).is_file()
    layout = "" if is_described and has_subjects(folder) else find_layout(folder)
    if layout:
        return Dataset(_name_of(folder), folder, "derivative", layout, "")
    if not is_described:
        if not has_subjects(folder):
            return None
        # Without a description, a folder that has derivatives/ inside is taken for the raw root.
        raw = (folder / "derivatives").is_dir()
        pipeline = "" if raw else _pipeline_of(folder.name)
        return Dataset(_name_of(folder), folder, "raw" if raw else "derivative", pipeline, "")
    content = read_json(folder / DESCRIPTION)
    generated = content.get("GeneratedBy") or content.get("PipelineDescription") or []
    first: Any = generated[0] if isinstance(generated, list) and generated else generated
    first = first if isinstance(first, dict) else {}
    kind = content.get("DatasetType", "derivative" if first else "raw")
    name = str(first.get("Name") or ("" if kind == "raw" else folder.name))
    return Dataset(
        name=_name_of(folder),
        path=folder,
        kind="raw" if kind == "raw" else "derivative",
        pipeline="atlas" if kind == "atlas" else _pipeline_of(name),
        version=str(first.get("Version", "")),
    )


def _is_freesurfer(folder: Path) -> bool:
    if folder.name == "freesurfer" or (folder / "fsaverage" / "mri").is_dir():
        return True
    first = next(folder.glob("sub-*"), None)
    return first is not None and is_folder(first / "mri")


def _pipeline_of(name: str) -> str:
    lower = name.lower()
    return next((pipeline for pipeline in PIPELINES if pipeline in lower), lower)


def _name_of(folder: Path) -> str:
    # Keys of DatasetLinks: letters, digits, hyphens, underscores.
    return re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-") or "dataset"


def make_unique(datasets: Iterable[Dataset]) -> tuple[Dataset, ...]:
    """Drop a folder found twice (the first name stands) and number equal names."""
    by_path: dict[Path, Dataset] = {}
    for dataset in datasets:
        by_path.setdefault(dataset.path.resolve(), dataset)
    result: list[Dataset] = []
    for dataset in by_path.values():
        taken = {d.name for d in result}
        names = [dataset.name, *(f"{dataset.name}-{i}" for i in range(2, len(by_path) + 2))]
        result.append(replace(dataset, name=next(n for n in names if n not in taken)))
    return tuple(result)


def _check_derivatives(found: Sequence[Dataset], bids_dir: Path) -> None:
    if not any(d.is_searched for d in found):
        what = ", ".join(f"{d.path} ({d.pipeline or d.kind})" for d in found) or "no dataset"
        folder = bids_dir / "derivatives"
        inside = _list_folders(folder) if is_folder(folder) and not explain_folder(folder) else []
        what += "".join(f"; {why}" for why in map(explain_folder, [folder, *inside]) if why)
        raise InputError(
            f"expected derivatives of fMRIPrep or QSIRecon in {bids_dir / 'derivatives'}; found "
            f"{what}. Name their folder with -d fmriprep=PATH, or first run {FLAGS}."
        )


def _nothing_inside(folder: Path) -> str:
    inside = [d for child in _list_folders(folder) if (d := describe_folder(child))]
    participant = explain_inside(folder)
    if participant:
        return f"expected a dataset in {folder}; found one participant. {participant}"
    hint = "Give the folder that holds them, a raw dataset with derivatives/ or fMRIPrep's output."
    if inside:
        listed = " ".join(f"{d.name}={d.path}" for d in inside if d.kind == "derivative")
        hint = f"It holds datasets: give one of them as BIDS_DIR and the others with -d {listed}."
    return f"expected {DESCRIPTION} or folders sub-<label> in {folder}; found neither. {hint}"
