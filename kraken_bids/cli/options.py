"""How the commands read options: ``-`` or ``_`` inside, lists as other BIDS Apps take them."""

import logging
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import wraps
from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.stopping import STOPPED
from kraken_bids.exceptions import KrakenBidsError, SettingsError
from kraken_bids.io.toml_files import read_toml
from kraken_bids.logs import show_repeated_warnings, start_terminal_log
from kraken_bids.resources import explain_shortage

LEVELS = ("participant", "group")
logger = logging.getLogger(__name__)


MORE_ROOM = "Give more memory, or compute less at once, and run it again: finished files are kept."
MOST_NAMED = 10
GO_ON = "Finished files are kept: the same command goes on from there."


class ListOption(click.Option):
    """An option that takes one or more values, separated by spaces or by repeating it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["multiple"] = True
        super().__init__(*args, **kwargs)


def option(*names: str, **attributes: Any) -> Callable[..., Any]:
    """Make an option whose default, where it has one, is shown."""
    return click.option(*names, show_default="default" in attributes, **attributes)


FILE = click.Path(path_type=Path)
transforms_option = option(
    "--transforms",
    cls=ListOption,
    type=FILE,
    metavar="FILE ...",
    help="Transforms kraken_ioxfm_* of a published .pt  [those beside it]",
)
verbose_option = option(
    "-v", "--verbose", count=True, help="Say more: shapes, times, what is skipped."
)


def add_options(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command several options at once, in this order."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


class ForgivingCommand(click.Command):
    """A command whose long options take ``_`` for ``-`` and whose lists are space-separated."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite the words into click's own grammar, then let click parse them."""
        lists = {
            name
            for option in self.params
            if isinstance(option, ListOption)
            for name in option.opts
        }
        words = [_dashed(word) for word in args]
        return super().parse_args(ctx, _repeat_lists(words, lists))


class exit_with_message:  # noqa: N801 - reads as the statement it makes
    """Turn an error of ours into its message on stderr and its exit code.

    Parameters
    ----------
    go_on : str
        How to go on with what was stopped.
    """

    def __init__(self, go_on: str = GO_ON) -> None:
        self._go_on = go_on

    def __enter__(self) -> None:
        """Enter."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Exit with the error's code where it is one of ours; with 130 after Ctrl-C."""
        show_repeated_warnings()
        if isinstance(error, KrakenBidsError):
            click.echo(f"Error: {error}", err=True)
            sys.exit(error.exit_code)
        if error is not None and (lacked := explain_shortage(error)):
            click.echo(f"Error: expected room to compute; {lacked}. {MORE_ROOM}", err=True)
            sys.exit(KrakenBidsError.exit_code)
        if isinstance(error, OSError):
            from kraken_bids.cohort.failures import explain_refusal

            if refused := explain_refusal(error):
                logger.debug("traceback", exc_info=error)
                click.echo(f"Error: {refused}", err=True)
                sys.exit(KrakenBidsError.exit_code)
        if isinstance(error, KeyboardInterrupt):
            click.echo(f"Stopped by Ctrl-C. {self._go_on}", err=True)
            sys.exit(128 + signal.SIGINT)
        if isinstance(error, SystemExit) and error.code in STOPPED:
            click.echo(f"Stopped by {STOPPED[error.code].name}. {self._go_on}", err=True)


