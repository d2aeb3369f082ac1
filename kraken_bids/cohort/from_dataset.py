"""The cohort of a dataset: sessions in OUTPUT_DIR, and their measured connectomes."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name, rank_version
from kraken_bids.bids.outputs import RelmatFile, find_relmats, sidecar_path
from kraken_bids.cohort.edge_columns import EdgeColumns
from kraken_bids.cohort.failures import Failure, failing_alone, record
from kraken_bids.cohort.measured_matrices import Measured, read_measured
from kraken_bids.cohort.measurements import CLEANING, Measurement, read_measurement
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.projections import Cohort, Projected, Projector, project_cohort
from kraken_bids.cohort.standing import choose_standing
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.facts import read_facts
from kraken_bids.io.files import explain_absence
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.settings import MAX_IMPUTED_SHARE

logger = logging.getLogger(__name__)

STAGE = "predictions"


@dataclass(frozen=True)
class MemberRows:
    """Connectomes of one flavor of the sessions of a dataset, read when they are asked for."""

    members: tuple[Member, ...]
    flavor: Flavor
    n_edges: int
    failures: list[Failure]
    """Gets the files that cannot be read."""
    mirrored: set[int] = field(default_factory=set)
    digests: dict[int, str] = field(default_factory=dict)
    """Digest of the edges of everyone who was read, and of whom the model may take the flavor."""

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """Edges ``[n_rows, n_edges]``; NaN rows where the model may take none."""
        block = np.full((stop - start, self.n_edges), np.nan)
        for row, member in enumerate(self.members[start:stop], start=start):
            measured = _read_member(member, self.flavor, self.n_edges, self.failures)
            if measured is not None and measured.is_usable:
                block[row - start] = measured.edges
                self.digests[row] = sha256(measured.edges.data).hexdigest()
                self.mirrored.update([row] if measured.is_mirrored else [])
        return block

    def list_columns(self) -> list[tuple[NDArray[np.int64], EdgeColumns]]:
        """List nothing: a file holds one connectome."""
        return []

    def list_mirrored(self) -> list[int]:
        """List the sessions whose matrix was found to hold one triangle only."""
        return sorted(self.mirrored)

    def list_present(self) -> NDArray[np.bool_]:
        """Whether each session has a file of the flavor."""
        return np.array([self.flavor in member.connectomes for member in self.members], bool)


@dataclass(frozen=True)
class MeasuredCohort(Projected):
    """The measured connectomes of a dataset after one read of each."""

    members: tuple[Member, ...] = ()
    failures: Sequence[Failure] = ()
    """Files that could not be read; grows where some must be read again and no longer can be."""
    digests: Mapping[Flavor, Mapping[int, str]] = field(default_factory=dict)
    """Digest of the edges of everyone of whom the model may take the flavor."""


def is_asked(member: Member | Failure, sessions: Collection[str]) -> bool:
    """Whether a session is among those asked for; without any, all are."""
    return not sessions or member.session in sessions


def list_members(
    output_dir: Path,
    subjects: Sequence[str] | None = None,
    *,
    failures: list[Failure] | None = None,
) -> tuple[Member, ...]:
    """Sessions in OUTPUT_DIR that have measured connectomes, by label.

    What an earlier run has left, and the last one of the session does not stand for, is named in
    the log and not among them; nor are files of another size than they were written with.

    Parameters
    ----------
    output_dir : Path
        The derivatives dataset.
    subjects : sequence of str, optional
        Keep only these (all).
    failures : list of Failure, optional
        Gets the files of another size.
    """
    files: dict[tuple[str, str | None], list[RelmatFile]] = {}
    for file in find_relmats(output_dir):
        if subjects is None or file.subject in subjects:
            files.setdefault((file.subject, file.session), []).append(file)
    read: dict[Path, Measurement] = {}

    def digest_of(path: Path) -> str:
        read[path] = read_measurement(path)
        return read[path].run_digest

    kept = choose_standing(output_dir, files, digest_of=digest_of)
    failed: list[Failure] = [] if failures is None else failures
    for found in kept.values():
        found[:] = [file for file in found if _is_whole(file, read, failed)]
    return tuple(
        _to_member(*whose, kept[whose], read) for whose in sorted(files, key=str) if kept[whose]
    )


def _is_whole(file: RelmatFile, read: dict[Path, Measurement], failures: list[Failure]) -> bool:
    """Whether a connectome is as it was written, as far as its sidecar says; if not, it fails."""
    path = file.path
    if path not in read:
        read[path] = read_measurement(path)
    if not read[path].is_whole:
        error = InputError(
            f"expected {path} with as many bytes as its sidecar says that it was written with "
            "(FileSize); found others, and it is not used. "
            + (
                explain_absence(path)
                or "It was cut short, or changed by hand: run the participant level, which "
                "measures it again; to use it as it is, take FileSize out of its sidecar."
            )
        )
        record(failures, error, subject=file.subject, session=file.session, stage=STAGE)
    return read[path].is_whole


def _to_member(
    subject: str,
    session: str | None,
    files: Sequence[RelmatFile],
    read: Mapping[Path, Measurement],
) -> Member:
    chosen = _choose_each(files)
    known = {path: read[path] for path in chosen.values() if path in read}
    return Member(subject, session, chosen, known, _find_repeats(files, chosen))


def _find_repeats(
    files: Sequence[RelmatFile], chosen: Mapping[Flavor, Path]
) -> dict[Flavor, Path]:
    """Find the first further run of each flavor: its name differs in ``run`` or ``dir`` only."""
    repeats: dict[Flavor, Path] = {}
    for file in sorted(files, key=lambda one: one.path.name):
        own = chosen[file.flavor]
        if file.path != own and _name_scan(file.path) == _name_scan(own):
            repeats.setdefault(file.flavor, file.path)
    return repeats


def _name_scan(path: Path) -> dict[str, str]:
    """Entities of a file but for those that count the runs of one scan."""
    return {key: value for key, value in parse_name(path).items() if key not in {"run", "dir"}}


def _choose_each(files: Sequence[RelmatFile]) -> dict[Flavor, Path]:
    by_flavor: dict[Flavor, list[Path]] = {}
    for file in files:
        by_flavor.setdefault(file.flavor, []).append(file.path)
    return {flavor: _choose(paths) for flavor, paths in by_flavor.items()}


def read_cohort(
    model: Model,
    members: Sequence[Member],
    *,
    fit_on: Callable[[Member], bool],
    failures: list[Failure] | None = None,
    project: Projector | None = None,
) -> MeasuredCohort:
    """Read every connectome that the model takes; keep its projection and its share of the mean.

    Parameters
    ----------
    model : Model
        Its flavors decide what is read.
    members : sequence of Member
        Who.
    fit_on : callable
        Whether a member counts in the mean that the adaptation is fitted on.
    failures : list of Failure, optional
        Gets the files that cannot be read.
    project : callable, optional
        As of :func:`~kraken_bids.cohort.projections.project_cohort`.
    """
    everyone, failed = tuple(members), [] if failures is None else failures
    rows = {
        flavor: MemberRows(everyone, flavor, model.n_edges(flavor), failed)
        for flavor in model.flavors
        if any(flavor in member.connectomes for member in everyone)
    }
    cohort = Cohort(tuple(member.label for member in everyone), rows)
    projected = project_cohort(
        model, cohort, fit_on=lambda index: fit_on(everyone[index]), project=project
    )
    digests = {flavor: one.digests for flavor, one in rows.items()}
    return MeasuredCohort(**vars(projected), members=everyone, failures=failed, digests=digests)


def _choose(paths: Sequence[Path]) -> Path:
    """Of several files of one flavor: task rest, the scan as it came, then the most data."""
    if len(paths) == 1:
        return paths[0]

    def preference(path: Path) -> tuple[object, ...]:
        entities = parse_name(path)
        seconds = read_facts(sidecar_path(path)).number(CLEANING.effective_duration) or 0.0
        task = _rank_task(entities.get("task", ""))
        return (task, rank_version(entities), -seconds, path.name)

    chosen = min(paths, key=preference)
    left = "the model reads %s; %d other file(s) of that flavor are left aside"
    logger.info(left, chosen.name, len(paths) - 1)
    return chosen


def _rank_task(task: str) -> int:
    """Rest first, then what begins so however it is spelled: ``Rest``, ``restEC``, ``resting``."""
    return 0 if task == "rest" else 1 if task.casefold().startswith("rest") else 2


def _read_member(
    member: Member, flavor: Flavor, n_edges: int, failures: list[Failure]
) -> Measured | None:
    if flavor not in member.connectomes:
        return None
    measured = None
    with failing_alone(failures, subject=member.subject, session=member.session, stage=STAGE):
        measured = read_measured(member.connectomes[flavor], flavor, n_edges)
    if measured is not None and not measured.is_usable:
        logger.warning(
            "%s: %s is not used as an input: %d of %d regions are missing, more than %g %%",
            *(member.label, flavor, measured.missing.sum(), len(measured.missing)),
            100 * MAX_IMPUTED_SHARE,
        )
    return measured
