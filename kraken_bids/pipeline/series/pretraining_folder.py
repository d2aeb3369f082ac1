"""The folder of a pretraining: on what it was trained, and whether it may be gone on with."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kraken_bids.cohort.series_store import SeriesStore
from kraken_bids.pipeline.resumable_folder import COMPLETE, UNFINISHED, ResumableFolder


class PretrainingFolder(ResumableFolder):
    """Where a pretraining writes."""

    description = "A pretraining of kraken_bids on region series"

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        super().__init__(folder, settings)
        self._data: Mapping[str, Any] = {}

    def enter(self, store: SeriesStore, parts: Mapping[str, list[str]]) -> bool:
        """Note who is trained on what; says whether the training is complete already.

        Raises
        ------
        SettingsError
            If a training that is to be gone on with had other series, or another split.
        """
        self._data = {"Series": digest_series(store), **parts}
        if self.is_taken:
            self.compare(self.known.part("Data").plain, self._data, "data")
            if self.is_complete:
                return True
        self.note(UNFINISHED, Data=self._data)
        return False

    def close(self, **facts: Any) -> None:
        """Say that the model is complete, and remove the saved state."""
        self.note(COMPLETE, **facts, Data=self._data)
        (self.folder / self.begun).unlink(missing_ok=True)


def digest_series(store: SeriesStore) -> str:
    """SHA-256 of all runs: their names, times and values, one run in memory at a time."""
    digest = hashlib.sha256()
    for number, run in enumerate(store.runs):
        digest.update(f"{run.name} {run.n_volumes} {run.repetition_time} ".encode())
        digest.update(store.values(number).tobytes())
    return digest.hexdigest()
