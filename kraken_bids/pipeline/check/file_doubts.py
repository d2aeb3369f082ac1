"""Connectome files that are not likely to be what they are called: refused, or warned of."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import Adaptation
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.cohort_doubts import (
    list_adaptation_doubts,
    list_doubts,
    list_scale_doubts,
)
from kraken_bids.scores.doubt_words import Doubt, check_certain, describe_doubts, name_rows
from kraken_bids.scores.plausibility import InputCheck

logger = logging.getLogger(__name__)


def refuse_or_warn(
    checks: Mapping[Flavor, InputCheck], subjects: Sequence[str], model: Model, where: str
) -> tuple[str, ...]:
    """Judge the values of connectomes and the order of their edges; returns what was warned of.

    Parameters
    ----------
    checks : mapping of Flavor to InputCheck
    subjects : sequence of str
        Labels of the rows.
    model : Model
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
    checks: Mapping[Flavor, InputCheck], model: Model, adaptation: Adaptation | None
) -> tuple[str, ...]:
    """Judge the scale of connectomes and the cohort of a saved adaptation, and warn of them."""
    doubts: list[Doubt] = [
        *list_scale_doubts(checks, model, adaptation),
        *list_adaptation_doubts(checks, model, adaptation),
    ]
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
        for doubt in (*check.list_doubts(means), *check.list_twin_doubts()):
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
