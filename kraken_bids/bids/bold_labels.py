"""Which label image goes with which BOLD space, parcellation by parcellation."""

from collections.abc import Sequence
from dataclasses import replace

from kraken_bids.bids.anatomy import IMAGES
from kraken_bids.bids.bold_choice import BoldBySpace
from kraken_bids.bids.index import Search, SubjectFile
from kraken_bids.bids.label_images import (
    LabelImage,
    carry_labels,
    explain_absent_atlas,
    find_aparcaseg,
    find_atlas_image,
)
from kraken_bids.bids.names import full_space
from kraken_bids.bids.transforms import (
    FLAG,
    OTHER_TEMPLATE,
    explain_way_out,
    find_label_space,
    find_template_transform,
    is_template,
)
from kraken_bids.parcellations import APARCASEG, Parcellation

SPACES_FLAG = "rerun fMRIPrep with --output-spaces T1w MNI152NLin6Asym:res-2"

FoundLabels = tuple[LabelImage | None, str, list[str]]
"""A label image, the BOLD space it goes with, and remarks for the user."""


def find_bold_labels(
    parcellation: Parcellation, search: Search, by_space: BoldBySpace
) -> FoundLabels:
    """Label image of a parcellation and the BOLD space in which its region means are taken.

    Parameters
    ----------
    by_space : mapping
        The preprocessed BOLD series of the session and one dataset by space, cohort included.

    Returns
    -------
    tuple
        The image (None where there is none), the space, and remarks for the user.
    """
    if parcellation.source == APARCASEG and parcellation.name not in search.atlas_images:
        if "T1w" in by_space:
            return _label_t1w(parcellation.name, search, by_space["T1w"])
        return _label_without_t1w(parcellation.name, search, by_space)
    return _label_atlas(parcellation, search, by_space)


def _label_t1w(name: str, search: Search, bolds: Sequence[SubjectFile]) -> FoundLabels:
    """FreeSurfer's segmentation for BOLD in T1w space."""
    image = _find_on_bold_grid(bolds, search.files, name)
    if image:
        return image, "T1w", []
    image, remark = find_aparcaseg(search, name)
    if image:
        return image, "T1w", [remark] if remark else []
    remarks = [
        f"no FreeSurfer segmentation for {name}: neither *_desc-aparcaseg_dseg.nii.gz (fMRIPrep "
        "23.2 to 25.1 do not write it) nor mri/aparc+aseg.mgz with from-fsnative_to-T1w. Name "
        "the FreeSurfer folder with -d freesurfer=PATH, or rerun fMRIPrep 25.2 or later.",
        remark,
        _name_strangers(search),
    ]
    return None, "", [text for text in remarks if text]


def _name_strangers(search: Search) -> str:
    """Name segmentations of another session or dataset, which lie in another T1w space."""
    found = [
        f.path
        for f in search.files
        if f.is_called(datatype="anat", suffix="dseg", desc="aparcaseg", space=None)
        and f not in search.anatomy
    ]
    if not found:
        return ""
    return (
        f"{', '.join(map(str, found))}: of another session or dataset, whose T1w space is "
        f"another, and not used for {search.label}."
    )


def _label_without_t1w(name: str, search: Search, by_space: BoldBySpace) -> FoundLabels:
    """FreeSurfer's segmentation for a template's BOLD, where T1w BOLD is missing."""
    missing = (
        f"no BOLD in space T1w for {name}: {SPACES_FLAG}. Spaces found: {', '.join(by_space)}."
    )
    of_t1w, chosen = find_aparcaseg(search, name)
    for space in sorted(by_space, key=lambda s: s != "MNI152NLin6Asym"):
        image = _find_on_bold_grid(by_space[space], search.files, name)
        where = "where fMRIPrep also wrote the segmentation"
        if image is None and of_t1w:
            image = _carry(of_t1w, search, space)
            where = "to which the segmentation is carried"
        if image:
            remark = (
                f"{name} is measured from BOLD in {space}, {where}; the model knows it from each "
                f"participant's own space. {missing}"
            )
            return image, space, [remark, *([chosen] if chosen else [])]
    return None, "", [missing]


