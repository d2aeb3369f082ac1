"""How far OUTPUT_DIR is: who is done, being computed, failed or missing, and why."""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kraken_bids.analysis_settings import DECODE_VOLUMES, measures_connectomes
from kraken_bids.bids.datasets import find_datasets, find_subjects
from kraken_bids.bids.names import parse_name, session_label
from kraken_bids.bids.output_dataset import check_output_folder
from kraken_bids.bids.outputs import find_relmats, group_report_path, latents_path
from kraken_bids.cohort.decoded_sessions import RECORD, list_undecoded, read_decodings
from kraken_bids.cohort.failures import list_failures
from kraken_bids.cohort.sidecars import find_damaged_predictions, read_digest
from kraken_bids.cohort.standing import Standing, read_standing
from kraken_bids.exceptions import InputError, KrakenBidsError
from kraken_bids.flavors import recognize_flavor
from kraken_bids.io.facts import Facts
from kraken_bids.io.texts import read_text
from kraken_bids.parcellations import list_parcellations
from kraken_bids.pipeline.run_logs import PARTICIPANTS, RunLog, index_runs, latest, list_runs
from kraken_bids.settings import DEFAULT_ATLASES

logger = logging.getLogger(__name__)

STATES = ("done", "running", "failed", "missing")
NO_GROUP = "n/a"
"""In place of a state of the group level, where there is nothing for it to do."""
MOST_SHOWN = 20
"""Sessions of a state that are named."""
Key = tuple[str, str | None]
"""Label of a participant, and of a session if there are any."""


@dataclass(frozen=True)
class SessionStatus:
    """How far a session is."""

    subject: str
    session: str | None
    state: str
    """``done``, ``running``, ``failed`` or ``missing``."""
    why: str = ""
    run: str = ""
    """Its last run."""

    @property
    def label(self) -> str:
        """``sub-01`` or ``sub-01_ses-1``."""
        return session_label(self.subject, self.session)


@dataclass(frozen=True)
class Status:
    """How far everything is."""

    output_dir: Path
    sessions: tuple[SessionStatus, ...]
    going_on: tuple[str, ...]
    """Runs that go on."""
    group: str
    """As a session; or ``outdated``, where participants were computed since; or ``n/a``, where
    volumes alone are decoded."""

    @property
    def counts(self) -> dict[str, int]:
        """Sessions in each state."""
        found = Counter(one.state for one in self.sessions)
        return {state: found[state] for state in STATES}

    @property
    def is_done(self) -> bool:
        """Whether every session is, and there are any."""
        return bool(self.sessions) and all(one.state == "done" for one in self.sessions)

    def to_plain(self) -> dict[str, Any]:
        """Give all of it as JSON holds it."""
        return {
            "OutputDir": str(self.output_dir),
            "Counts": self.counts,
            "Group": self.group,
            "RunsGoingOn": list(self.going_on),
            "Sessions": [
                {
                    "participant_id": f"sub-{one.subject}",
                    "session_id": f"ses-{one.session}" if one.session else "n/a",
                    "state": one.state,
                    "why": one.why,
                    "run": one.run,
                }
                for one in self.sessions
            ],
        }

    def describe(self) -> Iterator[str]:
        """Spell it in lines: counts, then who is not done and why."""
        known = ", ".join(f"{n} {state}" for state, n in self.counts.items() if n)
        counts = known or "no run has measured any"
        none = " (decoded volumes have none)" if self.group == NO_GROUP else ""
        yield f"{len(self.sessions)} session(s): {counts}; group level: {self.group}{none}"
        for state in STATES[1:]:
            found = [one for one in self.sessions if one.state == state]
            for one in found[:MOST_SHOWN]:
                yield f"  {state:8}{one.label}{one.why and f': {one.why}'}"
            if len(found) > MOST_SHOWN:
                yield f"  {state:8}and {len(found) - MOST_SHOWN} more (--json names all)"


def read_status(output_dir: Path) -> Status:
    """Read how far OUTPUT_DIR is, from its files and logs alone.

    Who is expected is known from the runs (their settings, lists of ``kraken-tools cluster``) and
    the files that are there.

    Raises
    ------
    InputError
        If no run has written there, or it is another tool's.
    """
    check_output_folder(output_dir)
    runs = list_runs(output_dir)
    lists = sorted((output_dir / "logs" / "jobs").glob(f"*/{PARTICIPANTS}"))
    if not runs and not lists:
        raise InputError(
            f"expected an OUTPUT_DIR of kraken-bids with logs of its runs; found none in "
            f"{output_dir}/logs. Give the folder that kraken-bids wrote to."
        )
    sessions: dict[str, set[str | None]] = {}
    for record in ("inputs", RECORD):
        for file in (output_dir / "logs").glob(f"sub-*_{record}.json"):
            label = parse_name(file)
            sessions.setdefault(label["sub"], set()).add(label.get("ses"))
    failed: dict[Key, list[str]] = {}
    for participant, session, stage, message in list_failures(output_dir):
        key = participant[4:], None if session == "n/a" else session[4:]
        failed.setdefault(key, []).append(f"{stage}: {message}")
        if key[1] or key[0] not in sessions:
            sessions.setdefault(key[0], set()).add(key[1])
    expected = {*sessions, *_list_expected(runs, lists)}
    by_label, of_all = index_runs(runs)
    found = []
    for subject in sorted(expected):
        run = latest((by_label.get(subject), of_all))
        judge = partial(_judge, output_dir, run=run, failed=failed)
        found += [judge(subject, one) for one in sorted(sessions.get(subject, {None}), key=str)]
    going_on = tuple(run.name for run in runs if run.goes_on)
    return Status(output_dir, tuple(found), going_on, _judge_group(output_dir, runs))


