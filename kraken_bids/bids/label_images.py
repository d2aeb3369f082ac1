"""Label images and the transforms that carry them into the space of the data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from kraken_bids.bids.anatomy import IMAGES, QSI
from kraken_bids.bids.freesurfer import find_segmentation
from kraken_bids.bids.index import Search, SubjectFile, pick_nearest
from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.query import fill_template
from kraken_bids.bids.transforms import (
    FLAG,
    OTHER_TEMPLATE,
    TRANSFORMS,
    FslTransform,
    explain_way_out,
    find_template_transform,
)
from kraken_bids.exceptions import InputError
from kraken_bids.io.files import explain_absence, find_cache_folder
from kraken_bids.parcellations import APARCASEG, Parcellation
from kraken_bids.published.cache import check_copy
from kraken_bids.published.models import ATLASES_FOLDER, list_atlas_files

ACPC = ("ACPC", "T1wACPC")
NATIVE_T1W = ("T1w", "anat", "orig", "T1wNative")
"""What QSIPrep has called the T1w image before its alignment to AC-PC; fMRIPrep's T1w space."""


@dataclass(frozen=True)
class LabelImage:
    """A label image and the way into its space.

    Its values are the region numbers 1..n, or FreeSurfer's for ``aparcaseg`` images:
    :func:`kraken_bids.connectome.labels.label_identity.identify_labels` tells which.
    """

    parcellation: str
    path: Path
    space: str
    """Space in which the image lies: ``T1w``, ``MNI152NLin6Asym``, ``fsnative``, ``ACPC`` …"""
    transforms: tuple[Path, ...] = ()
    """Points of the target space pass through the first, then the second …, and land in the space
    of the image. Empty: both share world coordinates, so regridding is enough."""

    fsl: tuple[FslTransform, ...] = ()
    """Transforms of FSL's that points of the target space pass through first."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The image and its transforms."""
        return (self.path, *(path for one in self.fsl for path in one.files), *self.transforms)


def find_atlas_image(
    parcellation: Parcellation, search: Search, *, space: str
) -> LabelImage | None:
    """Label image of a parcellation that does not come from the subject's FreeSurfer run.

    Searched in this order: ``--atlas``; ``tpl-*/**/tpl-<space>*_atlas-<name>*_dseg.nii.gz`` in the
    datasets, the wanted space before the parcellation's own; the cache of downloaded files.

    Parameters
    ----------
    space : str
        Preferred space, that of the data.

    Raises
    ------
    InputError
        If the file named by the user does not exist, or a downloaded one is damaged.
    """
    name = parcellation.name
    if name in search.atlas_images:
        template = search.atlas_images[name]
        path = fill_template(template, search.subject, search.session)
        if not path.is_file():
            raise InputError(
                f"expected the label image of {name} at {path} (--atlas {name}={template}); "
                f"nothing is there. {explain_absence(path) or 'Check the path.'}"
            )
        return LabelImage(name, path, full_space(parse_name(path)) or parcellation.space)
    for template in dict.fromkeys((space, parcellation.space)):
        for dataset in search.datasets:
            found = [p for p in dataset.template_labels if _is_atlas(p, template, name)]
            if found:
                return LabelImage(name, found[0], template)
    return _find_cached(parcellation)


def find_aparcaseg(search: Search, name: str) -> tuple[LabelImage | None, str]:
    """FreeSurfer's segmentation of a subject in fMRIPrep's T1w space, or carried there.

    fMRIPrep's ``anat/*_desc-aparcaseg_dseg`` (up to 23.1 and from 25.2), else FreeSurfer's own
    ``mri/aparc+aseg.mgz`` with ``from-fsnative_to-T1w``.

    Parameters
    ----------
    search : Search
        Its ``anatomy`` is that of the data.
    name : str
        Parcellation that is made of it.

    Returns
    -------
    image : LabelImage or None
    remark : str
        Which of several was taken, or why none; '' where nothing is to be said.
    """
    anat = [
        f
        for f in search.anatomy
        if f.is_called(datatype="anat", suffix="dseg", desc="aparcaseg", space=None)
        and f.entities["extension"] in IMAGES
    ]
    nearest = pick_nearest(anat, search.session)
    if nearest:
        return LabelImage(name, nearest.path, "T1w"), ""
    transform = _find_transform_file(search, source=("fsnative",), target=("T1w",), pipelines=())
    if transform is None:
        return None, ""
    segmentation, remark = find_segmentation(search, transform)
    if segmentation is None:
        return None, remark
    return LabelImage(name, segmentation, "fsnative", (transform.path,)), remark


def find_transform(
    search: Search, *, source: Sequence[str], target: Sequence[str], pipelines: Sequence[str] = ()
) -> Path | None:
    """Transform ``from-<source>_to-<target>_mode-image_xfm`` of a subject.

    As an image transform it carries images from source to target, hence *points* from target to
    source: this is how ITK, and fMRIPrep with it, mean it.

    Parameters
    ----------
    source, target : sequence of str
        Accepted spellings; earlier ones first.
    pipelines : sequence of str, optional
        In datasets of these pipelines, wherever they lie (in the ``anatomy`` of the data).
    """
    found = _find_transform_file(search, source=source, target=target, pipelines=pipelines)
    return found.path if found else None


