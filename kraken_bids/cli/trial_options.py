"""Options of commands that cut runs into trials, and that hold people out in turn."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from kraken_bids.cli.options import FILE, ListOption, add_options, option
from kraken_bids.exceptions import SettingsError

if TYPE_CHECKING:
    from kraken_bids.cohort.trial_windows import TrialWindow


OF_WINDOW = {
    "lag": "--onset-lag", "discarded": "--discard", "after_end": "--after-end",
    "duration": "--duration",
}  # fmt: skip
USUAL = {"column": "trial_type", "windows": "mdtb"}

trial_options = add_options(
    option(
        "--events", type=FILE, metavar="BIDS_DIR",
        help="Raw dataset whose events.tsv say where the trials of the runs are.",
    ),
    option(
        "--column", default=USUAL["column"], metavar="NAME", help="Of events.tsv: kinds of events."
    ),
    option(
        "--classes", cls=ListOption, metavar="KIND[=LABEL] ...",
        help="Kinds of events to take; kinds with one label are one class  [all]",
    ),
    option(
        "--windows", type=click.Choice(["mdtb", "hcp", "deeplight"]), default=USUAL["windows"],
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
    """Take what :data:`trial_options` say of windows out of the words of a command.

    Raises
    ------
    SettingsError
        If something is said of events, and none are given.
    """
    from kraken_bids.cohort.trial_windows import WINDOWS

    idle = [option for name, option in OF_WINDOW.items() if words[name] is not None]
    idle += ["--classes"] if words["classes"] else []
    idle += [f"--{name}" for name, usual in USUAL.items() if words[name] != usual]
    if words["events"] is None and idle:
        raise SettingsError(
            f"expected {' and '.join(idle)} beside --events BIDS_DIR alone, since they choose "
            "among events; found no --events. Give it, or leave them out."
        )
    given = {name: words.pop(name) for name in OF_WINDOW}
    known = {name: value for name, value in given.items() if value is not None}
    return replace(WINDOWS[words.pop("windows")], **known)


split_options = add_options(
    option("--folds", "n_folds", type=int, default=5, help="Parts that people are dealt into."),
    option("--repeats", "n_repeats", type=int, default=2, help="Times that they are dealt."),
    click.option(
        "--families", metavar="FILE|COLUMN",
        help="Who is held out together: a table with participant_id and family, or a column of "
        "participants.tsv (site). Runs of a person always are.",
    ),
    click.option("--participants", type=FILE, metavar="FILE", help="Table of participants."),
)  # fmt: skip
