"""How well predictions in a file match observed connectomes in others, and how sure that is."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.cohort.joined_rows import Connectomes
from kraken_bids.cohort.prediction_archives import ARROW
from kraken_bids.cohort.stored_predictions import Predictions, read_predictions
from kraken_bids.cohort.subject_names import list_few, subject_of, unify_labels
from kraken_bids.exceptions import ConnectomeError, InputError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.pipeline.check.cohort_doubts import warn_of_observed
from kraken_bids.pipeline.check.cohort_scores import MIN_MEMBERS
from kraken_bids.pipeline.check.given_references import Ceilings, Peers
from kraken_bids.pipeline.check.peer_comparison import Fitting, Measured, name_peer
from kraken_bids.scores.plausibility import InputCheck
from kraken_bids.scores.quality_control import METRIC_WORDS, PREDICTION_METRICS, Metric
from kraken_bids.scores.second_measurements import CEILINGS, UNKNOWN, Ceiling
from kraken_bids.scores.significance import Comparison, Score, compare, score_comparison

logger = logging.getLogger(__name__)

Edges = NDArray[np.floating]


@dataclass(frozen=True)
class EvaluationOptions:
    """How to judge predictions."""

    n_permutations: int = 1000
    n_bootstraps: int = 1000
    seed: int = 0

    @property
    def draws(self) -> dict[str, int]:
        """How metrics are resampled, by name."""
        return asdict(self)

    def __post_init__(self) -> None:
        """Check that there are no negative numbers of anything."""
        if min(self.n_permutations, self.n_bootstraps, self.seed) < 0:
            raise SettingsError(
                "expected --permutations, --bootstraps and --seed of 0 or more; found "
                f"{self.n_permutations}, {self.n_bootstraps} and {self.seed}."
            )


@dataclass(frozen=True)
class Beside:
    """What predictions are compared with, besides what was observed."""

    training_means: Mapping[Flavor, NDArray[np.floating]] = field(default_factory=dict)
    """Group means, in place of those of the other observed subjects ``[n_edges]``."""
    inputs: Sequence[str] = ()
    """Connectomes that the predictions were made from: for the peer."""
    retest: Sequence[str] = ()
    """Second measurements of the observed connectomes: for the ceiling."""


@dataclass(frozen=True)
class Evaluation:
    """All metrics of one source and target."""

    source: str
    target: Flavor
    n_subjects: int
    scores: Mapping[str, Score]
    ceiling: Ceiling = UNKNOWN

    def list_metrics(self) -> list[Metric]:
        """List the rows of the table."""
        ceilings = {f"ceiling_{name}": self.ceiling.score(name) for name in CEILINGS}
        found = {**self.scores, **ceilings}
        rows = []
        for name in (one for one in METRIC_WORDS if one in found):
            is_ceiling = name in ceilings
            n = self.ceiling.n if is_ceiling else self.n_subjects
            basis = self.ceiling.basis if is_ceiling else None
            score = found[name]
            numbers = (score.value, score.p, score.low, score.high)
            rows.append(Metric(self.source, self.target.name, name, *numbers, n, basis))
        return rows


def evaluate_files(
    predicted: Path,
    observed: Sequence[str],
    options: EvaluationOptions | None = None,
    *,
    beside: Beside | None = None,
) -> list[Evaluation]:
    """Judge every prediction of which there are observed connectomes, subjects matched by name.

    Parameters
    ----------
    predicted : Path
        As :func:`kraken_bids.cohort.stored_predictions.read_predictions` takes it.
    observed : sequence of str
        As :func:`kraken_bids.cohort.from_files.read_connectomes` takes them.
    beside : Beside, optional
        Training means, inputs and second measurements, where they are known.

    Raises
    ------
    InputError
        If files cannot be read, or no predicted flavor or subject was observed.
    ConnectomeError
        If nowhere at least three subjects have both, complete.
    """
    options, beside = options or EvaluationOptions(), beside or Beside()
    predictions = read_predictions(predicted)
    further = {"--input": beside.inputs, "--retest": beside.retest}
    read = {option: read_connectomes(files) for option, files in further.items() if files}
    predictions, connectomes, read = _spell_alike(predictions, read_connectomes(observed), read)
    _check_common(predictions, connectomes)
    peers, ceilings = Peers(read.get("--input")), Ceilings(read.get("--retest"), options.draws)
    judge = Judge(connectomes, options, beside.training_means, peers, ceilings)
    found = list(_evaluate(predictions, judge))
    if not found:
        raise ConnectomeError(
            f"expected at least {MIN_MEMBERS} subjects with a complete observed connectome and "
            f"its prediction; found fewer for every flavor of {predictions.where}."
        )
    return sorted(found, key=lambda e: (not e.source.startswith("fusion"), e.source, e.target))


def read_training_means(
    model: str, transforms: Sequence[Path] = ()
) -> dict[Flavor, NDArray[np.float32]]:
    """Mean training connectomes of a model, by flavor.

    Raises
    ------
    CheckpointError
        If the model cannot be used.
    """
    from kraken_bids.models.krakencoder.load import load_model

    return load_model(model, transforms=transforms, device="cpu").training_means()


@dataclass(frozen=True)
class Judge:
    """Judges predictions by what was observed."""

    connectomes: Connectomes
    options: EvaluationOptions
    training_means: Mapping[Flavor, NDArray[np.floating]]
    peers: Peers
    ceilings: Ceilings

    def judge(
        self, source: str, target: Flavor, rows: Sequence[int], both: tuple[Edges, Edges]
    ) -> Evaluation:
        """Judge the predictions of one target from one source, by observed and predicted edges."""
        observed, predicted = both
        subjects = [self.connectomes.subjects[row] for row in rows]
        people = list(map(subject_of, subjects))
        fitting, mean = Fitting.of(people, people), self.training_means.get(target)
        folds = fitting.folds if mean is None else None
        found = self._score(compare(
            observed, predicted, mean=mean, folds=folds, kinship=fitting.kinship
        ))  # fmt: skip
        own = Measured.of(subjects, observed)
        ceiling = self.ceilings.find(target, own, observed)
        scores = {name: found[name] for name in PREDICTION_METRICS}
        scores["ceiling_share"] = ceiling.share(found["avgcorr_resid"])
        peer = self.peers.compare(source, target, own, fitting)
        scores |= {} if peer is None else name_peer(self._score(peer))
        return Evaluation(source, target, len(rows), scores, ceiling)

    def _score(self, comparison: Comparison) -> dict[str, Score]:
        return score_comparison(comparison, **self.options.draws)


def _evaluate(predictions: Predictions, judge: Judge) -> Iterator[Evaluation]:
    connectomes = judge.connectomes
    keys = sorted((k for k in predictions.readers if k[1] in connectomes.edges), key=itemgetter(1))
    too_few = []
    judged: dict[Flavor, InputCheck] = {}
    for source, target in keys:
        y = predictions.read(source, target)
        rows, x, y = _match(predictions.subjects, y, connectomes, target)
        if x.shape[1] != y.shape[1]:
            raise ConnectomeError(
                f"{predictions.where}, {source}, {target}: expected {x.shape[1]} edges, as "
                f"observed; found {y.shape[1]}."
            )
        if len(x) < MIN_MEMBERS:
            too_few.append(f"{source}{ARROW}{target}")
            continue
        if target not in judged:
            judged[target] = InputCheck(target, y.mean(axis=0))
            for row, edges in zip(rows, x, strict=True):
                judged[target].add(row, edges)
        yield judge.judge(source, target, rows, (x, y))
    warn_of_observed(judged, connectomes.subjects)
    if too_few:
        logger.warning(
            "%d of %d pairs are left out, since fewer than %d subjects have both, complete: %s",
            len(too_few), len(keys), MIN_MEMBERS, list_few(too_few),
        )  # fmt: skip


def _match(
    subjects: Sequence[str], predicted: Edges, connectomes: Connectomes, target: Flavor
) -> tuple[list[int], Edges, Edges]:
    """Which subjects have both, complete; their observed and predicted rows."""
    observed = connectomes.edges[target]
    places = {subject: k for k, subject in enumerate(subjects)}
    both = [(i, places[s]) for i, s in enumerate(connectomes.subjects) if s in places]
    pairs = [
        (i, j)
        for i, j in both
        if np.isfinite(observed[i]).all() and np.isfinite(predicted[j]).all()
    ]
    if len(pairs) < len(both):
        logger.info(
            "%s: %d of %d subjects lack it or regions of it and are left out",
            target, len(both) - len(pairs), len(both),
        )  # fmt: skip
    rows = [i for i, _ in pairs]
    return rows, observed[rows], predicted[[j for _, j in pairs]]


def _spell_alike(
    predictions: Predictions, connectomes: Connectomes, further: Mapping[str, Connectomes]
) -> tuple[Predictions, Connectomes, dict[str, Connectomes]]:
    """Name everybody as the observed connectomes do, also who is spelled otherwise elsewhere."""
    labels = {option: own.subjects for option, own in further.items()}
    unified = unify_labels(
        {"--observed": connectomes.subjects, "--predicted": predictions.subjects, **labels}
    )
    renamed = {
        option: Connectomes(tuple(unified[label] for label in own.subjects), own.edges)
        for option, own in further.items()
    }
    return predictions.rename(unified), connectomes, renamed


def _check_common(predictions: Predictions, connectomes: Connectomes) -> None:
    """Say who is left out; refuse files that have no subject or no flavor in common."""
    predicted, observed = set(predictions.subjects), set(connectomes.subjects)
    if not predicted & observed:
        raise InputError(
            f"expected the same subjects in {predictions.where} and in --observed; found none in "
            f"common: {list_few(predictions.subjects)} predicted, "
            f"{list_few(connectomes.subjects)} observed. Spell them alike (with or without sub-)."
        )
    for subjects, other, words in (
        (predictions.subjects, observed, "predicted, not observed"),
        (connectomes.subjects, predicted, "observed, not predicted"),
    ):
        alone = [subject for subject in subjects if subject not in other]
        if alone:
            logger.warning(
                "%d subject(s) are left out: %s: %s", len(alone), words, list_few(alone)
            )
    targets = {target for _, target in predictions.readers}
    if not targets & set(connectomes.edges):
        raise InputError(
            f"expected observed connectomes of a predicted flavor "
            f"({', '.join(sorted(t.name for t in targets))}); found "
            f"{', '.join(sorted(f.name for f in connectomes.edges))}. Give --observed FLAVOR=FILE "
            "of one of these."
        )
