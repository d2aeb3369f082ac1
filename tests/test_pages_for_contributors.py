"""What the pages for contributors name is there, and the code of the how-tos runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOW_TO = sorted((ROOT / "docs" / "how_to").glob("*.md"))
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PAGES = (
    *HOW_TO,
    *DECISIONS,
    ROOT / "docs" / "architecture.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
)
FOLDERS = ("kraken_bids", "tests", "docs", "benchmarks", "scripts", "findings")
THERE = [
    *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")),
    *ROOT.iterdir(),
]
CODE_WORDS = {
    word
    for path in THERE
    if path.suffix in {".py", ".tsv", ".toml"} and path != Path(__file__)
    for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
}
INVENTED = re.compile(r"NAME|\bx\b|_x\b|counts_|cli/test_regions")
"""Names that stand for the reader's own."""
WRITTEN = {"group/", "logs/"}
"""What the program writes."""
OTHERS = {"run_model.py", "ras_good_flag"}
"""Of other programs."""
FORMER = {"pipeline/pages/", "tools/"}
"""Of earlier days, as decisions tell them."""


def words_of(page: Path) -> list[str]:
    """Words in backticks outside blocks of code."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [w for w in re.findall(r"`([^`\n]+)`", text) if not INVENTED.search(w)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_folders_that_are_named_exist(page: Path) -> None:
    """By their path in the repository or in the package, or by the end of it."""
    pattern = r"[\w./-]+\.(?:py|md|html|toml)\b|data/[\w.-]+|(?:[\w-]+/)+(?![\w*])"
    named = {n for word in words_of(page) for n in re.findall(pattern, word)}
    named -= WRITTEN | OTHERS | FORMER
    paths = [f"/{path.relative_to(ROOT).as_posix()}" for path in THERE]

    missing = [n for n in named if not any(p.endswith(f"/{n.rstrip('/')}") for p in paths)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_functions_that_are_named_exist(page: Path) -> None:
    """Names with an underscore stand somewhere in the code."""
    pattern = r"(?<![\w./$-])[a-z]\w*_[a-z]\w*\b(?!\*)"
    named = {n for word in words_of(page) for n in re.findall(pattern, word)}
    named = {n for n in named if not n.startswith("add_a")} - OTHERS

    assert sorted(named - CODE_WORDS) == []


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.name)
def test_the_code_of_how_tos_runs(page: Path) -> None:
    """Every block of Python; those that are not whole modules only define something."""
    blocks = re.findall(r"^( *)```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL | re.M)

    for indent, block in blocks:
        exec(re.sub(rf"(?m)^{indent}", "", block), {})
