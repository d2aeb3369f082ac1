"""What a task of an array of jobs does, and the job that follows: a script of bash."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from kraken_bids import __version__
from kraken_bids.io.files import CACHE_VARIABLE, find_cache_folder
from kraken_bids.pipeline.batch_submission import Array

STOP_SECONDS = 120
"""Time before a job's limit at which its command is asked to end."""
MOST_TRIES = 5
"""How often a task is put into the queue again."""

INDEX = {
    "slurm": "${SLURM_ARRAY_TASK_ID:-1}",
    "sge": "${SGE_TASK_ID:-1}",
    "pbs": "${PBS_ARRAY_INDEX:-${PBS_ARRAYID:-1}}",
    "lsf": "${LSB_JOBINDEX:-1}",
}
"""Where a task finds its number; one of 0 or ``undefined`` is no array's."""
AGAIN = {
    "slurm": "scontrol requeue "
    '"${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$index}" && sleep 60',
    "sge": "exit 99",
    "lsf": "exit 99",
    "pbs": 'echo "PBS puts no job back by itself: run submit.sh again, finished work is kept" >&2',
}
"""How a task that was not done in time is put into the queue again."""

TASK = """\
#!/bin/bash
# {what}. Written by kraken-tools cluster of kraken_bids {version}.
folder={folder}
cd -- {start} || exit 3
{surroundings}{prologue}
set -u
index={index}
case $index in (''|0|*[!0-9]*) index=1 ;; esac
{labels}
count=1
mkdir -p "$folder/tries"
[ -s "$folder/tries/$name" ] && count=$(( $(cat "$folder/tries/$name") + 1 ))
echo "$count" > "$folder/tries/$name"
echo "$name, try $count, on $(hostname), $(date)"
stopped=''; child=''
trap 'stopped=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT USR1 USR2
SECONDS=0
# asked to end before the job's time is over, it leaves whole files and goes on from there
timeout --foreground --signal=TERM --kill-after=60 {seconds} {command} &
child=$!
[ -z "$stopped" ] || kill -TERM "$child"
wait "$child"; code=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
trap - TERM INT USR1 USR2
echo "$name ended with $code, $(date)"
# 137: it had to be killed; for its time, or for what else kills
if [ "$code" = 124 ] || {{ [ "$code" = 137 ] && [ "$SECONDS" -ge {seconds} ]; }}; then
    if [ "$count" -lt {most} ]; then
        {again}
    else
        echo "begun $count times, and no job lasted as long as it takes: more --walltime," \\
            "or a smaller --per-task" >&2
    fi
fi
exit "$code"
"""
LABELS = """\
first=$(( (index - 1) * {per_task} + 1 ))
last=$(( first + {per_task} - 1 ))
mapfile -t labels < <(sed -n "${{first}},${{last}}p" "$folder/participants.txt")
[ "${{#labels[@]}}" -gt 0 ] || {{ echo "no participants for task $index" >&2; exit 2; }}
name=participant-$index"""
GROUP_NAME = "name=group"


def write_task(
    array: Array, command: Sequence[str], *, prologue: Sequence[str], start: Path, level: str
) -> str:
    """Write the script that a task of the array, or the group's job, runs.

    Parameters
    ----------
    command : sequence of str
        Words of the command; those of a participant task take the labels after them.
    prologue : sequence of str
        Lines of the user's own.
    start : Path
        Folder from which the user's paths start.
    level : str
        ``participant`` or ``group``.
    """
    is_group = level == "group"
    resources = array.group if is_group else array.participant
    assert resources is not None
    limit = resources.seconds
    seconds = max(limit - min(STOP_SECONDS, limit // 4), 1)
    words = shlex.join(command) + ("" if is_group else ' "${labels[@]}"')
    return TASK.format(
        what="The group level" if is_group else "One task: some participants",
        version=__version__,
        folder=shlex.quote(str(array.folder)),
        start=shlex.quote(str(start)),
        surroundings=_export_cache(),
        prologue="\n".join(prologue),
        index=INDEX[array.scheduler],
        labels=GROUP_NAME if is_group else LABELS.format(per_task=array.per_task),
        seconds=seconds,
        command=words,
        most=MOST_TRIES,
        again=AGAIN[array.scheduler],
    )


def _export_cache() -> str:
    """Line that names the user's folder of downloads: SGE and PBS hand on no variables."""
    if CACHE_VARIABLE not in os.environ:
        return ""
    return f"export {CACHE_VARIABLE}={shlex.quote(str(find_cache_folder().absolute()))}\n"
