"""The folder of a pretraining: what it says of itself, and whether it may be gone on with."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kraken_bids import __version__
from kraken_bids.cohort.series_store import SeriesStore
from kraken_bids.exceptions import SettingsError
from kraken_bids.io.facts import read_facts
from kraken_bids.io.files import make_folder
from kraken_bids.io.writing import to_plain, write_json
from kraken_bids.models.network_folders import DESCRIPTION_NAME
from kraken_bids.pipeline.training_states import STATE_NAME

TRAINING_NAME = "training.json"
UNFINISHED, COMPLETE = "unfinished", "complete"


class PretrainingFolder:
    """Where a pretraining writes.

    Parameters
    ----------
    settings : mapping
        All that the result depends on, series apart.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self._settings: dict[str, Any] = to_plain(settings)
        self._data: Mapping[str, Any] = {}

    def check(self, *, resume: bool) -> None:
        """Refuse a folder that holds a model, or a training that is not to be gone on with.

        Raises
        ------
        SettingsError
            If there is one, or one of other settings.
        InputError
            If the folder cannot be made.
        """
        make_folder(self.folder)
        if not self._is_taken():
            return
        if not resume:
            raise SettingsError(
                f"expected --output DIR for a new training; found one in {self.folder}. Go on "
                "with it by --resume, or give another folder."
            )
        self._compare("Settings", self._settings)

    def enter(self, store: SeriesStore, parts: Mapping[str, list[str]]) -> bool:
        """Note who is trained on what; says whether the training is complete already.

        Raises
        ------
        SettingsError
            If a training that is to be gone on with had other series, or another split.
        """
        series = {"Series": digest_series(store), **parts}
        if self._is_taken():
            self._compare("Data", series)
            if read_facts(self.folder / TRAINING_NAME).text("Status") == COMPLETE:
                return True
        self._data = series
        self.note(UNFINISHED)
        return False

    def note(self, status: str, **facts: Any) -> None:
        """Write what the folder is."""
        write_json(
            self.folder / TRAINING_NAME,
            {
                "Description": "A pretraining of kraken_bids on region series",
                "Status": status,
                **facts,
                "Settings": self._settings,
                "Data": self._data,
                "SoftwareVersion": __version__,
            },
        )

    def close(self, **facts: Any) -> None:
        """Say that the model is complete, and remove the saved state."""
        self.note(COMPLETE, **facts)
        (self.folder / STATE_NAME).unlink(missing_ok=True)

    def _is_taken(self) -> bool:
        """Whether there is a model, or what a training goes on from."""
        return any((self.folder / name).exists() for name in (DESCRIPTION_NAME, STATE_NAME))

    def _compare(self, key: str, now: Mapping[str, Any]) -> None:
        before = read_facts(self.folder / TRAINING_NAME).part(key).plain
        names = dict.fromkeys((*before, *now))
        differing = [name for name in names if before.get(name) != to_plain(now).get(name)]
        if differing:
            raise SettingsError(
                f"--resume: expected the {key.lower()} that the training in {self.folder} was "
                f"begun with; found another {', '.join(differing)}. Give the same, or another "
                "folder."
            )


def digest_series(store: SeriesStore) -> str:
    """SHA-256 of all runs: their names, times and values, one run in memory at a time."""
    digest = hashlib.sha256()
    for number, run in enumerate(store.runs):
        digest.update(f"{run.name} {run.n_volumes} {run.repetition_time} ".encode())
        digest.update(store.values(number).tobytes())
    return digest.hexdigest()
