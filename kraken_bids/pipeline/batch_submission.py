"""How each scheduler is asked for an array of jobs, and for one after it: a script of bash."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.pipeline.workers.schedulers import parse_walltime, spell_memory, spell_walltime

SUBMIT = """\
#!/bin/bash
# Submits {n_tasks} task(s) for {n_people} participants{and_group}.
# It may be run again: what is done is skipped.
set -eu
folder={folder}
rm -rf -- "${{folder:?}}/tries"
{submit}
"""


@dataclass(frozen=True)
class Resources:
    """What one job may use."""

    cores: int
    mem_gb: float
    walltime: str
    queue: str | None = None
    account: str | None = None
    directives: tuple[str, ...] = ()

    @property
    def seconds(self) -> int:
        """Its time; 0 where that is not spelled as a time."""
        return parse_walltime(self.walltime) or 0

    @property
    def megabytes(self) -> int:
        """Its memory."""
        return round(self.mem_gb * 1000)


@dataclass(frozen=True)
class Array:
    """An array of jobs, and one that follows it."""

    scheduler: str
    folder: Path
    """Where scripts, lists and logs of the jobs are."""
    n_people: int
    per_task: int
    at_once: int
    """Tasks that run at the same time; 0: as many as there is room for."""
    participant: Resources
    group: Resources | None
    """None: no job for the group level."""

    @property
    def n_tasks(self) -> int:
        """Tasks of the array."""
        return -(-self.n_people // self.per_task)

    @property
    def throttle(self) -> str:
        """What most schedulers read behind the numbers of the tasks: how many at the same time."""
        return f"%{self.at_once}" if self.at_once else ""


@dataclass(frozen=True)
class Way:
    """How a scheduler is asked, in lines of bash."""

    submit_array: Callable[[Array], list[str]]
    """The array; ``$id`` is its number then."""
    submit_group: Callable[[Resources], list[str]]
    """The job after it."""


def write_submission(array: Array) -> str:
    """Write the script that submits the array, and the group's job to follow it."""
    way = WAYS[array.scheduler]
    lines = [*way.submit_array(array), 'echo "participants: job $id"']
    lines += way.submit_group(array.group) if array.group else []
    return SUBMIT.format(
        n_tasks=array.n_tasks,
        n_people=array.n_people,
        and_group=", then the group level" if array.group else "",
        folder=shlex.quote(str(array.folder)),
        submit="\n".join(lines),
    )


def _submit_slurm(array: Array) -> list[str]:
    task = [f"--array=1-{array.n_tasks}{array.throttle}", *_ask_slurm(array.participant)]
    return [
        f"id=$(sbatch --parsable --job-name=kraken-participant {shlex.join(task)} \\\n"
        '    --output="$folder/participant-%a.log" "$folder/participant.sh")',
        "id=${id%%;*}",
    ]


def _submit_slurm_group(one: Resources) -> list[str]:
    return [
        f"group=$(sbatch --parsable --job-name=kraken-group {shlex.join(_ask_slurm(one))} \\\n"
        '    --dependency="afterany:$id" --output="$folder/group.log" "$folder/group.sh")',
        'echo "group: job ${group%%;*}"',
    ]


def _ask_slurm(one: Resources) -> list[str]:
    words = [
        "--requeue", "--open-mode=append", "--nodes=1", "--ntasks=1",
        f"--cpus-per-task={one.cores}", f"--mem={one.megabytes}M", f"--time={one.walltime}",
    ]  # fmt: skip
    words += [f"--partition={one.queue}"] if one.queue else []
    words += [f"--account={one.account}"] if one.account else []
    return [*words, *one.directives]


def _submit_sge(array: Array) -> list[str]:
    throttle = ["-tc", str(array.at_once)] if array.at_once else []
    task = ["-t", f"1-{array.n_tasks}", *throttle, *_ask_sge(array.participant)]
    return [
        f"id=$(qsub -terse -N kraken-participant {shlex.join(task)} -j y \\\n"
        '    -o "$folder/participant-\\$TASK_ID.log" "$folder/participant.sh")',
        "id=${id%%.*}",
    ]


def _submit_sge_group(one: Resources) -> list[str]:
    return [
        f"group=$(qsub -terse -N kraken-group {shlex.join(_ask_sge(one))} -j y \\\n"
        '    -hold_jid "$id" -o "$folder/group.log" "$folder/group.sh")',
        'echo "group: job $group"',
    ]


