"""Times of jobs, as people and schedulers write them."""

import re

from kraken_bids.exceptions import SettingsError
from kraken_bids.pipeline.workers.schedulers import CLUSTERS


def spell_walltime(seconds: int, scheduler: str) -> str:
    """Spell the time of a job as a scheduler reads it.

    Raises
    ------
    SettingsError
        If it takes none.
    """
    form = CLUSTERS[scheduler].walltime
    if not form:
        raise SettingsError(
            f"--walltime: {scheduler} takes no such limit from dask-jobqueue; set it in the "
            "scheduler's own configuration and leave the option out."
        )
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return form.format(hours=hours, minutes=minutes, seconds=seconds)


def parse_walltime(text: str, *, of_lsf: bool = False) -> int | None:
    """Seconds of ``HH:MM:SS`` or ``D-HH:MM:SS``; LSF leaves out the seconds.

    Returns
    -------
    int or None
        None where it is neither (SLURM reads ``10:00`` as minutes).
    """
    pattern = r"()(\d+):(\d\d)()" if of_lsf else r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)"
    found = re.fullmatch(pattern, text.strip())
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
