"""The walks of docs/architecture.md follow the imports of the code, in few files."""

import ast
import itertools
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kraken_bids"
FILES = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MAIN = ("One participant", "One prediction", "One count of streamlines", "One group")
MOST_STEPS = 12


@cache
def list_imports(file: str) -> frozenset[str]:
    """Files of the package that a file imports, at its top or inside its functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kraken_bids"):
            place = "/".join((node.module or "").split(".")[1:])
            found |= {f"{place}.py", f"{place}/__init__.py"}
            found |= {f"{place}/{one.name}.py" for one in node.names}
    return frozenset(found)


def find_files(words: str, folder: str) -> list[str]:
    """Files that words in backticks name: beside the one before, by their path, or its end."""
    found: list[str] = []
    for word in re.findall(r"`([\w/]+\.py)`", words):
        named = [one for one in (f"{folder}/{word}", word) if one in FILES]
        named += [one for one in FILES if one.endswith(f"/{word}")]
        assert named, f"{word} is no file of the package"
        found.append(named[0])
        folder = named[0].rpartition("/")[0]
    return found


def list_arrows() -> list[tuple[list[str], list[str]]]:
    """Files before and after each arrow of the page, by rows of tables and by sentences."""
    arrows: list[tuple[list[str], list[str]]] = []
    for line in re.split(r"\n\||[;()|]", PAGE):
        before: list[str] = []
        for step in line.split("→") if "`" in line else []:
            folder = before[-1].rpartition("/")[0] if before else ""
            after = find_files(step, folder) if before or "→" in line else []
            if before and after:
                arrows.append((before, after))
            before = after
    return arrows


def list_steps(title: str) -> list[str]:
    """Files of the numbered rows of a walk."""
    section = PAGE.split(f"\n## {title}")[1].split("\n## ")[0]
    cells = re.findall(r"^\| \d+ \| `([\w/]+\.py)` \|", section, re.MULTILINE)
    assert len(cells) == len(re.findall(r"^\| \d", section, re.MULTILINE))
    return cells


@pytest.mark.parametrize("title", MAIN)
def test_a_main_walk_is_short_and_each_step_is_imported_by_an_earlier_one(title: str) -> None:
    """Somebody who is new opens twelve files at most, none of which comes from nowhere."""
    steps = list_steps(title)
    assert 5 < len(steps) <= MOST_STEPS
    assert len({*steps}) == len(steps)
    lost = [
        step
        for k, step in enumerate(steps)
        if k and not any(step in list_imports(earlier) for earlier in steps[:k])
    ]
    assert lost == []


def test_arrows_lead_to_what_the_file_before_imports() -> None:
    """At least one of the files before the arrow."""
    arrows = list_arrows()
    assert len(arrows) > 30
    wrong = [
        (before, file)
        for before, after in arrows
        for file in after
        if not any(file in list_imports(one) for one in before)
    ]
    assert wrong == []


def test_the_picture_has_every_folder_from_the_highest_layer_to_the_lowest() -> None:
    """As import-linter holds them; settings of one kind stand for all."""
    picture = PAGE.split("```text\n")[1].split("```")[0].splitlines()
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = contract["tool"]["importlinter"]["contracts"][0]["layers"]

    places: list[list[int]] = []
    for layer in layers:
        lines = [
            min((k for k, line in enumerate(picture) if re.search(rf"\b{name}(/|\.py)", line)),
                default=-1)
            for name in layer.split(" | ")
            if (PACKAGE / name).is_dir() or f"{name}.py" in " ".join(picture)
        ]  # fmt: skip
        places += [lines] if lines else []

    assert all(-1 not in lines for lines in places)
    for above, below in itertools.pairwise(places):
        assert max(above) <= min(below)
    folders = [p.name for p in (PACKAGE / "pipeline").iterdir() if (p / "__init__.py").exists()]
    assert [one for one in folders if f"{one}/" not in " ".join(picture)] == []
