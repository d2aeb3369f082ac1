"""What a run was asked for by name, against what there is: nothing asked for is passed over."""

import logging
from collections.abc import Collection, Iterable, Sequence

from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.index import list_subject_files
from kraken_bids.bids.inputs import SessionInputs
from kraken_bids.bids.names import session_label
from kraken_bids.exceptions import FlavorError, SettingsError, name_few
from kraken_bids.flavors import Flavor, suggest
from kraken_bids.pipeline.measure.tasks import MEASURES
from kraken_bids.settings import DEFAULT_ATLASES, DEFAULT_SOURCES, DataSettings

logger = logging.getLogger(__name__)

SHOWN = 10
"""Names that a message lists."""


def check_labels(option: str, asked: Collection[str], found: Collection[str], where: str) -> None:
    """Refuse labels that nobody has.

    Raises
    ------
    SettingsError
        If there are any; labels of much the same spelling are suggested.
    """
    unknown = [label for label in asked if label not in found]
    if unknown:
        shown = name_few(sorted(found), SHOWN) or "none"
        raise SettingsError(
            f"{option}: expected labels that {where} has; found {', '.join(unknown)}, while there "
            f"are {shown}.{suggest(unknown[0], found)}"
        )


def check_data_requests(
    data: DataSettings,
    sessions: Sequence[SessionInputs],
    datasets: Sequence[Dataset],
    subjects: Sequence[str],
) -> None:
    """Refuse what nobody has of the sessions, tasks, atlases or flavors that were asked for.

    What some have is named for the others. Of several atlases or flavors it is enough that one
    can be measured, since a subject may lack the other modality.

    Parameters
    ----------
    data : DataSettings
        What was asked for.
    sessions : sequence of SessionInputs
        What was found of everyone.
    datasets : sequence of Dataset
        Where.
    subjects : sequence of str
        Everyone who was asked for.

    Raises
    ------
    SettingsError
        If something that was asked for by name cannot be had of anyone.
    """
    _check_names(data, sessions, datasets, subjects)
    if not sessions:
        return
    if data.atlases != DEFAULT_ATLASES:
        have = {name: [_has_atlas(one, name) for one in sessions] for name in data.atlases}
        _report("--atlases", have, sessions)
    flavors = {flavor.name: [_has(one, flavor) for one in sessions] for flavor in data.flavors}
    _report("--flavors", flavors, sessions)
    if data.lesion_mask is not None and not data.participants:
        has = [any(run.lesion for run in one.bold_runs) for one in sessions]
        _report("--lesion-mask", {data.lesion_mask: has}, sessions)
    _say_lacking_tasks(data, sessions)


def _check_names(
    data: DataSettings,
    sessions: Sequence[SessionInputs],
    datasets: Sequence[Dataset],
    subjects: Sequence[str],
) -> None:
    """Refuse sessions and tasks that nobody has; of a few participants, if they have none."""
    met = {
        "--session-id": (data.sessions, {one.session for one in sessions}),
        "--task-id": (
            data.tasks,
            {run.entities.get("task") for one in sessions for run in one.bold_runs},
        ),
    }
    if all(set(asked) <= found for asked, found in met.values()):
        return
    files = [f for subject in subjects for f in list_subject_files(datasets, subject)]
    there = {
        "--session-id": {f.session for f in files if f.session},
        "--task-id": {f.entities["task"] for f in files if "task" in f.entities},
    }
    for option, (asked, _) in met.items():
        # what a few participants lack, others may have
        if asked and (not data.participants or not set(asked) & there[option]):
            check_labels(option, asked, there[option], "somebody of this run")


def check_sources(asked: Sequence[str], found: Iterable[str]) -> None:
    """Refuse sources of predictions that nobody has, unless they are merely the default.

    Raises
    ------
    FlavorError
        If there are any.
    """
    there = list(found)
    lacking = [name for name in asked if name not in {*there, "each"}]
    if tuple(asked) != DEFAULT_SOURCES and lacking:
        raise FlavorError(
            f"--sources: expected sources that somebody has inputs for ({', '.join(there)}); "
            f"found {', '.join(lacking)}.{suggest(lacking[0], there)} Leave it out, or measure "
            "what it takes."
        )


def _report(option: str, found: dict[str, list[bool]], sessions: Sequence[SessionInputs]) -> None:
    lacking = [name for name, has in found.items() if not any(has)]
    if lacking and len(lacking) == len(found):
        notes = dict.fromkeys(
            str(note) for one in sessions for note in (*one.notes, *one.problems)
        )
        why = "".join(f"\n- {note}" for note in list(notes)[:SHOWN])
        raise SettingsError(
            f"{option}: expected what at least one participant has the inputs for; nobody has "
            f"those of {', '.join(lacking)}. Leave it out, or give what it is measured from.{why}"
        )
    for name, has in found.items():
        if not all(has):
            without = [
                _label(one) for one, is_there in zip(sessions, has, strict=True) if not is_there
            ]
            logger.warning(
                "%s %s: %d of %d session(s) have no inputs for it: %s",
                option, name, len(without), len(sessions), name_few(without, SHOWN),
            )  # fmt: skip


def _say_lacking_tasks(data: DataSettings, sessions: Sequence[SessionInputs]) -> None:
    for task in data.tasks:
        without = [
            _label(one)
            for one in sessions
            if all(run.entities.get("task") != task for run in one.bold_runs)
        ]
        if without:
            logger.warning(
                "--task-id %s: %d of %d session(s) have no BOLD of it that can be used: %s",
                task, len(without), len(sessions), name_few(without, SHOWN),
            )  # fmt: skip


def _has_atlas(session: SessionInputs, name: str) -> bool:
    of_bold = any(name in run.atlases for run in session.bold_runs)
    return of_bold or any(name in tracts.labels for tracts in session.tractographies)


def _has(session: SessionInputs, flavor: Flavor) -> bool:
    """Whether the inputs of a session allow a flavor."""
    if flavor.group == "FC":
        return any(flavor.parcellation in run.atlases for run in session.bold_runs)
    return any(
        MEASURES[tracts.algorithm] == flavor.measure
        and flavor.parcellation in tracts.labels
        and (tracts.weights is not None or not flavor.processing.startswith("sift2"))
        for tracts in session.tractographies
    )


def _label(session: SessionInputs) -> str:
    return session_label(session.subject, session.session)
