"""The inputs of one subject, session by session."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kraken_bids.bids.datasets import FLAGS, Dataset
from kraken_bids.bids.folders import explain_folder
from kraken_bids.bids.foreign_layouts import FOREIGN, HCP, UK_BIOBANK
from kraken_bids.bids.hcp_bold import find_hcp_inputs
from kraken_bids.bids.index import Search, SubjectFile, list_subject_files
from kraken_bids.bids.lesions import find_lesion
from kraken_bids.bids.names import strip_label
from kraken_bids.bids.parcellated_bold import find_parcellated_bold
from kraken_bids.bids.preprocessed_bold import BoldRun, FunctionalInputs, find_functional_inputs
from kraken_bids.bids.query import ExplicitPaths, Query, matches, parse_exclusion
from kraken_bids.bids.tractographies import (
    StructuralInputs,
    Tractography,
    find_structural_inputs,
    is_tractogram,
)
from kraken_bids.bids.uk_biobank_bold import find_uk_biobank_inputs
from kraken_bids.bids.uk_biobank_tracts import find_uk_biobank_tracts
from kraken_bids.exceptions import InputError
from kraken_bids.parcellations import SERIES, Parcellation


@dataclass(frozen=True)
class SessionInputs:
    """Everything that one session of one subject gives."""

    subject: str
    """Label without ``sub-``."""
    session: str | None
    """Label without ``ses-``; None where the subject has no session level."""
    bold_runs: tuple[BoldRun, ...]
    tractographies: tuple[Tractography, ...]
    notes: tuple[str, ...]
    """What is missing or second best, in plain words with the way out."""
    problems: tuple[InputError, ...] = ()
    """Why one half, function or structure, cannot be used although something is there."""

    @property
    def is_usable(self) -> bool:
        """Whether at least one connectome can be measured."""
        return bool(self.bold_runs or self.tractographies)


def find_session_inputs(
    datasets: Sequence[Dataset],
    subject: str,
    *,
    parcellations: Sequence[Parcellation],
    atlas_images: Mapping[str, str] | None = None,
    query: Query | None = None,
    explicit: ExplicitPaths | None = None,
) -> tuple[SessionInputs, ...]:
    """Find the inputs of a subject, session by session, in its own folders only.

    Where there is exactly one session, files at the subject's level belong to it. Sessions
    that give nothing are left out.

    Parameters
    ----------
    datasets : sequence of Dataset
        As :func:`~kraken_bids.bids.datasets.find_datasets` gives.
    subject : str
        Label with or without ``sub-``.
    parcellations : sequence of Parcellation
        Those wanted.
    atlas_images : mapping, optional
        ``--atlas``: parcellation name to path, with ``{subject}`` and ``{session}``.

    Raises
    ------
    InputError
        If nothing can be measured. What is wrong with one half only is among the ``problems``.
    """
    subject = strip_label(subject, "sub")
    query, explicit = query or Query(), explicit or ExplicitPaths()
    folders = [d.path / f"sub-{subject}" for d in datasets if d.is_searched]
    gaps = tuple(filter(None, map(explain_folder, folders)))
    listed = list_subject_files(datasets, subject)
    _check_exclusions(query, listed, subject)
    sessions, every = _find_sessions(listed, explicit)
    files = tuple(f for f in every if not f.is_misnamed)
    misnamed = tuple(f for f in every if f.is_misnamed)
    images = dict(atlas_images or {})
    search = Search(subject, None, files, datasets, query, images, explicit, misnamed=misnamed)
    found = [
        _find_one(replace(search, session=session), parcellations)
        for session in _choose_sessions(sessions, query, subject)
    ]
    problems = [problem for inputs in found for problem in inputs.problems]
    if not any(inputs.is_usable for inputs in found):
        if problems:
            raise problems[0]
        notes = [note for inputs in found for note in inputs.notes]
        raise InputError(_explain_nothing(datasets, subject, [*gaps, *notes]))
    return tuple(
        replace(inputs, notes=(*inputs.notes, *gaps))
        for inputs in found
        if inputs.is_usable or inputs.problems
    )


def _choose_sessions(
    sessions: Sequence[str | None], query: Query, subject: str
) -> list[str | None]:
    asked = [session for session in sessions if query.accepts_session(session)]
    if sessions and not asked:
        raise InputError(
            f"expected sessions {', '.join(query.sessions)} of sub-{subject}; found "
            f"{', '.join(s or '(no session level)' for s in sessions)}. Check --session-id."
        )
    return asked


def _find_one(search: Search, parcellations: Sequence[Parcellation]) -> SessionInputs:
    functional = parcellated = FunctionalInputs()
    structural = StructuralInputs()
    of_series = [own.name for own in parcellations if own.source == SERIES]
    parcellations = [own for own in parcellations if own.source != SERIES]
    problems = []
    try:
        functional = _find_function(search, parcellations)
    except InputError as error:
        problems.append(error)
    try:
        parcellated = find_parcellated_bold(search, of_series)
    except InputError as error:
        problems.append(error)
    try:
        structural = _find_structure(search, parcellations)
    except InputError as error:
        problems.append(error)
    return SessionInputs(
        subject=search.subject,
        session=search.session,
        bold_runs=(*functional.bold_runs, *parcellated.bold_runs),
        tractographies=structural.tractographies,
        notes=(*functional.notes, *parcellated.notes, *structural.notes, *_note_misnamed(search)),
        problems=tuple(problems),
    )


def _find_function(search: Search, parcellations: Sequence[Parcellation]) -> FunctionalInputs:
    """BOLD runs of the first of the datasets that has any, each dataset read as it is laid out."""
    layouts: dict[Dataset | None, list[SubjectFile]] = {}
    for file in search.files:
        is_foreign = file.dataset.pipeline in FOREIGN
        layouts.setdefault(file.dataset if is_foreign else None, []).append(file)
    found = FunctionalInputs()
    for dataset, files in layouts.items() or [(None, [])]:
        if dataset and all(f.session != search.session for f in files):
            continue
        local = replace(search, files=files)
        if dataset is None:
            further = find_functional_inputs(local, parcellations)
        else:
            find = find_hcp_inputs if dataset.pipeline == HCP else find_uk_biobank_inputs
            further = _add_lesions(find(local, parcellations), search)
        notes = further.notes
        if found.bold_runs and further.bold_runs:
            notes = (
                f"BOLD of {search.label} lies in several datasets; {found.bold_runs[0].bold} and "
                f"its like are used, {further.bold_runs[0].bold} and its like are not. Name a "
                "dataset with -d NAME=PATH to have it first.",
            )
        found = FunctionalInputs(found.bold_runs or further.bold_runs, (*found.notes, *notes))
    return found


def _add_lesions(found: FunctionalInputs, search: Search) -> FunctionalInputs:
    """Add the lesion mask to runs of datasets of other layouts, in the space of each."""
    lesions = {run.space: find_lesion(search, run.space) for run in found.bold_runs}
    runs = (replace(run, lesion=lesions[run.space][0]) for run in found.bold_runs)
    notes = dict.fromkeys(note for _, remarks in lesions.values() for note in remarks)
    return FunctionalInputs(tuple(runs), (*found.notes, *notes))


def _find_structure(search: Search, parcellations: Sequence[Parcellation]) -> StructuralInputs:
    """Tractograms of a session; those of UK Biobank where there are no others."""
    found = find_structural_inputs(search, parcellations)
    theirs = [
        f for f in search.files if f.dataset.pipeline == UK_BIOBANK and f.session == search.session
    ]
    if found.tractographies or search.explicit.tractograms or not theirs:
        return found
    further = find_uk_biobank_tracts(replace(search, files=theirs), parcellations)
    return replace(further, notes=(*found.notes, *further.notes))


def _note_misnamed(search: Search) -> list[str]:
    """Say which other files are not read for their names; BOLD and tractograms are refused."""
    found = [f.path for f in search.misnamed if f.session in {search.session, None}]
    if not found:
        return []
    return [
        f"{found[0]}{f' and {len(found) - 1} more files' if len(found) > 1 else ''}: not read, "
        "since the name says another participant or session than the folder."
    ]


def _check_exclusions(query: Query, files: Sequence[SubjectFile], subject: str) -> None:
    """Refuse an exclusion for this subject that leaves nothing out: a slip of the pen."""
    for name in query.excluded:
        conditions = parse_exclusion(name)
        if matches({"sub": subject}, {"sub": conditions.get("sub")}) and not any(
            matches(file.entities, conditions) for file in files
        ):
            raise InputError(
                f"--exclude-runs {name}: expected a file of sub-{subject} that it leaves out; "
                "found none. Check its spelling against the names of the files."
            )


def _find_sessions(
    files: Sequence[SubjectFile], explicit: ExplicitPaths
) -> tuple[list[str | None], Sequence[SubjectFile]]:
    """Sessions with BOLD or tractograms; a single one takes in files without session."""
    with_data = {f.session for f in files if f.entities["datatype"] == "func" or is_tractogram(f)}
    named = sorted(s for s in with_data if s is not None)
    if len(named) == 1 and None in with_data:
        moved = [
            replace(f, session=named[0])
            if f.session is None and f.entities["datatype"] != "anat"
            else f
            for f in files
        ]
        return [named[0]], moved
    sessions = [*([None] if None in with_data else []), *named]
    # Paths of the user need no file in the datasets.
    return sessions or ([None] if explicit.tractograms else []), files


def _explain_nothing(datasets: Sequence[Dataset], subject: str, notes: Sequence[str]) -> str:
    searched = [
        str(d.path if d.pipeline in FOREIGN else d.path / f"sub-{subject}")
        for d in datasets
        if d.is_searched
    ]
    reasons = "".join(f"\n- {note}" for note in dict.fromkeys(notes))
    if searched and all(d.pipeline in FOREIGN for d in datasets if d.is_searched):
        return (
            f"expected BOLD or streamlines of sub-{subject} in {', '.join(searched)}; found none "
            f"that can be used.{reasons}"
        )
    return (
        f"expected BOLD series (func/*_space-T1w|MNI152NLin6Asym*_desc-preproc_bold.nii.gz) or "
        f"tractograms (dwi/*_streamlines.tck[.gz], *_tractogram.trk[.gz], *_tractography.trx) of "
        f"sub-{subject} in {', '.join(searched) or 'no dataset'}; found none that can be used. "
        f"They come from {FLAGS}.{reasons}"
    )
