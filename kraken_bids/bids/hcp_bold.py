"""BOLD runs of the Human Connectome Project's minimal preprocessing, in FSL's MNI152 space."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kraken_bids.bids.bold_labels import find_bold_labels
from kraken_bids.bids.bold_origins import HCP_FIX, HCP_MINIMAL, TissueImage
from kraken_bids.bids.foreign_layouts import MNI, MNI_FOLDER, HcpRun, find_file, list_hcp_runs
from kraken_bids.bids.index import Search, SubjectFile
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.preprocessed_bold import BoldRun, FunctionalInputs
from kraken_bids.exceptions import InputError
from kraken_bids.io.files import explain_absence
from kraken_bids.parcellations import APARCASEG, Parcellation

MOTION = "Movement_Regressors.txt"
DEMEANED = "Movement_Regressors_demean.txt"
"""What ``hcp_fix_multi_run`` leaves in the folder of runs that it joined, without the other."""
SUBCORTICAL = (8, 10, 11, 12, 13, 16, 17, 18, 26, 28, 47, 49, 50, 51, 52, 53, 54, 58, 60)
"""Source: HCPpipelines, ``FreeSurferSubcorticalLabelTableLut.txt``."""
CORTEX = (3, 42, *range(1000, 1036), *range(2000, 2036))
RIBBON = (3, 42)
"""Grey matter of ``ribbon.nii.gz``: left, right. Source: HCPpipelines,
``FreeSurferCorticalLabelTableLut.txt``."""
WHITE = (
    *(2, 41, 7, 46, 77, 78, 79, 85, 100, 109, *range(155, 163), 192, 219, 223, *range(250, 256)),
    *(703, *range(3000, 3182), *range(4000, 4182), 5001, 5002),
    *(*range(13100, 13176), *range(14100, 14176)),
)
"""Source: HCPpipelines, ``FreeSurferWMRegLut.txt``, with the cerebellum's (7, 46), which the
model's authors added (``FreeSurferWMRegLut_withcerebellum.txt``)."""
CSF = (4, 5, 14, 15, 24, 31, 43, 44, 63, 72, 213, 221)
"""Source: HCPpipelines, ``FreeSurferCSFRegLut.txt``."""
PACKAGES = (
    "On ConnectomeDB it comes with the packages Resting State fMRI FIX-Denoised (Extended) and "
    "Preprocessed"
)


def find_hcp_inputs(search: Search, parcellations: Sequence[Parcellation]) -> FunctionalInputs:
    """BOLD runs of a session whose dataset is laid out as the HCP's, with the label images.

    Runs cleaned by ICA-FIX come before those that are not; what joins other runs is left out.

    Raises
    ------
    InputError
        If a run that would be used has no motion, or two would bear one name in the outputs.
    """
    here = [f for f in search.files if f.session == search.session]
    asked = {f.path for f in here if search.query.accepts("bold", f.entities)}
    session = _find_session(here)
    every = list_hcp_runs(session)
    notes = _note_missing(every, session)
    chosen = [run for run in every if run.bold and run.bold in asked]
    if not chosen and any(run.bold for run in every):
        tasks = sorted({run.entities["task"] for run in every if run.bold})
        notes.append(
            f"none of the BOLD series in {session / MNI_FOLDER / 'Results'} (tasks: "
            f"{', '.join(tasks)}) is asked for. Check --task-id, --bids-filter-file and "
            "--exclude-runs."
        )
    used = _leave_out_joined(chosen, notes)
    used = _leave_out_unclean(used, notes)
    _check_names(used)
    labels = _find_labels(search, parcellations, session / MNI_FOLDER, notes)
    runs = [
        _describe(run, run.bold, session, names=search.names, labels=labels)
        for run in used
        if run.bold
    ]
    notes += [
        f"no brainmask_fs.*.nii.gz beside {run.bold.name}: every voxel that varies counts as "
        "covered."
        for run in runs
        if run.mask is None
    ]
    return FunctionalInputs(tuple(runs if labels else ()), tuple(dict.fromkeys(notes)))


def _find_session(here: Sequence[SubjectFile]) -> Path:
    """Folder that holds ``MNINonLinear``."""
    path = here[0].path
    return next(folder.parent for folder in (path, *path.parents) if folder.name == MNI_FOLDER)


def _note_missing(runs: Sequence[HcpRun], session: Path) -> list[str]:
    """Say which runs hold no BOLD volumes, and of which another version is used."""
    notes = [
        f"no BOLD volumes in {run.folder} (expected {run.folder.name}_hp2000_clean.nii.gz): the "
        f"run did not finish, or only its surface data were copied. {PACKAGES}."
        for run in runs
        if run.bold is None
    ]
    notes += [
        f"{', '.join(run.others)}: not used, since {run.bold.name} is there too."
        for run in runs
        if run.bold and run.others
    ]
    if not runs:
        notes.append(f"no runs in {session / MNI_FOLDER / 'Results'}. {PACKAGES}.")
    return notes


