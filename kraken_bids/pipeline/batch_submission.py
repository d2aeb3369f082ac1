"""How each scheduler is asked for an array of jobs, and for one after it: a script of bash."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.pipeline.workers.walltimes import parse_walltime, spell_walltime

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


def write_submission(array: Array) -> str:
    """Write the script that submits the array, and the group's job to follow it."""
    lines = WAYS[array.scheduler](array)
    return SUBMIT.format(
        n_tasks=array.n_tasks,
        n_people=array.n_people,
        and_group=", then the group level" if array.group else "",
        folder=shlex.quote(str(array.folder)),
        submit="\n".join(lines),
    )


def _submit_slurm(array: Array) -> list[str]:
    throttle = f"%{array.at_once}" if array.at_once else ""
    task = [
        f"--array=1-{array.n_tasks}{throttle}", "--requeue", "--open-mode=append",
        *_ask_slurm(array.participant),
    ]  # fmt: skip
    lines = [
        f"id=$(sbatch --parsable --job-name=kraken-participant {shlex.join(task)} \\\n"
        '    --output="$folder/participant-%a.log" "$folder/participant.sh")',
        "id=${id%%;*}",
        'echo "participants: job $id"',
    ]
    if array.group:
        group = ["--requeue", "--open-mode=append", *_ask_slurm(array.group)]
        lines += [
            f"group=$(sbatch --parsable --job-name=kraken-group {shlex.join(group)} \\\n"
            '    --dependency="afterany:$id" --output="$folder/group.log" "$folder/group.sh")',
            'echo "group: job ${group%%;*}"',
        ]
    return lines


def _ask_slurm(one: Resources) -> list[str]:
    words = [
        "--nodes=1", "--ntasks=1", f"--cpus-per-task={one.cores}",
        f"--mem={round(one.mem_gb * 1000)}M", f"--time={one.walltime}",
    ]  # fmt: skip
    words += [f"--partition={one.queue}"] if one.queue else []
    words += [f"--account={one.account}"] if one.account else []
    return [*words, *one.directives]


def _submit_sge(array: Array) -> list[str]:
    throttle = ["-tc", str(array.at_once)] if array.at_once else []
    task = ["-t", f"1-{array.n_tasks}", *throttle, *_ask_sge(array.participant)]
    lines = [
        f"id=$(qsub -terse -N kraken-participant {shlex.join(task)} -j y \\\n"
        '    -o "$folder/participant-\\$TASK_ID.log" "$folder/participant.sh")',
        "id=${id%%.*}",
        'echo "participants: job $id"',
    ]
    if array.group:
        lines += [
            f"group=$(qsub -terse -N kraken-group {shlex.join(_ask_sge(array.group))} -j y \\\n"
            '    -hold_jid "$id" -o "$folder/group.log" "$folder/group.sh")',
            'echo "group: job $group"',
        ]
    return lines


def _ask_sge(one: Resources) -> list[str]:
    seconds = parse_walltime(one.walltime) or 0
    each = f"{one.mem_gb / one.cores:.3g}G"
    words = [
        "-r",
        "y",
        "-S",
        "/bin/bash",
        "-l",
        f"h_rt={spell_walltime(seconds, 'sge')},h_vmem={each}",
    ]
    words += ["-pe", "smp", str(one.cores)] if one.cores > 1 else []
    words += ["-q", one.queue] if one.queue else []
    words += ["-P", one.account] if one.account else []
    return [*words, *one.directives]


def _submit_pbs(array: Array) -> list[str]:
    throttle = f"%{array.at_once}" if array.at_once else ""
    tasks = f"1-{array.n_tasks}{throttle}"
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
        'echo "participants: job $id"',
    ]
    if array.group:
        lines += [
            'group=$(qsub -N kraken-group -W "depend=$after:$id" "${for_group[@]}" -j oe -r y \\\n'
            '    -o "$folder" "$folder/group.sh")',
            'echo "group: job $group"',
        ]
    else:
        lines.append(': "$after" "${for_group[@]}"')
    return lines


def _ask_pbs(one: Resources) -> list[str]:
    memory = f"{round(one.mem_gb * 1000)}mb"
    return _ask_any_pbs(one, f"select=1:ncpus={one.cores}:mem={memory}")


def _ask_torque(one: Resources) -> list[str]:
    memory = f"{round(one.mem_gb * 1000)}mb"
    return _ask_any_pbs(one, f"nodes=1:ppn={one.cores}", "-l", f"mem={memory}")


def _ask_any_pbs(one: Resources, *what: str) -> list[str]:
    seconds = parse_walltime(one.walltime) or 0
    words = ["-S", "/bin/bash", "-l", *what, "-l", f"walltime={spell_walltime(seconds, 'pbs')}"]
    words += ["-q", one.queue] if one.queue else []
    words += ["-A", one.account] if one.account else []
    return [*words, *one.directives]


def _submit_lsf(array: Array) -> list[str]:
    throttle = f"%{array.at_once}" if array.at_once else ""
    name = f"kraken-participant[1-{array.n_tasks}]{throttle}"
    lines = [
        f"said=$(bsub -J {shlex.quote(name)} {shlex.join(_ask_lsf(array.participant))} \\\n"
        '    -o "$folder/participant-%I.log" bash "$(printf %q "$folder/participant.sh")")',
        "id=${said#*<}; id=${id%%>*}",
        'echo "participants: job $id"',
    ]
    if array.group:
        lines += [
            f'bsub -J kraken-group {shlex.join(_ask_lsf(array.group))} -w "ended($id)" \\\n'
            '    -o "$folder/group.log" bash "$(printf %q "$folder/group.sh")"',
        ]
    return lines


def _ask_lsf(one: Resources) -> list[str]:
    seconds = parse_walltime(one.walltime) or 0
    memory = f"{round(one.mem_gb * 1000)}MB"
    words = [
        "-n", str(one.cores), "-R", f"span[hosts=1] rusage[mem={memory}]", "-M", memory,
        "-W", spell_walltime(seconds, "lsf"), "-r", "-Q", "99",
    ]  # fmt: skip
    words += ["-q", one.queue] if one.queue else []
    words += ["-P", one.account] if one.account else []
    return [*words, *one.directives]


WAYS = {"slurm": _submit_slurm, "sge": _submit_sge, "pbs": _submit_pbs, "lsf": _submit_lsf}
"""How the array is submitted, by scheduler."""
