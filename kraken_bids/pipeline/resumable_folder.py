"""The folder that a training writes: what it says of itself, and how it is gone on with."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from kraken_bids.cohort.sidecar_records import VERSION
from kraken_bids.exceptions import SettingsError
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.io.files import make_folder, remove_leftovers
from kraken_bids.io.writing import to_plain, write_json
from kraken_bids.models.network_folders import DESCRIPTION_NAME
from kraken_bids.pipeline.training_states import STATE_NAME

TRAINING_NAME = "training.json"
UNFINISHED, COMPLETE = "unfinished", "complete"
LONGEST_SHOWN = 60
"""Characters of a value that a message shows."""


class ResumableFolder:
    """Where a training writes.

    Parameters
    ----------
    folder : Path
    settings : mapping
        All that the result follows from, and that is known before data are read.
    """

    noun: ClassVar[str] = "training"
    """What is done in it, for messages."""
    description: ClassVar[str] = "A training of kraken_bids"
    """As ``training.json`` has it."""
    begun: ClassVar[str] = STATE_NAME
    """What an interrupted training goes on from."""
    notes: ClassVar[Mapping[str, str]] = {}
    """What ``training.json`` says besides, by status."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self._settings: dict[str, Any] = to_plain(settings)

    @property
    def known(self) -> Facts:
        """What ``training.json`` says."""
        return read_facts(self.folder / TRAINING_NAME)

    @property
    def is_model(self) -> bool:
        """Whether it holds a model."""
        return (self.folder / DESCRIPTION_NAME).exists()

    @property
    def is_taken(self) -> bool:
        """Whether it holds a model, or what an interrupted training goes on from."""
        return self.is_model or (self.folder / self.begun).exists()

    @property
    def is_complete(self) -> bool:
        """Whether it holds the model of a complete training."""
        return self.is_model and self.known.text("Status") == COMPLETE

    def open(self, *, resume: bool) -> bool:
        """Make the folder, or enter that of an interrupted training.

        Returns
        -------
        bool
            Whether the training is complete already.

        Raises
        ------
        SettingsError, InputError
            As of :meth:`check`.
        """
        self.check(resume=resume)
        if self.is_complete:
            self.clear()  # it may have been stopped just before
            return True
        remove_leftovers(self.folder)
        self.note(UNFINISHED)
        return False

    def check(self, *, resume: bool) -> None:
        """Make the folder, and refuse one that is taken and not to be gone on with.

        Raises
        ------
        SettingsError
            If it holds a model or an interrupted training and ``resume`` is not asked for, or a
            training of other settings.
        InputError
            If the folder cannot be made.
        """
        make_folder(self.folder)
        if not self.is_taken:
            return
        known = self.known
        if not known or not resume:
            raise SettingsError(self._explain_taken(known.text("Status")))
        self.compare(known.part("Settings").plain, self._settings, "settings")

    def compare(self, before: Mapping[str, Any], now: Mapping[str, Any], what: str) -> None:
        """Refuse to go on with others than a training was begun with.

        Raises
        ------
        SettingsError
        """
        differing = list(find_differences(before, to_plain(now)))
        if differing:
            more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
            raise SettingsError(
                f"--resume: expected the {what} that the {self.noun} in {self.folder} was begun "
                f"with; found other ones: {'; '.join(differing[:5])}{more}. Give the same ones, "
                "or another folder."
            )

    def close(self, **facts: Any) -> None:
        """Say that everything is there, and remove what it was made of."""
        self.note(COMPLETE, **facts)
        self.clear()

    def clear(self) -> None:
        """Remove what an interrupted training goes on from."""
        (self.folder / self.begun).unlink(missing_ok=True)

    def note(self, status: str, **facts: Any) -> None:
        """Write ``training.json``: what the folder is."""
        note = {"Note": self.notes[status]} if status in self.notes else {}
        write_json(
            self.folder / TRAINING_NAME,
            {
                "Description": self.description,
                "Status": status,
                **note,
                **facts,
                "Settings": self._settings,
                **VERSION,
            },
        )

    def _explain_taken(self, status: str | None) -> str:
        wanted = f"expected --output DIR for a new {self.noun}; found"
        if status == UNFINISHED:
            return (
                f"{wanted} an interrupted one in {self.folder}. Go on with it by --resume, or "
                "give another folder."
            )
        return f"{wanted} a model in {self.folder}. Give another folder, or remove that one."


def find_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Say what differs: what it was, and what it is now."""
    for key in dict.fromkeys((*before, *now)):
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            parts = [
                name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)
            ]
            if any(_is_long(values.get(name)) for name in parts for values in (old, new)):
                yield f"{key} of {', '.join(parts)}"
            else:
                yield from (_tell(name, old.get(name), new.get(name)) for name in parts)
        elif isinstance(old, list) and isinstance(new, list) and len(str(old)) > LONGEST_SHOWN:
            yield f"{key}: {len(old)} then, {len(new)} now"
        else:
            yield _tell(key, old, new)


def _tell(name: str, old: object, new: object) -> str:
    if _is_long(old) or _is_long(new):
        return name
    return f"{name}: {_show(old)} then, {_show(new)} now"


def _is_long(value: object) -> bool:
    """Whether a value, such as a digest, says nothing to a reader."""
    return len(str(value)) > LONGEST_SHOWN


def _show(value: object) -> str:
    return "none" if value is None else str(value)
