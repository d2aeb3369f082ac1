"""The folder of a decoding: what it says of itself, and what an interrupted one goes on from."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.exceptions import CheckpointError, KrakenBidsError, SettingsError
from kraken_bids.io.facts import read_facts
from kraken_bids.io.files import atomic_path, make_folder, remove_leftovers
from kraken_bids.io.named_arrays import read_arrays
from kraken_bids.io.writing import to_plain, write_json
from kraken_bids.models.network_folders import DESCRIPTION_NAME

NAME = "training.json"
PARTS = "unfinished"
"""Folder of what each method found in each fold, until all are done."""
COMPLETE, UNFINISHED = "complete", "unfinished"


class DecodingFolder:
    """Where a decoding writes.

    Parameters
    ----------
    folder : Path
    settings : mapping
        All that the result follows from, in plain values.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self._settings = to_plain(settings)

    def open(self, *, resume: bool) -> bool:
        """Enter the folder; says whether the decoding is complete already.

        Raises
        ------
        SettingsError
            If there is a model or an interrupted decoding that is not to be resumed, or one of
            other settings or trials.
        """
        make_folder(self.folder)
        known = read_facts(self.folder / NAME)
        is_begun = (self.folder / PARTS).exists() or (self.folder / DESCRIPTION_NAME).exists()
        if is_begun and not resume:
            raise SettingsError(
                f"expected --output DIR for a new decoding; found one in {self.folder} "
                f"({known.text('Status') or 'of another kind'}). Go on with it by --resume, or "
                "give another folder."
            )
        if is_begun:
            before = known.part("Settings").plain
            names = dict.fromkeys((*before, *self._settings))
            differing = [one for one in names if before.get(one) != self._settings.get(one)]
            if differing:
                raise SettingsError(
                    f"--resume: expected what the decoding in {self.folder} was begun with; found "
                    f"another {', '.join(differing)}. Give the same, or another folder."
                )
            if known.text("Status") == COMPLETE:
                return True
        remove_leftovers(self.folder)
        make_folder(self.folder / PARTS)
        self._note(UNFINISHED)
        return False

    def recall(self, name: str) -> dict[str, NDArray[Any]] | None:
        """Read what a method found in a fold; None where it has not yet.

        Raises
        ------
        CheckpointError
            If the file is damaged.
        """
        path = self._path(name)
        if not path.is_file():
            return None
        try:
            return read_arrays(path)
        except KrakenBidsError as error:
            raise CheckpointError(
                f"expected what was found in one fold in {path}; the file is damaged: {error} "
                "Remove it; --resume makes it again."
            ) from error

    def keep(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Keep what a method found in a fold."""
        with atomic_path(self._path(name)) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    def forget(self, name: str) -> None:
        """Remove what was kept under a name, if anything was."""
        self._path(name).unlink(missing_ok=True)

    def close(self, **facts: Any) -> None:
        """Say that everything is there, and remove what it was made of."""
        self._note(COMPLETE, **facts)
        shutil.rmtree(self.folder / PARTS)

    def _path(self, name: str) -> Path:
        return self.folder / PARTS / f"{name}.npz"

    def _note(self, status: str, **facts: Any) -> None:
        write_json(
            self.folder / NAME,
            {
                "Description": "A decoding of trials by kraken_bids",
                "Status": status,
                **facts,
                "Settings": self._settings,
                "SoftwareVersion": __version__,
            },
        )
