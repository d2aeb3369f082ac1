"""Connectomes that are not likely to be what they are called, or were not measured alike."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.measurements import SETTINGS
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.warned import Warned
from kraken_bids.exceptions import name_few
from kraken_bids.flavors import Flavor
from kraken_bids.models.devices import CPU, run_parts
from kraken_bids.models.krakencoder.adaptation import Adaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.scores.doubt_words import Doubt, check_certain, describe_doubts, name_rows
from kraken_bids.scores.exchanged_flavors import list_exchanged_doubts
from kraken_bids.scores.likeness import judge_mean
from kraken_bids.scores.plausibility import InputCheck

logger = logging.getLogger(__name__)

NAMED = 3
"""Sessions that a sentence names."""


def warn_of_inputs(
    checks: Mapping[Flavor, InputCheck],
    labels: Sequence[str],
    *,
    model: Model,
    adaptation: Adaptation | None,
) -> Warned:
    """Log what is unlikely about a cohort's connectomes, and keep it for sidecars and reports.

    Parameters
    ----------
    checks : mapping of Flavor to InputCheck
        Of everyone, whoever the adaptation was fitted on.
    labels : sequence of str
        Whose connectomes they are, by row: ``sub-01_ses-1``.
    adaptation : Adaptation or None
        The one that is used; its own cohort is judged too.
    """
    doubts = [
        *list_doubts(checks, model),
        *list_scale_doubts(checks, model, adaptation),
        *list_adaptation_doubts(checks, model, adaptation),
    ]
    everyone = describe_doubts([doubt for doubt in doubts if not doubt.whom], name_rows(labels))
    own: dict[str, list[str]] = {}
    for text in everyone:
        logger.warning(text)
    for whom in dict.fromkeys(doubt.whom for doubt in doubts if doubt.whom):
        texts = describe_doubts([d for d in doubts if d.whom == whom], name_rows(labels))
        for text in texts:
            logger.warning(text)
        for row in whom:
            own.setdefault(labels[row], []).extend(texts)
    return Warned(
        tuple(everyone),
        {label: tuple(texts) for label, texts in own.items()},
        _list_by_file(doubts, labels),
    )


def _list_by_file(doubts: Sequence[Doubt], labels: Sequence[str]) -> dict[tuple[str, str], str]:
    """Claims that put predictions in doubt, by whose file ('' for everyone's) and flavor."""
    claims: dict[tuple[str, str], list[str]] = {}
    for doubt in doubts:
        for label in [labels[row] for row in doubt.whom] or [""]:
            if doubt.spoils:
                claims.setdefault((label, doubt.flavor.name), []).append(doubt.claim)
    return {key: "; ".join(several) for key, several in claims.items()}


def list_doubts(checks: Mapping[Flavor, InputCheck], model: Model) -> list[Doubt]:
    """List what is unlikely about values, order of edges, flavor and subjects."""
    training_means = model.training_means()

    def judge(check: InputCheck) -> list[Doubt]:
        return [*check.list_doubts(training_means), *check.list_duplicate_doubts()]

    found = run_parts(judge, checks.values(), CPU)
    return [*chain.from_iterable(found), *list_exchanged_doubts(checks)]


def list_scale_doubts(
    checks: Mapping[Flavor, InputCheck], model: Model, adaptation: Adaptation | None
) -> list[Doubt]:
    """List flavors in other units than the adaptation, or without one the model, expects."""
    training_means = model.training_means()

    def judge(flavor: Flavor) -> list[Doubt]:
        fit = adaptation.flavors.get(flavor) if adaptation else None
        if fit is not None and fit.mode.startswith("meanfit"):
            return checks[flavor].list_scale_doubts(fit.mean_new, "the cohort of its adaptation")
        if flavor in training_means:
            reference = training_means[flavor]
            return checks[flavor].list_scale_doubts(reference, "the model's training data")
        return []

    return [*chain.from_iterable(run_parts(judge, checks, CPU))]


def list_adaptation_doubts(
    checks: Mapping[Flavor, InputCheck], model: Model, adaptation: Adaptation | None
) -> list[Doubt]:
    """List what is unlikely about the cohort that a saved adaptation was fitted on."""
    training_means = model.training_means()
    fits = adaptation.flavors if adaptation else {}

    def judge(flavor: Flavor) -> list[Doubt]:
        theirs = judge_mean(flavor, fits[flavor].mean_new, training_means)
        own = checks[flavor].list_doubts(training_means) if theirs else ()
        known = {doubt.claim for doubt in own}
        return [
            replace(doubt, claim=f"its adaptation was fitted on a cohort that {doubt.claim}")
            for doubt in theirs
            if doubt.claim not in known
        ]

    flavors = [f for f in fits if f in checks and not _is_judged(checks[f], fits[f].mean_new)]
    return [*chain.from_iterable(run_parts(judge, flavors, CPU))]


def _is_judged(check: InputCheck, mean: NDArray[np.floating]) -> bool:
    """Whether a mean is that of the connectomes of a check, which judges it as a whole."""
    is_whole = len(check.unlike) in {0, check.n_subjects}
    return is_whole and np.array_equal(mean, check.mean.astype(mean.dtype))


def refuse_or_warn(
    checks: Mapping[Flavor, InputCheck], subjects: Sequence[str], model: Model, where: str
) -> tuple[str, ...]:
    """Judge the values of connectomes and the order of their edges; returns what was warned of.

    Parameters
    ----------
    subjects : sequence of str
        Labels of the rows.
    where : str
        The option that they were given by.

    Raises
    ------
    ConnectomeError
        If another order of regions or edges, or another flavor, fits far better.
    """
    doubts = list_doubts(checks, model)
    texts = describe_doubts(doubts, name_rows(subjects))
    check_certain(texts, doubts, where)
    return _warn(texts)


def warn_of_adaptation(
    checks: Mapping[Flavor, InputCheck],
    model: Model,
    adaptation: Adaptation | None,
    *,
    is_fitted_here: bool,
) -> tuple[str, ...]:
    """Judge the scale of connectomes and the cohort of an adaptation, and warn of them.

    Parameters
    ----------
    is_fitted_here : bool
        Whether the adaptation was fitted on connectomes that :func:`refuse_or_warn` has judged.
    """
    doubts = list_scale_doubts(checks, model, adaptation)
    if not is_fitted_here:
        doubts += list_adaptation_doubts(checks, model, adaptation)
    return _warn(describe_doubts(doubts, name_rows(())))


def warn_of_observed(checks: Mapping[Flavor, InputCheck], subjects: Sequence[str]) -> None:
    """Warn of observed connectomes that cannot be what they are called, or lie otherwise.

    Parameters
    ----------
    checks : mapping of Flavor to InputCheck
        Of observed connectomes, with the mean of their predictions for a training mean.
    subjects : sequence of str
        Labels of the rows.
    """
    doubts = []
    for flavor, check in checks.items():
        means = {} if check.training_mean is None else {flavor: check.training_mean}
        for doubt in (*check.list_doubts(means), *check.list_duplicate_doubts()):
            is_order = any(words.startswith("correlation") for words, _ in doubt.figures)
            claim = doubt.claim.removesuffix(": not used")
            claim = f"as observed: {claim}" + ", judged by its predictions" * is_order
            figures = () if is_order else doubt.figures  # they would speak of training
            doubts.append(replace(doubt, claim=claim, figures=figures))
    _warn(describe_doubts(doubts, name_rows(subjects)))


def _warn(texts: Sequence[str]) -> tuple[str, ...]:
    for text in texts:
        logger.warning(text)
    return tuple(texts)


def warn_of_unlike(members: Sequence[Member]) -> Warned:
    """Say, and log, in what the connectomes of one flavor were measured with different settings.

    One adaptation and one comparison cannot serve such a cohort. Connectomes whose sidecars do
    not have a field, such as those of other tools, are passed over.

    Returns
    -------
    Warned
        A sentence for everyone on each setting, whatever the number of flavors and subjects.
    """
    found = _collect(members)
    sentences = []
    for name, option in SETTINGS.items():
        flavors = {f: v for (key, f), v in found.items() if key == name and len(v) > 1}
        if flavors:
            sentences.append(_say(name, option, flavors))
    for sentence in sentences:
        logger.warning(sentence)
    return Warned(tuple(sentences))


def _collect(members: Sequence[Member]) -> dict[tuple[str, str], dict[str, list[str]]]:
    """Sessions by field, flavor and value."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for member in members:
        for flavor, measurement in sorted(member.measurements.items()):
            for name, value in measurement.settings.items():
                values = found.setdefault((name, flavor.name), {})
                values.setdefault(value, []).append(member.label)
    return found


def _say(name: str, option: str, flavors: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    first, values = next(iter(flavors.items()))
    more = f" (and {len(flavors) - 1} more flavors)" if len(flavors) > 1 else ""
    groups = ", ".join(
        f"{json.loads(value)} in {len(labels)} session(s) ({name_few(labels, NAMED)})"
        for value, labels in sorted(values.items(), key=lambda item: -len(item[1]))
    )
    return (
        f"the connectomes were not measured alike: {name} of {first}{more} is {groups}. What is "
        "adapted and compared together must be measured with the same settings: run the "
        f"participant level for all with one choice ({option}), or use an OUTPUT_DIR for each."
    )
