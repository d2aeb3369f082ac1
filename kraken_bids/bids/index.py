"""Files of one subject: its own folders are listed, the rest of a dataset never is."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from kraken_bids.bids.database import list_stored
from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.folders import is_folder, list_folder
from kraken_bids.bids.foreign_layouts import FOREIGN, list_named_files
from kraken_bids.bids.names import parse_name
from kraken_bids.bids.query import ExplicitPaths, Query

NOT_DATA = ("figures", "log", "logs")
OF_THE_IMAGE = ("space", "cohort", "res", "desc", "suffix", "extension", "datatype")
"""Entities that tell the derived images of one run apart."""
JOINED = ("run", "dir")
"""Entities that tell runs of one kind apart, which are joined; others (``rec``, ``ce``, ``acq`` …)
tell versions of a scan or other scans apart, which are not."""


@dataclass(frozen=True)
class SubjectFile:
    """One file of one subject, its name taken apart."""

    dataset: Dataset
    path: Path
    session: str | None
    """Label of the session folder it lies in, else of its name; None for all sessions."""
    entities: Mapping[str, str]
    """As parsed, with ``suffix``, ``extension`` and ``datatype`` (its folder; '' for none)."""
    is_misnamed: bool = False
    """Whether its name says another subject or session than its folders."""

    def is_called(self, **wanted: str | None) -> bool:
        """Whether entities have these values (None: absent); ``from_`` stands for ``from``."""
        return all(self.entities.get(key.rstrip("_")) == value for key, value in wanted.items())

    @property
    def version_key(self) -> frozenset[tuple[str, str]]:
        """The entities that runs share which may be joined: all but ``run`` and ``dir``."""
        return frozenset((k, v) for k, v in self.run_key if k not in JOINED)

    @property
    def run_key(self) -> frozenset[tuple[str, str]]:
        """The entities of the run that it was derived from."""
        return frozenset((k, v) for k, v in self.entities.items() if k not in OF_THE_IMAGE)


@dataclass(frozen=True)
class Search:
    """One session of one subject: its files, and what the user asked for."""

    subject: str
    session: str | None
    files: Sequence[SubjectFile]
    """All files of the subject, those of other sessions too (the anatomy may be there)."""
    datasets: Sequence[Dataset]
    query: Query = field(default_factory=Query)
    atlas_images: Mapping[str, str] = field(default_factory=dict)
    """``--atlas``: parcellation name to path, with ``{subject}`` and ``{session}``."""
    explicit: ExplicitPaths = field(default_factory=ExplicitPaths)
    misnamed: Sequence[SubjectFile] = ()
    """Files in the subject's folders whose names say another one; never used."""
    anatomy: Sequence[SubjectFile] = ()
    """Those of the files that belong to the anatomy of the data in question."""

    @property
    def label(self) -> str:
        """``sub-01`` or ``sub-01_ses-1``."""
        return f"sub-{self.subject}" + (f"_ses-{self.session}" if self.session else "")

    @property
    def names(self) -> dict[str, str]:
        """Entities of the session for the names of its outputs: ``sub``, and ``ses`` if any."""
        return {"sub": self.subject} | ({"ses": self.session} if self.session else {})


def list_subject_files(datasets: Sequence[Dataset], subject: str) -> tuple[SubjectFile, ...]:
    """Files of a subject in the searched datasets, in the order of datasets and names.

    Raw and FreeSurfer datasets are passed over; the label is without ``sub-``.

    Raises
    ------
    InputError
        If this user may not read one of its folders.
    """
    found: list[SubjectFile] = []
    for dataset in datasets:
        root = dataset.path / f"sub-{subject}"
        if dataset.pipeline in FOREIGN:
            named = list_named_files(dataset.path, dataset.pipeline, subject)
            found += [SubjectFile(dataset, *one) for one in named]
            continue
        if not dataset.is_searched or not is_folder(root):
            continue
        if dataset.database:
            found += _describe_stored(dataset, root)
            continue
        for folder, session in _list_levels(root):
            own = {"sub": subject} | ({"ses": session} if session else {})
            found += _list_datatypes(dataset, folder, own)
    return tuple(found)


def pick_nearest(files: Sequence[SubjectFile], session: str | None) -> SubjectFile | None:
    """Choose the file of the session, else the subject's own, else of the only other session.

    fMRIPrep puts one anatomy for all sessions at the subject's level, or in the only session
    that had a T1w image. Of several other sessions none is chosen: each has a space of its own.
    """
    level = pick_level({file.session for file in files}, session)
    return next((file for file in files if file.session in level), None)


def pick_level(found: Set[str | None], session: str | None) -> Set[str | None]:
    """Choose among levels as :func:`pick_nearest` does among files; empty where none is."""
    for level in (session, None):
        if level in found:
            return {level}
    return found if len(found) == 1 else set()


def _describe_stored(dataset: Dataset, root: Path) -> list[SubjectFile]:
    """Files that a database lists, as the folders would be: in their order, no deeper."""
    own = {"sub": root.name.removeprefix("sub-")}
    found = []
    for path in list_stored(dataset, own["sub"]):
        *folders, name = path.relative_to(root).parts
        session = folders.pop(0)[4:] if folders and folders[0].startswith("ses-") else None
        levels = own | ({"ses": session} if session else {})
        is_data = not name.startswith(".") and (folders or name.startswith("sub-"))
        if is_data and len(folders) < 2 and not {*folders} & {*NOT_DATA}:
            file = _describe(dataset, path, levels, datatype="".join(folders))
            found.append(((session or "", *folders, name), file))
    return [file for _, file in sorted(found, key=lambda pair: pair[0])]


def _list_levels(root: Path) -> Iterator[tuple[Path, str | None]]:
    yield root, None
    for entry in list_folder(root):
        if entry.name.startswith("ses-") and entry.is_dir():
            yield Path(entry.path), entry.name.removeprefix("ses-")


def _list_datatypes(
    dataset: Dataset, folder: Path, own: Mapping[str, str]
) -> Iterator[SubjectFile]:
    for datatype in list_folder(folder):
        if datatype.name.startswith("sub-") and datatype.is_file():
            yield _describe(dataset, Path(datatype.path), own, datatype="")
        skipped = datatype.name in NOT_DATA or datatype.name.startswith((".", "ses-"))
        if skipped or not datatype.is_dir():
            continue
        inside = Path(datatype.path)
        for name in (entry.name for entry in list_folder(inside)):
            if not name.startswith("."):
                yield _describe(dataset, inside / name, own, datatype=datatype.name)


def _describe(
    dataset: Dataset, path: Path, own: Mapping[str, str], *, datatype: str
) -> SubjectFile:
    entities = {**parse_name(path), "datatype": datatype}
    is_misnamed = any(entities.get(key, label) != label for key, label in own.items())
    # without session folders, names alone may say the session
    session = own.get("ses") or entities.get("ses")
    return SubjectFile(dataset, path, session, entities, is_misnamed)
