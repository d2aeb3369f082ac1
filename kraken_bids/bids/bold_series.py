"""Which BOLD series of a session are used: of one dataset per kind of scan, one grid per space."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.index import JOINED, SubjectFile
from kraken_bids.bids.label_images import IMAGES
from kraken_bids.bids.names import full_space, rank_version
from kraken_bids.bids.outputs import FUNC_ENTITIES
from kraken_bids.exceptions import InputError

BoldBySpace = Mapping[str, Sequence[SubjectFile]]


def is_preprocessed_bold(file: SubjectFile) -> bool:
    """Whether a file is a preprocessed BOLD volume series in a named space, echoes combined."""
    return (
        file.is_called(suffix="bold", desc="preproc", echo=None, datatype="func")
        and file.entities["extension"] in IMAGES
        and "space" in file.entities
    )


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
    kept = _keep_one_dataset(series, notes)
    runs: dict[tuple[str, frozenset[tuple[str, str]]], list[SubjectFile]] = defaultdict(list)
    for file in kept:
        runs[full_space(file.entities), file.run_key].append(file)
    chosen: dict[Dataset, dict[str, list[SubjectFile]]] = {}
    for (space, _), choices in runs.items():
        best = min(
            choices, key=lambda f: (f.entities.get("res", "") not in {"2", "02"}, f.path.name)
        )
        chosen.setdefault(best.dataset, {}).setdefault(space, []).append(best)
        if len(choices) > 1:
            notes.append(
                f"{len(choices)} BOLD series fit {best.path.name}; the one of "
                f"{best.dataset.path} is used. Choose another with --bids-filter-file."
            )
    _check_names(kept)
    return chosen, [*notes, *_note_versions(kept)]


def _keep_one_dataset(series: Sequence[SubjectFile], notes: list[str]) -> list[SubjectFile]:
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
