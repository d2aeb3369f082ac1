"""How well each source predicts each target over the cohort: metrics, and each subject's rank."""

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.failures import Failure, record
from kraken_bids.cohort.from_dataset import STAGE
from kraken_bids.cohort.measured_matrices import read_measured
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sources import Source
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import Adaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.cohort_worth import CohortWorth
from kraken_bids.pipeline.check.kept_results import NOTHING_KEPT, Kept, digest_array
from kraken_bids.pipeline.check.pair_calibrations import PairCalibrations
from kraken_bids.pipeline.check.repeated_scans import choose_repeats
from kraken_bids.scores.individuality import Evidence, explain_subjects
from kraken_bids.scores.metrics import own_correlations
from kraken_bids.scores.quality_control import CROSS_MODAL, CrossModalScore, Metric

logger = logging.getLogger(__name__)

MIN_MEMBERS = 3
NO_CALIBRATIONS = PairCalibrations()


@dataclass(frozen=True)
class Scores:
    """How predictions of a cohort compare with what was measured."""

    cross_modal: dict[tuple[int, Flavor], CrossModalScore] = field(default_factory=dict)
    """By index of the member, and flavor."""
    evidence: dict[tuple[str, Flavor], Evidence] = field(default_factory=dict)
    """By name of the source, a fusion, and target."""
    metrics: list[Metric] = field(default_factory=list)


@dataclass(frozen=True)
class Pair:
    """Measured and predicted connectomes of the subjects who have both [n_subjects, n_edges]."""

    subjects: Sequence[int]
    measured: NDArray[np.float32]
    predicted: NDArray[np.float32]
    correlations: NDArray[np.float64]
    """Measured in rows, predicted in columns [n_subjects, n_subjects]."""

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Of the own prediction among everyone's [n_subjects]; 1 is best."""
        own = np.diag(self.correlations)[:, None]
        return np.asarray(1 + (self.correlations > own).sum(axis=1), np.int64)


def score_members(  # noqa: PLR0913 - one of them is what it could not read
    model: Model,
    members: Sequence[Member],
    sources: Sequence[Source],
    *,
    adaptation: Adaptation | None = None,
    judged: Sequence[str] = (),
    kept: Kept = NOTHING_KEPT,
    failures: list[Failure] | None = None,
    calibrations: PairCalibrations = NO_CALIBRATIONS,
) -> Scores:
    """Compare predictions with measurements; those of one target at a time are in memory.

    Parameters
    ----------
    adaptation : Adaptation, optional
        What brings measured connectomes into the range of the predictions.
    judged : sequence of str
        Sources besides the fusions that are also scored for each subject.
    failures : list of Failure, optional
        Gets the files that were an input and can no longer be read.
    calibrations : PairCalibrations, optional
        See every pair of measured and predicted connectomes while it is in memory; say which
        family every member is of, each subject's own by default.
    """
    lacked = [] if failures is None else failures
    fits = {} if adaptation is None else adaptation.flavors
    slopes = {target: fits[target].b0 if target in fits else 1.0 for target in model.flavors}
    families = calibrations.families or [member.subject for member in members]
    repeats = {flavor: choose_repeats(members, flavor) for flavor in model.flavors}
    found = kept.recall(
        "scores",
        [
            (model.sha256, str(model.device), [(f.name, slope) for f, slope in slopes.items()]),
            [(s.name, digest_array(s.latents), s.n_inputs.tolist()) for s in sources],
            [[(f.name, digest_array(z)) for f, z in s.inputs.items()] for s in sources],
            list(judged),
            [[one.name for kind in (Metric, CrossModalScore) for one in fields(kind)]],
            [list(families), [repeats[flavor].digest() for flavor in model.flavors]],
        ],
        lambda: _compute(
            *(model, members, sources),
            scoring=Scoring(
                slopes, judged, CohortWorth(model, members, families, repeats, judged)
            ),
            calibrations=calibrations,
            failures=lacked,
        ),
        lacked=lacked,
    )
    # those that nobody has seen, since the scores were there already
    _compute(*(model, members, sources), scoring=None, calibrations=calibrations, failures=lacked)
    return _from_plain(found, {flavor.name: flavor for flavor in model.flavors}, members)


@dataclass(frozen=True)
class Scoring:
    """How pairs are scored."""

    slopes: Mapping[Flavor, float]
    """What measured edges are multiplied by to be in the range of the predictions."""
    judged: Sequence[str]
    """Sources besides the fusions that are scored for each subject."""
    worth: CohortWorth
    """Compares everyone with everyone."""


def _compute(
    model: Model,
    members: Sequence[Member],
    sources: Sequence[Source],
    *,
    scoring: Scoring | None,
    calibrations: PairCalibrations,
    failures: list[Failure],
) -> dict[str, list[Any]]:
    """Metrics, scores of subjects and evidence as plain values, each with source and target.

    Without a scoring only those pairs are read that are still to be calibrated.
    """
    found: dict[str, list[Any]] = {"cross_modal": [], "evidence": []}
    for target in model.flavors:
        wanted = [s for s in sources if scoring is not None or calibrations.wants(s, target)]
        if not wanted:
            continue
        users = {
            k for s in sources if s.single == target for k in np.flatnonzero(s.n_inputs).tolist()
        }
        measured = _read_observed(model, members, target, users=users, failures=failures)
        if scoring is not None:
            scoring.worth.start(target, *measured)
        for source in wanted:
            # what is in memory for one source is given back before the next one
            for kind, rows in _use_pair(
                *(model, source, target, measured), scoring=scoring, calibrations=calibrations
            ).items():
                found[kind] += rows
        del measured
    found["metrics"] = [] if scoring is None else scoring.worth.list_metrics()
    return found


