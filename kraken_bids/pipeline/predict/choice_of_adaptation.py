"""Which adaptation a run uses: a saved one, one fitted on its own subjects, or none."""

import logging
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kraken_bids.bids.outputs import group_path
from kraken_bids.bids.participants import read_participants
from kraken_bids.cohort.from_dataset import Cohort, Member, fit_cohort_adaptation
from kraken_bids.cohort.subject_names import match_labels
from kraken_bids.exceptions import CheckpointError, InputError, SettingsError
from kraken_bids.flavors import Flavor, suggest
from kraken_bids.models.krakencoder.adaptation import (
    Adaptation,
    check_adaptation,
    check_covers,
    list_lacking,
    read_adaptation,
    write_adaptation,
)
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)

CONDITION = re.compile(r"^\s*(\w+)\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*$")


def choose_adaptation(
    settings: Settings, model: Model, cohort: Cohort, *, fits_first: bool = False
) -> tuple[Adaptation | None, str]:
    """Adaptation of a run, and a sentence for sidecars and report where that needs saying.

    ``auto`` takes the one that a group run saved in OUTPUT_DIR for this model, else fits one on
    the subjects of this run, else none. Nothing counts that rests on fewer subjects than
    ``--adaptation-min-subjects``, flavor by flavor.

    Parameters
    ----------
    settings : Settings
    model : Model
    cohort : Cohort
    fits_first : bool
        At the group level: what is fitted on this run comes before what was saved, and is saved
        for later participant runs.

    Raises
    ------
    CheckpointError
        If a file that was asked for is of another model, or lacks a flavor that is measured.
    """
    prediction = settings.prediction
    if prediction.adaptation == "none" or prediction.adaptation_mode == "none":
        logger.info("adaptation: none is applied, as asked for")
        return None, ""  # sidecars say the mode, pages that nothing is adapted
    if prediction.adaptation != "auto":
        path = Path(prediction.adaptation)
        return read_given_adaptation(path, model, list_measured(cohort)), ""
    if fits_first:
        adaptation = _fit_and_save(settings, model, cohort) or _take_saved(settings, model, cohort)
    else:
        adaptation = _take_saved(settings, model, cohort) or _fit_here(settings, model, cohort)
    if adaptation is not None:
        return adaptation, _note_left_out(adaptation, cohort)
    notice = _explain_none(settings, cohort, is_group=fits_first)
    logger.warning(notice)
    return None, notice


def _take_saved(settings: Settings, model: Model, cohort: Cohort) -> Adaptation | None:
    """Take the one that a group run saved, its flavors that rest on enough subjects."""
    saved = group_path(settings.data.output_dir, "adaptation.h5")
    if not saved.exists():
        return None
    try:
        adaptation = read_adaptation(saved)
        _check_lengths(adaptation, model, saved)
    except CheckpointError as error:
        logger.warning("the saved adaptation is passed over: %s", error)
        return None
    if adaptation.model_sha256 != model.sha256:
        logger.warning("%s was fitted for another model and is not used", saved)
        return None
    minimum = settings.prediction.adaptation_min_subjects
    few = {f: fit for f, fit in adaptation.flavors.items() if fit.n_subjects < minimum}
    if few:
        logger.warning(
            "%s is not used for %s: it was fitted on %d session(s) at least, fewer than the %d "
            "subjects that it takes. To use it all the same, ask for it: --adaptation %s, or "
            "--adaptation-min-subjects",
            saved,
            _join(few),
            min(fit.n_subjects for fit in few.values()),
            minimum,
            saved,
        )
    kept = {f: fit for f, fit in adaptation.flavors.items() if f not in few}
    if not set(kept) & list_measured(cohort):
        return None
    logger.info("adaptation: the one saved by the group level, %s", saved)
    return replace(adaptation, flavors=kept)


