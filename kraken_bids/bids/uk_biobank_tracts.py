"""Streamlines that UKB-connectomics has published for UK Biobank, and label images for them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kraken_bids.bids.foreign_layouts import ENDPOINTS, MNI, UK_BIOBANK, find_file, list_sessions
from kraken_bids.bids.index import Search
from kraken_bids.bids.label_images import LabelImage, explain_absent_atlas, find_atlas_image
from kraken_bids.bids.tractogram_labels import find_tract_labels
from kraken_bids.bids.tractographies import StructuralInputs, Tractography
from kraken_bids.bids.transforms import FslTransform
from kraken_bids.bids.uk_biobank_bold import SEGMENTATIONS, T1_IMAGES, find_warp
from kraken_bids.parcellations import APARCASEG, Parcellation

SPACE = "dwi"
"""The space of the diffusion images, which BIDS has no name for."""
WEIGHTS = "tractography/metrics/sift_weights.npy"
TBSS = "dMRI/TBSS/FA"
FORWARD, INVERSE = f"{TBSS}/dti_FA_to_MNI_warp.nii.gz", f"{TBSS}/MNI_to_dti_FA_warp.nii.gz"
GRIDS = (INVERSE, "dMRI/dMRI/dti_FA.nii.gz", f"{TBSS}/dti_FA.nii.gz")
T1_WARP = "T1/transforms/T1_to_MNI_warp.nii.gz"
OTHERS = (
    "10 million seeds at the border of grey and white matter, while the published model was "
    "trained on 5 million streamlines that were seeded dynamically"
)


def find_uk_biobank_tracts(
    search: Search, parcellations: Sequence[Parcellation]
) -> StructuralInputs:
    """Find the ends of an instance's streamlines (iFOD2, ACT), SIFT2 weights and label images.

    Label images of the user (``--parcellation``) come first; else atlases of MNI152 through UK
    Biobank's warp of the FA image, and FreeSurfer's segmentation through that and the T1w image's.

    Raises
    ------
    InputError
        If a file that the user named does not exist.
    """
    first = next(f for f in search.files if f.session == search.session)
    sessions = list_sessions(first.dataset.path, UK_BIOBANK)
    folders = sessions[search.subject, search.session]
    tracks = next(
        (
            path
            for one in folders
            for path in sorted((one / ENDPOINTS).glob("tracks_*_endpoints.npy"))
        ),
        None,
    )
    if tracks is None:
        return StructuralInputs()
    notes = [f"{tracks.name}: {OTHERS}."]
    to_mni = find_warp(folders, inverse=INVERSE, forward=FORWARD, grids=GRIDS)
    labels: dict[str, LabelImage] = {}
    for parcellation in parcellations:
        name = parcellation.name
        if name in search.explicit.parcellations:
            image, note = find_tract_labels(parcellation, search, None, space=SPACE)
        elif parcellation.source == APARCASEG and name not in search.atlas_images:
            image, note = _find_aparcaseg(name, folders, to_mni)
        else:
            image, note = _find_atlas(parcellation, search, to_mni)
        notes += [note] if note else []
        if image:
            labels[name] = image
    found = _describe(search.names, tracks, folders, labels)
    return StructuralInputs((found,) if labels else (), tuple(notes))


def _describe(
    names: Mapping[str, str],
    tracks: Path,
    folders: Sequence[Path],
    labels: Mapping[str, LabelImage],
) -> Tractography:
    return Tractography(
        entities=names,
        algorithm="ifod2",
        tracks=tracks,
        weights=find_file(folders, WEIGHTS),
        mu=None,
        space=SPACE,
        labels=labels,
    )


def _find_aparcaseg(
    name: str, folders: Sequence[Path], to_mni: FslTransform | None
) -> tuple[LabelImage | None, str]:
    path, warp = find_file(folders, *SEGMENTATIONS), find_file(folders, T1_WARP)
    anatomy = find_file(folders, *T1_IMAGES)
    if path and warp and anatomy and to_mni:
        to_t1w = FslTransform(warp, "field", points_of=warp, into=anatomy)
        return LabelImage(name, path, "T1w", fsl=(to_mni, to_t1w)), (
            f"{name} gets to the streamlines through two warps, over MNI152: for regions as exact "
            f"as can be, give an image in their space with --parcellation {name}=FILE."
        )
    return None, (
        f"no label image of {name} for the streamlines: expected {SEGMENTATIONS[0]} (field "
        f"20263), {T1_WARP} with {T1_IMAGES[0]} (field 20252) and {INVERSE} or {FORWARD} (field "
        f"20250); or give an image in their space with --parcellation {name}=FILE."
    )


def _find_atlas(
    parcellation: Parcellation, search: Search, to_mni: FslTransform | None
) -> tuple[LabelImage | None, str]:
    name = parcellation.name
    image = find_atlas_image(parcellation, search, space=MNI)
    if image is None:
        return None, f"no label image of {name}: {explain_absent_atlas(parcellation)}"
    if image.space == MNI and to_mni:
        return replace(image, fsl=(to_mni,)), ""
    return None, (
        f"{name} does not get to the streamlines from {image.path} ({image.space}): expected an "
        f"image in {MNI}, and {INVERSE} or {FORWARD} (field 20250); or give one in their space "
        f"with --parcellation {name}=FILE."
    )
