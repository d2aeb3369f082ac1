"""Lesion masks of a subject, and the way from the space of its BOLD to them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

from kraken_bids import io
from kraken_bids.bids.anatomy import IMAGES
from kraken_bids.bids.folders import is_folder
from kraken_bids.bids.index import Search, SubjectFile, pick_nearest
from kraken_bids.bids.label_images import NATIVE_T1W, LabelImage, carry_labels
from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.query import fill_template
from kraken_bids.exceptions import InputError

LESION = "lesion"
OPTION = "--lesion-mask"
OF_SCAN = ("acq", "rec", "run", "ce")
"""Entities that tell T1w images of a session apart."""
TEMPLATE_GRIDS: dict[tuple[int, ...], tuple[int, int, int]] = {
    (182, 218, 182): (-91, -126, -72),
    (91, 109, 91): (-91, -126, -72),
    (193, 229, 193): (-96, -132, -78),
    (97, 115, 97): (-96, -132, -78),
}
"""Shape, and lowest x, y and z of a voxel in mm: MNI152NLin6Asym and MNI152NLin2009cAsym."""
APART = 2.0
"""mm that these may differ by: some writers count from the other side."""


def find_lesion(search: Search, space: str) -> tuple[LabelImage | None, list[str]]:
    """Lesion mask of a session with the way to it from a BOLD space, and remarks for the user.

    That of the user (``--lesion-mask``), else ``label-lesion_mask`` or ``label-lesion_roi`` in the
    anat folders of derivatives, then of raw datasets; the space of the BOLD before others. A name
    without a space means the subject's T1w image.

    Parameters
    ----------
    search : Search
        Its ``anatomy`` is that of the BOLD.
    space : str
        Of the BOLD.

    Raises
    ------
    InputError
        If no transform leads to the mask, or it names no space and lies on the grid of a template:
        nothing is measured as if there were no lesion.
    """
    image, remarks = _find_image(search, space)
    if image is None:
        return None, remarks
    if not full_space(parse_name(image.path)):
        _check_grid(image, search)
    carried = carry_labels(image, search, space=space)
    if carried is None:
        raise InputError(
            f"expected a transform from {image.space} to {space} for the lesion mask "
            f"{image.path}; found none in the anatomy of {search.label}. Give a mask in {space} "
            f"(space-{space} in its name) with {OPTION}, or name fMRIPrep's dataset with "
            "-d fmriprep=PATH."
        )
    return carried[0], [*remarks, *filter(None, [carried[1]])]


def _check_grid(image: LabelImage, search: Search) -> None:
    """Refuse a mask on a template's grid, unless the subject's T1w image has that grid too."""
    import numpy as np  # here: who looks for files does without

    header = io.image_headers.read_geometry(image.path)
    corners = [
        header.affine @ [*place, 1] for place in product(*([0, n - 1] for n in header.shape[:3]))
    ]
    lowest = TEMPLATE_GRIDS.get(header.shape)
    if lowest is None or np.abs(np.min(corners, axis=0)[:3] - lowest).max() > APART:
        return
    anatomy = (*search.files, *_list_raw(search))
    drawn_on = [f.path for f in anatomy if f.is_called(suffix="T1w", space=None) and _is_image(f)]
    if any(io.image_headers.read_geometry(path).shape == header.shape for path in drawn_on):
        return
    raise InputError(
        f"expected the space of the lesion mask {image.path} in its name; found none, which means "
        f"the T1w image of {search.label}, and the grid of a template in MNI space "
        f"({' x '.join(map(str, header.shape[:3]))} voxels), which no T1w image of that subject "
        "has. Call it by its space (space-MNI152NLin6Asym, space-MNI152NLin2009cAsym), or "
        "space-T1w if that is where it lies."
    )


def has_lesion(search: Search) -> bool:
    """Whether a session has a lesion mask."""
    return _find_image(search, "T1w")[0] is not None


def _find_image(search: Search, space: str) -> tuple[LabelImage | None, list[str]]:
    template = search.explicit.lesion
    if template is not None:
        path = fill_template(template, search.subject, search.session)
        if not path.is_file():
            return None, [f"no lesion mask of {search.label} at {path}: measured without one."]
        return LabelImage(LESION, path, _space_of(parse_name(path))), []
    found = [file for file in (*search.files, *_list_raw(search)) if _is_lesion(file)]
    here = [f for f in found if _space_of(f.entities) == space]
    known = [f for f in found if _space_of(f.entities) == "T1w"]
    candidates = here or known or found
    nearest = pick_nearest(candidates, search.session)
    if nearest is None:
        return None, _explain_others(found, search)
    same = [f for f in candidates if f.session == nearest.session and f != nearest]
    remarks = [f"lesion mask: {nearest.path}."]
    if same:
        remarks.append(
            f"{len(same)} further lesion mask(s) of {search.label} are left aside, "
            f"{same[0].path} for one. Join them into one image and give it with {OPTION}."
        )
    steps, doubt = _find_step_to_raw(nearest, search)
    image = LabelImage(LESION, nearest.path, _space_of(nearest.entities), steps)
    return image, [*remarks, *doubt]


def _find_step_to_raw(file: SubjectFile, search: Search) -> tuple[tuple[Path, ...], list[str]]:
    """Step from fMRIPrep's T1w space to the raw image that a mask was drawn on, and doubts."""
    if file.dataset.kind != "raw":
        return (), []
    steps = [
        f
        for f in search.anatomy
        if f.is_called(suffix="xfm", mode="image", from_="orig", to="T1w")
    ]
    own = [f for f in steps if all(f.entities.get(k) == file.entities.get(k) for k in OF_SCAN)]
    if own:
        return (own[0].path,), []
    if len(steps) < 2:
        return tuple(f.path for f in steps), []
    return (), [
        f"{file.path.name} names none of the {len(steps)} T1w images that fMRIPrep joined: it is "
        "taken to lie in the space of their mean. Add acq- or run- of the one it was drawn on."
    ]


def _explain_others(found: Sequence[SubjectFile], search: Search) -> list[str]:
    if not found:
        return []
    return [
        f"{len(found)} lesion masks are those of several other sessions ({found[0].path}), and "
        f"none is used for {search.label}: give one with {OPTION}."
    ]


def _is_lesion(file: SubjectFile) -> bool:
    return (
        file.entities.get("label", "").lower() == LESION
        and file.entities["suffix"] in {"mask", "roi"}
        and _is_image(file)
        and not file.is_misnamed
    )


def _is_image(file: SubjectFile) -> bool:
    return file.entities["extension"] in IMAGES


def _space_of(entities: Mapping[str, str]) -> str:
    named = full_space(entities)
    return "T1w" if not named or named in NATIVE_T1W else named


def _list_raw(search: Search) -> Iterator[SubjectFile]:
    """Yield what lies in the anat folders of raw datasets, whose other files are never listed."""
    for dataset in search.datasets:
        root = dataset.path / f"sub-{search.subject}"
        if dataset.kind != "raw" or not is_folder(root):
            continue
        # hidden ones are no data: macOS writes ._NAME beside NAME
        for path in sorted((*root.glob("anat/[!.]*"), *root.glob("ses-*/anat/[!.]*"))):
            folder = path.parent.parent.name
            session = folder.removeprefix("ses-") if folder.startswith("ses-") else None
            entities = {**parse_name(path), "datatype": "anat"}
            own = entities.get("sub", search.subject) == search.subject
            yield SubjectFile(dataset, path, session, entities, is_misnamed=not own)
