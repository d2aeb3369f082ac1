"""What calibrated predictions are worth, in words: of a target in the group, of one person."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from kraken_bids.report.words import DASH, format_fixed, format_share
from kraken_bids.scores.calibrated_records import CalibratedPairRecord, CalibratedRecord
from kraken_bids.scores.doubt_words import MEAN, NOT_JUDGED
from kraken_bids.scores.individuality import MIN_EXPLAINED

PEOPLE, HARDLY, MAYBE = "about people", "hardly more than the mean", "uncertain"
HERE, NOT_HERE, EXPECTED = "about this person", "not in this person", "not measured"
MAX_P = 0.05


@dataclass(frozen=True)
class Claim:
    """A verdict in a word or two, and the sentence that says why."""

    verdict: str
    reason: str


def format_signed(share: float | None) -> str:
    """Write a share that may be below 0 as per cent."""
    if share is None or not math.isfinite(share):
        return DASH
    digits = 1 if abs(share) < 0.1 else 0
    return f"{100 * share:z.{digits}f}\u00a0%".replace("-", "−")


def format_range(low: float | None, high: float | None) -> str:
    """Write an interval of shares; '' where it is not known."""
    if low is None or high is None:
        return ""
    return f"{format_signed(low)} to {format_signed(high)}"


def beats_mean(pair: CalibratedPairRecord) -> bool:
    """Whether calibrated predictions err less than the mean in people who were held out."""
    return bool(pair.gain is not None and (pair.gain_low or 0.0) > 0 and pair.kept != 0)


def judge_pair(pair: CalibratedPairRecord, metrics: Mapping[str, float]) -> Claim:
    """Say of a target whether its predictions are about people, or the mean in disguise.

    Parameters
    ----------
    metrics : mapping of str to float
        Of the raw predictions, by name, as far as they are known.
    """
    if pair.gain is None:
        return Claim(NOT_JUDGED, pair.reason or "nothing was calibrated")
    claim = _judge_gain(pair, pair.gain, metrics)
    return Claim(claim.verdict, claim.reason + _doubt_subjects(pair))


def _doubt_subjects(pair: CalibratedPairRecord | None) -> str:
    """Say that the model may know the people by whom it was judged; '' where nothing tells so."""
    if pair is None or not pair.n_in_training:
        return ""
    return (
        f" But {pair.n_in_training} of the {pair.n_subjects} people it was judged by are named as "
        "training subjects of the model: if they are the same people, it does not hold for others."
    )


def _judge_gain(pair: CalibratedPairRecord, value: float, metrics: Mapping[str, float]) -> Claim:
    interval = format_range(pair.gain_low, pair.gain_high)
    gain = f"{format_signed(value)} ({interval})" if interval else format_signed(value)
    if beats_mean(pair):
        is_much = value >= MIN_EXPLAINED
        return Claim(
            PEOPLE if is_much else HARDLY,
            f"In people held out it explains {gain} of what sets a person apart from the mean"
            f"{'' if is_much else ': too little to count on'}.{_compare_raw(metrics)}",
        )
    nothing = f"In people held out it explains {gain} of what sets a person apart from the mean"
    if pair.kept == 0:
        nothing = (
            "Nothing of the raw predictions proved right in people held out: the calibrated one "
            "is the mean for everybody"
        )
    p = metrics.get("avgrank_p")
    if p is not None and p < MAX_P:
        return Claim(
            MAYBE,
            f"{nothing}, although raw predictions find the right person more often than by chance "
            f"(p = {p:.2g}): more people would tell.{_compare_raw(metrics)}",
        )
    return Claim(MEAN, f"{nothing}.{_compare_raw(metrics)}")


def _compare_raw(metrics: Mapping[str, float]) -> str:
    """Say how little a high correlation of the raw prediction means; '' where it is not known."""
    raw, baseline = metrics.get("avgcorr"), metrics.get("baseline_avgcorr")
    if raw is None or baseline is None:
        return ""
    return (
        f" The raw prediction correlates {format_fixed(raw)} with what was measured; the mean of "
        f"the other people does so by {format_fixed(baseline)}."
    )


def judge_subject(own: CalibratedRecord, pair: CalibratedPairRecord | None) -> Claim:
    """Say what a calibrated prediction is worth for one person.

    Parameters
    ----------
    pair : CalibratedPairRecord or None
        The same target in the group; None where that is not known.
    """
    claim = _judge_own(own, pair)
    return Claim(claim.verdict, claim.reason + _doubt_subjects(pair))


def _judge_own(own: CalibratedRecord, pair: CalibratedPairRecord | None) -> Claim:
    # half of the edges of sparse structure may be 0 in everybody, which have no slope
    is_unknown = own.slope == 0 and not own.gain
    if is_unknown if pair is None else pair.kept == 0:
        return Claim(
            MEAN,
            "What is written here is the group's mean: too little of such predictions proved "
            "right in other people to be kept. Do not read it as this person's connectome.",
        )
    if pair is not None and not beats_mean(pair):
        return Claim(
            MEAN,
            "In other people such predictions proved no better than the group's mean, from which "
            "what is written here hardly differs. Do not read it as this person's connectome.",
        )
    if pair is not None and pair.gain is not None and pair.gain < MIN_EXPLAINED:
        return Claim(
            HARDLY,
            f"In other people such predictions explain {format_signed(pair.gain)} of what sets a "
            "person apart from the mean: too little to count on for any one person.",
        )
    if own.gain is None:
        return Claim(NOT_JUDGED, "It is not known what such predictions are worth.")
    if own.coverage is None:
        among = format_range(own.gain_low, own.gain_high)
        return Claim(
            EXPECTED,
            f"Not measured in this person. In people in whom it was, such predictions explain "
            f"{format_signed(own.gain)} of what sets a person apart from the mean"
            f"{f' (19 of 20 people: {among})' if among else ''}. Use it with its intervals, in "
            "groups rather than for a diagnosis.",
        )
    return _judge_measured(own)


def _judge_measured(own: CalibratedRecord) -> Claim:
    gain, interval = format_signed(own.gain), format_range(own.gain_low, own.gain_high)
    if (own.gain_low or 0.0) <= 0:
        return Claim(
            NOT_HERE,
            "In other people such predictions explain part of what sets them apart from the mean, "
            f"in this person they do not ({gain}; {interval}): the group's mean is as near to "
            "this connectome, or nearer.",
        )
    if (own.gain or 0.0) < MIN_EXPLAINED:
        return Claim(
            HARDLY,
            f"It explains {gain} ({interval}) of what sets this person apart from the mean: too "
            "little to tell this person from any other by it.",
        )
    rest = format_share(1 - (own.gain or 0.0))
    return Claim(
        HERE,
        f"It explains {gain} ({interval}) of what sets this person apart from the mean; {rest} of "
        "it stays unknown. Its values may enter statistics; single edges are known no better than "
        "their intervals say.",
    )
