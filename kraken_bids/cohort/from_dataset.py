"""A cohort's measured connectomes, read once each: projections, means, adaptation, latents."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name, rank_version, session_label
from kraken_bids.bids.outputs import RelmatFile, find_relmats, sidecar_path
from kraken_bids.cohort.failures import Failure, failing_alone
from kraken_bids.cohort.measurements import Measurement, read_measurement
from kraken_bids.cohort.projections import BLOCK, encode_projection, project_blocks
from kraken_bids.cohort.shape_hints import explain_shape
from kraken_bids.cohort.standing import choose_standing
from kraken_bids.connectome.matrices import find_missing_regions
from kraken_bids.connectome.symmetry import fill_square
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.io.facts import read_facts
from kraken_bids.io.tables import read_relmat
from kraken_bids.models.krakencoder.adaptation import Adaptation, fit_adaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.scores.plausibility import InputCheck
from kraken_bids.settings import MAX_IMPUTED_SHARE

logger = logging.getLogger(__name__)

STAGE = "predictions"


@dataclass(frozen=True)
class Member:
    """One session of one participant, with its measured connectomes."""

    subject: str
    session: str | None
    connectomes: Mapping[Flavor, Path]
    """Measured file of each flavor; the one that the model reads where there are several."""

    @property
    def label(self) -> str:
        """``sub-01`` or ``sub-01_ses-1``."""
        return session_label(self.subject, self.session)

    @property
    def entities(self) -> dict[str, str]:
        """BIDS entities, for names of files."""
        return {"sub": self.subject} | ({"ses": self.session} if self.session else {})

    @cached_property
    def measurements(self) -> dict[Flavor, Measurement]:
        """What the sidecar of each measured file says, read once."""
        return {flavor: read_measurement(path) for flavor, path in self.connectomes.items()}


@dataclass(frozen=True)
class Cohort:
    """What one read of every connectome leaves: small, whatever the number of edges."""

    members: tuple[Member, ...]
    projections: Mapping[Flavor, NDArray[np.float32]]
    """First-layer projections [n_members, n_hidden]; NaN rows where a member has no such input."""
    reread: Mapping[Flavor, frozenset[int]]
    """Members whose file is read again once the adaptation is known (missing regions)."""
    means: Mapping[Flavor, tuple[NDArray[np.float64], int]]
    """Mean edges [n_edges] of the members that are fitted on, and their number."""
    failures: tuple[Failure, ...]
    """Files that could not be read."""
    checks: Mapping[Flavor, InputCheck] = field(default_factory=dict)
    """What is to be said of everyone's values and of the order of their edges."""
    fitted_on: frozenset[int] = frozenset()
    """Members who count in the means."""
    digests: Mapping[Flavor, Mapping[int, str]] = field(default_factory=dict)
    """Digest of the edges of everyone of whom the model may take the flavor."""


def is_asked(member: Member, sessions: Collection[str]) -> bool:
    """Whether a session is among those asked for; without any, all are."""
    return not sessions or member.session in sessions


def list_members(output_dir: Path, subjects: Sequence[str] | None = None) -> tuple[Member, ...]:
    """Sessions in OUTPUT_DIR that have measured connectomes, by label.

    What an earlier run has left, and the last one of the session does not stand for, is named in
    the log and not among them.

    Parameters
    ----------
    output_dir : Path
        The derivatives dataset.
    subjects : sequence of str, optional
        Keep only these (all).
    """
    files: dict[tuple[str, str | None], list[RelmatFile]] = {}
    for found in find_relmats(output_dir):
        if subjects is None or found.subject in subjects:
            files.setdefault((found.subject, found.session), []).append(found)
    kept = choose_standing(output_dir, files)
    return tuple(
        Member(subject, session, _choose_each(kept[subject, session]))
        for subject, session in sorted(files, key=str)
        if kept[subject, session]
    )


