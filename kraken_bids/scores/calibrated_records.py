"""Records of calibrations: what tables and sidecars say of pairs of source and target."""

from dataclasses import dataclass

from kraken_bids.io.records import column

NOBODY = "nobody"
"""How the reason begins of a pair whose target was not measured at all."""


@dataclass(frozen=True)
class PairNames:
    """What is predicted from what."""

    source: str = column()
    target: str = column()


@dataclass(frozen=True)
class CalibratedPairRecord:
    """What a cohort says of the calibrated predictions of one target from one source."""

    source: str = column()
    target: str = column()
    n: int | None = column("sessions it was fitted on")
    n_subjects: int | None = column("subjects it was fitted on")
    n_folds: int | None = column("folds of the cross-validation; families are held out together")
    n_in_training: int | None = column(
        "of these subjects, how many have the label of one whom the model was trained on; if they "
        "are the same people, gain and coverage are too good and do not hold for others"
    )
    left_out: str = column(
        "sessions it was not fitted on since regions are missing in their measured target",
        default="",
    )
    slope: float | None = column(
        "median over edges of the slope: change of the calibrated value with the raw prediction"
    )
    correlation: float | None = column(
        "mean over edges of the correlation of predicted and measured values over people, to "
        "which each edge's was shrunk"
    )
    kept: float | None = column(
        "share of the slopes that cross-validation has left; 0: everybody gets the mean"
    )
    gain: float | None = column(
        "gain over the mean in held-out people: 1 - squared error over that of the mean of the "
        "others"
    )
    gain_low: float | None = column("lower end of its 95 % bootstrap interval over people")
    gain_high: float | None = column("upper end of it")
    gain_p: float | None = column("its permutation p-value: predictions dealt out to other people")
    gain_people_low: float | None = column("2.5 of 100 people gain less than this")
    gain_people_high: float | None = column("2.5 of 100 people gain more than this")
    r2: float | None = column("share of an edge's variance that is predicted in held-out people")
    ceiling_share: float | None = column(
        "share of the demeaned correlation of a second measurement that raw predictions reach"
    )
    promised: float | None = column("share of measured edges that intervals promise to hold")
    coverage: float | None = column(
        "share that they held in people of a fold without whom everything was fitted"
    )
    coverage_within: float | None = column("the same of edges within hemispheres")
    coverage_between: float | None = column("the same of edges between hemispheres")
    coverage_q1: float | None = column("the same of the quarter of edges of the smallest mean")
    coverage_q2: float | None = column("the same of the second quarter")
    coverage_q3: float | None = column("the same of the third quarter")
    coverage_q4: float | None = column("the same of the quarter of the largest mean")
    coverage_weakest_class: float | None = column("lowest coverage of these classes of edges")
    weakest_class: str = column("which class that is", default="")
    coverage_lowest_person: float | None = column("lowest coverage of a person's edges")
    n_judged: int | None = column(
        "sessions of this dataset in which the target was measured and that were not fitted on"
    )
    gain_judged: float | None = column("mean gain over the mean in these")
    coverage_judged: float | None = column("share of their measured edges within the intervals")
    reason: str = column(
        "why there is no calibration, where there is none", default="", at_end=True
    )


@dataclass(frozen=True)
class CalibratedRecord:
    """What is known of one calibrated prediction of one session."""

    held_out: int = column(
        "1 where the calibration was fitted without this subject's fold, since the target was "
        "measured; 0 where it was fitted on others only",
        default=0,
    )
    gain: float | None = column(
        "gain over the mean of the others; of a session without a measured target that of the "
        "people in whom it was measured"
    )
    gain_low: float | None = column(
        "how low it gets with the people fitted on (1.96 standard errors by the jackknife over "
        "folds; not an interval of what is true of this person, which it holds less often), or, "
        "without a measured target, the gain that 2.5 of 100 people stay below"
    )
    gain_high: float | None = column("how high it gets, likewise")
    ceiling_share: float | None = column(
        "share of the demeaned correlation of a second measurement that raw predictions of this "
        "target reach in the cohort"
    )
    rank: int | None = column("rank of the own prediction among those of other people; 1 is best")
    rank_n: int | None = column("sessions ranked")
    null_percentile: float | None = column(
        "share of the other people's predictions that match this person's connectome less well"
    )
    coverage: float | None = column("share of this session's measured edges within the intervals")
    interval_coverage: float | None = column("share of edges that intervals promise to hold")
    n_fitted: int | None = column("sessions that the calibration was fitted on")
    slope: float | None = column("median over edges of its slope")
