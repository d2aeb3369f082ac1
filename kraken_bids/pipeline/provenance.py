"""What a run leaves behind besides its results: digests, log, settings, failures, citation."""

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import tomli_w

from kraken_bids import __version__
from kraken_bids.bids.output_dataset import check_output_folder
from kraken_bids.cohort.failures import FAILURE_COLUMNS, Failure, read_rows
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.members import Member
from kraken_bids.exceptions import InputError
from kraken_bids.io.file_control import lock_open
from kraken_bids.io.files import take_lock
from kraken_bids.io.writing import write_table, write_text
from kraken_bids.logs import claim_log, start_file_log, stop_file_log
from kraken_bids.report.boilerplate.text import Boilerplate, compose_boilerplate
from kraken_bids.settings import OPTION_NAMES, Settings, to_plain

logger = logging.getLogger(__name__)

CITATION = """\
# How to cite

{about}

{paragraphs}
## References

{references}
"""
ABOUT = (
    "What was done to the data is said below in words that may go into a methods section as they "
    "are; BibTeX of the references is in `CITATION.bib`. Please cite them, and the Krakencoder."
)
OF_PART = (
    " This is about the participants of one run, not about everyone here: the group level, or "
    "`--boilerplate-only`, writes it for all."
)
BEFORE = (
    "kraken_bids {version} writes here what was done, with references, when a run ends, or when "
    "asked with `--boilerplate-only`."
)
MADE = "## Software"
"""In every file that a run has made at its end."""
FOLDERS = ("bids_dir", "output_dir", "work_dir")
FILES = ("model", "adaptation", "bids_filter_file")
NO_PATHS = frozenset({"auto", "none", "pretrained"})
"""What options of a file take besides."""
GO_ON = "finished files are kept, and the same command goes on from there"


@dataclass(frozen=True)
class Run:
    """One call of the command."""

    name: str
    """Date, level and process; the stem of its files in ``logs/``."""
    output_dir: Path
    """The dataset that it writes."""
    log: Path
    """Its log file."""
    handler: logging.Handler
    """What writes to it."""


def start_run(settings: Settings, level: str) -> Run:
    """Open the log of a run and save its settings beside it as TOML (for ``--config-file``)."""
    check_output_folder(settings.data.output_dir)
    logs = settings.data.output_dir / "logs"
    stamp = datetime.now().astimezone().strftime("%Y%m%dT%H%M%S")
    try:
        log = claim_log(logs, f"{stamp}_{level}_{os.getpid()}")
        handler = start_file_log(log)
        lock_open(handler.stream)  # by which kraken-tools status sees that it goes on
    except OSError as error:
        raise InputError(
            f"OUTPUT_DIR: cannot write to {error.filename or logs} ({error.strerror}). Give a "
            "folder that this user may write to; in a container, mount it read-write."
        ) from error
    run = Run(log.stem, settings.data.output_dir, log, handler)
    words = {**_spell_whole_paths(as_options(settings)), "level": level}
    about = f"# kraken_bids {__version__}; `kraken-bids --config` this file repeats the run\n"
    write_text(log.with_suffix(".toml"), about + tomli_w.dumps(words))
    if not _is_made(logs):
        about = BEFORE.format(version=__version__)
        try:
            _write_citation(logs, Boilerplate((("", "[@jamison2025krakencoder]"),)), about)
        except InputError as error:  # the end of the run writes what was done
            logger.warning("%s", error)
    return run


def write_citation(output_dir: Path, members: Sequence[Member], *, is_part: bool) -> None:
    """Write what was done, as a methods section, with its references and their BibTeX.

    Parameters
    ----------
    members : sequence of Member
        Whose connectomes it is about.
    is_part : bool
        Whether there may be others: then a text about everyone that is there already stays.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written to.
    """
    logs = output_dir / "logs"
    members = [one for one in members if one.connectomes]
    if members and not (is_part and _is_made(logs, of_everyone=True)):
        text = compose_boilerplate(output_dir, members, is_of_everyone=not is_part)
        _write_citation(logs, text, ABOUT + OF_PART * is_part)


