"""Records of quality control: what tables and sidecars say of inputs, predictions and flavors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from kraken_bids.flavors import Flavor
from kraken_bids.io.facts import Facts
from kraken_bids.io.records import column, from_sidecar
from kraken_bids.scores.doubt_words import ABOUT, MEAN, NOT_JUDGED
from kraken_bids.scores.individuality import Evidence
from kraken_bids.scores.latent_consistency import MIN_FIT
from kraken_bids.scores.novelty import FAR_Z
from kraken_bids.scores.second_measurements import BASES

METRIC_WORDS = {
    "top1acc": "share of subjects whose own prediction is closest to their measured connectome",
    "top2acc": "share of subjects whose own prediction is among the two closest",
    "avgrank": "mean of 1 - rank/n of the own prediction; 1 is perfect, (n+1)/2n chance",
    "avgcorr": "mean correlation of measured and predicted edges",
    "avgcorr_resid": "the same after the cohort's mean is subtracted from both",
    "explainedvar": "1 - variance of the error over variance, over subjects, all edges",
    "r2": "share of an edge's variance that is predicted, mean over edges; negative if worse than "
    "the mean of these subjects",
    "gain": "1 - squared error over that of the group mean, which is taken over other people",
    "baseline_avgcorr": "mean correlation of measured edges and that group mean: what is reached "
    "without knowing anything of the person",
    "cal_gain": "gain of the calibrated prediction, calibration fitted on other people",
    "cal_r2": "r2 of the same",
    "pls_avgcorr": "avgcorr of the peer: partial least squares from the same inputs, fitted on "
    "other people",
    "pls_avgcorr_resid": "avgcorr_resid of the peer",
    "pls_avgrank": "avgrank of the peer",
    "pls_top1acc": "top1acc of the peer",
    "pls_gain": "gain of the peer",
    "ceiling_avgcorr_resid": "avgcorr_resid of a second measurement of the same person; see basis",
    "ceiling_avgrank": "avgrank of the second measurement",
    "ceiling_top1acc": "top1acc of the second measurement",
    "ceiling_share": "avgcorr_resid over its ceiling",
    "n": "sessions that were compared",
}
PREDICTION_METRICS = tuple(METRIC_WORDS)[:9]
"""What is said of any prediction whose connectome was measured."""
VERDICT_LEVELS = {
    ABOUT: "it explains part of what sets this person apart from the group",
    MEAN: "it tells no more of this person than the mean of the group does",
    NOT_JUDGED: "too few subjects have both, or a file that it rests on is unusual; see reason",
}
CROSS_MODAL = {"FC": "fusionSC", "SC": "fusionFC"}
"""Source of the predictions from the other modality, by group of the target."""
MIN_SEEN = 0.05
"""A connectome of which the model sees less than this share is no input that says much."""


@dataclass(frozen=True)
class CrossModalScore:
    """How a measured connectome compares with its prediction from the other modality."""

    cross_modal_r: float | None = column(
        "correlation with the prediction from the other modality", key="CrossModalCorrelation"
    )
    cross_modal_r_resid: float | None = column(
        "the same, less the cohort's mean and the training mean",
        key="CrossModalCorrelationResidual",
    )
    cross_modal_rank: int | None = column("rank of the own prediction among everyone's; 1 is best")
    cross_modal_n: int | None = column("subjects compared", key="CrossModalRankOf")
    group_mean_r: float | None = column(
        "correlation with the mean of other people", key="GroupMeanCorrelation"
    )


@dataclass(frozen=True)
class Metric:
    """How well one source predicts one target over the cohort."""

    source: str = column()
    target: str = column()
    metric: str = column(levels=METRIC_WORDS)
    value: float = column()
    p: float | None = column("permutation p-value: predictions dealt out to other people")
    low: float | None = column("lower end of the 95 % bootstrap interval over people")
    high: float | None = column("upper end of it")
    n: int | None = column("sessions that were compared")
    basis: str | None = column(levels=BASES)


@dataclass(frozen=True)
class Conclusion:
    """What to make of one measured connectome as an input of the model."""

    trust: str = column(
        "ok: nothing unusual; check: see note; not seen: less than 5 % of what sets the "
        "connectome apart from the training mean is seen by the model; n/a: too few subjects to "
        "say",
        key="Verdict",
    )
    note: str | None = column("what is unusual, in words")


@dataclass(frozen=True)
class InputQuality:
    """What is known of one measured connectome as an input; None where it cannot be known."""

    outside_share: float | None = column(
        "share of the adapted input's variance around the training mean that the model's "
        "transform does not see"
    )
    outside_share_training: float | None = column(in_table=False)
    outside_ratio: float | None = column(
        "that share over the share of the training data; new subjects are above 1"
    )
    input_distance: float | None = column(
        "distance of the adapted input from the training mean; 1 is the root mean square of the "
        "training data"
    )
    latent_fit: float | None = column(
        "log odds that the latent belongs to the session's other latents; below -3 it does not fit"
    )
    latent_rank: int | None = column(
        "rank of the session's own other latents among everyone's, by how well they fit this "
        "file's; 1 is best"
    )
    latent_rank_n: int | None = column("subjects ranked", key="LatentRankOf")
    latent_best_match: str | None = column(
        "whose other latents fit this file's best among the other subjects"
    )
    latent_distance: float | None = column(
        "distance of the latent from the cohort's median latent of the flavor"
    )
    latent_distance_z: float | None = column("robust z of that distance; above 5 it is unusual")
    cross_modal: CrossModalScore = field(default_factory=CrossModalScore)
    """Comparison with the prediction from the other modality."""
    outside_z: float | None = None
    """Robust z of the logarithm of the share in the cohort."""
    input_distance_z: float | None = None
    """The same of the distance."""
    fits_elsewhere: bool = False
    """Whether the other latents of the best match fit as one subject's files do."""
    swapped_with: str | None = None
    """Whose file fits here, while this one fits there."""
    scans_swapped_with: str | None = None
    """Whose scans of one modality fit those of the other here, while these fit there."""
    is_judged: bool = False
    """Whether the cohort is large enough to call something in it unusual."""
    flavor_note: str = ""
    """What to say of the flavor where many of its files are inconsistent, not of this file."""
    finding: str = ""
    """What was found wrong with the file itself, as of its values and the order of its regions."""
    label: str = field(default="", repr=False)
    """``sub-01``, for words."""

    @property
    def conclusion(self) -> Conclusion:
        """Verdict and note, as files hold them."""
        return Conclusion(self.verdict, self.note or None)

    @property
    def is_inconsistent(self) -> bool:
        """Whether its latent does not belong to the session's other latents."""
        return self.latent_fit is not None and self.latent_fit < MIN_FIT

    @property
    def verdict(self) -> str:
        """``check``, ``not seen``, ``ok``, or ``n/a`` where the cohort is too small to say."""
        if self.note:
            return "check"
        if self.outside_share is not None and self.outside_share > 1 - MIN_SEEN:
            return "not seen"
        return "ok" if self.is_judged else "n/a"

    @cached_property
    def note(self) -> str:
        """What is unusual about the file, in plain words; empty where nothing is."""
        words = (self.finding, self.describe_scans(), self._describe_fit(), self._describe_place())
        return "; ".join(filter(None, words))

    def describe_scans(self) -> str:
        """Say what concerns all the session's files; empty where nothing does."""
        if not self.is_judged or not self.scans_swapped_with:
            return ""
        return (
            f"{self.label}'s structural files do not fit its functional ones; they fit those of "
            f"{self.scans_swapped_with}, and theirs fit here: were scans of the two swapped?"
        )

    def _describe_fit(self) -> str:
        if not self.is_judged or not (self.is_inconsistent or self.swapped_with):
            return ""
        if self.flavor_note and not self.swapped_with:
            return self.flavor_note
        if self.latent_rank == 1:
            return f"agrees little with {self.label}'s other files, though with nobody's more"
        rank = f"rank {self.latent_rank} of {self.latent_rank_n}"
        words = f"does not fit {self.label}'s other files: {rank}"
        if self.swapped_with:
            return (
                f"{words}; it fits {self.swapped_with}'s best, and theirs fits here: were the two "
                "swapped?"
            )
        if self.fits_elsewhere:
            return f"{words}; it fits {self.latent_best_match}'s best"
        return f"{words}, and nobody's well"

    def _describe_place(self) -> str:
        share = f"{self.outside_share or 0:.0%} of its variance lies outside what the model sees"
        claims = (
            (self.outside_z, f"{share}, more than in others"),
            (self.input_distance_z, "it lies farther from the training mean than others"),
            (self.latent_distance_z, "its latent lies far from the cohort's"),
        )
        known = ((z, claim) for z, claim in claims if z is not None)
        return "; ".join(f"{claim} (z = {z:.1f})" for z, claim in known if z > FAR_Z)


