"""Both levels as jobs of a cluster: an array of tasks over participants, and one for the group."""

import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import tomli_w

from kraken_bids.bids.datasets import find_datasets, find_subjects
from kraken_bids.bids.output_dataset import check_output_folder
from kraken_bids.exceptions import InputError, SettingsError, name_few
from kraken_bids.io.files import find_cache_folder, make_folder
from kraken_bids.io.writing import write_text
from kraken_bids.pipeline.batch_scripts import write_task
from kraken_bids.pipeline.batch_submission import WAYS, Array, Resources, write_submission
from kraken_bids.pipeline.provenance import as_options
from kraken_bids.pipeline.run_logs import PARTICIPANTS
from kraken_bids.pipeline.workers.schedulers import CLUSTERS
from kraken_bids.run_settings import OF_JOBS
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)

MOST_TASKS = 1000
"""Tasks of an array that SLURM takes where nothing else is configured (``MaxArraySize``)."""
SUBMIT_SECONDS = 300


@dataclass(frozen=True)
class BatchOptions:
    """How both levels become jobs."""

    scheduler: str
    """``slurm``, ``sge``, ``pbs`` or ``lsf``."""
    participant: Resources
    group: Resources | None
    """None: without the group level."""
    per_task: int | None = None
    """Participants of a task; None: one, or as many as keep the array short."""
    at_once: int = 0
    """Tasks at the same time; 0: as many as there is room for."""
    image: Path | None = None
    """Apptainer image; None: no container."""
    binds: tuple[str, ...] = ()
    """Further folders that the container sees, as ``apptainer --bind`` takes them."""
    apptainer: str = "apptainer"
    """Command, and options of its own, such as ``apptainer --silent``."""
    venv: Path | None = None
    """Virtual environment of the jobs; None: this one."""
    prologue: tuple[str, ...] = ()
    folder: Path | None = None
    """Where the scripts go; None: a new one in ``OUTPUT_DIR/logs/jobs``."""


@dataclass(frozen=True)
class Batch:
    """Scripts that were written."""

    folder: Path
    n_people: int
    n_tasks: int

    @property
    def submit(self) -> Path:
        """Script that submits everything."""
        return self.folder / "submit.sh"


def check_submission(scheduler: str) -> None:
    """Check that jobs of a scheduler can be submitted from here.

    Raises
    ------
    SettingsError
        If its command is not on PATH.
    """
    command = CLUSTERS[scheduler].submit
    if not shutil.which(command):
        raise SettingsError(
            f"--submit: expected the command of {scheduler}, {command}, on PATH; {command} not "
            "found. Submit where jobs are submitted (a login node), or leave --submit out and run "
            "submit.sh there."
        )


