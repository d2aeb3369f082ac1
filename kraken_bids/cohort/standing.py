"""Which measured connectomes of OUTPUT_DIR stand for the last run, and which are left over."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from kraken_bids.bids.inputs import SessionInputs
from kraken_bids.bids.names import parse_name, session_label
from kraken_bids.bids.outputs import RelmatFile, find_relmats, sidecar_path
from kraken_bids.cohort.measurements import CLEANING
from kraken_bids.cohort.saved_ridge import add_ridge, read_saved_ridges
from kraken_bids.cohort.sidecar_records import FILE
from kraken_bids.cohort.sidecars import REDONE, read_digest
from kraken_bids.exceptions import FlavorError, name_few
from kraken_bids.flavors import Flavor, parse_meas
from kraken_bids.io.facts import read_facts
from kraken_bids.settings import DataSettings

logger = logging.getLogger(__name__)

SHOWN = 3
"""Files that a line of the log names."""


@dataclass(frozen=True)
class Standing:
    """What the last run of the participant level says of a session's measured connectomes."""

    measured: Mapping[str, str]
    """Path in OUTPUT_DIR to the digest that its sidecar has once it is measured."""
    left_aside: frozenset[str] = frozenset()
    """Paths of an earlier run that what was asked for last leaves out."""

    def judge(
        self,
        file: RelmatFile,
        output_dir: Path,
        digest_of: Callable[[Path], str | None] = read_digest,
    ) -> bool:
        """Whether a connectome may be used: measured as the last run would, or not its matter."""
        name = _name_in(output_dir, file.path)
        if name in self.measured:
            found, noted = digest_of(file.path), self.measured[name]
            measured = (found or "").partition(REDONE)[0]
            return found == noted or (
                # what the group level brought to the λ that it saved since
                measured == noted.partition(REDONE)[0]
                and found == add_ridge(measured, file.flavor, {}, read_saved_ridges(output_dir))
            )
        return name not in self.left_aside and file.flavor not in self._flavors

    @property
    def _flavors(self) -> set[Flavor]:
        return {flavor_of(name) for name in self.measured}


def record_path(output_dir: Path, subject: str, session: str | None) -> Path:
    """Path of what the last run has noted of a session: its inputs, and what it measures."""
    return output_dir / "logs" / f"{session_label(subject, session)}_inputs.json"


def read_standing(output_dir: Path, subject: str, session: str | None) -> Standing | None:
    """Read what the last run has noted; None where no run has (files of other tools)."""
    known = read_facts(record_path(output_dir, subject, session))
    if "Measured" not in known:
        return None
    digests = known.part("Measured")
    measured = {name: digests.text(name) for name in digests if _is_named(name)}
    return Standing(measured, frozenset(known.texts("LeftAside")))


def note_standing(
    data: DataSettings, session: SessionInputs, planned: Mapping[Path, str]
) -> dict[str, Any]:
    """Say what a run measures of a session, and what becomes of earlier runs' connectomes of it.

    Those of a flavor that the run measures are left aside; so are functional ones where the run
    was asked for a part of the BOLD, or takes BOLD that came cleaned where they were cleaned here,
    or the other way round; and what an earlier run had left aside, or failed to measure again. The
    others stay: they were measured from something else.

    Parameters
    ----------
    planned : mapping of Path to str
        Connectomes that the run measures, and their digests.

    Returns
    -------
    dict
        ``Measured``, ``LeftAside``, ``Earlier`` (used, and not measured by this run).
    """
    before = read_standing(data.output_dir, session.subject, session.session)
    known = {} if before is None else before.measured
    measured = {_name_in(data.output_dir, path): digest for path, digest in planned.items()}
    flavors = {flavor_of(name) for name in measured}
    is_part = bool(data.tasks or data.bids_filter_file or data.exclude_runs)
    # what this run finds of BOLD says nothing unless it measures it
    measures_bold = any(flavor.group == "FC" for flavor in flavors)
    came = {run.cleaned is not None for run in session.bold_runs if measures_bold}
    left_aside, earlier = [], []
    for file in find_relmats(data.output_dir, session.subject):
        name = _name_in(data.output_dir, file.path)
        if file.session != session.session or name in measured:
            continue
        is_other = file.flavor.group == "FC" and (is_part or _is_cleaned_otherwise(file, came))
        is_standing = before is None or before.judge(file, data.output_dir)
        if file.flavor in flavors or is_other or not is_standing:
            left_aside.append(name)
        else:
            earlier.append(name)
    kept = {name: known[name] for name in earlier if name in known}
    return {"Measured": measured | kept, "LeftAside": left_aside, "Earlier": earlier}


