"""One verdict per prediction: about this person, no better than the group mean, or not judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kraken_bids.cohort.from_dataset import Member
from kraken_bids.cohort.sources import Source
from kraken_bids.flavors import Flavor
from kraken_bids.pipeline.check.cohort_scores import CROSS_MODAL
from kraken_bids.pipeline.check.input_trust import FileTrust
from kraken_bids.scores.doubt_words import ABOUT, MEAN, NOT_JUDGED
from kraken_bids.scores.individuality import Evidence

ALONE = (
    "too few people are compared: run the group level once at least five have both functional and "
    "structural connectomes"
)
"""Why nothing is said of predictions that no cohort was compared with."""


@dataclass(frozen=True)
class Verdict:
    """What is known of one predicted connectome of one session."""

    word: str
    """:data:`ABOUT`, :data:`MEAN` or :data:`NOT_JUDGED`."""
    reason: str
    """In plain words, without full stop."""
    evidence: Evidence | None = None
    explained: float | None = None
    """Share of what sets this person apart from the group's mean; None without a measurement."""
    rank: int | None = None
    """Of the own prediction among everyone's."""

    def describe(self) -> dict[str, object]:
        """Fields of a sidecar; what is not known is left out."""
        fields = {
            "Verdict": self.word,
            "Reason": self.reason,
            "ExplainedOfThisPerson": self.explained,
            "RankOfThisPerson": self.rank,
            "ExplainedOverPeople": self.evidence and self.evidence.explained,
            "AverageRank": self.evidence and self.evidence.average_rank,
            "PeopleCompared": self.evidence and self.evidence.n_people,
        }
        return {key: value for key, value in fields.items() if value is not None}


@dataclass(frozen=True)
class Judge:
    """What verdicts on a cohort's predictions rest on."""

    members: Sequence[Member]
    evidence: Mapping[tuple[str, Flavor], Evidence]
    """By name of the source, and target."""
    trust: Mapping[tuple[int, Flavor], FileTrust]
    """Of every input, by index of the member."""

    def judge(self, index: int, source: Source, target: Flavor) -> Verdict:
        """Judge one prediction of one member.

        Where the target was measured, the prediction is compared with it. Where it was not, what
        the people show who have both function and structure holds for this person too.
        """
        inputs = [f for f in source.flavors if source.has_input[f][index]]
        doubtful = [f for f in (*inputs, target) if self._is_doubtful(index, f)]
        if doubtful:
            names = ", ".join(dict.fromkeys(flavor.name for flavor in doubtful))
            return Verdict(NOT_JUDGED, f"{names}: look at what is unusual about it first")
        own = self.evidence.get((source.name, target))
        if own is not None and own.is_enough and index in own.people:
            return _judge_measured(own, index, is_input=target in inputs)
        other = self.evidence.get((CROSS_MODAL[target.group], target))
        if other is None or not other.is_enough:
            return Verdict(NOT_JUDGED, ALONE)
        return _judge_unmeasured(other, has_modality=target.group in {f.group for f in inputs})

    def _is_doubtful(self, index: int, flavor: Flavor) -> bool:
        """Whether something is unusual about a file that is not so of its flavor as a whole."""
        file = self.trust.get((index, flavor))
        return file is not None and bool(file.note) and file.note != file.common_misfit


def judge_predictions(
    judge: Judge, sources: Sequence[Source], targets: Sequence[Flavor]
) -> dict[tuple[int, str, Flavor], Verdict]:
    """Judge every prediction of every member: by index of the member, source and target."""
    return {
        (index, source.name, target): judge.judge(index, source, target)
        for index in range(len(judge.members))
        for source in sources
        if source.n_inputs[index]
        for target in targets
    }


def _judge_measured(found: Evidence, index: int, *, is_input: bool) -> Verdict:
    explained, rank = found.people[index]
    basis = "its measured connectome, which was among the inputs" if is_input else (
        "its measured connectome, which was no input"
    )  # fmt: skip
    facts = (
        f"compared with {basis}: explains {explained:.1%} of what sets this person apart, rank "
        f"{rank} of {found.n_people}"
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
    """Say what the people show in whom both are known."""
    told = "" if found.tells_apart else ", not above chance"
    return (
        f"in the {found.n_people} people in whom it was measured such predictions explain "
        f"{found.explained:.1%} of the differences between people (average rank "
        f"{found.average_rank:.2f}{told})"
    )