def _list_expected(runs: Sequence[RunLog], lists: Collection[Path]) -> set[str]:
    """Labels of everyone whom a run, or a list of jobs, was for."""
    found = {label for run in runs for label in run.participants}
    for path in lists:
        try:
            found |= set(read_text(path).split())
        except InputError as error:
            logger.warning("who else was asked for is not known: %s", error)
    whole = latest(
        run if run.level == "participant" and not run.participants else None for run in runs
    )
    if whole is None:
        return found
    options = Facts(whole.options)
    if not options.text("bids_dir"):
        logger.warning(
            "who else was asked for is not known: the settings of %s name no BIDS_DIR", whole.name
        )
    else:
        given = options.part("derivatives")
        try:
            extra = {name: Path(given.text(name)) for name in given}
            datasets = find_datasets(Path(options.text("bids_dir")), extra)
            found |= set(find_subjects(datasets, ()))
        except (KrakenBidsError, OSError) as error:
            logger.warning("who else was asked for is not known: %s", error)
    return found


def _judge(
    output_dir: Path,
    subject: str,
    session: str | None,
    *,
    run: RunLog | None,
    failed: Mapping[Key, Sequence[str]],
) -> SessionStatus:
    """Say how far a session is."""
    told = partial(SessionStatus, subject, session, run=run.name if run else "")
    lack = _find_lack(output_dir, subject, session, run)
    of_all = failed.get((subject, None), ()) if session else ()
    reasons = [*failed.get((subject, session), ()), *of_all]
    if run is not None and run.goes_on and (lack or reasons):
        return told("running", lack)
    if reasons:
        return told("failed", "; ".join(dict.fromkeys(reasons)))
    if not lack:
        return told("done")
    if run is not None and not run.has_ended:
        lack += f"; its last run ended without a word, after {run.last_words!r}"
    elif run is not None:
        lack += f"; its last run: {run.last_words}"
    return told("missing", lack)


def _find_lack(output_dir: Path, subject: str, session: str | None, run: RunLog | None) -> str:
    """Say what of a session is not there yet; '' where all is."""
    standing = read_standing(output_dir, subject, session)
    decodings = read_decodings(output_dir, subject, session)
    if standing is None and decodings is None:
        return "nothing was begun"
    lacks = []
    if standing is not None:
        lacks.append(_find_lacking_connectomes(output_dir, (subject, session), standing, run))
    elif run is not None and measures_connectomes(run.analyses):
        lacks.append("no connectome was measured")
    if decodings is not None:
        n_lacking = len(list_undecoded(output_dir, decodings))
        lacks.append(f"{n_lacking} of {len(decodings)} runs are not decoded" if n_lacking else "")
    elif run is not None and DECODE_VOLUMES in run.analyses:
        lacks.append("no volume was decoded")
    return "; ".join(lack for lack in lacks if lack)


def _find_lacking_connectomes(
    output_dir: Path, whose: Key, standing: Standing, run: RunLog | None
) -> str:
    """Say what of a session's connectomes and predictions is not there yet; '' where all is."""
    subject, session = whose
    read = partial(read_digest, if_whole=True)
    whole = {
        file.path.relative_to(output_dir).as_posix()
        for file in find_relmats(output_dir, subject)
        if file.session == session and standing.judge(file, output_dir, read)
    }
    lacking = [name for name in standing.measured if name not in whole]
    if lacking:
        return f"{len(lacking)} of {len(standing.measured)} connectomes are not there"
    latents = latents_path(output_dir, subject, session)
    if not standing.measured or not _wants_predictions(run):
        return ""
    if read(latents) is None:
        return "predictions are not there"
    n_damaged = len(find_damaged_predictions(latents))
    return f"{n_damaged} prediction(s) are not as their run wrote them" if n_damaged else ""


def _wants_predictions(run: RunLog | None) -> bool:
    """Whether a run feeds a model with what it measures, as far as its settings say."""
    if run is None:
        return bool(set(DEFAULT_ATLASES) & set(list_parcellations()))
    asked = set(run.list_words("atlases", DEFAULT_ATLASES))
    flavors = filter(None, map(recognize_flavor, run.list_words("flavors")))
    is_fed = asked & set(list_parcellations()) & ({f.parcellation for f in flavors} or asked)
    return "connectomes" in run.analyses and bool(is_fed)


def _judge_group(output_dir: Path, runs: Sequence[RunLog]) -> str:
    groups = [run for run in runs if run.level == "group"]
    if runs and not groups and not any(measures_connectomes(run.analyses) for run in runs):
        return NO_GROUP
    if any(run.goes_on for run in groups):
        return "running"
    if not groups or not group_report_path(output_dir).exists():
        return "missing"
    if not groups[-1].is_done:
        return "failed"
    later = [run for run in runs if run.level == "participant" and run.name > groups[-1].name]
    return "outdated" if later else "done"