def _carry(image: LabelImage, search: Search, space: str) -> LabelImage | None:
    """Label image with the transforms from another space to its own; None where there are none."""
    carried, _ = carry_labels(image, search, space=space) or (image, "")
    return carried if len(carried.transforms) > len(image.transforms) else None


def _find_on_bold_grid(
    bolds: Sequence[SubjectFile], files: Sequence[SubjectFile], name: str
) -> LabelImage | None:
    """Segmentation beside a BOLD series, as fMRIPrep up to 23.1 wrote it; the first run's."""
    drawn = [
        f
        for f in files
        if f.is_called(suffix="dseg", desc="aparcaseg") and f.entities["extension"] in IMAGES
    ]
    for bold in bolds:
        space = full_space(bold.entities)
        for file in drawn:
            same = file.path.parent == bold.path.parent and file.run_key == bold.run_key
            if same and full_space(file.entities) == space:
                return LabelImage(name, file.path, space)
    return None


def _label_atlas(parcellation: Parcellation, search: Search, by_space: BoldBySpace) -> FoundLabels:
    """Label image in a template's space, or in that which its name says, for such BOLD."""
    name = parcellation.name
    image = find_atlas_image(parcellation, search, space=parcellation.space)
    if image is None:
        return None, "", [f"no label image of {name}: {explain_absent_atlas(parcellation)}"]
    if image.space in by_space:
        return image, image.space, []
    other = OTHER_TEMPLATE.get(image.space, "")
    for space in sorted(filter(is_template, by_space), key=lambda space: space != other):
        carried = _carry_between(image, parcellation, search, space)
        if carried:
            return carried, space, []
    if other in by_space and search.explicit.templates.allows_mismatch:
        return image, other, note_other_template(image, other)
    way_out = (
        explain_way_out(image.space, other) if other in by_space else _advise_space(image.space)
    )
    remark = (
        f"no BOLD in space {image.space} for {name}, which is left out: {way_out} "
        f"Spaces found: {', '.join(by_space)}."
    )
    if not find_label_space(image.path):
        remark += (
            f" The name of {image.path.name} says no space: if it lies in another one, say so in "
            "the name (space-)."
        )
    template = image.space.partition("+")[0]
    if any(space.partition("+")[0] == template for space in by_space):
        remark += (
            f" Cohorts of one template (+) are spaces of their own: give --atlas {name} an image "
            "of the right one, whose name says it (cohort-)."
        )
    return None, "", [remark]


def _carry_between(
    image: LabelImage, parcellation: Parcellation, search: Search, space: str
) -> LabelImage | None:
    """Label image of an atlas for another template: drawn there, or carried by transforms."""
    drawn = find_atlas_image(parcellation, search, space=space)
    if drawn and drawn.space == space:
        return drawn
    carried = _carry(image, search, space)
    between = find_template_transform(image.space, space, search.explicit.templates.folder)
    if carried is None and between:
        return replace(image, transforms=(between, *image.transforms))
    return carried


def _advise_space(space: str) -> str:
    """Say how fMRIPrep writes BOLD in a space."""
    if space in {"T1w", "MNI152NLin6Asym"}:
        return f"{SPACES_FLAG}."
    return f"rerun fMRIPrep with --output-spaces {space.replace('+', ':cohort-')}."


def note_other_template(image: LabelImage, space: str) -> list[str]:
    """Say where a label image is laid over BOLD in another template without a transform.

    Parameters
    ----------
    image : LabelImage
        Of an atlas.
    space : str
        Of the BOLD.

    Returns
    -------
    list of str
        One sentence with the way out, or none.
    """
    if image.transforms or OTHER_TEMPLATE.get(image.space) != space:
        return []
    return [
        f"{image.parcellation} is defined in {image.space}, but BOLD was found only in {space}: "
        f"its labels are laid over it as they are ({FLAG}), though the two templates differ by "
        f"millimetres. For exact regions {SPACES_FLAG}."
    ]