def _choose_each(files: Sequence[RelmatFile]) -> dict[Flavor, Path]:
    by_flavor: dict[Flavor, list[Path]] = {}
    for file in files:
        by_flavor.setdefault(file.flavor, []).append(file.path)
    return {flavor: _choose(paths) for flavor, paths in by_flavor.items()}


def read_cohort(
    model: Model, members: Sequence[Member], *, fit_on: Callable[[Member], bool]
) -> Cohort:
    """Read every connectome that the model takes; keep its projection and its share of the mean.

    Parameters
    ----------
    model : Model
        Its flavors decide what is read.
    members : sequence of Member
        Who.
    fit_on : callable
        Whether a member counts in the mean that the adaptation is fitted on.
    """
    failures: list[Failure] = []
    fitted_on = frozenset(index for index, member in enumerate(members) if fit_on(member))
    mirrored: dict[Flavor, list[int]] = {flavor: [] for flavor in model.flavors}
    digests: dict[Flavor, dict[int, str]] = {flavor: {} for flavor in model.flavors}
    found = {
        flavor: project_blocks(
            model,
            flavor,
            _read_blocks(
                members,
                flavor,
                model.n_edges(flavor),
                failures=failures,
                mirrored=mirrored[flavor],
                digests=digests[flavor],
            ),
            fit_on=fitted_on.__contains__,
        )
        for flavor in model.flavors
        if any(flavor in member.connectomes for member in members)
    }
    training = model.training_means()
    means = {
        flavor: (projection.mean.result(training.get(flavor)), projection.mean.n_subjects)
        for flavor, projection in found.items()
        if projection.mean.n_subjects
    }
    projections = {flavor: projection.rows for flavor, projection in found.items()}
    reread = {flavor: projection.reread for flavor, projection in found.items()}
    checks = {flavor: projection.check for flavor, projection in found.items()}
    for flavor, check in checks.items():
        check.mirrored += mirrored[flavor]
    return Cohort(
        tuple(members),
        projections,
        reread,
        means,
        tuple(failures),
        checks=checks,
        fitted_on=fitted_on,
        digests=digests,
    )


def leave_out(cohort: Cohort, flavors: Collection[Flavor]) -> Cohort:
    """Give the cohort without some flavors as inputs; their means stay."""
    kept = {f: rows for f, rows in cohort.projections.items() if f not in flavors}
    return replace(cohort, projections=kept)


def fit_cohort_adaptation(
    model: Model, cohort: Cohort, mode: str, *, flavors: Collection[Flavor] | None = None
) -> Adaptation:
    """Fit the adaptation of a cohort on the means that :func:`read_cohort` kept.

    Parameters
    ----------
    model : Model
    cohort : Cohort
    mode : str
        How.
    flavors : collection of Flavor, optional
        Those that enough people have (all that several sessions have: one session, adapted to
        itself, would become the training mean).

    Raises
    ------
    CheckpointError
        If the model keeps no training mean of a flavor.
    """
    wanted = cohort.means if flavors is None else flavors
    means = {f: (mean, n) for f, (mean, n) in cohort.means.items() if n > 1 and f in wanted}
    adaptation = fit_adaptation(
        means, model.training_means(), mode, model_sha256=model.sha256, judges=False
    )
    for flavor, fit in adaptation.flavors.items():
        logger.info(
            "adaptation of %s: b0 = %.3g, b1 = %.3g, R² = %.2f, %d session(s)",
            flavor,
            fit.b0,
            fit.b1,
            fit.r2,
            fit.n_subjects,
        )
    return adaptation


def encode_cohort(
    model: Model,
    cohort: Cohort,
    adaptation: Adaptation | None,
    failures: list[Failure] | None = None,
) -> dict[Flavor, NDArray[np.float32]]:
    """Latents [n_members, n_latent] of every flavor that someone has; NaN rows for the others.

    Files that must be read a second time, and no longer can be, are added to the failures.
    """

    def read(flavor: Flavor, index: int) -> NDArray[np.float64]:
        found = [] if failures is None else failures
        measured = _read_member(cohort.members[index], flavor, model.n_edges(flavor), found)
        return np.full(model.n_edges(flavor), np.nan) if measured is None else measured.edges

    return {
        flavor: encode_projection(
            model,
            flavor,
            rows,
            adaptation=adaptation,
            reread=cohort.reread[flavor],
            read=partial(read, flavor),
        )
        for flavor, rows in cohort.projections.items()
    }


