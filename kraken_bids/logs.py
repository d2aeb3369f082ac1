"""Where log lines go: the terminal and ``OUTPUT_DIR/logs``. No other module adds handlers."""

import logging
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path

TERMINAL_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
LABEL = re.compile(r"sub-[A-Za-z0-9+]+(?:_ses-[A-Za-z0-9+]+)?")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
MOST_NAMED = 6
"""Subjects whom one line names."""
MOST_LETTERS = 100
"""Letters of a warning that are repeated."""
FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def start_terminal_log(verbosity: int) -> None:
    """Send the package's log to stderr.

    Parameters
    ----------
    verbosity : int
        0 shows one line per stage and subject (INFO), and a warning that concerns several subjects
        once; 1 or more shows all of them, shapes and timings (DEBUG); a negative number only
        warnings.
    """
    level = logging.DEBUG if verbosity > 0 else logging.INFO if verbosity == 0 else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(TERMINAL_FORMAT, datefmt="%H:%M:%S"))
    handler.setLevel(level)
    if verbosity <= 0:
        handler.addFilter(OncePerKind())
    logger = logging.getLogger("kraken_bids")
    for old in _terminal_handlers():
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logging.captureWarnings(capture=True)


class OncePerKind(logging.Filter):
    """Lets a warning through once; of warnings on subjects one for all, whatever their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        """By kind: every message, the first one shown."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is shown."""
        if record.levelno != logging.WARNING:
            return True
        message = record.getMessage()
        is_personal = LABEL.search(message) is not None
        kind = NUMBER.sub("0", LABEL.sub("sub-0", message)) if is_personal else message
        said = self.found.setdefault(kind, [])
        said.append(message)
        return len(said) == 1

    def summarize(self) -> list[str]:
        """Say in a line each what was not shown, and of whom; begin anew."""
        lines = []
        for first, *others in self.found.values():
            if not others:
                continue
            labels = dict.fromkeys(label for text in others for label in LABEL.findall(text)[:1])
            whom = ", ".join(list(labels)[:MOST_NAMED])
            more = f" and {len(labels) - MOST_NAMED} more" if len(labels) > MOST_NAMED else ""
            text = first if len(first) <= MOST_LETTERS else f"{first[:MOST_LETTERS]}…"
            of = f" of {whom}{more}" if labels else ""
            lines.append(f"{len(others)} more warning(s){of} like this: {text}")
        self.found.clear()
        return lines


class NoWarnings(logging.Filter):
    """Leaves warnings of a worker to the main process, which shows them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is shown."""
        return record.levelno != logging.WARNING


class WarningList(logging.Handler):
    """Keeps the texts of warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        if record.levelno == logging.WARNING:
            self.texts.append(record.getMessage())


def leave_warnings_to_main() -> None:
    """Show no warnings in this process, which is a worker; its log file has them."""
    for handler in _terminal_handlers():
        handler.addFilter(NoWarnings())


def show_warnings(texts: Iterable[str]) -> None:
    """Show in the terminal what workers have warned of."""
    for text in texts:
        _show(text, logging.WARNING)


def show_repeated_warnings() -> None:
    """Show in the terminal how often a warning was given that was shown once."""
    for handler in _terminal_handlers():
        for kind in [f for f in handler.filters if isinstance(f, OncePerKind)]:
            for line in kind.summarize():
                _show(line, logging.INFO)


def _show(text: str, level: int) -> None:
    record = logging.LogRecord("kraken_bids", level, __file__, 0, text, None, None)
    for handler in _terminal_handlers():
        if level >= handler.level:
            handler.handle(record)


def _terminal_handlers() -> list[logging.Handler]:
    handlers = logging.getLogger("kraken_bids").handlers
    return [handler for handler in handlers if type(handler) is logging.StreamHandler]


class FileLog(logging.FileHandler):
    """A log file that neither ends the run nor fills the terminal where it cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Let the line go: the terminal has it, and what is wrong with the disk is said there."""

    def flush(self) -> None:
        """Write what is waiting, if there is room."""
        with suppress(OSError):
            super().flush()

    def close(self) -> None:
        """Close the file, complete or not."""
        with suppress(OSError):
            super().close()


def claim_log(folder: Path, name: str) -> Path:
    """Make an empty log of this name, or with a number where another run has taken the name.

    Parameters
    ----------
    folder : path
        Is made where it is missing.
    name : str
        Stem of the file.

    Returns
    -------
    path
        Of the file, which nobody else writes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = folder / (f"{name}.log" if number == 1 else f"{name}-{number}.log")
        with suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path
    raise AssertionError


def start_file_log(path: Path) -> logging.FileHandler:
    """Send everything, DEBUG included, to a file; the run closes the handler that it returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = FileLog(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(FILE_FORMAT))
    handler.setLevel(logging.DEBUG)
    logging.getLogger("kraken_bids").addHandler(handler)
    return handler


def stop_file_log(handler: logging.Handler) -> None:
    """Close a log that :func:`start_file_log` opened."""
    logging.getLogger("kraken_bids").removeHandler(handler)
    handler.close()