def _use_pair(
    model: Model,
    source: Source,
    target: Flavor,
    measured: tuple[list[int], NDArray[np.float32]],
    *,
    scoring: Scoring | None,
    calibrations: PairCalibrations,
) -> dict[str, list[Any]]:
    """Calibrate one pair, and give rows of :func:`_compute`; none for too few subjects."""
    both, rows = _find_both(source, *measured)
    if len(both) < MIN_MEMBERS:
        return {}
    scored = None
    if scoring is not None:
        scored = scoring.worth.score(source, target, both, rows)
        is_judged = source.single is None or source.name in scoring.judged
    if (scored is None or not is_judged) and not calibrations.wants(source, target):
        return {}
    predicted = source.predict(model, target, both)
    calibrations.show(*(source, target, both), measured=rows, predicted=predicted)
    if scoring is None or scored is None or not is_judged:
        return {}
    pair = Pair(both, rows, predicted, scored.correlations)
    weighed = _weigh(pair, scoring.slopes[target])
    found: dict[str, list[Any]] = {"evidence": [(source.name, target.name, *weighed)]}
    if source.name == CROSS_MODAL[target.group]:
        of_mean = scored.mean_correlations
        scores = _score_subjects(pair, model.training_means().get(target), of_mean)
        found["cross_modal"] = [(target.name, scores)]
    return found


def _from_plain(
    found: Mapping[str, Any], flavors: Mapping[str, Flavor], members: Sequence[Member]
) -> Scores:
    return Scores(
        {
            (subject, flavors[target]): CrossModalScore(*values)
            for target, subjects in found["cross_modal"]
            for subject, *values in subjects
        },
        {
            (source, flavors[target]): Evidence(
                total,
                average_rank,
                subjects={subject: (share, rank) for subject, share, rank, _ in subjects},
                nearest={subject: nearest for subject, *_, nearest in subjects},
                n_people=len({members[subject].subject for subject, *_ in subjects}),
            )
            for source, target, total, average_rank, subjects in found["evidence"]
        },
        [Metric(*words) for words in found["metrics"]],
    )


def _read_observed(
    model: Model,
    members: Sequence[Member],
    target: Flavor,
    *,
    users: Container[int],
    failures: list[Failure],
) -> tuple[list[int], NDArray[np.float32]]:
    """Who has a complete measured connectome of a flavor, and these ``[n_subjects, n_edges]``."""
    paths = {k: m.connectomes[target] for k, m in enumerate(members) if target in m.connectomes}
    observed = np.empty((len(paths), model.n_edges(target)), np.float32)
    subjects: list[int] = []
    for index, path in paths.items():
        try:
            measured = read_measured(path, target, model.n_edges(target))
        except KrakenBidsError as error:
            logger.debug("%s is left out of the metrics: %s", path, error)
            if index in users:  # it could be read when it became an input
                subject, session = members[index].subject, members[index].session
                record(failures, error, subject=subject, session=session, stage=STAGE)
            continue
        if not measured.missing.any():
            observed[len(subjects)] = measured.edges
            subjects.append(index)
    return subjects, observed[: len(subjects)]


def _find_both(
    source: Source, subjects: Sequence[int], observed: NDArray[np.float32]
) -> tuple[list[int], NDArray[np.float32]]:
    """Who of the measured also has the source, and their rows."""
    rows = [row for row, index in enumerate(subjects) if source.n_inputs[index]]
    both = [subjects[row] for row in rows]
    return both, observed if len(rows) == len(subjects) else observed[rows]


def _weigh(pair: Pair, slope: float) -> tuple[float, float, list[tuple[int, float, int, int]]]:
    """Say how much of what sets subjects apart is predicted, once measured edges are scaled.

    That of all together, their average rank, and of each: share explained, rank, who is nearest.
    """
    total, explained = explain_subjects(pair.measured, pair.predicted, slope=slope)
    ranks = pair.ranks
    nearest = [pair.subjects[best] for best in pair.correlations.argmax(axis=1)]
    subjects = zip(pair.subjects, explained.tolist(), ranks.tolist(), nearest, strict=True)
    return total, float(np.mean(1 - (ranks - 1) / len(ranks))), list(subjects)


def _score_subjects(
    pair: Pair, training_mean: NDArray[np.float32] | None, of_mean: NDArray[np.float64]
) -> list[tuple[int, float, float, int, int, float]]:
    """Score everyone; measured edges lose the cohort's mean, predicted ones the training mean.

    ``of_mean`` is what the mean of other subjects correlates by with everyone's ``[n_subjects]``.
    """
    own_mean = pair.measured.mean(axis=0, dtype=np.float64)
    expected = own_mean if training_mean is None else training_mean
    residual = own_correlations(
        pair.measured, pair.predicted, observed_mean=own_mean, predicted_mean=expected
    )
    own = np.diag(pair.correlations)
    numbers = (own.tolist(), residual.tolist(), pair.ranks.tolist(), of_mean.tolist())
    subjects = zip(pair.subjects, *numbers, strict=True)
    return [(subject, c, r, rank, len(own), mean) for subject, c, r, rank, mean in subjects]
