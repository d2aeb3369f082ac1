"""The verdicts on everyone as a table of the group, written and read back."""

from collections.abc import Sequence
from pathlib import Path

from kraken_bids.bids.outputs import group_path
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.pipeline.pages.tables import WHOSE, label_rows, read_group_table
from kraken_bids.report.pages import FAILED, GOOD, LOOK, NOT_JUDGED, PersonRow

TABLE = "participants.tsv"
LEVELS = {
    GOOD: "its files fit each other and the cohort, and nothing else is unusual",
    LOOK: "something is unusual: see reasons, and the participant's page",
    FAILED: "something could not be measured or predicted: see logs/failures.tsv",
    NOT_JUDGED: "nothing is unusual, but too few people or no model to compare with",
}
SEPARATOR = " | "


def write_people(output_dir: Path, people: Sequence[PersonRow]) -> None:
    """Write the verdicts into ``group/participants.tsv``."""
    path = group_path(output_dir, TABLE)
    names = [row.participant.partition("_") for row in people]
    write_table(path, {
        "participant_id": [name for name, _, _ in names],
        "session_id": [session or "n/a" for _, _, session in names],
        "verdict": [row.verdict for row in people],
        "reasons": [SEPARATOR.join(row.reasons) or "n/a" for row in people],
    })  # fmt: skip
    write_json(path.with_suffix(".json"), {
        "Description": "One verdict per participant and session",
        "verdict": {"Levels": LEVELS},
        "reasons": {"Description": f"what is wrong, in words, parted by '{SEPARATOR}'"},
    })  # fmt: skip


def read_person(output_dir: Path, label: str) -> PersonRow | None:
    """Read the verdict on one session; None before the group level has run."""
    columns = read_group_table(output_dir, TABLE, texts=(*WHOSE, "verdict", "reasons"))
    labels = label_rows(columns) if columns else []
    if label not in labels or columns["verdict"][labels.index(label)] not in LEVELS:
        return None
    row = labels.index(label)
    reasons = str(columns["reasons"][row])
    own = () if reasons in {"n/a", "nan"} else tuple(reasons.split(SEPARATOR))
    return PersonRow(label, str(columns["verdict"][row]), own)
