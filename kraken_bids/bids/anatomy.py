"""Images to look at labels on: the reference of a BOLD run, and the T1w image of a space."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.names import full_space, parse_name

IMAGES = (".nii.gz", ".nii")
NATIVE = ("T1w", "")


def find_bold_reference(bold: Path) -> Path | None:
    """Find the reference image (``boldref``) beside a preprocessed BOLD series, if there is one.

    Parameters
    ----------
    bold : path
        ``…_space-T1w_desc-preproc_bold.nii.gz``; its reference differs in ``desc`` and suffix.
    """
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
        A file of the participant, in ``sub-01[/ses-1]/func`` or the like.
    datasets : sequence of Dataset
    """
    below = _find_participant(beside)
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


def _find_participant(path: Path) -> tuple[Path, tuple[str, ...]] | None:
    """Dataset of a file, and the folders ``sub-01[, ses-1]`` that it lies in."""
    parts = path.parts
    place = next((k for k, part in enumerate(parts) if part.startswith("sub-")), None)
    if place is None or place == len(parts) - 1:
        return None
    levels = [part for part in parts[place:-1] if part.startswith(("sub-", "ses-"))]
    return Path(*parts[:place]), tuple(levels)
