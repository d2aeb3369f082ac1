"""Write the reference of the commands and their options, from the commands themselves."""

import inspect
import re
from collections.abc import Iterator

import click

from kraken_bids.cli.app import main as app
from kraken_bids.cli.help_sections import SectionedCommand
from kraken_bids.cli.tools import main as tools

START = """# Commands and options

Every command with all its options, as `--help` says them: made from the programs while this site is built.

`kraken-bids` is the BIDS App; `kraken-tools` is everything else. Long options take `-` or `_` inside. Lists are separated by
spaces, or by repeating the option.

"""


def write_page() -> str:
    """Write the page as Markdown."""
    parts = [START, *_describe("kraken-bids", app, 2)]
    parts.append(f"## kraken-tools\n\n{_escape(tools.help or '')}\n\n")
    for name in tools.list_commands(click.Context(tools)):
        command = tools.get_command(click.Context(tools), name)
        assert command is not None, name
        parts += _describe(f"kraken-tools {name}", command, 3)
    return "".join(parts)


def _describe(name: str, command: click.Command, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    usage = command.get_usage(context).removeprefix("Usage: ")
    yield f"{'#' * level} {name}\n\n```text\n{' '.join(usage.split())}\n```\n\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield _escape(" ".join(paragraph.split())) + "\n\n"
    for title, options in _group(command, context):
        yield f"**{title}**\n\n" if title else ""
        yield "| option | meaning |\n|---|---|\n"
        for option in options:
            record = option.get_help_record(context)
            if record:
                yield f"| `{record[0].replace('|', chr(92) + '|')}` | {_cell(record[1])} |\n"
        yield "\n"


def _group(
    command: click.Command, context: click.Context
) -> Iterator[tuple[str, list[click.Option]]]:
    """Options as the help groups them; positions are in the line of usage."""
    if isinstance(command, SectionedCommand):
        yield from (
            (title, options) for title, options in command.group_options(context) if options
        )
    else:
        yield "", [one for one in command.get_params(context) if isinstance(one, click.Option)]


def _cell(words: str) -> str:
    return _escape(" ".join(words.split())).replace("|", "\\|")


def _escape(words: str) -> str:
    """Keep words that Markdown or HTML would take for marks, but for those in backticks."""
    parts = words.replace("\b", "").split("`")
    parts[::2] = [re.sub(r"([<>*_\[\]$])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)