def _is_cleaned_otherwise(file: RelmatFile, came_cleaned: set[bool]) -> bool:
    """Whether a connectome is of BOLD that came cleaned, and the run's does not, or vice versa."""
    facts = read_facts(sidecar_path(file.path))
    is_ours = FILE.run_digest in facts  # other tools say nothing of it
    return (
        is_ours
        and bool(came_cleaned)
        and bool(facts.text(CLEANING.cleaned_by)) not in came_cleaned
    )


def tell_notices(noted: Mapping[str, Any]) -> list[str]:
    """Sentences for a participant's page on connectomes of earlier runs."""
    notices = []
    if noted["LeftAside"]:
        notices.append(
            "Connectomes of an earlier run are left aside, since the last one measured others: "
            f"{', '.join(Path(name).name for name in noted['LeftAside'])}."
        )
    if noted["Earlier"]:
        notices.append(
            "Not measured by the last run, and used as an earlier one left them: "
            f"{', '.join(Path(name).name for name in noted['Earlier'])}."
        )
    return notices


def choose_standing(
    output_dir: Path,
    files: Mapping[tuple[str, str | None], Sequence[RelmatFile]],
    *,
    digest_of: Callable[[Path], str | None],
) -> dict[tuple[str, str | None], list[RelmatFile]]:
    """Keep the connectomes that may be used; the others are named in one line for everyone.

    Parameters
    ----------
    files : mapping
        (participant, session) to its measured connectomes.
    digest_of : callable
        ``RunDigest`` that the sidecar of a connectome says, if any.
    """
    kept: dict[tuple[str, str | None], list[RelmatFile]] = {}
    stale: list[str] = []
    unfinished: list[str] = []
    absent: list[str] = []
    for (subject, session), found in files.items():
        standing = read_standing(output_dir, subject, session)
        kept[subject, session] = list(found)
        if standing is None:
            continue
        kept[subject, session] = [f for f in found if standing.judge(f, output_dir, digest_of)]
        there = {_name_in(output_dir, file.path) for file in found}
        absent += [Path(name).name for name in standing.measured if name not in there]
        for file in found:
            if file not in kept[subject, session]:
                is_planned = _name_in(output_dir, file.path) in standing.measured
                (unfinished if is_planned else stale).append(file.path.name)
    aside, measure = "and are left aside", "Run the participant level to measure them"
    _say(
        f"in OUTPUT_DIR are of an earlier run than the last one of their participant, {aside}",
        stale, f"{measure}, or remove them",
    )  # fmt: skip
    _say(
        f"in OUTPUT_DIR were to be measured again, which failed or was stopped, {aside}",
        unfinished, f"{measure}, or remove them",
    )  # fmt: skip
    _say("that the last run of their participant measures are not in OUTPUT_DIR", absent, measure)
    return kept


@lru_cache(maxsize=1024)
def flavor_of(name: str) -> Flavor:
    """Flavor of a connectome, by its name; whose it is need not stand there."""
    entities = parse_name(Path(name))
    return parse_meas(entities.get("meas", ""), entities.get("atlas", ""))


def _is_named(name: str) -> bool:
    """Whether a name of a record is that of a connectome."""
    try:
        flavor_of(name)
    except FlavorError:
        return False
    return True


def _name_in(output_dir: Path, path: Path) -> str:
    # relative_to takes both paths apart, which is slow for tens of thousands of files
    return path.as_posix().removeprefix(output_dir.as_posix()).lstrip("/")


def _say(what: str, names: Sequence[str], do: str) -> None:
    if names:
        shown = name_few(names, SHOWN)
        logger.warning("%d connectome(s) %s: %s. %s", len(names), what, shown, do)