def _check_lengths(adaptation: Adaptation, model: Model, path: Path) -> None:
    """Refuse a saved adaptation to this model whose means do not have the model's edges."""
    for flavor, fit in adaptation.flavors.items():
        known = adaptation.model_sha256 == model.sha256 and flavor in model.flavors
        shape = (model.n_edges(flavor),) if known else fit.mean_new.shape
        if fit.mean_new.shape != shape:
            raise CheckpointError(
                f"expected an adaptation of means of {shape[0]} edges for {flavor} in {path}; "
                f"found {fit.mean_new.size}. The file is damaged: run the group level again."
            )


def _fit_here(settings: Settings, model: Model, cohort: Cohort) -> Adaptation | None:
    """Fit on the subjects of this run those flavors that enough of them have."""
    minimum = settings.prediction.adaptation_min_subjects
    counts = _count_subjects(cohort)
    # one session, adapted to itself, would become the training mean
    several = {flavor for flavor, (_, n_sessions) in cohort.means.items() if n_sessions > 1}
    enough = {flavor for flavor in several if counts[flavor] >= minimum}
    if not enough:
        return None
    logger.info("adaptation: fitted on %d subjects of this run", max(counts.values()))
    return fit_cohort_adaptation(
        model, cohort, settings.prediction.adaptation_mode, flavors=enough
    )


def _fit_and_save(settings: Settings, model: Model, cohort: Cohort) -> Adaptation | None:
    fitted = _fit_here(settings, model, cohort)
    if fitted is None:
        return None
    # what later participant runs will read, to the last bit
    path = group_path(settings.data.output_dir, "adaptation.h5")
    return read_adaptation(write_adaptation(fitted, path))


def list_measured(cohort: Cohort) -> set[Flavor]:
    """Give the flavors of the model that somebody has."""
    return {flavor for flavor, rows in cohort.projections.items() if np.isfinite(rows).any()}


def _count_subjects(cohort: Cohort) -> dict[Flavor, int]:
    """Count those whom an adaptation of each flavor would be fitted on, sessions together."""
    whom = {index: cohort.members[index].subject for index in cohort.fitted_on}
    return {
        flavor: len({who for k, who in whom.items() if np.isfinite(rows[k]).all()})
        for flavor, rows in cohort.projections.items()
    }


def _note_left_out(adaptation: Adaptation, cohort: Cohort) -> str:
    lacking = list_lacking(adaptation, list_measured(cohort))
    if not lacking:
        return ""
    notice = (
        f"{_join(lacking)}: measured, and NOT used as an input, since the adaptation has no "
        "such flavor (or too few people of it), and an input that is not adapted does not fit "
        "those that are. Run `kraken-bids BIDS_DIR OUTPUT_DIR group` once enough participants "
        "have it, or leave the adaptation out with --adaptation none."
    )
    logger.warning(notice)
    return notice


def _explain_none(settings: Settings, cohort: Cohort, *, is_group: bool) -> str:
    minimum = settings.prediction.adaptation_min_subjects
    n_subjects = max(_count_subjects(cohort).values(), default=0)
    ask = (
        "Measure more participants and run `group` again; to fit on so few all the same, ask for "
        "it with --adaptation-min-subjects."
        if is_group
        else "Run `kraken-bids BIDS_DIR OUTPUT_DIR group` once all participants are measured; it "
        "fits an adaptation and predicts everyone again."
    )
    return (
        "These predictions are NOT adapted to this site's data: there is no saved adaptation that "
        f"can be used, and the {n_subjects} subject(s) of this run to fit one on are fewer than "
        f"the {max(minimum, 2)} that it takes. {ask}"
    )


def _join(flavors: Iterable[Flavor]) -> str:
    return ", ".join(flavor.name for flavor in sorted(flavors))


