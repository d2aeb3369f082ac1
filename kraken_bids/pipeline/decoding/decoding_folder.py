"""The folder of a decoding: every fold by every method, which an interrupted one goes on from."""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError, KrakenBidsError
from kraken_bids.io.files import atomic_path, make_folder
from kraken_bids.io.named_arrays import read_arrays
from kraken_bids.pipeline.decoding.held_out_trials import Decoded
from kraken_bids.pipeline.decoding.trial_folds import HeldOut
from kraken_bids.pipeline.resumable_folder import ResumableFolder

PARTS = "unfinished"
"""Folder of what each method found in each fold, until all are done."""


class DecodingFolder(ResumableFolder):
    """Where a decoding writes."""

    noun = "decoding"
    description = "A decoding of trials by kraken_bids"
    begun = PARTS

    def open(self, *, resume: bool) -> bool:
        """Make the folder, or enter that of an interrupted decoding.

        Returns, and raises, as of :meth:`ResumableFolder.open`.
        """
        is_complete = super().open(resume=resume)
        if not is_complete:
            make_folder(self.folder / PARTS)
        return is_complete

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

    def clear(self) -> None:
        """Remove what was found in each fold."""
        shutil.rmtree(self.folder / PARTS, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / PARTS / f"{name}.npz"


logger = logging.getLogger(__name__)

Results = Mapping[str, Sequence[tuple[HeldOut, Decoded]]]
"""Of each method, what it took the trials of each fold for; the method in question first."""
PREDICTED, PROBABILITIES = "predicted", "probabilities"


def decode_folds(
    methods: Sequence[str],
    decode: Callable[[str, HeldOut], Decoded],
    parts: Sequence[HeldOut],
    folder: DecodingFolder,
    *,
    examples: str = "trials",
) -> Results:
    """Decode every fold by every method; what an interrupted decoding has found is recalled.

    Parameters
    ----------
    methods : sequence of str
        The method in question first.
    decode : callable
        Fits a method on the training trials of a fold, and decodes those held out.
    examples : str
        What is decoded, for the log.
    """
    results: dict[str, list[tuple[HeldOut, Decoded]]] = {name: [] for name in methods}
    for part in parts:
        logger.info(
            "repeat %d, fold %d: %d %s to learn from, %d held out",
            part.repeat, part.fold, len(part.train), examples, len(part.test),
        )  # fmt: skip
        for method in methods:
            name = f"{method}_repeat-{part.repeat}_fold-{part.fold}"
            arrays = folder.recall(name)
            if arrays is None:
                found = decode(method, part)
                arrays = {
                    PREDICTED: found.predicted, PROBABILITIES: found.probabilities, **found.extra
                }  # fmt: skip
                folder.keep(name, arrays)
            predicted = arrays.pop(PREDICTED).astype(np.intp)
            results[method].append((part, Decoded(predicted, arrays.pop(PROBABILITIES), arrays)))
    return results
