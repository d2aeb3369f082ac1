"""Label images in the space of a tractogram, parcellation by parcellation."""

from kraken_bids.bids.anatomy import IMAGES, QSI
from kraken_bids.bids.index import Search, SubjectFile, pick_nearest
from kraken_bids.bids.label_images import (
    LabelImage,
    carry_labels,
    explain_other_template,
    find_aparcaseg,
    find_atlas_image,
)
from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.query import fill_template
from kraken_bids.exceptions import InputError
from kraken_bids.parcellations import APARCASEG, Parcellation

SAME_IN_QSI = ("T1w", "ACPC", "T1wACPC")
"""What QSIPrep and QSIRecon have called one and the same space."""


def find_tract_labels(
    parcellation: Parcellation, search: Search, tracks: SubjectFile | None, *, space: str
) -> tuple[LabelImage | None, str]:
    """Label image of a parcellation for a tractogram, and a remark for the user.

    In this order: the user's own (``--parcellation``); an image of the parcellation beside the
    tractogram; fMRIPrep's segmentation or the atlas image, carried by transforms.

    Parameters
    ----------
    tracks : SubjectFile or None
        The tractogram as found in a dataset; None where the user gave its path.
    space : str
        Of the tractogram; '' unknown.

    Returns
    -------
    image : LabelImage or None
        None where no way leads to the space of the tractogram; the remark then says what to do.
    remark : str

    Raises
    ------
    InputError
        If a file that the user named does not exist.
    """
    name = parcellation.name
    if name in search.explicit.parcellations:
        return _find_explicit(name, search, space), ""
    beside = [file for file in search.files if _is_beside(file, parcellation, tracks)]
    nearest = pick_nearest(beside, tracks.session if tracks else None)
    if nearest:
        return LabelImage(name, nearest.path, space), ""
    return _find_carried(parcellation, search, space)


def _find_explicit(name: str, search: Search, space: str) -> LabelImage:
    template = search.explicit.parcellations[name]
    path = fill_template(template, search.subject, search.session)
    if not path.is_file():
        raise InputError(
            f"expected the label image of {name} at {path} (--parcellation {name}={template}); "
            "nothing is there. Check the path."
        )
    return LabelImage(name, path, full_space(parse_name(path)) or space)


def _is_beside(file: SubjectFile, parcellation: Parcellation, tracks: SubjectFile | None) -> bool:
    """Whether a file of the tractogram's software and session is its label image."""
    # QSIRecon keeps streamlines and atlases in datasets of their own, and atlases of all sessions
    # at the subject's level
    both_qsi = tracks is not None and {file.dataset.pipeline, tracks.dataset.pipeline} <= set(QSI)
    if tracks is None or not (both_qsi or file.dataset == tracks.dataset):
        return False
    if file.session not in {tracks.session, None}:
        return False
    entities = file.entities
    if entities["suffix"] != "dseg" or entities["extension"] not in IMAGES:
        return False
    spaces = {full_space(entities), full_space(tracks.entities)}
    if len(spaces) > 1 and not spaces <= set(SAME_IN_QSI):
        return False
    names = {entities.get(key) for key in ("seg", "atlas")}
    segmented = parcellation.source == APARCASEG and entities.get("datatype") != "anat"
    return parcellation.name in names or (
        segmented and "aparcaseg" in {*names, entities.get("desc")}
    )


def _find_carried(
    parcellation: Parcellation, search: Search, space: str
) -> tuple[LabelImage | None, str]:
    name = parcellation.name
    way_out = (
        f"Give a label image in the tractogram's space with --parcellation {name}=FILE, or let "
        f"QSIRecon write one (seg-{name}_dseg)."
    )
    chosen = ""
    if parcellation.source == APARCASEG and name not in search.atlas_images:
        image, chosen = find_aparcaseg(search, name)
    else:
        image = find_atlas_image(parcellation, search, space=parcellation.space)
    if image is None:
        return None, " ".join(
            filter(None, [f"no label image of {name} for the tractograms. {way_out}", chosen])
        )
    if not space:
        return None, (
            f"{name} is left out of the structural connectomes: the name of the tractogram does "
            f"not say its space (space-). {way_out}"
        )
    carried = carry_labels(image, search, space=space)
    if carried is None:
        wanted = f"from-{image.space}_to-T1w, and from there on to {space}"
        if space == "ACPC":
            wanted = "QSIPrep's from-anat_to-ACPC; name its outputs with -d qsiprep=PATH"
        return None, (
            f"{name} is left out of the structural connectomes: no transform leads from "
            f"{image.space} to the tractogram's space {space} ({wanted}). {way_out} "
            f"{explain_other_template(image, search, space=space)}".rstrip()
        )
    labels, remark = carried
    return labels, f"{name}, structure: {remark}" if remark else chosen