def fit_on_whom(
    settings: Settings, members: Sequence[Member] | None = None
) -> Callable[[Member], bool]:
    """Return who counts in the mean that a run's adaptation is fitted on.

    Parameters
    ----------
    settings : Settings
    members : sequence of Member, optional
        Those of the run, among whom all who are named must be; without them nobody need be.

    Raises
    ------
    InputError
        If a query is given and there is no ``participants.tsv``.
    SettingsError
        If the query names a column that is not there, or finds nobody; if a label is nobody's.
    """
    words = settings.prediction.adaptation_subjects
    if not words:
        return lambda _member: True
    is_query = len(words) == 1 and CONDITION.match(words[0]) is not None
    asked = _query_participants(settings, words[0]) if is_query else set(words)
    asked = {word.removeprefix("sub-") for word in asked}
    present = {member.subject for member in members or ()}
    if members is None:
        return lambda member: (
            member.subject in _spell_as_in({member.subject}, asked, is_query=is_query)
        )
    chosen = _spell_as_in(present, asked, is_query=is_query)
    if not is_query:
        _check_labels(chosen, members)
    if not chosen & present:
        raise SettingsError(
            f"--adaptation-subjects {' '.join(words)}: expected some of the {len(present)} "
            "participant(s) of this run; found none of them. Leave --participant-label out, or "
            "choose among them."
        )
    return lambda member: member.subject in chosen


def _spell_as_in(present: Collection[str], asked: Collection[str], *, is_query: bool) -> set[str]:
    """Participants of a table as the data spell them; labels that somebody typed as they are."""
    return match_labels(sorted(asked), present, say=logger.warning) if is_query else set(asked)


def read_given_adaptation(
    path: Path, model: Model, flavors: Collection[Flavor] = ()
) -> Adaptation:
    """Read a saved adaptation and check that it was fitted for this model and these inputs.

    Raises
    ------
    CheckpointError
        If it was fitted for another model, or lacks one of the flavors.
    """
    adaptation = read_adaptation(path)
    try:
        check_adaptation(adaptation, model.sha256)
        check_covers(adaptation, flavors)
    except CheckpointError as error:
        raise CheckpointError(f"--adaptation {path}: {error}") from error
    logger.info("adaptation: %s", path)
    return adaptation


def _check_labels(labels: Collection[str], members: Sequence[Member] | None) -> None:
    present = {member.subject for member in members or ()}
    unknown = sorted(set(labels) - present) if members is not None else []
    if unknown:
        raise SettingsError(
            "--adaptation-subjects: expected participants of this run "
            f"({', '.join(sorted(present))}), or a condition such as group==control; found "
            f"{', '.join(unknown)}.{suggest(unknown[0], present)}"
        )


def _query_participants(settings: Settings, query: str) -> set[str]:
    match = CONDITION.match(query)
    assert match is not None
    column, operator, value = match.groups()
    rows = _read_participants(settings)
    if not rows or not {column, "participant_id"} <= set(rows[0]):
        names = ", ".join(rows[0]) if rows else "nothing"
        raise SettingsError(
            f"--adaptation-subjects {query}: expected the columns participant_id and {column} in "
            f"participants.tsv; found {names}.{suggest(column, rows[0] if rows else ())}"
        )
    wanted = value.strip("'\"")
    chosen = {row["participant_id"] for row in rows if _holds(row[column], operator, wanted)}
    logger.info("--adaptation-subjects %s: %d participant(s)", query, len(chosen))
    if not chosen:
        raise SettingsError(f"--adaptation-subjects {query}: no participant fits.")
    return chosen


def _read_participants(settings: Settings) -> Sequence[dict[str, str]]:
    folders = (settings.data.bids_dir, settings.data.output_dir)
    path = next(
        (f / "participants.tsv" for f in folders if (f / "participants.tsv").exists()), None
    )
    if path is None:
        raise InputError(
            f"--adaptation-subjects: expected participants.tsv in {folders[0]} or {folders[1]} "
            "for a query; found none. Give labels instead."
        )
    return read_participants(path)


def _holds(found: str, operator: str, wanted: str) -> bool:
    if operator in ("==", "!="):
        return (found == wanted) == (operator == "==")
    try:
        a, b = float(found), float(wanted)
    except ValueError:
        return False
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]
