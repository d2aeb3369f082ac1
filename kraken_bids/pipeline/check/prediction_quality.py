"""One verdict per prediction: about this person, no better than the group mean, or not judged."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sources import Source
from kraken_bids.flavors import Flavor
from kraken_bids.scores.doubt_words import ABOUT, MEAN, NOT_JUDGED
from kraken_bids.scores.individuality import Evidence
from kraken_bids.scores.quality_control import CROSS_MODAL, InputQuality, Verdict, Verdicts

logger = logging.getLogger(__name__)

ALONE = (
    "too few subjects are compared: run the group level once at least five have both functional "
    "and structural connectomes"
)
"""Why nothing is said of predictions that no cohort was compared with."""


MIN_PREDICTIONS = 2
FEW, MOST = 1 / 4, 3 / 4
"""A subject of whom so few predictions are, while of half the subjects most are, may not fit."""
CLEARLY_WORSE = -0.04
"""Mean share explained below which predictions are about somebody else, whoever that is."""
MANY_SUBJECTS = 1 / 4
"""Such a share of subjects, and more than two, are not all wrong: then the model does not bring
function and structure together."""
UNSURE = "structure and function do not fit each other: find out whose scans these are"


@dataclass(frozen=True)
class Judge:
    """What verdicts on a cohort's predictions rest on."""

    members: Sequence[Member]
    evidence: Mapping[tuple[str, Flavor], Evidence]
    """By name of the source, and target."""
    inputs: Mapping[tuple[int, Flavor], InputQuality]
    """Of every input, by index of the member."""

    def judge(self, index: int, source: Source, target: Flavor) -> Verdict:
        """Judge one prediction of one member.

        Where the target was measured, the prediction is compared with it. Where it was not, what
        the subjects show who have both function and structure holds for this subject too.
        """
        inputs = [f for f in source.flavors if source.has_input[f][index]]
        unusual = [f for f in (*inputs, target) if self._is_unusual(index, f)]
        if unusual:
            names = ", ".join(dict.fromkeys(flavor.name for flavor in unusual))
            return Verdict(NOT_JUDGED, f"{names}: look at what is unusual about it first")
        own = self.evidence.get((source.name, target))
        if own is not None and own.is_enough and index in own.subjects:
            return _judge_measured(own, index, is_input=target in inputs)
        other = self.evidence.get((CROSS_MODAL[target.group], target))
        if other is None or not other.is_enough:
            return Verdict(NOT_JUDGED, ALONE)
        return _judge_unmeasured(other, has_modality=target.group in {f.group for f in inputs})

    def _is_unusual(self, index: int, flavor: Flavor) -> bool:
        """Whether something is unusual about a file that is not so of its flavor as a whole."""
        file = self.inputs.get((index, flavor))
        return file is not None and bool(file.note) and file.note != file.flavor_note


def judge_predictions(
    judge: Judge, sources: Sequence[Source], targets: Sequence[Flavor]
) -> dict[tuple[int, str, Flavor], Verdict]:
    """Judge every prediction of every member."""
    return {
        (index, source.name, target): judge.judge(index, source, target)
        for index in range(len(judge.members))
        for source in sources
        if source.n_inputs[index]
        for target in targets
    }


def _judge_measured(found: Evidence, index: int, *, is_input: bool) -> Verdict:
    explained, rank = found.subjects[index]
    basis = "its measured connectome, which was among the inputs" if is_input else (
        "its measured connectome, which was no input"
    )  # fmt: skip
    facts = (
        f"compared with {basis}: explains {explained:.1%} of what sets this person apart, rank "
        f"{rank} of {found.n_subjects}"
    )
    if found.is_about(index):
        return Verdict(ABOUT, facts, found, explained, rank)
    if not (found.beats_mean and found.tells_apart):
        facts = f"{_describe(found)}; {facts}"
    return Verdict(MEAN, facts, found, explained, rank)


def _judge_unmeasured(found: Evidence, *, has_modality: bool) -> Verdict:
    if found.beats_mean and found.tells_apart:
        return Verdict(ABOUT, f"not measured here; {_describe(found)}", found)
    if has_modality:
        return Verdict(
            NOT_JUDGED,
            "not measured here; others of its modality were, and what they add cannot be told",
            found,
        )
    return Verdict(MEAN, f"not measured here; {_describe(found)}", found)


def _describe(found: Evidence) -> str:
    """Say what the subjects show in whom both are known."""
    told = "" if found.tells_apart else ", not above chance"
    return (
        f"in the {found.n_subjects} subjects in whom it was measured such predictions explain "
        f"{found.explained:.1%} of the differences between subjects (average rank "
        f"{found.average_rank:.2f}{told})"
    )


def find_mismatched(members: Sequence[Member], verdicts: Verdicts) -> dict[int, str]:
    """Find those of whom hardly any prediction across modalities is, and log them.

    Only predictions that work in the cohort count: they explain something over subjects, and find
    them more often than by chance. It sees what agreement of latents does not: a pair of whole
    scans that were swapped between two subjects who resemble each other. Named is who fits another
    subject who fits back, or of whom no prediction is and all err clearly more than the mean does.

    Returns
    -------
    dict
        What to say, by index of the member.
    """
    found: dict[int, list[Verdict]] = {}
    for (index, source, target), verdict in verdicts.items():
        known = verdict.evidence
        works = known is not None and known.beats_mean and known.tells_apart
        is_compared = verdict.verdict in {ABOUT, MEAN} and verdict.rank is not None
        if source == CROSS_MODAL[target.group] and is_compared and works:
            found.setdefault(index, []).append(verdict)
    enough = {index: own for index, own in found.items() if len(own) >= MIN_PREDICTIONS}
    shares = {k: float(np.mean([v.verdict == ABOUT for v in own])) for k, own in enough.items()}
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
            texts[index] = _describe_mismatch(enough[index], other)
    if len(texts) > max(2, MANY_SUBJECTS * len(shares)):
        return {}
    for index, text in texts.items():
        logger.warning("%s: %s", members[index].label, text)
    return texts


def _find_nearest(index: int, own: Sequence[Verdict]) -> int | None:
    """Find whose predictions resemble this subject's measured connectomes most often."""
    found = [verdict.evidence.nearest.get(index) for verdict in own if verdict.evidence]
    known = [other for other in found if other is not None]
    return max(sorted(set(known)), key=known.count) if known else None


def _describe_mismatch(own: Sequence[Verdict], other: str) -> str:
    n_about = sum(verdict.verdict == ABOUT for verdict in own)
    fit = f"they fit {other}'s, and {other}'s fit these; were" if other else "were"
    return (
        f"Structure and function do not fit each other: {n_about} of {len(own)} predictions from "
        f"one to the other that work in this cohort are about this person; {fit} scans swapped?"
    )


def withdraw_verdicts(
    verdicts: Verdicts, mismatched: Mapping[int, str]
) -> dict[tuple[int, str, Flavor], Verdict]:
    """Take back the verdicts on subjects of whom it is not known whose scans they are."""
    return {
        key: replace(verdict, verdict=NOT_JUDGED, reason=UNSURE)
        if key[0] in mismatched
        else verdict
        for key, verdict in verdicts.items()
    }