@dataclass(frozen=True)
class Measured:
    """One measured connectome as the model takes it."""

    edges: NDArray[np.float64]
    """[n_edges]; NaN where a region is missing."""
    missing: NDArray[np.bool_]
    """[n_regions]: regions without data."""
    is_mirrored: bool = False
    """Whether one triangle of the matrix is empty, and the other was taken for both."""

    @property
    def is_usable(self) -> bool:
        """Whether few enough regions are missing for the model to take it."""
        return bool(self.missing.mean() <= MAX_IMPUTED_SHARE)


def read_measured(path: Path, flavor: Flavor, n_edges: int) -> Measured:
    """Read a measured connectome.

    Raises
    ------
    InputError
        If the file cannot be read.
    ConnectomeError
        If single cells are NaN, fewer than two regions hold numbers, the size is wrong, or the
        matrix is neither symmetric nor one triangle.
    """
    square = read_relmat(path)
    n_found = len(square) * (len(square) - 1) // 2
    if n_found != n_edges:
        raise ConnectomeError(
            f"{path}: expected {n_edges} edges of {flavor}; found {n_found}, a matrix of "
            f"{len(square)} regions. {explain_shape(square.shape, flavor.parcellation)}"
        )
    square, edges, is_mirrored = fill_square(square, str(path))
    missing = find_missing_regions(square, str(path))
    if np.isinf(edges).any():
        raise ConnectomeError(
            f"{path}: expected finite edges; found {np.isinf(edges).sum()} infinite ones. Leave "
            "that connectome out, or measure it again."
        )
    return Measured(edges, missing, is_mirrored)


def _choose(paths: Sequence[Path]) -> Path:
    """Of several files of one flavor: task rest, the scan as it came, then the most data."""
    if len(paths) == 1:
        return paths[0]

    def preference(path: Path) -> tuple[object, ...]:
        entities = parse_name(path)
        seconds = read_facts(sidecar_path(path)).number("EffectiveDuration") or 0.0
        task = _rank_task(entities.get("task", ""))
        return (task, rank_version(entities), -seconds, path.name)

    chosen = min(paths, key=preference)
    logger.info(
        "the model reads %s; %d other file(s) of that flavor are left aside",
        chosen.name,
        len(paths) - 1,
    )
    return chosen


def _rank_task(task: str) -> int:
    """Rest first, then what begins so however it is spelled: ``Rest``, ``restEC``, ``resting``."""
    return 0 if task == "rest" else 1 if task.casefold().startswith("rest") else 2


def _read_blocks(
    members: Sequence[Member],
    flavor: Flavor,
    n_edges: int,
    *,
    failures: list[Failure],
    mirrored: list[int],
    digests: dict[int, str],
) -> Iterator[NDArray[np.float64]]:
    """Edges of one flavor, :data:`BLOCK` members at a time; NaN rows for those without it."""
    for start in range(0, len(members), BLOCK):
        block = np.full((min(BLOCK, len(members) - start), n_edges), np.nan)
        for row, member in enumerate(members[start : start + BLOCK]):
            measured = _read_member(member, flavor, n_edges, failures)
            if measured is not None and measured.is_usable:
                block[row] = measured.edges
                digests[start + row] = sha256(measured.edges.data).hexdigest()
                mirrored += [start + row] if measured.is_mirrored else []
        yield block


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
            member.label,
            flavor,
            measured.missing.sum(),
            len(measured.missing),
            100 * MAX_IMPUTED_SHARE,
        )
    return measured