def describe_outputs(settings: Settings) -> Path:
    """Write the methods section of what is in OUTPUT_DIR; returns its path.

    Raises
    ------
    InputError
        If nothing was measured there yet, the folder is another tool's, or cannot be written to.
    """
    data = settings.data
    check_output_folder(data.output_dir)
    members = list_members(data.output_dir, data.participants or None)
    if not members:
        whose = f" of {', '.join(data.participants)}" if data.participants else ""
        raise InputError(
            f"--boilerplate-only: expected connectomes{whose} in {data.output_dir}, of which it "
            "says how they were made; found none. Run the participant level first."
        )
    text = compose_boilerplate(data.output_dir, members, is_of_everyone=not data.participants)
    logs = data.output_dir / "logs"
    _write_citation(logs, text, ABOUT)
    return logs / "CITATION.md"


def _is_made(logs: Path, *, of_everyone: bool = False) -> bool:
    """Whether a run has written what was done, and is it of everyone if that is asked."""
    try:
        text = (logs / "CITATION.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return MADE in text and not (of_everyone and OF_PART in text)


def _write_citation(logs: Path, text: Boilerplate, about: str) -> None:
    paragraphs = "".join(f"## {head}\n\n{words}\n\n" for head, words in text.spelled if head)
    references = "\n".join(f"- {work.full} {work.address}".strip() for work in text.works)
    page = CITATION.format(about=about, paragraphs=paragraphs, references=references)
    entries = "\n".join(work.bibtex for work in text.works)
    for suffix, content in ((".md", page), (".bib", entries)):
        write_text(logs / f"CITATION{suffix}", content)


@contextmanager
def follow_run(run: Run) -> Iterator[None]:
    """Close the log of a run at its end, and say in it what has ended the run early."""
    try:
        yield
    except KeyboardInterrupt:
        logger.warning("stopped by Ctrl-C; %s", GO_ON)
        raise
    except SystemExit as error:
        logger.warning("stopped by a signal (exit code %s); %s", error.code, GO_ON)
        raise
    except Exception as error:
        logger.debug("the run ended with an error", exc_info=error)
        raise
    finally:
        stop_file_log(run.handler)


def as_options(settings: Settings) -> dict[str, object]:
    """Spell the settings as options of the command, so that ``--config-file`` repeats the run."""
    plain = to_plain(settings)
    options: dict[str, object] = {}
    for stage in plain.values():
        assert isinstance(stage, dict)
        for key, value in stage.items():
            if value not in (None, [], {}, ()):
                options[OPTION_NAMES.get(str(key), str(key))] = value
    return options


def _spell_whole_paths(options: Mapping[str, object]) -> dict[str, object]:
    """Spell folders and files that are there from the root, so that any folder will do later."""
    found = dict(options)
    for name in (*FOLDERS, *FILES):
        word = found.get(name)
        if (
            isinstance(word, str)
            and word not in NO_PATHS
            and (name in FOLDERS or Path(word).exists())
        ):
            found[name] = str(Path(word).absolute())
    given = found.get("derivatives")
    if isinstance(given, Mapping):
        found["derivatives"] = {name: str(Path(str(p)).absolute()) for name, p in given.items()}
    return found


def write_failures(
    run: Run,
    failures: Sequence[Failure],
    *,
    subjects: Iterable[str],
    kept_stages: Collection[str] = (),
) -> None:
    """Bring ``logs/failures.tsv`` up to date for the participants of this run.

    Rows of other participants stay; concurrent jobs take turns through a lock.

    Parameters
    ----------
    kept_stages : collection of str, optional
        Stages that this run has not done again, so that their rows stay too.
    """
    path = run.output_dir / "logs" / "failures.tsv"
    done = {f"sub-{subject}" for subject in subjects}
    lock = take_lock(run.output_dir / "logs" / ".failures.lock")
    try:
        rows = [
            row
            for row in read_rows(path)
            if row[0] not in done or (row[2] in kept_stages and row[-1] != run.name)
        ]
        for f in failures:
            session = f"ses-{f.session}" if f.session else "n/a"
            rows.append((f.participant_id, session, f.stage, f.error, f.message, run.name))
        columns = zip(*rows, strict=True) if rows else [[] for _ in FAILURE_COLUMNS]
        write_table(path, dict(zip(FAILURE_COLUMNS, map(list, columns), strict=True)))
    finally:
        if lock is not None:
            os.close(lock)