def _find_transform_file(
    search: Search, *, source: Sequence[str], target: Sequence[str], pipelines: Sequence[str]
) -> SubjectFile | None:
    transforms = [
        f
        for f in (search.files if pipelines else search.anatomy)
        if f.is_called(suffix="xfm", mode="image")
        and f.entities["extension"] in TRANSFORMS
        and (not pipelines or f.dataset.pipeline in pipelines)
    ]
    for start, end in product(source, target):
        found = [f for f in transforms if f.is_called(from_=start, to=end)]
        nearest = pick_nearest(found, search.session)
        if nearest:
            return nearest
    return None


def find_acpc_transform(search: Search) -> Path | None:
    """QSIPrep's transform of the T1w image to AC-PC; its points go from AC-PC to T1w."""
    native = find_transform(search, source=NATIVE_T1W, target=ACPC, pipelines=QSI)
    # QSIPrep up to 0.2x called its AC-PC space T1w.
    old = ("orig", "T1wNative")
    return native or find_transform(search, source=old, target=("T1w",), pipelines=QSI)


def carry_labels(
    image: LabelImage, search: Search, *, space: str
) -> tuple[LabelImage, str] | None:
    """Label image with the transforms from another space to its own, and a remark.

    Where the subject's transforms lead to another template only, the one between the two
    templates (``--transforms-dir``, TemplateFlow) is added; without it, and with
    ``--allow-template-mismatch``, the two are taken for one.

    Parameters
    ----------
    image : LabelImage
        In fMRIPrep's T1w space, FreeSurfer's, or a template's.
    space : str
        ``T1w`` (fMRIPrep's), ``ACPC`` (QSIPrep's) or any other that a transform names.

    Returns
    -------
    tuple or None
        The image and a remark ('' where there is nothing to say); None: no transforms lead there.
    """
    if image.space == space:
        return image, ""
    for source, rest, remark in _list_sources(image.space, search):
        steps = _find_steps(search, source=source, target=space)
        if steps is not None:
            return replace(image, transforms=(*steps, *rest, *image.transforms)), remark
    return None


def explain_other_template(image: LabelImage, search: Search, *, space: str) -> str:
    """Say what to do where transforms lead to another template than the image's; '' else."""
    other = OTHER_TEMPLATE.get(image.space, "")
    if not other or _find_steps(search, source=other, target=space) is None:
        return ""
    return f"There is a transform of {other}. {explain_way_out(image.space, other)}"


def _list_sources(space: str, search: Search) -> Iterator[tuple[str, tuple[Path, ...], str]]:
    """Yield spaces that transforms may lead to, what leads on from there, and a remark."""
    # An image of FreeSurfer's comes with the step from T1w to its own space.
    yield ("T1w" if space == "fsnative" else space), (), ""
    other = OTHER_TEMPLATE.get(space)
    if not other:
        return
    between = find_template_transform(space, other, search.explicit.templates.folder)
    if between:
        yield other, (between,), ""
    elif search.explicit.templates.allows_mismatch:
        yield (
            other,
            (),
            f"carried with the transform of {other} as if it were of {space} ({FLAG}): the two "
            f"templates differ by millimetres. For exact regions rerun fMRIPrep with {space} in "
            "--output-spaces.",
        )


def _find_steps(search: Search, *, source: str, target: str) -> tuple[Path, ...] | None:
    """Return the transforms whose points go from target to source; () where none is needed."""
    if source == target:
        return ()
    if target == "ACPC":
        to_t1w = find_acpc_transform(search)
        direct = find_transform(search, source=(source,), target=ACPC, pipelines=QSI)
    else:
        to_t1w = find_transform(search, source=("T1w",), target=(target,))
        direct = find_transform(search, source=(source,), target=(target,))
    if target != "T1w" and to_t1w:
        rest = _find_steps(search, source=source, target="T1w")
        if rest is not None:
            return (to_t1w, *rest)
    return (direct,) if direct else None


def _is_atlas(path: Path, template: str, name: str) -> bool:
    entities = parse_name(path)
    own = {key: value for key, value in entities.items() if key in {"tpl", "cohort"}}
    return full_space(own) == template and entities.get("atlas") == name


def explain_absent_atlas(parcellation: Parcellation) -> str:
    """Say how to get the label image of a parcellation."""
    own = f"give your own with --atlas {parcellation.name}=FILE"
    if not parcellation.image:
        return f"{own}."
    folder = find_cache_folder() / ATLASES_FOLDER
    urls = {file.name: file.urls[0] for file in list_atlas_files()}
    return (
        f"run kraken-tools fetch atlases, or put {urls[parcellation.image]} into {folder} (set "
        f"KRAKEN_BIDS_DATA for another folder), or {own}."
    )


def _find_cached(parcellation: Parcellation) -> LabelImage | None:
    folder = find_cache_folder() / ATLASES_FOLDER
    published = parcellation.image or f"{parcellation.name}.nii.gz"
    if parcellation.source == APARCASEG or not (folder / published).is_file():
        return None
    _check_published(folder / published, parcellation)
    return LabelImage(parcellation.name, folder / published, parcellation.space)


def _check_published(path: Path, parcellation: Parcellation) -> None:
    """Refuse a label image that bears a published name and is another."""
    expected = {file.name: file.sha256 for file in list_atlas_files()}.get(path.name)
    found = check_copy(path, expected) if expected else ""
    if found:
        raise InputError(
            f"expected the published label image of {parcellation.name} (SHA-256 {expected}) at "
            f"{path}; found {found}. It is damaged or another version: run kraken-tools fetch "
            f"atlases; a label image of your own goes with --atlas {parcellation.name}=FILE."
        )
