"""Which BOLD series of a session are used, of several that show the same."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from kraken_bids.bids.anatomy import IMAGES
from kraken_bids.bids.cleaned_bold import drop_concatenated, is_cleaned, rank_cleaned
from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.index import JOINED, SubjectFile
from kraken_bids.bids.names import full_space, rank_version
from kraken_bids.bids.outputs import FUNC_ENTITIES
from kraken_bids.exceptions import InputError

BoldBySpace = Mapping[str, Sequence[SubjectFile]]

TAKES_CLEANED = ("auto", "none")
"""``--denoise`` of which BOLD that is cleaned already may be taken."""


def is_measurable(file: SubjectFile, desc: str) -> bool:
    """Whether a file is BOLD that may be measured: preprocessed, or cleaned already."""
    return _is_volumes(file) and (file.is_called(desc=desc) or is_cleaned(file.entities))


def is_preprocessed_bold(file: SubjectFile) -> bool:
    """Whether a file is a preprocessed BOLD volume series in a named space, echoes combined."""
    return _is_volumes(file) and file.is_called(desc="preproc")


def _is_volumes(file: SubjectFile) -> bool:
    """Whether a file is a BOLD volume series in a named space, echoes combined."""
    return (
        file.is_called(suffix="bold", echo=None, datatype="func")
        and file.entities["extension"] in IMAGES
        and "space" in file.entities
    )


def choose_state(
    series: Sequence[SubjectFile], denoise: str
) -> tuple[list[SubjectFile], list[str]]:
    """Of each kind of scan the preprocessed series or the cleaned ones, never both.

    Of one dataset the preprocessed ones, of several those of the first one.

    Parameters
    ----------
    series : sequence of SubjectFile
        Of one session, datasets in their order.
    denoise : str
        What is asked for; all but ``auto`` and ``none`` need preprocessed series.

    Returns
    -------
    chosen : list of SubjectFile
    notes : list of str
        What was left aside.

    Raises
    ------
    InputError
        If every series is cleaned already, and cleaning is asked for.
    """
    cleaned = [file for file in series if is_cleaned(file.entities)]
    if not cleaned:
        return list(series), []
    if denoise not in TAKES_CLEANED and len(cleaned) == len(series):
        raise InputError(
            f"expected preprocessed BOLD for --denoise {denoise}; found {cleaned[0].path}, which "
            f"is cleaned already (desc-{cleaned[0].entities['desc']}): cleaning it twice would "
            "distort it. Leave --denoise out, or name the dataset of fMRIPrep: -d fmriprep=PATH."
        )
    first: dict[frozenset[tuple[str, str]], SubjectFile] = {}
    for file in series if denoise in TAKES_CLEANED else ():
        own = first.setdefault(file.version_key, file)
        if own.dataset == file.dataset and is_cleaned(own.entities):
            first[file.version_key] = file
    taken = {key for key, file in first.items() if is_cleaned(file.entities)}
    kept = [f for f in series if is_cleaned(f.entities) == (f.version_key in taken)]
    left = [f for f in series if f not in kept]
    return kept, _note_states(left, denoise)


def _note_states(left: Sequence[SubjectFile], denoise: str) -> list[str]:
    """Say which series are left aside for those of the same scans in the other state."""
    notes = []
    if left:
        desc = left[0].entities.get("desc")
        reason = "the same scans are there cleaned already"
        if is_cleaned(left[0].entities):
            reason = "the same scans are there preprocessed"
        if denoise not in TAKES_CLEANED:
            reason = f"--denoise {denoise} needs preprocessed ones"
        notes.append(
            f"{len(left)} BOLD series of {left[0].dataset.path} (desc-{desc}) are left aside, "
            f"since {reason}. To have them, leave --denoise out and ask for them with "
            f'--bids-filter-file ({{"bold": {{"desc": "{desc}"}}}}), or name their dataset first '
            "with -d NAME=PATH."
        )
    return notes


def choose_series(
    series: Sequence[SubjectFile],
) -> tuple[dict[Dataset, dict[str, list[SubjectFile]]], list[str]]:
    """One image per run and space: of the first dataset, res-2 before other resolutions.

    Runs of one kind come from one dataset, since two may have been prepared differently and lie
    in other T1w spaces.

    Parameters
    ----------
    series : sequence of SubjectFile
        Preprocessed BOLD series of one session, datasets in their order.

    Returns
    -------
    chosen : dict
        Per dataset, per space (cohort included), the series.
    notes : list of str
        What was left aside, and what is not joined.

    Raises
    ------
    InputError
        If two kinds of scan would bear one name in the outputs.
    """
    notes: list[str] = []
    kept, joined = drop_concatenated(keep_one_dataset(series, notes))
    notes += joined
    runs: dict[tuple[str, frozenset[tuple[str, str]]], list[SubjectFile]] = defaultdict(list)
    for file in kept:
        runs[full_space(file.entities), file.run_key].append(file)
    chosen: dict[Dataset, dict[str, list[SubjectFile]]] = {}
    for (space, _), choices in runs.items():
        best = min(choices, key=rank_series)
        chosen.setdefault(best.dataset, {}).setdefault(space, []).append(best)
        if len(choices) > 1:
            notes.append(_say_chosen(best, len(choices)))
    _check_names(kept)
    return chosen, [*notes, *_note_versions(kept)]


def keep_one_dataset(series: Sequence[SubjectFile], notes: list[str]) -> list[SubjectFile]:
    """Series of the first dataset that has any of their kind in their space."""
    first: dict[tuple[str, frozenset[tuple[str, str]]], SubjectFile] = {}
    left: dict[tuple[Dataset, Dataset], list[SubjectFile]] = defaultdict(list)
    kept = []
    for file in series:
        own = first.setdefault((full_space(file.entities), file.version_key), file)
        if file.dataset == own.dataset:
            kept.append(file)
        else:
            left[own.dataset, file.dataset].append(file)
    notes += [
        f"{len(files)} BOLD series of {other.path} are left aside, since those of {used.path} are "
        f"used ({files[0].path.name}, for one). Name the dataset with -d NAME=PATH to have it "
        "first."
        for (used, other), files in left.items()
    ]
    return kept


def _check_names(series: Sequence[SubjectFile]) -> None:
    """Refuse kinds of scan that differ in nothing that the names of outputs can say."""
    seen: dict[tuple[str, frozenset[tuple[str, str]]], SubjectFile] = {}
    for file in series:
        named = frozenset((k, v) for k, v in file.version_key if k in FUNC_ENTITIES)
        other = seen.setdefault((full_space(file.entities), named), file)
        if other.version_key != file.version_key:
            raise InputError(
                f"expected BOLD series that differ in what BIDS names of outputs can say "
                f"({', '.join(FUNC_ENTITIES)}); found {other.path} and {file.path}. Choose one "
                "with --bids-filter-file."
            )


def _note_versions(series: Sequence[SubjectFile]) -> list[str]:
    """Say which scans of one task are not joined."""
    versions: dict[str, dict[str, None]] = defaultdict(dict)
    for file in sorted(series, key=lambda f: rank_version(f.entities)):
        task = file.entities.get("task", "")
        versions[task].setdefault(_name_version(file))
    return [
        f"task {task or '(none)'} lies there as {' and as '.join(found)}: these are not joined "
        "but measured apart. The model reads the first of rec-, ce- and part-, and the one with "
        "the most data of others. Choose with --bids-filter-file."
        for task, found in versions.items()
        if len(found) > 1
    ]


def _name_version(file: SubjectFile) -> str:
    left_out = ("sub", "ses", "task", *JOINED)
    words = [f"{k}-{v}" for k, v in file.entities.items() if (k, v) in file.version_key]
    named = [word for word in words if word.partition("-")[0] not in left_out]
    return "_".join(named) or "it came (neither acq- nor rec- nor ce-)"


def _say_chosen(best: SubjectFile, n_choices: int) -> str:
    return (
        f"{n_choices} BOLD series fit {best.path.name}; the one of {best.dataset.path} is used. "
        "Choose another with --bids-filter-file."
    )


def rank_series(file: SubjectFile) -> tuple[object, ...]:
    """Rank a series among its like of one run and space: res-2 is used before others."""
    return (
        rank_cleaned(file.entities),
        file.entities.get("res", "") not in {"2", "02"},
        file.path.name,
    )
