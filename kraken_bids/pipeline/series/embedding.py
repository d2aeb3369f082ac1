"""Vectors of region series: one per run, or one per trial, as a table or an array."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.latent_tables import ENTITIES, SOURCE, list_values
from kraken_bids.cohort.output_checks import check_no_input
from kraken_bids.cohort.series_store import SeriesStore
from kraken_bids.cohort.sidecar_records import GENERATED_BY
from kraken_bids.cohort.trials import Trial
from kraken_bids.exceptions import SettingsError
from kraken_bids.io.files import atomic_path
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.series.model import SeriesModel

BATCH = 64
"""Series computed at once."""
SOURCE_NAME = "series"
SUFFIXES = (".tsv", ".npy")


def check_output(path: Path, read: Iterable[Path]) -> None:
    """Raise SettingsError unless vectors are written to such a file, over none that is read."""
    if path.suffix not in SUFFIXES:
        raise SettingsError(f"--output: expected a file {' or '.join(SUFFIXES)}; found {path}.")
    written = (path, path.with_suffix(".tsv"), sidecar_path(path))
    inputs = [one for file in read for one in (file, sidecar_path(file))]
    check_no_input([("--output", one) for one in written], inputs)


def write_embeddings(
    model: SeriesModel, store: SeriesStore, path: Path, trials: Sequence[Trial] | None = None
) -> int:
    """Write a vector for every run of a store, or for every trial of the runs.

    Parameters
    ----------
    store : SeriesStore
        Gathered ``like`` the series of the model.
    path : Path
        ``.tsv``: columns ``participant_id``, ``session_id``, ``source``, ``run`` … and ``z000``,
        ``z001`` …, as of tables of latents. ``.npy``: the vectors [n, embedding] alone, and what
        each row is in a ``.tsv`` beside it. Either has a ``.json``.
    trials : sequence of Trial, optional
        Of the runs of the store.

    Returns
    -------
    int
        Number of vectors.

    Raises
    ------
    SettingsError
        If a file that was read would be overwritten.
    ConnectomeError
        If the model cannot be given a series.
    InputError
        If the disk is full or the folder cannot be written to.
    """
    check_output(path, [run.path for run in store.runs])
    pieces = trials if trials is not None else _list_whole(store)
    vectors = np.concatenate([
        _embed(model, store, pieces[k : k + BATCH]) for k in range(0, len(pieces), BATCH)
    ])  # fmt: skip
    rows = _describe(store, pieces, has_trials=trials is not None)
    if path.suffix == ".npy":
        with atomic_path(path) as temporary:
            np.save(temporary, vectors)
        write_table(path.with_suffix(".tsv"), rows)
    else:
        write_table(path, rows | list_values(vectors))
    write_json(
        sidecar_path(path),
        {
            "Description": "Vectors of region series, by a model that was pretrained on such",
            "Framework": model.architecture.framework,
            "Classes": list(model.classes),
            "Series": store.data.to_json(),
            "ModelSeries": replace(model.data, splits={}).to_json(),
            **GENERATED_BY,
        },
    )
    return len(vectors)


def _list_whole(store: SeriesStore) -> list[Trial]:
    return [Trial(k, 0, run.n_volumes, "", 0.0) for k, run in enumerate(store.runs)]


def _embed(model: SeriesModel, store: SeriesStore, pieces: Sequence[Trial]) -> NDArray[np.float32]:
    values = [store.values(one.run)[one.volumes] for one in pieces]
    return model.embed(values, [store.runs[one.run].repetition_time for one in pieces])


def _describe(
    store: SeriesStore, pieces: Sequence[Trial], *, has_trials: bool
) -> dict[str, list[Any]]:
    """Columns that say what each vector is of."""
    runs = [store.runs[one.run] for one in pieces]
    columns: dict[str, list[Any]] = {
        ENTITIES["sub"]: [f"sub-{run.subject}" for run in runs],
        ENTITIES["ses"]: [f"ses-{run.session}" if run.session else None for run in runs],
        SOURCE: [SOURCE_NAME] * len(runs),
        "run": [run.name for run in runs],
        "task": [run.task or None for run in runs],
        "n_volumes": [one.n_volumes for one in pieces],
    }
    if has_trials:
        columns["label"] = [one.label for one in pieces]
        columns["onset"] = [one.onset for one in pieces]
        columns["first_volume"] = [one.first for one in pieces]
    for name in dict.fromkeys(name for run in runs for name in run.labels):
        columns[name] = [run.labels.get(name) for run in runs]
    return columns
