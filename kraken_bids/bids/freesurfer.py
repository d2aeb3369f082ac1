"""Which of FreeSurfer's folders a run of fMRIPrep used."""

import re
from collections.abc import Mapping, Sequence
from os.path import lexists
from pathlib import Path

from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.index import Search, SubjectFile

SEGMENTATION = Path("mri") / "aparc+aseg.mgz"
NAMED_BY_SESSION = (25, 2)
"""First version of fMRIPrep that may call FreeSurfer's folder after sessions, and did so even for
an anatomy of several (``sub-01_ses-post+pre``)."""
BY_SUBJECT_AGAIN = (26, 0)
"""First version that keeps that for one anatomy per session."""


def find_segmentation(search: Search, transform: SubjectFile) -> tuple[Path | None, str]:
    """``aparc+aseg.mgz`` of the FreeSurfer folder that a transform leads from, and a remark.

    Parameters
    ----------
    transform : SubjectFile
        ``from-fsnative_to-T1w``: its dataset and session say which folder fMRIPrep used.

    Returns
    -------
    path : Path or None
    remark : str
        Why there is none, or between which ones was chosen; '' where nothing is to be said.

    Source
    ------
    github.com/nipreps/fmriprep, pull request 3607 (names by version and anatomical reference).
    """
    version, remark = _version(transform.dataset), ""
    for folder in _list_folders(search.datasets, transform.dataset):
        names = _list_names(folder, search.subject)
        wanted = [
            name
            for name in _rank(names, search, transform.session, version=version)
            # a link to nowhere is found too: reading it then says how to get the content
            if lexists(folder / name / SEGMENTATION)
        ]
        if wanted:
            return folder / wanted[0] / SEGMENTATION, _say_several(search, folder, wanted)
        if names:
            remark = (
                f"FreeSurfer's folder sub-{search.subject} is not in {folder}, and "
                f"{', '.join(names)} there were not made by fMRIPrep {transform.dataset.version}, "
                "which names them by participant: link the right one under that name."
            )
    return None, remark


def _version(dataset: Dataset) -> tuple[int, int] | None:
    """Version of fMRIPrep; None where another or an unknown one wrote the dataset."""
    found = re.match(r"v?(\d+)\.(\d+)", dataset.version)
    return (int(found[1]), int(found[2])) if found and dataset.pipeline == "fmriprep" else None


def _list_folders(datasets: Sequence[Dataset], of: Dataset) -> list[Path]:
    """FreeSurfer's datasets, those in or beside a dataset first."""
    folders = [d.path for d in datasets if d.pipeline == "freesurfer"]
    root, beside = of.path.resolve(), of.path.resolve().parent / "freesurfer"

    def is_elsewhere(folder: Path) -> bool:
        real = folder.resolve()
        return not (real.is_relative_to(root) or real == beside)

    return sorted(folders, key=is_elsewhere)


def _list_names(folder: Path, subject: str) -> Mapping[str, frozenset[str]]:
    """Folders of a subject, each with the sessions that its name lists (none: of all)."""
    bare = f"sub-{subject}"
    found: dict[str, frozenset[str]] = {bare: frozenset()} if lexists(folder / bare) else {}
    for path in sorted(folder.glob(f"{bare}_ses-*")):
        # FreeSurfer's longitudinal stream adds .long.<template>
        if ".long." not in path.name and lexists(path / SEGMENTATION):
            found[path.name] = frozenset(path.name.removeprefix(f"{bare}_ses-").split("+"))
    return found


def _rank(
    names: Mapping[str, frozenset[str]],
    search: Search,
    level: str | None,
    *,
    version: tuple[int, int] | None,
) -> list[str]:
    """Names that a version of fMRIPrep may have used for an anatomy, the likeliest first."""
    of_all = [name for name, sessions in names.items() if not sessions]
    if version is not None and version < NAMED_BY_SESSION:
        return of_all
    wanted = level or search.session
    of_one = [name for name, sessions in names.items() if sessions == {wanted}]
    of_several = [name for name, sessions in names.items() if len(sessions) > 1]
    of_several = [name for name in of_several if wanted is None or wanted in names[name]]
    if level is not None:
        return [*of_one, *of_several, *of_all]
    if version is not None and version < BY_SUBJECT_AGAIN:
        return [*of_several, *of_all, *of_one]
    return [*of_all, *of_several, *of_one]


def _say_several(search: Search, folder: Path, names: Sequence[str]) -> str:
    """Between which folders was chosen; '' where there is one."""
    if len(names) < 2:
        return ""
    return (
        f"FreeSurfer's folders {', '.join(names)} in {folder} may all be that of {search.label}; "
        f"{SEGMENTATION} of {names[0]} is used. Move the others away if it is another."
    )
