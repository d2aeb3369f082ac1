"""Transforms between images: FSL's; between templates, of TemplateFlow or the user's own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import lazy_loader

from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.exceptions import InputError
from kraken_bids.published.models import list_atlas_files

__getattr__, _, _ = lazy_loader.attach(
    "kraken_bids.io", submod_attrs={"itk_transforms": ["read_transform"]}
)
"""The old address of a function."""

TRANSFORMS = (".h5", ".txt", ".mat")
PUBLISHED_SPACE = "MNI152NLin6Asym"
"""Of the label images that the model's authors publish, whose names do not say it."""
OTHER_TEMPLATE = {
    "MNI152NLin6Asym": "MNI152NLin2009cAsym",
    "MNI152NLin2009cAsym": "MNI152NLin6Asym",
}
UNSURE = ("MNI", "MNI152", "MNIspace")
"""Names of no template in particular: nothing follows from them."""
FLAG = "--allow-template-mismatch"


@dataclass(frozen=True)
class FslTransform:
    """A file of FSL's, and the images without which it says nothing."""

    path: Path
    kind: Literal["matrix", "field", "inverse of a field"]
    """FLIRT's matrix carries points of its input image to its reference. FNIRT's field carries
    points of the grid that it is stored on (the reference of ``applywarp``) to the input image."""
    points_of: Path
    """Image in whose space the points lie that are carried."""
    into: Path | None
    """Image in whose space they arrive; None: FSL's MNI152."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that is read."""
        return tuple(dict.fromkeys((self.path, self.points_of, *filter(None, [self.into]))))


@dataclass(frozen=True)
class TemplateOptions:
    """What the user says of templates that differ."""

    folder: Path | None = None
    """``--transforms-dir``"""
    allows_mismatch: bool = False
    """``--allow-template-mismatch``"""


def find_template_transform(source: str, target: str, folder: Path | None = None) -> Path | None:
    """Transform of images from one template to another; it carries *points* from target to source.

    Searched in the folder of the user (any file called ``…from-<source>_to-<target>…_xfm`` or
    ``tpl-<target>_from-<source>…_xfm``), then in TemplateFlow's cache. TemplateFlow's files that
    are not downloaded are empty, and are passed over.

    Parameters
    ----------
    source, target : str
        Spaces, such as ``MNI152NLin6Asym``.
    folder : path, optional
        ``--transforms-dir``.

    Raises
    ------
    InputError
        If the user's folder does not exist.
    """
    if folder is not None and not folder.is_dir():
        raise InputError(
            f"--transforms-dir: expected a folder of transforms at {folder}; found none."
        )
    for path in _list_candidates(target, folder):
        entities = parse_name(path)
        to = entities.get("to") or full_space(entities)
        is_wanted = entities["suffix"] == "xfm" and entities.get("from") == source
        if (
            is_wanted
            and to == target
            and entities["extension"] in TRANSFORMS
            and _has_content(path)
        ):
            return path
    return None


def _list_candidates(target: str, folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield from sorted(folder.rglob("*_xfm.*"))
    cached = find_templateflow() / f"tpl-{target.partition('+')[0]}"
    yield from sorted(cached.rglob("*_xfm.*"))


def find_templateflow() -> Path:
    """TemplateFlow's cache: ``TEMPLATEFLOW_HOME``, else ``~/.cache/templateflow``."""
    chosen = os.environ.get("TEMPLATEFLOW_HOME")
    return Path(chosen) if chosen else Path("~/.cache/templateflow").expanduser()


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def find_label_space(image: Path) -> str:
    """Space that the name of a label image says; '' where it says none.

    Published label images are known by their names.
    """
    if any(image.name == file.name for file in list_atlas_files()):
        return PUBLISHED_SPACE
    return full_space(parse_name(image))


def match_spaces(
    image: Path, space: str, options: TemplateOptions
) -> tuple[tuple[Path, ...], str]:
    """Way from the space of the data to that of a label image, as far as names say them.

    Parameters
    ----------
    image : path
        Label image.
    space : str
        Of the data, as their name says it; '' unknown.
    options : TemplateOptions
        What the user says of it.

    Returns
    -------
    transforms : tuple of path
        Points of the data pass through them into the space of the image; () where none is needed.
    remark : str
        What must be said; '' where there is nothing.

    Raises
    ------
    InputError
        If the two are different spaces, one of them a template, and there is no transform.
    """
    own = find_label_space(image)
    if not own or not space or own == space or not (is_template(own) or is_template(space)):
        return (), ""
    if {own, space} & set(UNSURE):
        return (), ""
    found = find_template_transform(own, space, options.folder)
    if found:
        return (found,), ""
    if options.allows_mismatch:
        return (), f"its labels are laid over the data in {space} as they are ({FLAG})"
    raise InputError(
        f"{image}: expected a label image in the space of the data, {space}; found one in {own}. "
        f"{explain_way_out(own, space)}"
    )


def is_template(space: str) -> bool:
    """Whether a space is that of a template, and not of a subject."""
    return space.startswith("MNI")


def explain_way_out(own: str, space: str) -> str:
    """Say how labels of one template get to data in another."""
    name = f"tpl-{space.partition('+')[0]}_from-{own}_mode-image_xfm.h5"
    if not (is_template(own) and is_template(space)):
        return (
            f"Give the image in {space}, or the data in {own}; {FLAG} takes the names to be wrong "
            "and lays the labels over the data as they are."
        )
    return (
        "The two templates differ by millimetres. Rerun fMRIPrep with --output-spaces "
        f"{own}:res-2; or get TemplateFlow's transform {name} (templateflow.api.get('{space}', "
        "suffix='xfm') puts it where it is found; --transforms-dir names another folder); or lay "
        f"the labels over the data as they are with {FLAG}."
    )
