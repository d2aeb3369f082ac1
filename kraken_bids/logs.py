"""Where log lines go: the terminal and ``OUTPUT_DIR/logs``. No other module adds handlers."""

import logging
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path

TERMINAL_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def start_terminal_log(verbosity: int) -> None:
    """Send the package's log to stderr.

    Parameters
    ----------
    verbosity : int
        0 shows one line per stage and subject (INFO), 1 or more also shapes and timings (DEBUG),
        a negative number only warnings.
    """
    level = logging.DEBUG if verbosity > 0 else logging.INFO if verbosity == 0 else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(TERMINAL_FORMAT, datefmt="%H:%M:%S"))
    handler.setLevel(level)
    logger = logging.getLogger("kraken_bids")
    for old in [h for h in logger.handlers if type(h) is logging.StreamHandler]:
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logging.captureWarnings(capture=True)


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


def start_file_log(path: Path) -> logging.Handler:
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
