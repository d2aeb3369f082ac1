"""The folder of a training: what it says of itself before it is a model, and how it is resumed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kraken_bids.cohort.projections import Cohort
from kraken_bids.exceptions import InputError
from kraken_bids.io.facts import read_facts
from kraken_bids.io.files import is_disk_full
from kraken_bids.io.writing import to_plain, write_json, write_table
from kraken_bids.models.splits import PARTS
from kraken_bids.pipeline.resumable_folder import COMPLETE, UNFINISHED, ResumableFolder
from kraken_bids.pipeline.train.edge_files import digest_edges
from kraken_bids.pipeline.train.reduced_cohort import ReducedCohort
from kraken_bids.pipeline.train.training_options import TrainingOptions
from kraken_bids.pipeline.training_states import STATE_NAME

NOTES = {
    UNFINISHED: "This folder is no model yet. The same kraken-tools train command with --resume "
    "goes on from the last saved state.",
    COMPLETE: "This folder is a model; splits.tsv says who it was trained on.",
}
NO_MATTER = {"resume", "splits", "families", "participants", "atlases"}
"""Options that may differ when a training goes on: subjects and connectomes are compared."""
DATA_NAME = "training_data.json"
CONNECTOMES = "Connectomes"
"""Key of a complete training: SHA-256 of the connectomes of each flavor."""


class TrainingFolder(ResumableFolder):
    """Where a training writes."""

    notes = NOTES

    def __init__(self, folder: Path, options: TrainingOptions) -> None:
        super().__init__(folder, _list_settings(options))
        self._resume = options.resume
        self._data: dict[str, Any] = {}

    def enter_data(self, cohort: ReducedCohort) -> None:
        """Note who is trained on what, and refuse to go on with others.

        Raises
        ------
        SettingsError
            If an interrupted training had other connectomes, subjects or split.
        """
        self._data = _describe_data(cohort)
        found = read_facts(self.folder / DATA_NAME).plain
        if self._resume and found and (self.folder / STATE_NAME).is_file():
            self.compare(found, self._data, "data")
        write_json(self.folder / DATA_NAME, self._data)
        _write_split(cohort, self.folder)
        self.note(UNFINISHED)

    def compare_connectomes(self, cohort: Cohort) -> bool:
        """Refuse to take a complete training for that of other connectomes.

        Returns
        -------
        bool
            Whether they were compared: an older training may not have noted them.

        Raises
        ------
        SettingsError
            If one of them is another than it was trained on.
        """
        before = self.known.part(CONNECTOMES).plain
        if before:
            now = {flavor.name: digest_edges(cohort, flavor) for flavor in cohort.rows}
            self.compare({"connectomes": before}, {"connectomes": now}, "data")
        return bool(before)

    @contextmanager
    def telling_how_to_go_on(self) -> Iterator[None]:
        """Say with what command an interrupted training goes on, where the disk is full."""
        try:
            yield
        except InputError as error:
            if is_disk_full(error.__cause__) and (self.folder / STATE_NAME).is_file():
                raise InputError(
                    f"{error} Add --resume to it: the training goes on from its last saved state."
                ) from error.__cause__
            raise

    def close(self, **facts: Any) -> None:
        """Say that the model is complete, and of what; remove the saved state."""
        super().close(**facts, **{CONNECTOMES: self._data["connectomes"]})

    def clear(self) -> None:
        """Remove the saved state, and what it was of."""
        super().clear()
        (self.folder / DATA_NAME).unlink(missing_ok=True)


def _list_settings(options: TrainingOptions) -> dict[str, Any]:
    plain = {name: value for name, value in vars(options).items() if name not in NO_MATTER}
    settings = {**plain, **options.settings.to_json()}
    del settings["settings"]
    return {name: to_plain(value) for name, value in settings.items()}


def _describe_data(cohort: ReducedCohort) -> dict[str, Any]:
    return {
        "connectomes": {flavor.name: one.digest for flavor, one in cohort.flavors.items()},
        **{
            part: [cohort.subjects[row] for row in getattr(cohort.split, part).tolist()]
            for part in PARTS
        },
    }


def _write_split(cohort: ReducedCohort, folder: Path) -> None:
    named = {row: part for part in PARTS for row in getattr(cohort.split, part).tolist()}
    rows = sorted(named)
    families = [cohort.families[row] for row in rows]
    write_table(folder / "splits.tsv", {
        "participant_id": [cohort.subjects[row] for row in rows],
        "split": [named[row] for row in rows],
        "family": ["n/a" if name.endswith(" alone") else name for name in families],
    })  # fmt: skip