def tool(name: str | None = None, *, go_on: str = GO_ON) -> Callable[..., click.Command]:
    """Make a function a command of ``kraken-tools``.

    It gets ``--verbose`` behind its other options, which the function need not take; errors of
    ours end it with their message and exit code.

    Parameters
    ----------
    name : str, optional
        That of the function, with ``-`` for ``_``, by default.
    go_on : str
        As of :class:`exit_with_message`.
    """

    def make(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        def run(*, verbose: int, **words: Any) -> None:
            with exit_with_message(go_on):
                start_terminal_log(verbose)
                function(**words)

        settings = {"max_content_width": 100}
        command = click.command(name, cls=ForgivingCommand, context_settings=settings)(run)
        verbose_option(command)
        return command

    return make


def pairs(option: str, values: Iterable[str]) -> dict[str, str]:
    """Split ``NAME=VALUE`` words.

    Raises
    ------
    SettingsError
        If a word has no ``=`` or a name comes twice.
    """
    found: dict[str, str] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not (name and equals and rest):
            raise SettingsError(f"{option}: expected NAME=VALUE; found {value!r}.")
        if name in found:
            raise SettingsError(f"{option}: {name!r} is given twice: {found[name]} and {rest}.")
        found[name] = rest
    return found


def paths(option: str, values: Iterable[str]) -> dict[str, Path]:
    """Split ``NAME=PATH`` words, as :func:`pairs` does."""
    return {name: Path(path) for name, path in pairs(option, values).items()}


def numbers(option: str, values: Iterable[str]) -> dict[str, float]:
    """Split ``NAME=NUMBER`` words.

    Raises
    ------
    SettingsError
        If a word has no ``=``, a name comes twice, or a value is no number.
    """
    found = {}
    for name, text in pairs(option, values).items():
        try:
            found[name] = float(text)
        except ValueError:
            raise SettingsError(f"{option}: expected a number; found {text!r}.") from None
    return found


def labels(prefix: str, values: Iterable[str]) -> tuple[str, ...]:
    """Labels without their ``sub-``, ``ses-`` or ``task-``, each once, in the order given."""
    return tuple(dict.fromkeys(value.removeprefix(prefix) for value in values))


def read_config(path: Path, command: click.Command) -> dict[str, Any]:
    """Defaults of a TOML file, by parameter name, as ``--config-file`` takes them.

    Raises
    ------
    InputError
        If the file is missing or is not TOML.
    SettingsError
        If it names an option that the command has not.
    """
    content = read_toml(path, option="--config-file")
    known = {option.name: option for option in command.params if option.name}
    values = {key.replace("-", "_"): value for key, value in content.items()}
    if len(values) < len(content):
        twice = sorted(key for key in content if "-" in key and key.replace("-", "_") in content)
        raise SettingsError(
            f"--config-file: expected every option once in {path}; found {', '.join(twice)} in "
            "both spellings, with - and _. Leave one of them out."
        )
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SettingsError(
            f"--config-file: {path} names options that do not exist: "
            f"{', '.join(unknown[:MOST_NAMED])}{', …' if unknown[MOST_NAMED:] else ''}. "
            f"Run kraken-bids --help for the list.{_suggest(unknown, known)}"
        )
    try:
        return {key: _as_words(value, known[key]) for key, value in values.items()}
    except ValueError as error:
        raise SettingsError(f"--config-file: {path}: {error}.") from error


def _suggest(unknown: Iterable[str], known: Iterable[str]) -> str:
    """Ask of each unknown option whether one of much the same spelling was meant."""
    names = list(known)
    asked = ((name, get_close_matches(name, names, n=1)) for name in unknown)
    pairs = [f"{name}: {near[0]}" for name, near in asked if near]
    return f" Did you mean {', '.join(pairs[:MOST_NAMED])}?" if pairs else ""


def _dashed(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _repeat_lists(words: list[str], lists: set[str]) -> list[str]:
    """Turn ``--label 01 02`` into ``--label 01 --label 02``; leave closing positionals alone."""
    out: list[str] = []
    end = _end_of_list_words(words, lists)
    i = 0
    while i < len(words):
        word = words[i]
        i += 1
        if word not in lists:
            out.append(word)
            continue
        first = i
        while i < end and not _is_option(words[i]):
            out += [word, words[i]]
            i += 1
        if i == first:
            out.append(word)  # click says that the option needs a value
    return out


def _end_of_list_words(words: list[str], lists: set[str]) -> int:
    """Index from which words are positional: the last three where options came first."""
    level_last = bool(words) and words[-1] in LEVELS
    options_first = bool(words) and _is_option(words[0])
    return len(words) - 3 if level_last and options_first and lists else len(words)


def _is_option(word: str) -> bool:
    return word.startswith("-") and not _is_number(word)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _as_words(value: object, option: click.Parameter) -> object:
    """Words as the command line spells them; of tables NAME=VALUE. Flags stay what they are."""
    if option.multiple and isinstance(value, Mapping):
        return [f"{name}={_as_word(item, option)}" for name, item in value.items()]
    if option.multiple and isinstance(value, list):
        return [_as_word(item, option) for item in value]
    is_flag = isinstance(option, click.Option) and option.is_flag
    return value if is_flag and isinstance(value, bool) else _as_word(value, option)


def _as_word(value: object, option: click.Parameter) -> str:
    if isinstance(value, Mapping | list):
        raise ValueError(f"expected a word or a number for {option.name}; found {str(value)[:80]}")
    return str(value)
