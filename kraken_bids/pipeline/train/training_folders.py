"""The folder of a training: what it says of itself before it is a model, and how it is resumed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kraken_bids import __version__
from kraken_bids.cohort.projections import Cohort
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.io.facts import read_facts
from kraken_bids.io.files import is_disk_full, make_folder, remove_leftovers
from kraken_bids.io.writing import to_plain, write_json, write_table
from kraken_bids.models.krakencoder.checkpoint import TRAINING_NAME
from kraken_bids.models.krakencoder.described_atlases import DESCRIPTION_NAME
from kraken_bids.models.splits import PARTS
from kraken_bids.pipeline.train.edge_files import digest_edges
from kraken_bids.pipeline.train.reduced_cohort import ReducedCohort
from kraken_bids.pipeline.train.training_options import TrainingOptions
from kraken_bids.pipeline.training_states import STATE_NAME

UNFINISHED = "unfinished"
COMPLETE = "complete"
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


class TrainingFolder:
    """Where a training writes."""

    def __init__(self, folder: Path, options: TrainingOptions) -> None:
        self.folder = folder
        self._settings = _list_settings(options)
        self._resume = options.resume
        self._data: dict[str, Any] = {}

    def open(self) -> bool:
        """Make the folder, or enter that of an interrupted training.

        Returns
        -------
        bool
            Whether the training is complete already.

        Raises
        ------
        SettingsError
            If there is a model or an interrupted training that is not to be resumed, or one of
            other settings.
        InputError
            If the folder cannot be made.
        """
        make_folder(self.folder)
        found = read_facts(self.folder / TRAINING_NAME)
        is_model = (self.folder / DESCRIPTION_NAME).exists()
        # one that was stopped before its first saved state is begun anew
        if is_model or (self.folder / STATE_NAME).exists():
            if not found or not self._resume:
                raise SettingsError(_explain_taken(self.folder, found.text("Status")))
            self._check_same(found.part("Settings").plain, self._settings, "settings")
            if is_model and found.text("Status") == COMPLETE:
                return True
        remove_leftovers(self.folder)
        self.note(UNFINISHED)
        return False

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
            self._check_same(found, self._data, "data")
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
        before = read_facts(self.folder / TRAINING_NAME).part(CONNECTOMES).plain
        if before:
            now = {flavor.name: digest_edges(cohort, flavor) for flavor in cohort.rows}
            self._check_same({"connectomes": before}, {"connectomes": now}, "data")
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

    def note(self, status: str, **facts: Any) -> None:
        """Write ``training.json``: what the folder is."""
        write_json(
            self.folder / TRAINING_NAME,
            {
                "Description": "A training of kraken_bids",
                "Status": status,
                "Note": NOTES[status],
                **facts,
                "Settings": self._settings,
                "SoftwareVersion": __version__,
            },
        )

    def close(self, **facts: Any) -> None:
        """Say that the model is complete, and remove the saved state."""
        self.note(COMPLETE, **facts, **{CONNECTOMES: self._data["connectomes"]})
        for name in (STATE_NAME, DATA_NAME):
            (self.folder / name).unlink(missing_ok=True)

    def _check_same(self, before: Mapping[str, Any], now: Mapping[str, Any], what: str) -> None:
        differing = list(_find_differences(before, to_plain(now)))
        if differing:
            more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
            raise SettingsError(
                f"--resume: expected the {what} that the training in {self.folder} was begun "
                f"with; found other ones: {'; '.join(differing[:5])}{more}. Give the same ones, "
                "or train into another folder."
            )


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


def _find_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys((*before, *now)):
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            names = [
                name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)
            ]
            yield f"{key} of {', '.join(names)}"
        elif isinstance(old, list) and isinstance(new, list) and len(str(old)) > 60:
            yield f"{key}: {len(old)} then, {len(new)} now"
        else:
            yield f"{key}: {_show(old)} then, {_show(new)} now"


def _show(value: object) -> str:
    return "none" if value is None else str(value)


def _explain_taken(folder: Path, status: object) -> str:
    if status == UNFINISHED:
        return (
            f"expected --output DIR for a new training; found an interrupted one in {folder}. Go "
            "on with it by --resume, or give another folder."
        )
    return (
        f"expected --output DIR for a new training; found a model in {folder}. Give another "
        "folder, or remove that one."
    )