@dataclass(frozen=True)
class Verdict:
    """What is known of one predicted connectome of one session."""

    verdict: str = column(levels=VERDICT_LEVELS)
    reason: str = column("what the verdict rests on", at_end=True)
    evidence: Evidence | None = None
    explained: float | None = column(
        "share of what sets this person apart from the group's mean that the prediction explains; "
        "negative where it errs more than the mean does; n/a where not measured",
        key="ExplainedOfThisPerson",
    )
    rank: int | None = column(
        "rank of the own prediction among everyone's for the measured connectome; 1 is best",
        key="RankOfThisPerson",
    )
    explained_people: float | None = column(
        "share of the differences between subjects that such predictions explain, measured edges "
        "being adapted first",
        key="ExplainedOverPeople",
        init=False,
    )
    average_rank: float | None = column(
        "average rank of such predictions; 1 is perfect, (n+1)/2n chance", init=False
    )
    n: int | None = column("sessions that were compared", key="PeopleCompared", init=False)

    def __post_init__(self) -> None:
        """Take over what the evidence says."""
        if (found := self.evidence) is not None:
            known = {"average_rank": found.average_rank, "n": found.n_subjects}
            for name, value in {"explained_people": found.explained, **known}.items():
                object.__setattr__(self, name, value)


Verdicts = Mapping[tuple[int, str, Flavor], Verdict]
"""By index of the member, name of the source, and target."""


@dataclass(frozen=True)
class Entry:
    """What the latents' sidecar says of one measured connectome."""

    conclusion: Conclusion
    quality: InputQuality
    cross_modal: CrossModalScore


def read_inputs(latents: Facts) -> dict[str, Entry]:
    """Read the entries of a session's inputs, by flavor, from the sidecar of its latents."""
    return {
        name: Entry(
            from_sidecar(Conclusion, entry),
            from_sidecar(InputQuality, entry),
            from_sidecar(CrossModalScore, entry),
        )
        for name, entry in latents.part("Trust").by_name().items()
    }