def _ask_sge(one: Resources) -> list[str]:
    each = spell_memory(one.megabytes, one.cores)
    limits = f"h_rt={spell_walltime(one.seconds, 'sge')},h_vmem={each}"
    words = ["-r", "y", "-S", "/bin/bash", "-l", limits]
    words += ["-pe", "smp", str(one.cores)] if one.cores > 1 else []
    return [*words, *_ask_of_user(one, "-P")]


def _submit_pbs(array: Array) -> list[str]:
    tasks = f"1-{array.n_tasks}{array.throttle}"
    pro = f"-J {tasks}" if array.n_tasks > 1 else ""  # PBS Pro knows no array of one
    lines = [
        "# OpenPBS and PBS Professional, or Torque",
        'if [[ "$(qsub --version 2>&1)" == *pbs_version* ]]; then',
        f"    array=({pro}); after=afterany",
        f"    resources=({shlex.join(_ask_pbs(array.participant))})",
        f"    for_group=({shlex.join(_ask_pbs(array.group)) if array.group else ''})",
        "else",
        f"    array=(-t {tasks}); after=afteranyarray",
        f"    resources=({shlex.join(_ask_torque(array.participant))})",
        f"    for_group=({shlex.join(_ask_torque(array.group)) if array.group else ''})",
        "fi",
        'id=$(qsub -N kraken-part "${array[@]}" "${resources[@]}" -j oe -r y \\\n'
        '    -o "$folder" "$folder/participant.sh")',
    ]
    return lines if array.group else [*lines, ': "$after" "${for_group[@]}"']


def _submit_pbs_group(_: Resources) -> list[str]:
    """Submit it with what was set beside the array's, by the kind of PBS."""
    return [
        'group=$(qsub -N kraken-group -W "depend=$after:$id" "${for_group[@]}" -j oe -r y \\\n'
        '    -o "$folder" "$folder/group.sh")',
        'echo "group: job $group"',
    ]


def _ask_pbs(one: Resources) -> list[str]:
    return _ask_any_pbs(one, f"select=1:ncpus={one.cores}:mem={one.megabytes}mb")


def _ask_torque(one: Resources) -> list[str]:
    return _ask_any_pbs(one, f"nodes=1:ppn={one.cores}", "-l", f"mem={one.megabytes}mb")


def _ask_any_pbs(one: Resources, *what: str) -> list[str]:
    limit = f"walltime={spell_walltime(one.seconds, 'pbs')}"
    return ["-S", "/bin/bash", "-l", *what, "-l", limit, *_ask_of_user(one, "-A")]


def _submit_lsf(array: Array) -> list[str]:
    name = f"kraken-participant[1-{array.n_tasks}]{array.throttle}"
    return [
        f"said=$(bsub -J {shlex.quote(name)} {shlex.join(_ask_lsf(array.participant))} \\\n"
        '    -o "$folder/participant-%I.log" bash "$(printf %q "$folder/participant.sh")")',
        "id=${said#*<}; id=${id%%>*}",
    ]


def _submit_lsf_group(one: Resources) -> list[str]:
    return [
        f'bsub -J kraken-group {shlex.join(_ask_lsf(one))} -w "ended($id)" \\\n'
        '    -o "$folder/group.log" bash "$(printf %q "$folder/group.sh")"',
    ]


def _ask_lsf(one: Resources) -> list[str]:
    memory = f"{one.megabytes}MB"
    return [
        "-n", str(one.cores), "-R", f"span[hosts=1] rusage[mem={memory}]", "-M", memory,
        "-W", spell_walltime(one.seconds, "lsf"), "-r", "-Q", "99", *_ask_of_user(one, "-P"),
    ]  # fmt: skip


def _ask_of_user(one: Resources, account: str) -> list[str]:
    """Queue, account and the user's own words, where ``-q`` names the queue."""
    words = ["-q", one.queue] if one.queue else []
    words += [account, one.account] if one.account else []
    return [*words, *one.directives]


WAYS = {
    "slurm": Way(_submit_slurm, _submit_slurm_group),
    "sge": Way(_submit_sge, _submit_sge_group),
    "pbs": Way(_submit_pbs, _submit_pbs_group),
    "lsf": Way(_submit_lsf, _submit_lsf_group),
}
"""How the array is submitted, by scheduler."""
