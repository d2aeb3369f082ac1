"""BIDS file names: taken apart and put together, with no table of what must exist."""

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


def parse_name(path: Path | str) -> dict[str, str]:
    """Entities of a file name in the order in which they stand, then ``suffix`` and ``extension``.

    Values stay as they are spelled (``run-01`` gives ``01``). Parts without a hyphen that are not
    the last one are passed over, since older tools wrote such names.

    Parameters
    ----------
    path : path or str
        Only its last part is read: ``sub-01_task-rest_run-01_desc-preproc_bold.nii.gz``.
    """
    stem, dot, extension = Path(path).name.partition(".")
    *parts, suffix = stem.split("_")
    entities = {}
    for part in parts:
        key, hyphen, value = part.partition("-")
        if hyphen:
            entities[key] = value
    return {**entities, "suffix": suffix, "extension": dot + extension}


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
    rank = {key: i for i, key in enumerate(ENTITY_ORDER)}
    ordered = sorted(own, key=lambda key: (key == "desc", rank.get(key, len(rank))))
    return "_".join([*(f"{key}-{own[key]}" for key in ordered), suffix]) + extension


def strip_label(label: str, entity: str) -> str:
    """Label without its entity: ``sub-01`` and ``01`` both give ``01``."""
    return label.removeprefix(f"{entity}-")
