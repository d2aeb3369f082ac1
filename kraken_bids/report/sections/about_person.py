"""How much of each calibrated prediction is about this person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kraken_bids.bids.outputs import intervals_path, sidecar_path
from kraken_bids.flavors import Flavor
from kraken_bids.io.facts import read_facts
from kraken_bids.io.records import from_sidecar
from kraken_bids.report.section import Section
from kraken_bids.report.words import DASH, format_share
from kraken_bids.report.worth_words import (
    EXPECTED,
    HARDLY,
    HERE,
    NOT_HERE,
    Claim,
    format_range,
    format_signed,
    judge_subject,
)
from kraken_bids.report.written import Known, Written, display_order, parse_known
from kraken_bids.report.written_group import read_group_records
from kraken_bids.scores.calibrated_records import CalibratedPairRecord, CalibratedRecord
from kraken_bids.scores.doubt_words import MEAN
from kraken_bids.scores.quality_control import CROSS_MODAL

Pairs = Mapping[tuple[str, str], CalibratedPairRecord]
Span = tuple[float, float]
MAX_NAMES = 3
WORDS = {
    HERE: "about this person",
    EXPECTED: "of what was not measured here, right in other people",
    HARDLY: "hardly more than the mean",
    NOT_HERE: "right in other people but not in this one",
    MEAN: "the group's mean in disguise",
}
"""What is said of the targets of each verdict, in this order."""
MIN_REACH = 0.1
"""Least length of the scale of gains on either side of 0 that is worth drawing."""


@dataclass(frozen=True)
class Strip:
    """One number of a panel on its scale; places are shares of the scale's length."""

    label: str
    value: str
    mark: float | None = None
    span: Span | None = None
    """Interval of this person's number."""
    others: Span | None = None
    """Where other people lie."""
    zero: float | None = None
    """Place of what is no better than chance or the mean."""


@dataclass(frozen=True)
class WorthPanel:
    """One target: what its calibrated prediction is worth for this person."""

    target: Flavor
    source: str
    claim: Claim
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class SubjectWorth:
    """What the page of a session shows."""

    panels: tuple[WorthPanel, ...] = ()
    missing: str = ""
    """Why there are no panels."""


def read_pairs(known: Known) -> Pairs:
    """Read what the group says of every source and target that was, or was not, calibrated."""
    _, rows = read_group_records(known.output_dir, "calibration.tsv", CalibratedPairRecord)
    return {(one.source, one.target): one for one in rows}


def gather(written: Written) -> SubjectWorth | None:
    """Gather what every calibrated prediction across modalities is worth; None without any."""
    pairs = written.once(read_pairs)
    member = written.member
    intervals = intervals_path(written.output_dir, member.subject, member.session)
    by_pair = read_facts(sidecar_path(intervals)).part("Calibrated").by_name()
    known = {
        tuple(name.split("/", 1)): from_sidecar(CalibratedRecord, entry)
        for name, entry in by_pair.items()
        if "/" in name
    }
    targets = sorted({*parse_known(name for _, name in known)}, key=display_order)
    found = [
        (CROSS_MODAL[target.group], target, known[CROSS_MODAL[target.group], target.name])
        for target in targets
        if (CROSS_MODAL[target.group], target.name) in known
    ]
    if not found:
        reasons = [one.reason for one in pairs.values() if one.reason]
        return SubjectWorth(missing=reasons[0]) if reasons else None
    return SubjectWorth(_draw_panels(found, pairs))


def _draw_panels(
    found: Sequence[tuple[str, Flavor, CalibratedRecord]], pairs: Pairs
) -> tuple[WorthPanel, ...]:
    bounds = [
        value
        for source, target, own in found
        for value in (own.gain, own.gain_low, own.gain_high, *_spread(pairs, source, target))
        if value is not None
    ]
    low, high = min([-MIN_REACH, *bounds]), max([MIN_REACH, *bounds])
    scale = max(low, -1.0), min(high, 1.0)
    return tuple(
        WorthPanel(
            target,
            source,
            judge_subject(own, pairs.get((source, target.name))),
            _list_strips(own, _spread(pairs, source, target), scale),
        )
        for source, target, own in found
    )


def _spread(pairs: Pairs, source: str, target: Flavor) -> tuple[float | None, float | None]:
    """Gains between which 19 of 20 people lie."""
    pair = pairs.get((source, target.name))
    return (None, None) if pair is None else (pair.gain_people_low, pair.gain_people_high)


def _list_strips(
    own: CalibratedRecord, spread: tuple[float | None, float | None], scale: Span
) -> tuple[Strip, ...]:
    low, high = scale

    def place(value: float | None) -> float | None:
        return None if value is None else (min(max(value, low), high) - low) / (high - low)

    is_measured = own.coverage is not None
    span = _join(place(own.gain_low), place(own.gain_high))
    others = _join(*map(place, spread))
    interval = format_range(own.gain_low, own.gain_high)
    gain = f"{format_signed(own.gain)} ({interval})" if interval else format_signed(own.gain)
    strips = [
        Strip(
            "gain over the mean",
            gain if is_measured else f"expected {gain}",
            mark=place(own.gain),
            span=span if is_measured else None,
            others=others or (None if is_measured else span),
            zero=place(0.0),
        )
    ]
    if is_measured:
        strips += _list_rankings(own)
    return tuple(strips)


def _list_rankings(own: CalibratedRecord) -> list[Strip]:
    share, rank, n = own.ceiling_share, own.rank, own.rank_n
    strips = [
        Strip("share of the ceiling", "no second scan to tell")
        if share is None
        else Strip(
            "share of the ceiling",
            f"{format_share(share)} of a second scan's",
            mark=min(max(share, 0.0), 1.0),
            zero=0.0,
        )
    ]
    if rank is not None and n is not None and n > 1:
        best = " (best)" if rank == 1 else ""
        text = f"{rank} of {n}{best}"
        strips.append(Strip("rank among everyone", text, mark=(n - rank) / (n - 1), zero=0.5))
    if own.null_percentile is not None:
        text = f"better than {format_share(own.null_percentile)} of others'"
        strips.append(Strip("place in the null", text, mark=own.null_percentile, zero=0.5))
    if own.coverage is not None and own.interval_coverage is not None:
        promised = own.interval_coverage
        text = f"{format_share(own.coverage)} of edges; {format_share(promised)} promised"
        strips.append(Strip("within the intervals", text, mark=own.coverage, zero=promised))
    return strips


def _join(low: float | None, high: float | None) -> Span | None:
    return None if low is None or high is None else (low, high)


def summarize(data: SubjectWorth) -> str:
    """Headline: which targets are worth something for this person, and which are the mean."""
    kinds: dict[str, list[str]] = {}
    for panel in data.panels:
        kinds.setdefault(panel.claim.verdict, []).append(panel.target.name)
    n = len(data.panels)
    parts = []
    for verdict, words in WORDS.items():
        names = kinds.get(verdict, ())
        if names:
            some = ", ".join(names[:MAX_NAMES]) + (" …" if len(names) > MAX_NAMES else "")
            parts.append(f"{len(names)} {words} ({some})")
    if HERE not in kinds and EXPECTED not in kinds:
        parts.insert(0, "none about this person")
    return f"{n} calibrated predictions: {'; '.join(parts)}."


SECTION = Section(
    "worth",
    "About this person",
    "about_person.html",
    gather,
    heading="How much of this is about this person",
    words={"summarize": summarize, "dash": DASH},
)
