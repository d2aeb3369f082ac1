"""Code on the pages can be run: commands parse, Python compiles, TOML and JSON are whole."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kraken_bids.cli.app import main as app
from kraken_bids.cli.tools import main as tools

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    if "decisions" not in path.parts
)
BLOCK = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
OURS = ("kraken-bids", "kraken-tools")


def list_blocks(path: Path, language: str) -> list[str]:
    """Blocks of a language, without the indentation of lists."""
    found = BLOCK.findall(path.read_text(encoding="utf-8"))
    return [
        re.sub(rf"(?m)^{indent}", "", text) for indent, kind, text in found if kind == language
    ]


def list_commands(path: Path) -> Iterator[list[str]]:
    """Words of every call of our commands."""
    for block in list_blocks(path, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = next(
                    (k for k, one in enumerate(words) if one in {"&&", "|", ";", ">"}), None
                )
                own, words = (words, []) if end is None else (words[:end], words[end + 1 :])
                starts = [k for k, one in enumerate(own) if Path(one).name in OURS]
                if starts:
                    yield own[starts[0] :]


def parse(words: list[str]) -> None:
    """Parse a call as the program would; nothing is run."""
    command: click.Command = app
    name, *rest = words
    if Path(name).name == "kraken-tools":
        found = tools.get_command(click.Context(tools), rest[0])
        assert found is not None, f"no command kraken-tools {rest[0]}"
        command, rest = found, rest[1:]
    command.make_context(name, rest)


def test_a_wrong_option_is_found() -> None:
    """In a list of words as on a page."""
    with pytest.raises(click.NoSuchOption):
        parse(["kraken-tools", "predict", "--modle", "x"])


def test_commands_are_found_behind_others() -> None:
    """Behind && and with comments; continued lines are one."""
    called = {words[1] for words in list_commands(ROOT / "README.md")}

    assert {"fetch", "convert", "describe", "sc"} <= called


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_of_a_page_parse(page: Path) -> None:
    """Options exist, choices are among those that there are, nothing required is missing."""
    for words in list_commands(page):
        try:
            parse(words)
        except (click.exceptions.Exit, SystemExit):  # --help; a file that is the reader's
            continue
        except click.ClickException as error:
            pytest.fail(f"{shlex.join(words)}\n{error.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_python_toml_and_json_of_a_page_parse(page: Path) -> None:
    """Python compiles; JSON may be the inside of an object."""
    for block in list_blocks(page, "python"):
        compile(block, page.name, "exec")
    for block in list_blocks(page, "toml"):
        tomllib.loads(block)
    for block in list_blocks(page, "json"):
        json.loads(block if block.lstrip().startswith(("{", "[")) else f"{{{block}}}")


def test_the_python_of_the_reference_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The short example at the top."""
    names: dict[str, object] = {}
    for block in list_blocks(ROOT / "docs/reference/python.md", "python"):
        exec(block, names)

    assert capsys.readouterr().out == "fs86 86 Left-Cerebellum-Cortex\n"
