"""How well predictions in a file match observed connectomes in others, and how sure that is."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.cohort.joined_rows import Connectomes
from kraken_bids.cohort.prediction_archives import ARROW
from kraken_bids.cohort.stored_predictions import Predictions, read_predictions
from kraken_bids.cohort.subject_names import list_few, unify_labels
from kraken_bids.exceptions import ConnectomeError, InputError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.files import atomic_path
from kraken_bids.io.output_streams import is_stream
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.pipeline.check.cohort_doubts import warn_of_observed
from kraken_bids.pipeline.check.cohort_scores import MIN_MEMBERS
from kraken_bids.report.source_by_target import SourceByTarget, draw_source_by_target
from kraken_bids.scores.metrics import chance_rank
from kraken_bids.scores.plausibility import InputCheck
from kraken_bids.scores.quality_control import METRIC_WORDS
from kraken_bids.scores.significance import Score, compare, score_comparison

logger = logging.getLogger(__name__)

Edges = NDArray[np.floating]

METRICS = ("top1acc", "top2acc", "avgrank", "avgcorr", "avgcorr_resid", "explainedvar")


@dataclass(frozen=True)
class EvaluationOptions:
    """How to judge predictions."""

    n_permutations: int = 1000
    n_bootstraps: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that there are no negative numbers of anything."""
        if min(self.n_permutations, self.n_bootstraps, self.seed) < 0:
            raise SettingsError(
                "expected --permutations, --bootstraps and --seed of 0 or more; found "
                f"{self.n_permutations}, {self.n_bootstraps} and {self.seed}."
            )


@dataclass(frozen=True)
class Evaluation:
    """All metrics of one source and target."""

    source: str
    target: Flavor
    n_subjects: int
    scores: Mapping[str, Score]


def evaluate_files(
    predicted: Path,
    observed: Sequence[str],
    options: EvaluationOptions | None = None,
    *,
    training_means: Mapping[Flavor, NDArray[np.floating]] | None = None,
) -> list[Evaluation]:
    """Judge every prediction of which there are observed connectomes, subjects matched by name.

    Parameters
    ----------
    predicted : Path
        As :func:`kraken_bids.cohort.stored_predictions.read_predictions` takes it.
    observed : sequence of str
        As :func:`kraken_bids.cohort.from_files.read_connectomes` takes them.
    options : EvaluationOptions, optional
    training_means : mapping of Flavor to ndarray of shape (n_edges,), optional
        Means that ``avgcorr_resid`` subtracts, in place of the observed subjects' own.

    Raises
    ------
    InputError
        If files cannot be read, or no predicted flavor or subject was observed.
    ConnectomeError
        If nowhere at least three subjects have both, complete.
    """
    options = options or EvaluationOptions()
    predictions = read_predictions(predicted)
    predictions, connectomes = _spell_alike(predictions, read_connectomes(observed))
    _check_common(predictions, connectomes)
    found = list(_evaluate(predictions, connectomes, options, training_means or {}))
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


def write_evaluation(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Write one row per source, target and metric, and what the columns mean beside it."""
    rows = [(e, name, e.scores[name]) for e in evaluations for name in METRICS]
    write_table(path, {
        "source": [e.source for e, _, _ in rows],
        "target": [e.target.name for e, _, _ in rows],
        "metric": [name for _, name, _ in rows],
        "value": [score.value for _, _, score in rows],
        "p": [score.p for _, _, score in rows],
        "low": [score.low for _, _, score in rows],
        "high": [score.high for _, _, score in rows],
        "n": [e.n_subjects for e, _, _ in rows],
    })  # fmt: skip
    if is_stream(path):
        return  # nothing lies beside it
    write_json(sidecar_path(path), {
        "Description": "How well predictions match observed connectomes",
        "metric": {"Levels": {name: METRIC_WORDS[name] for name in METRICS}},
        "p": {"Description": "permutation p-value: predictions dealt out to other subjects"},
        "low": {"Description": "lower end of the 95 % bootstrap interval over subjects"},
        "high": {"Description": "upper end of it"},
        "n": {"Description": "subjects compared"},
    })  # fmt: skip


def describe_evaluation(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """Lines of a table for the terminal: one per source and target, p-values in brackets."""
    shown = ("avgrank", "top1acc", "avgcorr", "avgcorr_resid", "explainedvar")
    width = max(len(e.source) for e in evaluations)
    span = max(len(e.target.name) for e in evaluations)
    yield f"{'source':{width}}  {'target':{span}}    n" + "".join(f"{m:>19}" for m in shown)
    for e in evaluations:
        cells = "".join(f"{_show(e.scores[name]):>19}" for name in shown)
        yield f"{e.source:{width}}  {e.target.name:{span}}  {e.n_subjects:>3}{cells}"


def draw_evaluation(evaluations: Sequence[Evaluation], metric: str, path: Path) -> None:
    """Draw the heatmap of one metric, source by target, as PNG."""
    sources = tuple(dict.fromkeys(e.source for e in evaluations))
    targets = tuple(sorted({e.target for e in evaluations}))
    values = np.full((len(sources), len(targets)), np.nan)
    for e in evaluations:
        values[sources.index(e.source), targets.index(e.target)] = e.scores[metric].value
    table = SourceByTarget(
        sources=sources,
        source_groups=tuple(map(_group, sources)),
        targets=tuple(target.name for target in targets),
        target_groups=tuple(target.group for target in targets),
    )
    n = max(e.n_subjects for e in evaluations)
    chance = {"top1acc": 1 / n, "top2acc": 2 / n, "avgrank": chance_rank(n)}.get(metric, 0.0)
    png = draw_source_by_target(table, values, chance=chance, digits=2)
    with atomic_path(path) as temporary:
        temporary.write_bytes(png)


def _show(score: Score) -> str:
    return f"{score.value:.3f}" + ("" if np.isnan(score.p) else f" (p {score.p:.3f})")


def _group(source: str) -> Literal["FC", "SC", "both"]:
    """Modality that a source takes its inputs from; both where its name does not say."""
    name = source.partition(".")[0]
    if name == "fusionFC" or (name.startswith("FC") and "_" in name):
        return "FC"
    return "SC" if name == "fusionSC" or (name.startswith("SC") and "_" in name) else "both"


def _evaluate(
    predictions: Predictions,
    connectomes: Connectomes,
    options: EvaluationOptions,
    training_means: Mapping[Flavor, NDArray[np.floating]],
) -> Iterator[Evaluation]:
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
        comparison = compare(x, y, mean=training_means.get(target))
        yield Evaluation(source, target, len(x), score_comparison(
            comparison,
            n_permutations=options.n_permutations,
            n_bootstraps=options.n_bootstraps,
            seed=options.seed,
        ))  # fmt: skip
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
    predictions: Predictions, connectomes: Connectomes
) -> tuple[Predictions, Connectomes]:
    """Name everybody as the observed connectomes do, also who is spelled otherwise elsewhere."""
    unified = unify_labels(
        {"--observed": connectomes.subjects, "--predicted": predictions.subjects}
    )
    return predictions.rename(unified), connectomes


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
