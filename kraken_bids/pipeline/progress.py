"""How far a stage of a run is, and how long it will take."""

import logging
import time

logger = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
"""Time between two lines of a stage that says nothing else."""
SURE_SECONDS = 3.0
"""Time from which on what has been done says how long the rest will take."""


class Progress:
    """Counts what a stage has done, in the log.

    Parameters
    ----------
    verb : str
        What is done: ``measured``, ``predicted`` …
    total : int
        How many items there are.
    """

    def __init__(self, verb: str, total: int) -> None:
        self._verb, self._total = verb, total
        self._n = 0
        self._begun = self._said = time.monotonic()

    def advance(self, label: str = "", verb: str = "") -> None:
        """Count one item.

        Parameters
        ----------
        label : str, optional
            Its name; with it every item has a line, without there is one now and then.
        verb : str, optional
            What was done to it, where that is something else.
        """
        self._n += 1
        now = time.monotonic()
        if not label and self._n < self._total and now - self._said < EVERY_SECONDS:
            return
        self._said = now
        counts = f"{self._n} of {self._total}"
        left = self._explain_rest(now - self._begun)
        if label:
            logger.info("%s %s (%s%s)", label, verb or self._verb, counts, left and f", {left}")
        else:
            logger.info("%s %s%s", verb or self._verb, counts, left and f" ({left})")

    def _explain_rest(self, elapsed: float) -> str:
        if self._n >= self._total or elapsed < SURE_SECONDS:
            return ""
        return f"about {format_seconds(elapsed / self._n * (self._total - self._n))} left"


def format_seconds(seconds: float) -> str:
    """Spell a time as people do: ``40 s``, ``12 min``, ``3.5 h``."""
    minute, hour = 60, 3600
    if seconds < 1.5 * minute:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 1.5 * hour:
        return f"{seconds / minute:.0f} min"
    return f"{seconds / hour:.1f} h"
