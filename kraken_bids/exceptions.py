"""Every error that kraken_bids raises on purpose, drawn as one tree.

KrakenBidsError
├── SettingsError (ValueError)       options that contradict each other          exit 2
├── DependencyError (ImportError)    an optional library is not installed        exit 2
├── InputError (OSError)             the dataset lacks or breaks a file          exit 3
├── FlavorError (ValueError)         unknown or malformed flavor id              exit 3
├── ConnectomeError (ValueError)     NaN, empty region, wrong shape              exit 4
│   └── TooShortError                a run with too few frames to clean          exit 4
└── CheckpointError (RuntimeError)   unreadable, mismatched or unsafe model      exit 5

A message says what was expected, what was found, where, and what to do. These errors are caught
in two places only: ``pipeline/`` (one participant fails, the others go on) and ``cli/`` (message,
exit code).
"""

from collections.abc import Sequence


class KrakenBidsError(Exception):
    """Something that the user can mend; ``exit_code`` is what the command ends with."""

    exit_code = 1


class SettingsError(KrakenBidsError, ValueError):
    """Options that contradict each other or lie outside their range."""

    exit_code = 2


class DependencyError(KrakenBidsError, ImportError):
    """A part of kraken_bids whose optional library is not installed."""

    exit_code = 2


class InputError(KrakenBidsError, OSError):
    """A file or dataset that is missing, truncated, of the wrong kind or in a wrong space."""

    exit_code = 3


class FlavorError(KrakenBidsError, ValueError):
    """A flavor id that does not parse, or that the model or the data do not have."""

    exit_code = 3


class ConnectomeError(KrakenBidsError, ValueError):
    """Numbers that cannot be a connectome: wrong shape, NaN, no variance, empty regions."""

    exit_code = 4


class TooShortError(ConnectomeError):
    """A BOLD run that holds too few frames to be cleaned; others may do without it."""


class CheckpointError(KrakenBidsError, RuntimeError):
    """A model that cannot be used: unreadable, unsafe, or not matching its transforms."""

    exit_code = 5


def name_few(names: Sequence[str], at_most: int = 4) -> str:
    """Write some names for a message, and how many more there are."""
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
