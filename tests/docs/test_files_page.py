"""The page of files knows every table and every key that the package writes."""

import ast
import re
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITERS = {"write_records", "replace_records", "write_columns"}
KEY = r"[A-Z][A-Za-z0-9]*[a-z0-9][A-Za-z0-9]*"
NOT_SIDECARS = (
    "demo/", "report/", "published/", "pipeline/workers/", "io/tck.py", "io/mif.py",
    "io/unpickler.py", "bids/cleaned_bold.py", "bids/transforms.py", "bids/datasets.py",
    "bids/bold_labels.py",
)  # fmt: skip
"""Where words in capitals are of other people's files."""


@pytest.fixture(scope="module")
def page() -> ModuleType:
    sys.path.insert(0, str(ROOT / "scripts" / "site"))
    try:
        return import_module("outputs_page")
    finally:
        sys.path.remove(str(ROOT / "scripts" / "site"))


@cache
def list_modules() -> list[tuple[str, ast.Module]]:
    folder = ROOT / "kraken_bids"
    return [
        (path.relative_to(folder).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(folder.rglob("*.py"))
    ]


def test_every_kind_of_record_that_is_written_has_its_table(page: ModuleType) -> None:
    """Classes that are handed to the writers of tables."""
    written = set()
    for _, tree in list_modules():
        for node in ast.walk(tree):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id in WRITERS and len(node.args) > 1:
                kinds = ast.walk(node.args[1])
                written |= {one.id for one in kinds if isinstance(one, ast.Name)}
    written -= {"kinds"}
    tables = (*page.PARTICIPANT, *page.GROUP, *page.TOOLS)
    known = {kind.__name__ for table in tables for kind in table.kinds}

    assert len(written) > 20
    assert written - known == set()


def test_every_column_has_its_meaning(page: ModuleType) -> None:
    """None is empty; a column without words of its own is one that means the same everywhere."""
    for table in (*page.PARTICIPANT, *page.GROUP, *page.TOOLS):
        columns = list(page.list_columns(table))
        assert columns, table.name
        assert [name for name, words in columns if not words.strip()] == []


def test_every_key_that_is_written_has_its_meaning(page: ModuleType) -> None:
    """Keys of literal objects, and those of records for sidecars."""
    from dataclasses import fields

    from kraken_bids.cohort import measurements
    from kraken_bids.io.facts import to_key

    written = set()
    for name, tree in list_modules():
        if name.startswith(NOT_SIDECARS):
            continue
        for node in ast.walk(tree):
            keys = node.keys if isinstance(node, ast.Dict) else []
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
                keys = [node.targets[0].slice]
            written |= {
                key.value
                for key in keys
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            }
    written = {key for key in written if re.fullmatch(KEY, key)}
    records = ("RunRecord", "CleaningRecord", "FunctionalRecord", "StructuralRecord")
    for record in records:
        written |= {to_key(one.name) for one in fields(getattr(measurements, record))}
    known = {row["key"] for row in page.read_keys()}

    assert len(written) > 200
    assert written - known == set()


def test_every_key_has_a_group_and_stands_there_once(page: ModuleType) -> None:
    """A key may mean different things in different files."""
    rows = page.read_keys()

    assert {row["group"] for row in rows} == set(page.GROUPS)
    assert len({(row["group"], row["key"]) for row in rows}) == len(rows)
    assert all(row["meaning"] for row in rows)
