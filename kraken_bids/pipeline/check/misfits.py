"""Whose structure and function do not fit each other, as the predictions across them say."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kraken_bids.cohort.from_dataset import Member
from kraken_bids.flavors import Flavor
from kraken_bids.pipeline.check.cohort_scores import CROSS_MODAL
from kraken_bids.pipeline.check.prediction_verdicts import Verdict
from kraken_bids.scores.doubt_words import ABOUT, MEAN, NOT_JUDGED

logger = logging.getLogger(__name__)

MIN_PREDICTIONS = 2
FEW, MOST = 1 / 4, 3 / 4
"""A person of whom so few predictions are, while of half the people most are, may not fit."""
CLEARLY_WORSE = -0.04
"""Mean share explained below which predictions are about somebody else, whoever that is."""
MANY_PEOPLE = 1 / 4
"""Such a share of people, and more than two, are not all wrong: then the model does not bring
function and structure together."""

Verdicts = Mapping[tuple[int, str, Flavor], Verdict]


def find_misfits(members: Sequence[Member], verdicts: Verdicts) -> dict[int, str]:
    """Find those of whom hardly any prediction across modalities is, and log them.

    Only predictions that work in the cohort count: they explain something over people, and find
    them more often than by chance. It sees what agreement of latents does not: a pair of whole
    scans that were swapped between two people who resemble each other. Named is who fits another
    person who fits back, or of whom no prediction is and all err clearly more than the mean does.

    Returns
    -------
    dict
        What to say, by index of the member.
    """
    found: dict[int, list[Verdict]] = {}
    for (index, source, target), verdict in verdicts.items():
        known = verdict.evidence
        works = known is not None and known.beats_mean and known.tells_apart
        is_compared = verdict.word in {ABOUT, MEAN} and verdict.rank is not None
        if source == CROSS_MODAL[target.group] and is_compared and works:
            found.setdefault(index, []).append(verdict)
    enough = {index: own for index, own in found.items() if len(own) >= MIN_PREDICTIONS}
    shares = {k: float(np.mean([v.word == ABOUT for v in own])) for k, own in enough.items()}
    nearest = {index: _find_nearest(index, own) for index, own in enough.items()}
    if not shares or np.median(list(shares.values())) < MOST:
        return {}
    texts = {}
    for index, share in shares.items():
        partner = nearest[index]
        is_mutual = partner not in {None, index} and nearest.get(partner) == index
        explained = np.mean([verdict.explained for verdict in enough[index]])
        if share <= FEW and (is_mutual or (share == 0 and explained < CLEARLY_WORSE)):
            other = members[partner].label if is_mutual and partner is not None else ""
            texts[index] = _describe(enough[index], other)
    if len(texts) > max(2, MANY_PEOPLE * len(shares)):
        return {}
    for index, text in texts.items():
        logger.warning("%s: %s", members[index].label, text)
    return texts


def _find_nearest(index: int, own: Sequence[Verdict]) -> int | None:
    """Find whose predictions resemble this person's measured connectomes most often."""
    found = [verdict.evidence.nearest.get(index) for verdict in own if verdict.evidence]
    known = [other for other in found if other is not None]
    return max(sorted(set(known)), key=known.count) if known else None


def _describe(own: Sequence[Verdict], other: str) -> str:
    n_about = sum(verdict.word == ABOUT for verdict in own)
    fit = f"they fit {other}'s, and {other}'s fit these; were" if other else "were"
    return (
        f"Structure and function do not fit each other: {n_about} of {len(own)} predictions from "
        f"one to the other that work in this cohort are about this person; {fit} scans swapped?"
    )


def doubt_predictions(
    verdicts: Verdicts, misfits: Mapping[int, str]
) -> dict[tuple[int, str, Flavor], Verdict]:
    """Take back the verdicts on people of whom it is not known whose scans they are."""
    return {
        key: replace(
            verdict,
            word=NOT_JUDGED,
            reason="structure and function do not fit each other: find out whose scans these are",
        )
        if key[0] in misfits
        else verdict
        for key, verdict in verdicts.items()
    }
