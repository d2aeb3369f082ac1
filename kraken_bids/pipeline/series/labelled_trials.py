"""Trials of the runs of a store, by events or by labels of whole runs."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from kraken_bids.cohort.series_store import SeriesStore
from kraken_bids.cohort.subject_names import list_few
from kraken_bids.cohort.task_events import spell_kind
from kraken_bids.cohort.trials import Trial, label_trials, label_whole_runs
from kraken_bids.exceptions import InputError
from kraken_bids.io.tables import read_columns
from kraken_bids.pipeline.series.decoding_methods import TrialSet
from kraken_bids.pipeline.series.decoding_options import DecodingOptions

logger = logging.getLogger(__name__)


def check_subjects(store: SeriesStore) -> list[str]:
    """List the subjects of a store; each run must name its own.

    Raises
    ------
    InputError
        If a run names nobody: it could be of a subject whose other runs are learned from.
    """
    nobody = [run.name for run in store.runs if run.is_of_nobody]
    if nobody:
        raise InputError(
            "expected the subject in the name of every run (sub-LABEL_...), since people are held "
            f"out whole; found none in {list_few(nobody)}. Call the files so."
        )
    return sorted({run.subject for run in store.runs})


def gather_trials(
    store: SeriesStore, families: Mapping[str, str], options: DecodingOptions
) -> TrialSet:
    """Find the trials of all runs.

    Parameters
    ----------
    families : mapping of str to str
        Family of each subject.

    Raises
    ------
    InputError
        If there are no trials, or classes that cannot be decoded.
    """
    found = _leave_out_uncounted(store, _label(store, options))
    return TrialSet.gather(store.runs, found, families, store=store)


def _label(store: SeriesStore, options: DecodingOptions) -> list[Trial]:
    if options.events is not None:
        return label_trials(
            store.runs, options.events, options.window,
            column=options.column, classes=options.classes,
        )  # fmt: skip
    if not Path(options.labels).is_file():
        own = {run.name: run.labels.get(options.labels, "") for run in store.runs}
        known = sorted({name for run in store.runs for name in run.labels})
        if options.labels not in known:
            raise InputError(
                f"--labels: expected a table, or a label of the runs ({list_few(known) or 'none'}"
                f"); found {options.labels!r}."
            )
        return label_whole_runs(store.runs, own, where="the tars")
    columns = read_columns(Path(options.labels))
    if not {"run", "label"} <= {*columns}:
        raise InputError(
            f"expected the columns run and label in {options.labels}; found "
            f"{', '.join(columns)}. Name them so."
        )
    labels: dict[str, str] = {}
    for run, label in zip(
        map(str, columns["run"]), map(spell_kind, columns["label"]), strict=True
    ):
        if labels.setdefault(run, label) != label:
            raise InputError(
                f"expected one label of each run in {options.labels}; found {labels[run]!r} and "
                f"{label!r} of {run}. Keep one of the rows."
            )
    return label_whole_runs(store.runs, labels, where=options.labels)


def _leave_out_uncounted(store: SeriesStore, trials: Sequence[Trial]) -> list[Trial]:
    """Leave out trials in which fewer than half of the volumes count."""
    kept = [one for one in trials if store.kept(one.run)[one.volumes].mean() >= 0.5]
    if len(kept) < len(trials):
        logger.warning(
            "%d of %d trials are left out: fewer than half of their volumes count",
            len(trials) - len(kept), len(trials),
        )  # fmt: skip
    return kept
