"""Which anatomy belongs to which data, and the images that labels are looked at on.

A T1w space is that of one image: fMRIPrep's T1w space of one session, or of another run of
fMRIPrep, is turned and shifted against it. Segmentation, tissue maps and transforms must therefore
come from where the data's own T1w space was made: one dataset and one session, never a mixture.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.foreign_layouts import MNI_FOLDER
from kraken_bids.bids.index import Search, SubjectFile, pick_level
from kraken_bids.bids.names import full_space, parse_name

IMAGES = (".nii.gz", ".nii")
NATIVE = ("T1w", "")
REFERENCES = ("{}_SBRef.nii.gz", "SBRef_dc.nii.gz", "reg/example_func.nii.gz")
"""References of the HCP, by the name of a run's folder, and of UK Biobank, beside the BOLD."""
HCP_T1W = "T1w_restore.nii.gz"


def find_bold_reference(bold: Path) -> Path | None:
    """Find the reference image (``boldref``) beside a preprocessed BOLD series, if there is one.

    Parameters
    ----------
    bold : path
        ``…_space-T1w_desc-preproc_bold.nii.gz``; its reference differs in ``desc`` and suffix.
    """
    theirs = (bold.parent / name.format(bold.parent.name) for name in REFERENCES)
    found = next((path for path in theirs if path.is_file()), None)
    if found:
        return found
    wanted = _identity(bold)
    for path in _list_images(bold.parent, "*_boldref.nii*"):
        if _identity(path) == wanted and parse_name(path).get("desc", "") in {"", "preproc"}:
            return path
    return None


def find_t1w(space: str, *, beside: Path, datasets: Sequence[Dataset]) -> Path | None:
    """Preprocessed T1w image in the space of some data; None where there is none.

    An image that names the space is taken from any dataset; one that names none lies in its own
    dataset's T1w space, and is taken for that of ``beside`` only.

    Parameters
    ----------
    space : str
        ``T1w``, ``ACPC``, ``MNI152NLin6Asym`` …
    beside : path
        A file of the subject, in ``sub-01[/ses-1]/func`` or the like.
    """
    of_hcp = next((p / HCP_T1W for p in beside.parents if p.name == MNI_FOLDER), None)
    if of_hcp and of_hcp.is_file():
        return of_hcp
    below = _find_subject_folder(beside)
    if below is None:
        return None
    own, levels = below
    roots = [own, *(d.path for d in datasets if d.is_searched and d.path != own)]
    for root in roots:
        for depth in range(len(levels), 0, -1):
            folder = root.joinpath(*levels[:depth], "anat")
            for path in _list_images(folder, "*_T1w.nii*"):
                entities = parse_name(path)
                named = full_space(entities) if "space" in entities else ""
                is_there = named == space or (not named and space in NATIVE and root == own)
                if is_there and entities.get("desc") == "preproc":
                    return path
    return None


def _identity(path: Path) -> dict[str, str]:
    ignored = {"desc", "suffix", "extension", "echo"}
    return {key: value for key, value in parse_name(path).items() if key not in ignored}


def _list_images(folder: Path, pattern: str) -> Iterator[Path]:
    if folder.is_dir():
        yield from (p for p in sorted(folder.glob(pattern)) if p.name.endswith(IMAGES))


def _find_subject_folder(path: Path) -> tuple[Path, tuple[str, ...]] | None:
    """Dataset of a file, and the folders ``sub-01[, ses-1]`` that it lies in."""
    parts = path.parts
    place = next((k for k, part in enumerate(parts) if part.startswith("sub-")), None)
    if place is None or place == len(parts) - 1:
        return None
    levels = [part for part in parts[place:-1] if part.startswith(("sub-", "ses-"))]
    return Path(*parts[:place]), tuple(levels)


QSI = ("qsiprep", "qsirecon")
"""Pipelines whose T1w is turned to AC-PC, so that it is no one else's."""


NOT_ANATOMY = ("func", "dwi", "fmap", "perf")


def add_anatomy(search: Search, dataset: Dataset | None) -> tuple[Search, list[str]]:
    """Search with the anatomy that the data of a dataset lie in, and remarks for the user.

    In this order: the dataset's own; sMRIPrep's; the first other one. Within it the session's,
    the subject's, or that of the only session that has one.

    Parameters
    ----------
    dataset : Dataset or None
        Of the BOLD series or tractograms; None where it has no T1w space of its own (QSIPrep's).
    """
    files = [f for f in search.files if f.entities["datatype"] not in NOT_ANATOMY]
    by_dataset = {
        d: [f for f in files if f.dataset == d] for d in search.datasets if d.pipeline not in QSI
    }
    own = by_dataset.pop(dataset, []) if dataset else []
    if any(map(_defines_space, own)):
        return _with_level(search, own, [])
    others = {d: fs for d, fs in by_dataset.items() if any(map(_defines_space, fs))}
    chosen = next((d for d in others if d.pipeline == "smriprep"), next(iter(others), None))
    if chosen is None:
        return _with_level(search, own or next(filter(None, by_dataset.values()), []), [])
    notes = []
    if len(others) > 1:
        notes.append(
            f"anatomy was found in {' and '.join(str(d.path) for d in others)}; that of "
            f"{chosen.path} is used. Name another with -d NAME=PATH to have it first."
        )
    elif dataset and chosen.pipeline != "smriprep":
        notes.append(
            f"{dataset.path} has no anatomy; that of {chosen.path} is used. It must be the one "
            "that fMRIPrep was given with --derivatives."
        )
    with_chosen, more = _with_level(search, others[chosen], notes)
    if not own:
        return with_chosen, more
    # what fMRIPrep adds to an anatomy that it was given lies in its own folder
    with_own, _ = _with_level(search, own, [])
    return replace(search, anatomy=(*with_own.anatomy, *with_chosen.anatomy)), more


def _with_level(
    search: Search, files: Sequence[SubjectFile], notes: list[str]
) -> tuple[Search, list[str]]:
    """Search with those files of a dataset that share the session's T1w space."""
    levels = {f.session for f in files if _defines_space(f)} or {f.session for f in files}
    level = pick_level(levels, search.session)
    if levels and not level:
        listed = " and ".join(f"ses-{label}" for label in sorted(filter(None, levels)))
        notes = [
            *notes,
            f"{search.label} has no anatomy of its own, and {listed} each have theirs, whose "
            "spaces differ: none is used.",
        ]
    return replace(search, anatomy=tuple(f for f in files if f.session in level)), notes


def _defines_space(file: SubjectFile) -> bool:
    """Whether a file shows that a T1w space was made there: in that space, or leading to it."""
    found = file.entities
    if found["suffix"] == "xfm":
        return "T1w" in {found.get("from"), found.get("to")}
    if found["datatype"] != "anat" or "space" in found:
        return False
    return (
        found["suffix"] == "probseg"
        or (found["suffix"] == "T1w" and found.get("desc") == "preproc")
        or (found["suffix"] == "mask" and found.get("desc") == "brain")
        or (found["suffix"] == "dseg" and "desc" not in found)
    )
