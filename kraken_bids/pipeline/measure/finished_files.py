"""Files that an earlier run measured. Apart from tasks, which planning imports without numpy."""

import logging
from collections.abc import Mapping
from pathlib import Path

from kraken_bids.cohort.sidecars import read_digest
from kraken_bids.pipeline.measure.tasks import SessionTask

logger = logging.getLogger(__name__)


def is_up_to_date(task: SessionTask, planned: Mapping[Path, str]) -> bool:
    """Whether every file is there with its digest: same inputs, same settings, same saved λ."""
    if task.settings.run.force or not planned:
        return False
    paths = list(planned)
    done = all(read_digest(path, if_whole=True) == planned[path] for path in paths)
    if done:
        logger.info(
            "%s: %d connectome(s) up to date, skipped (--force redoes them): %s …",
            task.label,
            len(paths),
            paths[0].name,
        )
    return done
