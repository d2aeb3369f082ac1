"""Which anatomy belongs to which data: of one dataset and one session, never a mixture.

A T1w space is that of one image: fMRIPrep's T1w space of one session, or of another run of
fMRIPrep, is turned and shifted against it. Segmentation, tissue maps and transforms must therefore
come from where the data's own T1w space was made.
"""

from collections.abc import Sequence
from dataclasses import replace

from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.index import Search, SubjectFile, pick_level

QSI = ("qsiprep", "qsirecon")
"""Pipelines whose T1w is turned to AC-PC, so that it is no one else's."""
NOT_ANATOMY = ("func", "dwi", "fmap", "perf")


def add_anatomy(search: Search, dataset: Dataset | None) -> tuple[Search, list[str]]:
    """Search with the anatomy that the data of a dataset lie in, and remarks for the user.

    In this order: the dataset's own; sMRIPrep's; the first other one. Within it the session's,
    the participant's, or that of the only session that has one.

    Parameters
    ----------
    search : Search
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
