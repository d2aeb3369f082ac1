"""Resting BOLD of UK Biobank in the space of the run, and the transforms that lead from there."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kraken_bids.bids.bold_origins import UK_BIOBANK_FIX, TissueImage
from kraken_bids.bids.foreign_layouts import (
    MNI,
    NATIVE,
    REST,
    REST_CLEANED,
    UK_BIOBANK,
    find_file,
    list_sessions,
)
from kraken_bids.bids.index import Search
from kraken_bids.bids.label_images import LabelImage, explain_absent_atlas, find_atlas_image
from kraken_bids.bids.preprocessed_bold import BoldRun, FunctionalInputs
from kraken_bids.bids.transforms import FslTransform
from kraken_bids.exceptions import InputError
from kraken_bids.io.files import explain_absence
from kraken_bids.io.texts import read_json
from kraken_bids.parcellations import APARCASEG, Parcellation

MOTION = f"{REST}/mc/prefiltered_func_data_mcf.par"
REFERENCES = (f"{REST}/reg/example_func.nii.gz", f"{REST}/example_func.nii.gz", REST_CLEANED)
"""Images that lie on the grid of the BOLD."""
T1_IMAGES = ("T1/T1_brain.nii.gz", "T1/T1.nii.gz")
ANATOMIES = (f"{REST}/reg/highres.nii.gz", *T1_IMAGES)
"""Images that lie on the grid of the T1w image that the BOLD was registered to."""
FORWARD = f"{REST}/reg/example_func2standard_warp.nii.gz"
INVERSE = f"{REST}/reg/standard2example_func_warp.nii.gz"
SEGMENTATIONS = ("FreeSurfer/mri/aparc+aseg.mgz", "FreeSurfer/mri/aparc+aseg.nii.gz")
PARTIAL_VOLUMES = {"CSF": 0, "GM": 1, "WM": 2}
"""Numbers of FAST's partial volume maps."""
FIELD = "field 20227"


def find_uk_biobank_inputs(
    search: Search, parcellations: Sequence[Parcellation]
) -> FunctionalInputs:
    """Resting BOLD of an instance of a participant, cleaned by UK Biobank's ICA-FIX.

    Atlases of FSL's MNI152 come through ``example_func2standard_warp`` (turned round where its
    inverse is not there), FreeSurfer's segmentation and FAST's tissues through FLIRT's matrix.

    Raises
    ------
    InputError
        If the BOLD is there without its motion.
    """
    here = [f for f in search.files if f.session == search.session]
    sessions = list_sessions(here[0].dataset.path, UK_BIOBANK)
    folders = sessions[search.subject, search.session]
    bold = next((f for f in here if f.is_called(suffix="bold")), None)
    if bold is None:
        return FunctionalInputs(notes=(_explain_absence(folders),))
    if not search.query.accepts("bold", bold.entities):
        return FunctionalInputs(
            notes=(f"{bold.path} (task rest) is not asked for. Check --task-id and filters.",)
        )
    motion = _find_motion(folders, bold.path)
    notes: list[str] = []
    to_t1w = _find_matrix(folders)
    labels = {}
    for parcellation in parcellations:
        image, note = _find_labels(parcellation, search, folders, to_t1w)
        notes += [note] if note else []
        if image:
            labels[parcellation.name] = image
    sidecar = find_file(folders, "fMRI/rfMRI.json")
    run = BoldRun(
        entities=search.names | {"task": bold.entities["task"], "space": NATIVE},
        space=NATIVE,
        bold=bold.path,
        confounds=motion,
        confounds_json=None,
        mask=find_file(folders, f"{REST}/mask.nii.gz"),
        tissue={},
        metadata=read_json(sidecar) if sidecar else {},
        labels=labels,
        sidecars=(sidecar,) if sidecar else (),
        origin=UK_BIOBANK_FIX,
        tissue_images=_find_tissue(folders, to_t1w),
    )
    return FunctionalInputs((run,) if labels else (), tuple(notes))


def _find_motion(folders: Sequence[Path], bold: Path) -> Path:
    motion = find_file(folders, MOTION)
    if motion is None:
        missing = bold.parent / "mc" / Path(MOTION).name
        raise InputError(
            f"expected the motion of {bold} at {missing}; nothing is there. "
            f"{explain_absence(missing) or f'It comes with {FIELD}.'}"
        )
    return motion