def write_batch(settings: Settings, options: BatchOptions) -> Batch:
    """Write the scripts of an array of jobs over participants, and of the group's job after it.

    Parameters
    ----------
    settings : Settings
        What is asked of ``kraken-bids``; its participants are those of the array.

    Raises
    ------
    SettingsError
        If an option cannot be.
    InputError
        If there is no dataset, no such participant, or OUTPUT_DIR is another tool's.
    """
    _check(settings, options)
    data = settings.data
    check_output_folder(data.output_dir)
    people = find_subjects(find_datasets(data.bids_dir, data.derivatives), data.participants)
    per_task = options.per_task or -(-len(people) // MOST_TASKS)
    stamp = datetime.now().astimezone().strftime("%Y%m%dT%H%M%S")
    folder = options.folder or data.output_dir / "logs" / "jobs" / f"{stamp}_{os.getpid()}"
    folder = folder.absolute()
    make_folder(folder)
    make_folder(data.output_dir)
    array = Array(
        options.scheduler, folder, len(people), per_task, options.at_once,
        options.participant, options.group,
    )  # fmt: skip
    if array.n_tasks > MOST_TASKS and options.scheduler == "slurm":
        logger.warning(
            "%d tasks: SLURM takes %d in an array unless MaxArraySize says otherwise; "
            "--per-task %d would keep to that",
            array.n_tasks, MOST_TASKS, -(-len(people) // MOST_TASKS),
        )  # fmt: skip
    _write_files(settings, options, array, people)
    return Batch(folder, len(people), array.n_tasks)


def _check(settings: Settings, options: BatchOptions) -> None:
    if options.scheduler not in WAYS:
        raise SettingsError(
            f"--scheduler: expected {', '.join(WAYS)}; found {options.scheduler!r}. For others, "
            "use kraken-bids --scheduler."
        )
    if settings.run.scheduler != "local":
        raise SettingsError(
            "expected options of kraken-bids for one machine after --: each task is one; found "
            f"--scheduler {settings.run.scheduler}. Give --scheduler before --."
        )
    if settings.run.force:
        raise SettingsError(
            "expected options after -- that a task may begin again with: one that goes back into "
            "the queue would do with --force all anew each time. Give another OUTPUT_DIR, or "
            "remove from this one what is to be made anew."
        )
    if options.image and options.venv:
        raise SettingsError("expected --image or --venv; found both.")
    if options.image and not options.image.is_file():
        raise InputError(f"--image: expected an Apptainer image; found none at {options.image}.")
    if options.venv and not (options.venv / "bin" / "kraken-bids").exists():
        raise InputError(
            f"--venv: expected a virtual environment with kraken_bids; found no bin/kraken-bids "
            f"in {options.venv}."
        )
    for one in (options.participant, options.group):
        if one is not None and not one.seconds:
            raise SettingsError(f"--walltime: expected [D-]HH:MM:SS; found {one.walltime!r}.")


def _write_files(
    settings: Settings, options: BatchOptions, array: Array, people: Sequence[str]
) -> None:
    folder = array.folder
    write_text(folder / PARTICIPANTS, "".join(f"{label}\n" for label in people))
    where = [str(settings.data.bids_dir), str(settings.data.output_dir)]
    for level, one in (("participant", options.participant), ("group", options.group)):
        if one is None:
            continue
        config = folder / f"{level}.toml"
        words = _spell(settings, one)
        write_text(config, tomli_w.dumps(words))
        command = [*_begin(settings, options, folder), *where, level, "--config-file", str(config)]
        command += ["--participant-label"] if level == "participant" else []
        text = write_task(array, command, prologue=options.prologue, start=Path.cwd(), level=level)
        write_text(folder / f"{level}.sh", text)
    write_text(folder / "submit.sh", write_submission(array))
    for path in folder.glob("*.sh"):
        path.chmod(path.stat().st_mode | 0o100)


def _spell(settings: Settings, resources: Resources) -> dict[str, object]:
    """Options of a job's command: those asked for, with its cores and memory where none are."""
    run = settings.run
    cores = max(resources.cores // run.omp_nthreads, 1)
    run = replace(run, n_procs=cores if run.n_procs == 1 else run.n_procs)
    words = as_options(replace(settings, run=run))
    # what the scripts say themselves
    for name in ("scheduler", *OF_JOBS, "bids_dir", "output_dir", "participant_label"):
        words.pop(name, None)
    return words


def _begin(settings: Settings, options: BatchOptions, folder: Path) -> list[str]:
    """Words that begin the command: in a container, or of a virtual environment."""
    if options.image is None:
        scripts = options.venv / "bin" if options.venv else Path(sys.executable).parent
        return [str((scripts / "kraken-bids").absolute())]
    found = [*_find_folders(as_options(settings)), folder, find_cache_folder(), Path.cwd()]
    binds = [str(path) for path in _drop_inner(found) if path.exists()]
    command = [*shlex.split(options.apptainer), "run", "--cleanenv"]
    command += ["--env", f"KRAKEN_BIDS_DATA={find_cache_folder().absolute()}"]
    if odd := [bind for bind in binds if "," in bind or ":" in bind]:
        raise SettingsError(
            f"--image: expected folders without a comma or colon, which apptainer --bind takes "
            f"for the end of a folder's name; found {name_few(odd)}. Name it otherwise, or give "
            "a link to it."
        )
    for bind in (*binds, *options.binds):
        command += ["--bind", bind]
    return [*command, "--pwd", str(Path.cwd()), str(options.image.absolute())]


def _find_folders(words: Mapping[str, object]) -> Iterator[Path]:
    """Folders of everything among the options that is a path: those that a container must see."""
    for value in words.values():
        if isinstance(value, Mapping):
            yield from _find_folders(value)
        for text in value if isinstance(value, list | tuple) else [value]:
            folder = _find_folder(text) if isinstance(text, str) and "/" in text else None
            if folder is not None:
                yield folder
    for key in ("bids_dir", "output_dir"):
        if key in words:
            yield Path(str(words[key])).absolute()


def _find_folder(text: str) -> Path | None:
    """Folder of a path, of NAME=PATH or of a template with {subject}; None where none exists."""
    # a folder's own name may have the sign: the longest that there is
    ends = [text, *(text[at + 1 :] for at, sign in enumerate(text) if sign == "=")]
    for one in (*ends, *(end.partition(",")[0] for end in ends)):
        path = Path(one.partition("{")[0]).absolute()
        path = path if path.is_dir() else path.parent
        if "/" in one and path.is_dir() and path != Path("/"):
            return path
    return None


def _drop_inner(paths: Sequence[Path]) -> list[Path]:
    """Each folder once, without those inside another."""
    unique = sorted({path.absolute() for path in paths})
    return [p for p in unique if not any(o != p and p.is_relative_to(o) for o in unique)]


def submit_batch(batch: Batch) -> str:
    """Submit the jobs; returns what the scheduler said, with their numbers.

    Raises
    ------
    InputError
        If it refuses them, or does not answer.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the script that was written here
            ["/bin/bash", str(batch.submit)], capture_output=True, text=True,
            timeout=SUBMIT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"--submit: expected the scheduler to answer within {SUBMIT_SECONDS} s; it did not. "
            f"See whether the jobs are there before you run {batch.submit} again."
        ) from error
    if done.returncode:
        said = " ".join(f"{done.stdout} {done.stderr}".split())
        raise InputError(
            f"--submit: expected the scheduler to take the jobs; it said: {said} Mend the options "
            f"(--queue, --account, --walltime, --job-directive), or {batch.submit} itself."
        )
    return done.stdout.strip()
