"""Whatever a run of both levels writes stands on the page of files: every column, every key."""

import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

SITE = Path(__file__).resolve().parents[2] / "scripts" / "site"
OPEN = ("REGION", "STATE", "DATA", "C1", "p_STATE")
"""Columns that stand for many, named by regions, states or communities."""


@pytest.fixture(scope="module")
def page() -> ModuleType:
    sys.path.insert(0, str(SITE))
    try:
        return import_module("outputs_page")
    finally:
        sys.path.remove(str(SITE))


def to_pattern(name: str) -> str:
    """Pattern of the paths that a name on the page stands for."""
    pattern = re.escape(name).replace("sub\\-<label>/func/…", r"sub-\w+/(ses-\w+/)?func/.*")
    return pattern.replace("<label>", r"\w+").replace("<who>", r"[\w-]+").replace("<A>", r"\w+")


def list_keys(content: object) -> Iterator[str]:
    """Keys in CamelCase, at whatever depth; below a flavor or region keys are names."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from [key] if re.fullmatch(r"[A-Z][A-Za-z0-9]+", key) else []
            yield from list_keys(value)
    elif isinstance(content, list):
        for one in content:
            yield from list_keys(one)


def test_every_table_is_described_column_by_column(finished: Path, page: ModuleType) -> None:
    """Matrices have no columns; of latents the first one stands for all."""
    described = [
        (re.compile(to_pattern(table.name)), {name for name, _ in page.list_columns(table)})
        for table in (*page.PARTICIPANT, *page.GROUP)
    ]
    n_tables = 0
    for path in finished.rglob("*.tsv"):
        if path.name.endswith("relmat.dense.tsv"):
            continue
        name = path.relative_to(finished).as_posix()
        known = [columns for pattern, columns in described if pattern.fullmatch(name)]
        assert known, f"{name} is on no row of the page"
        header = path.read_text(encoding="utf-8").splitlines()[0].split("\t")
        columns = {"z000" if re.fullmatch(r"z\d+", one) else one for one in header}
        if not known[-1] & set(OPEN):
            assert columns - known[-1] == set(), name
        n_tables += 1

    assert n_tables > 20


def test_every_key_of_a_sidecar_is_described(finished: Path, page: ModuleType) -> None:
    """Those of its own, and those of judgements."""
    known = {row["key"] for row in page.read_keys()} | set(page.list_judgement_keys())
    found = {
        key
        for path in finished.rglob("*.json")
        if path.name[0] != "."
        for key in list_keys(json.loads(path.read_text(encoding="utf-8")))
    }

    assert len(found) > 60
    assert sorted(found - known) == []