def _explain_absence(folders: Sequence[Path]) -> str:
    raw = find_file(folders, f"{REST}/filtered_func_data.nii.gz", "fMRI/rfMRI.nii.gz")
    found = f"found {raw}, which is not cleaned" if raw else "found none"
    return (
        f"no resting BOLD that ICA-FIX has cleaned: expected {REST_CLEANED} in "
        f"{', '.join(map(str, folders))}; {found}. It comes with {FIELD}."
    )


def _find_labels(
    parcellation: Parcellation,
    search: Search,
    folders: Sequence[Path],
    to_t1w: FslTransform | None,
) -> tuple[LabelImage | None, str]:
    name = parcellation.name
    if parcellation.source == APARCASEG and name not in search.atlas_images:
        return _find_aparcaseg(name, folders, to_t1w)
    image = find_atlas_image(parcellation, search, space=MNI)
    if image is None:
        return None, f"no label image of {name}: {explain_absent_atlas(parcellation)}"
    if image.space == NATIVE:
        return image, ""
    warp = find_warp(folders, inverse=INVERSE, forward=FORWARD, grids=REFERENCES)
    if image.space == MNI and warp:
        return replace(image, fsl=(warp,)), ""
    if image.space != MNI:
        return None, (
            f"{name} is left out: {image.path} lies in {image.space}, and UK Biobank's transforms "
            f"lead to {MNI}. Give --atlas {name} an image in {MNI}, or in the space of the run "
            f"(space-{NATIVE} in its name)."
        )
    return None, f"no transform for {name}: expected {FORWARD}. It comes with {FIELD}."


def _find_aparcaseg(
    name: str, folders: Sequence[Path], to_t1w: FslTransform | None
) -> tuple[LabelImage | None, str]:
    path = find_file(folders, *SEGMENTATIONS)
    if path and to_t1w:
        return LabelImage(name, path, "T1w", fsl=(to_t1w,)), ""
    return None, (
        f"no label image of {name}: expected {SEGMENTATIONS[0]} (field 20263), and the matrix "
        f"{REST}/reg/example_func2highres.mat with an image of its reference "
        f"({' or '.join(ANATOMIES)}; field 20252)."
    )


def find_warp(
    folders: Sequence[Path], *, inverse: str, forward: str, grids: Sequence[str]
) -> FslTransform | None:
    """Find the warp that carries points into FSL's MNI152, else one that is to be inverted.

    Parameters
    ----------
    folders : sequence of path
        Of a session.
    inverse, forward : str
        Warps that ``applywarp`` takes for images from MNI152, and for images to it.
    grids : sequence of str
        Images in the space of the points.
    """
    grid = find_file(folders, *grids)
    from_mni, to_mni = find_file(folders, inverse), find_file(folders, forward)
    if grid and from_mni:
        return FslTransform(from_mni, "field", points_of=grid, into=None)
    if grid and to_mni:
        return FslTransform(to_mni, "inverse of a field", points_of=grid, into=None)
    return None


def _find_matrix(folders: Sequence[Path]) -> FslTransform | None:
    """Points of the run's space into that of the T1w image."""
    grid, anatomy = find_file(folders, *REFERENCES), find_file(folders, *ANATOMIES)
    matrix = find_file(folders, f"{REST}/reg/example_func2highres.mat")
    if grid and anatomy and matrix:
        return FslTransform(matrix, "matrix", points_of=grid, into=anatomy)
    return None


def _find_tissue(
    folders: Sequence[Path], to_t1w: FslTransform | None
) -> dict[str, tuple[TissueImage, ...]]:
    """FAST's partial volumes, which lie on the T1w image."""
    found: dict[str, tuple[TissueImage, ...]] = {}
    for tissue, number in PARTIAL_VOLUMES.items():
        path = find_file(folders, f"T1/T1_fast/T1_brain_pve_{number}.nii.gz")
        if path and to_t1w:
            found[tissue] = (TissueImage(path, fsl=(to_t1w,)),)
    return found
