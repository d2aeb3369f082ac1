"""Write the page of every file that is written, from the records that make tables and sidecars."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from kraken_bids.io.facts import to_key
from kraken_bids.scores.calibrated_records import CalibratedRecord
from kraken_bids.scores.quality_control import (
    Conclusion,
    CrossModalScore,
    InputQuality,
    Verdict,
)
from output_tables import COMMON, GROUP, PARTICIPANT, TOOLS, Table

ROOT = Path(__file__).resolve().parents[2]
KEYS = ROOT / "docs" / "outputs" / "keys.tsv"
JUDGEMENTS = (Conclusion, InputQuality, CrossModalScore, Verdict, CalibratedRecord)
GROUPS = {
    "every": "Of every file",
    "matrix": "Of every connectome",
    "functional": "Of series and functional connectomes",
    "structural": "Of structural connectomes",
    "prediction": "Of latents and predictions",
    "calibrated": "Of calibrated predictions",
    "imputed": "Of imputed cohorts",
    "discordance": "Of discordance",
    "explanation": "Of explanations",
    "standing": "Of what the last run stands for (`logs/*_inputs.json`)",
    "communities": "Of communities",
    "training": "Of models and trainings",
    "series": "Of models of region series",
    "volumes": "Of decoded volumes",
    "export": "Of exported files",
}
START = """# Every file, column and key

What each table that is written holds, column by column, and what each key of a JSON means. It is made from the code that writes
them while this site is built; where files lie is drawn on the page [Outputs](index.md).

Tables are tab-separated, with `n/a` where nothing is known. Beside a table or matrix lies a JSON of the same name, its sidecar.

"""


def write_page() -> str:
    """Write the page as Markdown."""
    parts = [START]
    for title, tables in (
        ("Tables of a participant", PARTICIPANT),
        ("Tables of the group", GROUP),
        ("Tables of `kraken-tools`", TOOLS),
    ):
        parts.append(f"## {title}\n\n")
        for table in tables:
            rows = "".join(f"| `{name}` | {words} |\n" for name, words in list_columns(table))
            name = table.name if "`" in table.name else f"`{table.name}`"
            parts.append(f"### {name}\n\n{table.words[0].upper()}{table.words[1:]}.\n\n")
            parts.append(f"| column | meaning |\n|---|---|\n{rows}\n")
    parts.append("## Keys of sidecars\n\n")
    keys = read_keys()
    for group, title in GROUPS.items():
        rows = "".join(
            f"| `{one['key']}` | {one['meaning']} |\n" for one in keys if one["group"] == group
        )
        parts.append(f"### {title}\n\n| key | meaning |\n|---|---|\n{rows}\n")
    parts.append("### Of judgements\n\nColumns that stand in sidecars too.\n\n")
    parts.append("| key | meaning |\n|---|---|\n")
    parts += [f"| `{key}` | {words} |\n" for key, words in list_judgement_keys().items()]
    return "".join(parts)


def list_columns(table: Table) -> Iterator[tuple[str, str]]:
    """Name and meaning of the columns of a table."""
    written = [one for kind in table.kinds for one in fields(kind) if one.metadata.get("in_table")]
    for one in sorted(written, key=lambda one: bool(one.metadata["at_end"])):
        yield one.name, describe(one.name, one.metadata)
    for name, words in table.columns.items():
        yield name, words or COMMON[name]


def describe(name: str, metadata: Mapping[str, Any]) -> str:
    """Words of a column, or its levels; else what the column means everywhere."""
    levels = metadata["levels"] or {}
    words = "; ".join(f"{level}: {what}" for level, what in levels.items())
    return " ".join((words or metadata["words"] or COMMON[name]).split()).replace("|", "\\|")


def list_judgement_keys() -> dict[str, str]:
    """Key and meaning of what judges a session, in sidecars and in one table or other."""
    written = [one for kind in JUDGEMENTS for one in fields(kind) if "words" in one.metadata]
    return {
        one.metadata["key"] or to_key(one.name): describe(one.name, one.metadata)
        for one in written
    }


def read_keys() -> list[dict[str, str]]:
    """Read the keys of sidecars and what they mean."""
    with KEYS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
