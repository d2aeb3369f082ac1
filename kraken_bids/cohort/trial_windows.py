"""Windows of trials: which volumes belong to an event of a task."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kraken_bids.exceptions import SettingsError

NEXT_TO = 1e-6
"""Volumes; times that differ by less are one, whatever floating point makes of them."""


@dataclass(frozen=True)
class TrialWindow:
    """Volumes of an event: those from ``onset + lag`` to ``end + lag + after_end``, in seconds."""

    lag: float = 3.0
    """Seconds by which the response of the blood follows the event."""
    discarded: int = 0
    """Volumes left out at the beginning."""
    after_end: float = 0.0
    """Seconds by which the window is longer than the event."""
    is_closed: bool = False
    """Whether a volume that begins just at the end belongs to it."""
    duration: float | None = None
    """Seconds of every event, in place of the column ``duration``."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.discarded < 0 or (self.duration is not None and not self.duration > 0):
            raise SettingsError(
                "expected --discard of 0 or more volumes and a --duration above 0 s; found "
                f"{self.discarded} and {self.duration}."
            )
        if not (np.isfinite(self.lag) and np.isfinite(self.after_end)):
            raise SettingsError(
                "expected seconds for --onset-lag and --after-end; found "
                f"{self.lag} and {self.after_end}."
            )

    def find_volumes(
        self, onset: float, duration: float, repetition_time: float
    ) -> tuple[int, int]:
        """First volume of an event, and the first one after it; the run may not have them.

        Parameters
        ----------
        onset, duration, repetition_time : float
            In seconds.
        """
        first = np.ceil((onset + self.lag) / repetition_time - NEXT_TO) + self.discarded
        end = (onset + duration + self.lag + self.after_end) / repetition_time
        stop = np.floor(end + NEXT_TO) + 1 if self.is_closed else np.ceil(end - NEXT_TO)
        return int(first), int(stop)


WINDOWS: Mapping[str, TrialWindow] = {
    "mdtb": TrialWindow(lag=3 * 1.0),
    "hcp": TrialWindow(lag=4 * 0.72),
    "deeplight": TrialWindow(lag=0.0, discarded=1, after_end=2 * 0.72, is_closed=True),
}
"""Windows of Thomas, Ré and Poldrack 2022 (arXiv 2206.11417; of MDTB and of HCP, 3 and 4 volumes)
and of Thomas et al. 2021 (arXiv 2111.01562), in seconds at the repetition time of their data."""
