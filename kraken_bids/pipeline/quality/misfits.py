"""Whose structure and function do not fit each other, as the predictions across them say."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kraken_bids.flavors import Flavor
from kraken_bids.pipeline.predictions.cohort import Member
from kraken_bids.pipeline.quality.scores import CROSS_MODAL
from kraken_bids.pipeline.quality.verdicts import ABOUT, MEAN, NOT_JUDGED, Verdict

logger = logging.getLogger(__name__)

MIN_PREDICTIONS = 2
FEW, MOST = 1 / 4, 3 / 4
"""A person of whom so few predictions are, while of half the people most are, does not fit."""
MANY_PEOPLE = 1 / 4
"""Such a share of people are not all wrong: then the model does not bring them together."""

Verdicts = Mapping[tuple[int, str, Flavor], Verdict]


def find_misfits(members: Sequence[Member], verdicts: Verdicts) -> dict[int, str]:
    """Find those of whom hardly any prediction across modalities is, and log them.

    Only predictions that work in the cohort count: they explain something over people, and find
    them more often than by chance. It sees what agreement of latents does not: a pair of whole
    scans that were swapped between two people who resemble each other.

    Returns
    -------
    dict
        What to say, by index of the member.
    """
    found: dict[int, list[bool]] = {}
    for (index, source, target), verdict in verdicts.items():
        known = verdict.evidence
        works = known is not None and known.beats_mean and known.tells_apart
        is_compared = verdict.word in {ABOUT, MEAN} and verdict.rank is not None
        if source == CROSS_MODAL[target.group] and is_compared and works:
            found.setdefault(index, []).append(verdict.word == ABOUT)
    enough = {index: own for index, own in found.items() if len(own) >= MIN_PREDICTIONS}
    shares = {index: float(np.mean(own)) for index, own in enough.items()}
    few = [index for index, share in shares.items() if share <= FEW]
    if not few or np.median(list(shares.values())) < MOST or len(few) > MANY_PEOPLE * len(shares):
        return {}
    texts = {}
    for index in few:
        own = enough[index]
        texts[index] = (
            f"Structure and function do not fit each other: of {len(own)} predictions from one "
            f"to the other that work in this cohort {sum(own)} are about this person. Were scans "
            "swapped between people?"
        )
        logger.warning("%s: %s", members[index].label, texts[index])
    return texts


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
