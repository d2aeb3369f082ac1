"""Files of one participant: its own folders are listed, the rest of a dataset never is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.folders import is_folder, list_folder
from kraken_bids.bids.names import parse_name
from kraken_bids.bids.query import ExplicitPaths, Query

NOT_DATA = ("figures", "log", "logs")
OF_THE_IMAGE = ("space", "cohort", "res", "desc", "suffix", "extension", "datatype")
"""Entities that tell the derived images of one run apart."""


@dataclass(frozen=True)
class SubjectFile:
    """One file of one participant, its name taken apart."""

    dataset: Dataset
    path: Path
    session: str | None
    """Label of the session folder it lies in; None at the participant's own level."""
    entities: Mapping[str, str]
    """As parsed, with ``suffix``, ``extension`` and ``datatype`` (its folder; '' for none)."""

    def is_called(self, **wanted: str | None) -> bool:
        """Whether entities have these values (None: absent); ``from_`` stands for ``from``."""
        return all(self.entities.get(key.rstrip("_")) == value for key, value in wanted.items())

    @property
    def run_key(self) -> frozenset[tuple[str, str]]:
        """The entities of the run that it was derived from."""
        return frozenset((k, v) for k, v in self.entities.items() if k not in OF_THE_IMAGE)


@dataclass(frozen=True)
class Search:
    """One session of one participant: its files, and what the user asked for."""

    subject: str
    session: str | None
    files: Sequence[SubjectFile]
    """All files of the participant, those of other sessions too (the anatomy may be there)."""
    datasets: Sequence[Dataset]
    query: Query = field(default_factory=Query)
    atlas_images: Mapping[str, str] = field(default_factory=dict)
    """``--atlas``: parcellation name to path, with ``{subject}`` and ``{session}``."""
    explicit: ExplicitPaths = field(default_factory=ExplicitPaths)


def list_subject_files(datasets: Sequence[Dataset], subject: str) -> tuple[SubjectFile, ...]:
    """Files of a participant in the searched datasets, in the order of datasets and names.

    Parameters
    ----------
    datasets : sequence of Dataset
        Raw and FreeSurfer datasets in it are passed over.
    subject : str
        Label without ``sub-``.

    Raises
    ------
    InputError
        If this user may not read one of its folders.
    """
    found: list[SubjectFile] = []
    for dataset in datasets:
        root = dataset.path / f"sub-{subject}"
        if not dataset.is_searched or not is_folder(root):
            continue
        for folder, session in _list_levels(root):
            found += _list_datatypes(dataset, folder, session)
    return tuple(found)


def pick_nearest(files: Sequence[SubjectFile], session: str | None) -> SubjectFile | None:
    """Choose the file of the session, else the participant's own, else that of another session.

    fMRIPrep puts one anatomy for all sessions at the participant's level, or in the only session
    that had a T1w image.
    """

    def rank(file: SubjectFile) -> int:
        return 0 if file.session == session else 1 if file.session is None else 2

    return min(files, key=rank, default=None)


def _list_levels(root: Path) -> Iterator[tuple[Path, str | None]]:
    yield root, None
    for entry in list_folder(root):
        if entry.name.startswith("ses-") and entry.is_dir():
            yield Path(entry.path), entry.name.removeprefix("ses-")


def _list_datatypes(dataset: Dataset, folder: Path, session: str | None) -> Iterator[SubjectFile]:
    for datatype in list_folder(folder):
        if datatype.name.startswith("sub-") and datatype.is_file():
            entities = {**parse_name(datatype.name), "datatype": ""}
            yield SubjectFile(dataset, Path(datatype.path), session, entities)
        skipped = datatype.name in NOT_DATA or datatype.name.startswith((".", "ses-"))
        if skipped or not datatype.is_dir():
            continue
        for name in (entry.name for entry in list_folder(Path(datatype.path))):
            if not name.startswith("."):
                entities = {**parse_name(name), "datatype": datatype.name}
                yield SubjectFile(dataset, Path(datatype.path) / name, session, entities)