def _leave_out_joined(runs: Sequence[HcpRun], notes: list[str]) -> list[HcpRun]:
    """Leave out series in which FIX joined other runs: these would count twice."""
    kept = []
    for run in runs:
        own = run.entities
        same = [r.entities for r in runs if r is not run and r.entities["task"] == own["task"]]
        is_joined = (
            (not _has(run, MOTION) and _has(run, DEMEANED))
            or "concat" in run.folder.name.lower()
            or ("dir" not in own and any("dir" in other for other in same))
        )
        if is_joined and len(runs) > 1:
            notes.append(f"{run.folder.name} is left out: it joins runs that are there too.")
        else:
            kept.append(run)
    return kept


def _leave_out_unclean(runs: Sequence[HcpRun], notes: list[str]) -> list[HcpRun]:
    """Leave out runs without FIX of a task that has others; say of others that they have none."""
    fixed = {_kind(run) for run in runs if run.is_fix}
    lost = [run for run in runs if not run.is_fix and _kind(run) in fixed]
    plain = [run for run in runs if not run.is_fix and _kind(run) not in fixed]
    notes += [
        f"{run.folder.name} is left out: it has no series cleaned by ICA-FIX "
        f"({run.folder.name}_hp2000_clean.nii.gz), which other runs of its task have. {PACKAGES}."
        for run in lost
    ]
    if plain:
        notes.append(
            f"{', '.join(run.folder.name for run in plain)}: not cleaned by ICA-FIX, as the data "
            "are that the published model was trained on; measured from "
            f"{plain[0].bold.name if plain[0].bold else ''} by regression alone. {PACKAGES}."
        )
    return [run for run in runs if run not in lost]


def _kind(run: HcpRun) -> frozenset[tuple[str, str]]:
    return frozenset((k, v) for k, v in run.entities.items() if k not in {"run", "dir"})


def _check_names(runs: Sequence[HcpRun]) -> None:
    seen: dict[frozenset[tuple[str, str]], HcpRun] = {}
    for run in runs:
        other = seen.setdefault(frozenset(run.entities.items()), run)
        if other is not run:
            named = "_".join(f"{key}-{value}" for key, value in run.entities.items())
            raise InputError(
                f"expected runs whose names can be told apart; found {other.folder} and "
                f"{run.folder}, which both become {named}. Leave one out with --exclude-runs or "
                "rename its folder and files."
            )


def _find_labels(
    search: Search, parcellations: Sequence[Parcellation], folder: Path, notes: list[str]
) -> dict[str, LabelImage]:
    labels = {}
    for parcellation in parcellations:
        name = parcellation.name
        if parcellation.source == APARCASEG and name not in search.atlas_images:
            image, remarks = _find_aparcaseg(name, folder)
        else:
            image, _, remarks = find_bold_labels(parcellation, search, {MNI: ()})
        notes += remarks
        if image:
            labels[name] = image
    return labels


def _find_aparcaseg(name: str, folder: Path) -> tuple[LabelImage | None, list[str]]:
    path = find_file((folder,), "aparc+aseg.nii.gz", "aparc+aseg.nii")
    if path:
        return LabelImage(name, path, MNI), []
    return None, [f"no label image of {name}: expected {folder / 'aparc+aseg.nii.gz'}."]


def _describe(
    run: HcpRun,
    bold: Path,
    session: Path,
    *,
    names: Mapping[str, str],
    labels: Mapping[str, LabelImage],
) -> BoldRun:
    motion = run.folder / MOTION
    if not _has(run, MOTION):
        raise InputError(
            f"expected the motion of {bold.name} at {motion}; nothing is there. "
            f"{explain_absence(motion) or PACKAGES}. --exclude-runs leaves a run out."
        )
    mask = next(iter(sorted(run.folder.glob("brainmask_fs.*.nii.gz"))), None)
    mask = mask or find_file((session / MNI_FOLDER,), "brainmask_fs.nii.gz")
    return BoldRun(
        entities={**names, **run.entities, "space": MNI},
        space=MNI,
        bold=bold,
        confounds=motion,
        confounds_json=None,
        mask=mask,
        tissue={},
        metadata={},
        labels=labels,
        origin=HCP_FIX if run.is_fix else HCP_MINIMAL,
        tissue_images=_find_tissue(session / MNI_FOLDER, mask),
    )


def _find_tissue(folder: Path, mask: Path | None) -> dict[str, tuple[TissueImage, ...]]:
    """Tissues by labels of FreeSurfer's white matter parcellation, at the BOLD's resolution first.

    Source
    ------
    fmriclean, ``run_aws_hcp_download_fmriclean_upload_delete.sh``: masks from wmparc.2, and the
    ribbon with the subcortical labels as grey matter.
    """
    resolution = mask.name.removeprefix("brainmask_fs.").removesuffix("nii.gz") if mask else ""
    own = (f"ROIs/wmparc.{resolution}nii.gz",) if resolution else ()
    parcels = find_file((folder,), *own, "wmparc.nii.gz", "aparc+aseg.nii.gz")
    ribbon = find_file((folder,), "ribbon.nii.gz")
    if parcels is None:
        return {}
    subcortical = TissueImage(parcels, SUBCORTICAL)
    return {
        "GM": (TissueImage(ribbon, RIBBON), subcortical)
        if ribbon
        else (TissueImage(parcels, (*CORTEX, *SUBCORTICAL)),),
        "WM": (TissueImage(parcels, WHITE),),
        "CSF": (TissueImage(parcels, CSF),),
    }


def _has(run: HcpRun, name: str) -> bool:
    return find_file((run.folder,), name) is not None
