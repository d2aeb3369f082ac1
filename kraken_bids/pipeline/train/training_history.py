"""``history.tsv``: what every epoch was like, and how well it predicts whom, in which space."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.exceptions import InputError
from kraken_bids.io.texts import read_text
from kraken_bids.io.writing import write_json, write_text
from kraken_bids.models.krakencoder.recipe import EpochResult
from kraken_bids.pipeline.train.validation import (
    ALL,
    GROUP_MEAN,
    MAX_WATCHED,
    MODEL,
    SHUFFLED,
    Figure,
)
from kraken_bids.scores.quality_control import METRIC_WORDS

COLUMNS = ("epoch", "source", "target", "split", "metric", "space", "predictor", "value", "n")
LOSS = "loss"
MAX_BYTES = 1 << 30
NO_NUMBER = "n/a"

Key = tuple[str, str, str, str]
"""Split, metric, space, predictor."""


class History:
    """Rows of ``history.tsv``, and the mean of each metric over paths, epoch by epoch."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self.means: dict[Key, dict[int, float]] = defaultdict(dict)
        """Mean over paths by epoch."""
        self._sums: dict[tuple[Key, int], tuple[float, int]] = {}

    @classmethod
    def read(cls, path: Path, *, up_to: int) -> "History":
        """History of an interrupted training, without what came after an epoch or at its end.

        Raises
        ------
        InputError
            If it is missing or no history.
        """
        history = cls()
        header, *lines = read_text(path, at_most=MAX_BYTES).splitlines() or [""]
        if header.split("\t") != list(COLUMNS):
            raise InputError(
                f"expected the columns {', '.join(COLUMNS)} in {path}; found {header[:200]!r}. "
                "Train anew in an empty folder."
            )
        for line in lines:
            try:
                epoch, figure = _parse(line)
            except ValueError as error:
                raise InputError(
                    f"expected rows of {len(COLUMNS)} cells in {path}; found {line[:80]!r}. The "
                    "file is damaged: train anew in an empty folder."
                ) from error
            if epoch <= up_to and figure.split != "test":  # test subjects come last, and once
                history._note(line, epoch, figure)
        return history

    def add(self, epoch: int, figures: Iterable[Figure]) -> None:
        """Add the figures of an epoch."""
        for figure in figures:
            *words, value, n = astuple(figure)
            shown = f"{value:.6g}" if math.isfinite(value) else NO_NUMBER
            self._note("\t".join((str(epoch), *words, shown, str(n))), epoch, figure)

    def add_loss(self, result: EpochResult, n: int, *, by_path: bool) -> None:
        """Add the mean batch loss of an epoch, and of its paths if they are asked for."""
        losses = {(ALL, ALL): result.loss, **(result.path_losses if by_path else {})}
        self.add(
            result.epoch,
            (
                Figure(source, target, "train", LOSS, "transform", MODEL, value, n)
                for (source, target), value in losses.items()
            ),
        )

    def write(self, folder: Path) -> None:
        """Write the table, and what its columns mean beside it."""
        path = folder / "history.tsv"
        write_text(path, "\n".join(["\t".join(COLUMNS), *self._lines]) + "\n")
        if not sidecar_path(path).is_file():
            write_json(sidecar_path(path), _describe_columns())

    def curve(
        self, split: str, metric: str, space: str, predictor: str = MODEL
    ) -> tuple[Sequence[int], Sequence[float]]:
        """Epochs, and the mean over paths in each."""
        found = self.means.get((split, metric, space, predictor), {})
        return list(found), list(found.values())

    def _note(self, line: str, epoch: int, figure: Figure) -> None:
        self._lines.append(line)
        is_part = figure.metric == LOSS and figure.source != ALL  # the mean stands beside it
        if is_part or not np.isfinite(figure.value):
            return
        key = (figure.split, figure.metric, figure.space, figure.predictor)
        total, count = self._sums.get((key, epoch), (0.0, 0))
        self._sums[key, epoch] = (total + figure.value, count + 1)
        self.means[key][epoch] = (total + figure.value) / (count + 1)


def _parse(line: str) -> tuple[int, Figure]:
    """Epoch and figure of a row.

    Raises
    ------
    ValueError
        If it is none.
    """
    epoch, source, target, split, metric, space, predictor, value, n = line.split("\t")
    number = math.nan if value == NO_NUMBER else float(value)
    return int(epoch), Figure(source, target, split, metric, space, predictor, number, int(n))


def _describe_columns() -> dict[str, object]:
    metrics = {name: METRIC_WORDS[name] for name in ("avgrank", "top1acc", "avgcorr")}
    return {
        "Description": "Training of a Krakencoder: losses, and how well subjects are predicted",
        "epoch": {"Description": "times that the training subjects were seen; 0: before"},
        "source": {"Description": f"flavor that is given; {ALL}: of none in particular"},
        "target": {"Description": f"flavor that is predicted; {ALL}: the mean over paths"},
        "split": {
            "Levels": {
                "train": f"at most {MAX_WATCHED} of the subjects that weights and transforms are "
                "fitted on (losses: all of them)",
                "validation": "subjects that training is watched with",
                "test": "subjects that nothing was fitted or chosen on",
            }
        },
        "metric": {
            "Levels": {
                LOSS: "mean batch loss: over all paths after every epoch, of each path when the "
                "network is judged",
                **metrics,
                "avgcorr_resid": "avgcorr after the training subjects' mean is subtracted from "
                "observed and predicted",
            }
        },
        "space": {
            "Levels": {
                "edges": "connectomes as they are used",
                "transform": "the network's own numbers, such as scores of principal components; "
                "figures of the two spaces are never comparable",
            }
        },
        "predictor": {
            "Levels": {
                MODEL: "the network after this epoch",
                SHUFFLED: "its predictions dealt out to other subjects: the mean over all ways",
                GROUP_MEAN: "the mean connectome of the training subjects, for everyone",
            }
        },
        "n": {"Description": "subjects compared; of a loss, training subjects"},
    }
