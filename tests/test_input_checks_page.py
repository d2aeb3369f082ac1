"""The page of checks names what is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "input_checks.md"


def list_rows() -> list[list[str]]:
    """Cells of all rows but the headings."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in rows if row[0] != "check" and not row[0].startswith("---")]


def test_every_check_names_a_module_that_exists() -> None:
    """By its path or by its name; the rows of a table may share one."""
    modules = [path.relative_to(ROOT).as_posix() for path in (ROOT / "kraken_bids").rglob("*.py")]
    named = {name for row in list_rows() for name in re.findall(r"[\w/]+\.py", row[-1])}

    assert len(named) > 20
    assert [n for n in named if not any(path.endswith(f"/{n}") for path in modules)] == []


def test_every_check_has_all_its_cells() -> None:
    """What is compared, the threshold, where from, and what happens: none is empty."""
    rows = list_rows()

    assert len(rows) > 60
    assert [row for row in rows if len(row) != 6 or not all(row)] == []
