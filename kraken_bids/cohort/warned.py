"""What a run warns of beside its predictions: sentences for sidecars and reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.sidecar_records import WARNINGS
from kraken_bids.io.facts import read_facts
from kraken_bids.io.writing import write_json


@dataclass(frozen=True)
class Warned:
    """Sentences that stand in the sidecars of predictions and at the top of the reports."""

    everyone: tuple[str, ...] = ()
    """What concerns all predictions of the run; said once on the group's page."""
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What concerns one session, by its label (``sub-01_ses-1``)."""
    doubts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """What is wrong with an input, by the session's label ('' for everyone's) and the flavor."""

    def doubt_of(self, label: str, flavor: str) -> str:
        """Say what is wrong with one session's connectome of a flavor; '' where nothing is."""
        known = (self.doubts.get(("", flavor), ""), self.doubts.get((label, flavor), ""))
        return "; ".join(filter(None, known))

    def list_of(self, label: str) -> list[str]:
        """List what is to be said beside the predictions of one session, each sentence once."""
        return list(dict.fromkeys((*self.everyone, *self.own.get(label, ()))))

    def join(self, other: "Warned") -> "Warned":
        """Join what two checks warn of."""
        labels = dict.fromkeys((*self.own, *other.own))
        own = {one: (*self.own.get(one, ()), *other.own.get(one, ())) for one in labels}
        return Warned((*self.everyone, *other.everyone), own, {**self.doubts, **other.doubts})


def write_group_warnings(output_dir: Path, warnings: Sequence[str]) -> None:
    """Write what is wrong with the cohort as a whole into ``group/warnings.json``.

    With no warnings the file of an earlier run is taken away.
    """
    path = group_path(output_dir, "warnings.json")
    if not warnings:
        path.unlink(missing_ok=True)
        return
    content = {
        "Description": "What is wrong with the cohort as a whole",
        WARNINGS: list(dict.fromkeys(warnings)),
    }
    if read_facts(path).plain != content:
        write_json(path, content)


def read_group_warnings(output_dir: Path) -> list[str]:
    """List what the last run of the group level found wrong with the cohort as a whole."""
    return read_facts(group_path(output_dir, "warnings.json")).texts(WARNINGS)
