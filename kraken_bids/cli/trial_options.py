"""Options of commands that cut runs into trials: which events, and which volumes of them."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from kraken_bids.cli.options import FILE, ListOption, add_options
from kraken_bids.cli.recipe_options import option

if TYPE_CHECKING:
    from kraken_bids.cohort.trial_windows import TrialWindow

trial_options = add_options(
    option(
        "--events", type=FILE, metavar="BIDS_DIR",
        help="Raw dataset whose events.tsv say where the trials of the runs are.",
    ),
    option(
        "--column", default="trial_type", metavar="NAME", help="Of events.tsv: kinds of events."
    ),
    option(
        "--classes", cls=ListOption, metavar="KIND[=LABEL] ...",
        help="Kinds of events to take; kinds with one label are one class  [all]",
    ),
    option(
        "--windows", type=click.Choice(["mdtb", "hcp", "deeplight"]), default="mdtb",
        help="Volumes of an event: 3 s after it (mdtb), 2.88 s after it (hcp), or from its second "
        "volume to 1.44 s past its end (deeplight).",
    ),
    option(
        "--onset-lag", "lag", type=float, metavar="SECONDS",
        help="By which volumes lie behind the event  [that of --windows]",
    ),
    option(
        "--discard", "discarded", type=int, metavar="N",
        help="First volumes left out  [that of --windows]",
    ),
    option(
        "--after-end", type=float, metavar="SECONDS",
        help="By which the window is longer than the event  [that of --windows]",
    ),
    option(
        "--duration", type=float, metavar="SECONDS",
        help="Of every event, in place of the column duration.",
    ),
)  # fmt: skip


def read_window(words: dict[str, Any]) -> "TrialWindow":
    """Take what :data:`trial_options` say of windows out of the words of a command."""
    from kraken_bids.cohort.trial_windows import WINDOWS

    names = ("lag", "discarded", "after_end", "duration")
    given = {name: words.pop(name) for name in names}
    known = {name: value for name, value in given.items() if value is not None}
    return replace(WINDOWS[words.pop("windows")], **known)
