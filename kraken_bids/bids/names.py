"""BIDS file names: taken apart and put together, with no table of what must exist."""

import re
from collections.abc import Mapping
from pathlib import Path

ENTITY_ORDER = (
    *(
        "tpl",
        "sub",
        "ses",
        "sample",
        "task",
        "tracksys",
        "acq",
        "ce",
        "trc",
        "stain",
        "rec",
        "dir",
    ),
    *("run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi", "from", "to", "mode"),
    *("space", "cohort", "split", "recording", "chunk", "res", "den"),
    *("atlas", "seg", "scale", "stat", "meas", "model", "label"),
)
RANK = {key: place for place, key in enumerate(ENTITY_ORDER)}

EXTENSION = re.compile(
    r"(?:\.(?:dense|dtseries|dscalar|dlabel|ptseries|pscalar|pconn|plabel|func|surf|shape|label))?"
    r"\.[A-Za-z0-9]+(?:\.gz)?$"
)
"""One extension, with what CIFTI, GIFTI and connectomes put before it and gzip behind it; dots
before that belong to the name (``errts.sub-01.r01.nii.gz``)."""


def split_extension(path: Path | str) -> tuple[str, str]:
    """File name without its extension, and the extension: ``bold`` and ``.nii.gz``.

    Parameters
    ----------
    path : path or str
        Only its last part is read; dots may stand anywhere in it.
    """
    name = path.name if isinstance(path, Path) else Path(path).name
    found = EXTENSION.search(name)
    return (name[: found.start()], found[0]) if found else (name, "")


def parse_name(path: Path | str) -> dict[str, str]:
    """Entities of a file name in the order in which they stand, then ``suffix`` and ``extension``.

    Values stay as they are spelled (``run-01`` gives ``01``). Parts without a hyphen that are not
    the last one are passed over, since older tools wrote such names.

    Parameters
    ----------
    path : path or str
        Only its last part is read: ``sub-01_task-rest_run-01_desc-preproc_bold.nii.gz``.
    """
    stem, extension = split_extension(path)
    *parts, suffix = stem.split("_")
    entities = {}
    for part in parts:
        key, hyphen, value = part.partition("-")
        if hyphen:
            entities[key] = value
    return {**entities, "suffix": suffix, "extension": extension}


def full_space(entities: Mapping[str, str]) -> str:
    """Space of an image, cohort included, as transforms spell it: ``MNIPediatricAsym+2``.

    Cohorts of one template are spaces of their own: their brains differ by millimetres.

    Parameters
    ----------
    entities : mapping
        Of its name; ``tpl`` stands in for ``space``. '' where there is neither.
    """
    space = entities.get("space") or entities.get("tpl", "")
    cohort = entities.get("cohort")
    return f"{space}+{cohort}" if space and cohort else space


def rank_version(entities: Mapping[str, str]) -> tuple[tuple[bool, str], ...]:
    """Order of the versions of one scan (``rec-``, ``ce-``, ``part-``): as it came, then by name.

    It hangs on nothing else, so that of everyone the same version is read.

    Parameters
    ----------
    entities : mapping
        Of its name. ``ce-none`` counts as no contrast agent.
    """
    found = (entities.get(key, "") for key in ("rec", "ce", "part"))
    return tuple((value not in {"", "none"}, value) for value in found)


def format_name(entities: Mapping[str, str], *, suffix: str, extension: str) -> str:
    """File name of these entities in BIDS order, ``desc`` last; the inverse of :func:`parse_name`.

    Parameters
    ----------
    entities : mapping
        Short keys (``sub``, ``ses``, ``task`` …) to values; ``suffix`` and ``extension`` in it are
        ignored, so that a parsed name can be given as it is. Keys that BIDS does not know stand
        before ``desc``.
    suffix, extension : str
        ``bold`` and ``.nii.gz``.
    """
    own = {k: v for k, v in entities.items() if k not in {"suffix", "extension"} and v}
    ordered = sorted(own, key=lambda key: (key == "desc", RANK.get(key, len(RANK))))
    return "_".join([*(f"{key}-{own[key]}" for key in ordered), suffix]) + extension


def strip_label(label: str, entity: str) -> str:
    """Label without its entity: ``sub-01`` and ``01`` both give ``01``."""
    return label.removeprefix(f"{entity}-")


def session_label(subject: str, session: str | None) -> str:
    """``sub-01`` or ``sub-01_ses-1``."""
    return f"sub-{subject}" + (f"_ses-{session}" if session else "")
