"""Pages on how much of calibrated predictions is about people."""

from pathlib import Path
from typing import Any

import pytest

from kraken_bids.bids.outputs import group_path, intervals_path, sidecar_path
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.io.records import to_sidecar, write_records
from kraken_bids.io.writing import write_json
from kraken_bids.report.page import build_group_page, build_subject_page, draw_figures, render_page
from kraken_bids.report.sections import about_people, about_person
from kraken_bids.report.worth_words import (
    EXPECTED,
    HARDLY,
    HERE,
    MAYBE,
    NOT_HERE,
    PEOPLE,
    format_signed,
    judge_pair,
    judge_subject,
)
from kraken_bids.report.written import Written
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.calibrated_records import CalibratedPairRecord, CalibratedRecord
from kraken_bids.scores.doubt_words import MEAN, NOT_JUDGED
from kraken_bids.scores.quality_control import Metric

GOOD, USELESS = "FCcorr_fs86_hpf", "FCpcorr_fs86_hpf"
PAIRS = {
    GOOD: CalibratedPairRecord(
        "fusionSC", GOOD, n=28, kept=0.9, gain=0.06, gain_low=0.03, gain_high=0.09,
        gain_people_low=-0.02, gain_people_high=0.15, promised=0.9, coverage=0.91,
        coverage_within=0.92, coverage_between=0.85, coverage_weakest_class=0.85,
        weakest_class="between hemispheres",
    ),
    USELESS: CalibratedPairRecord(
        "fusionSC", USELESS, n=28, kept=0.2, gain=0.001, gain_low=-0.004, gain_high=0.005,
        promised=0.9, coverage=0.93,
    ),
}  # fmt: skip
OWN = CalibratedRecord(
    held_out=1, gain=0.08, gain_low=0.06, gain_high=0.1, ceiling_share=0.4, rank=2, rank_n=28,
    null_percentile=0.96, coverage=0.9, interval_coverage=0.9, n_fitted=25, slope=0.4,
)  # fmt: skip
METRICS = {"avgcorr": 0.84, "baseline_avgcorr": 0.82}


def change(record: Any, **fields: object) -> Any:
    """Copy a record with other values."""
    return type(record)(**{**vars(record), **fields})


@pytest.mark.parametrize(
    ("pair", "metrics", "verdict"),
    [
        (PAIRS[GOOD], METRICS, PEOPLE),
        (change(PAIRS[GOOD], gain=0.004, gain_low=0.001), METRICS, HARDLY),
        (PAIRS[USELESS], METRICS, MEAN),
        (PAIRS[USELESS], {**METRICS, "avgrank_p": 0.002}, MAYBE),
        (change(PAIRS[GOOD], kept=0.0), METRICS, MEAN),
        (CalibratedPairRecord("fusionSC", GOOD, reason="found 12"), {}, NOT_JUDGED),
    ],
)
def test_a_target_is_about_people_if_its_gain_is_more_than_nothing(
    pair: CalibratedPairRecord, metrics: dict[str, float], verdict: str
) -> None:
    """And the sentence says how little a high correlation means."""
    claim = judge_pair(pair, metrics)
    assert claim.verdict == verdict
    assert ("correlates 0.84" in claim.reason) == bool(metrics)


def test_people_whom_the_model_was_trained_on_are_a_caution() -> None:
    """For the target and for the person."""
    pair = change(PAIRS[GOOD], n_subjects=28, n_in_training=12)
    for claim in (judge_pair(pair, METRICS), judge_subject(OWN, pair)):
        assert "12 of the 28 people it was judged by are named as training" in claim.reason
    assert "training" not in judge_pair(change(pair, n_in_training=0), METRICS).reason


@pytest.mark.parametrize(
    ("own", "pair", "verdict"),
    [
        (OWN, PAIRS[GOOD], HERE),
        (OWN, None, HERE),
        (OWN, PAIRS[USELESS], MEAN),
        (change(OWN, gain=0.004, gain_low=0.001), PAIRS[GOOD], HARDLY),
        (change(OWN, gain=-0.02, gain_low=-0.03, gain_high=-0.01), PAIRS[GOOD], NOT_HERE),
        (change(OWN, coverage=None), PAIRS[GOOD], EXPECTED),
        (change(OWN, slope=0.0, gain=0.0), None, MEAN),
        (change(OWN, slope=0.0), None, HERE),
        (CalibratedRecord(), None, NOT_JUDGED),
    ],
)
def test_a_prediction_is_about_a_person_if_it_is_so_here_and_in_others(
    own: CalibratedRecord, pair: CalibratedPairRecord | None, verdict: str
) -> None:
    """What was not measured is judged by other people."""
    assert judge_subject(own, pair).verdict == verdict


def test_shares_below_zero_have_a_minus_and_nothing_has_none() -> None:
    """Small ones have a digit."""
    found = [format_signed(share) for share in (-0.034, -0.0001, 0.12, None, float("nan"))]
    assert found == ["−3.4\u00a0%", "0.0\u00a0%", "12\u00a0%", "–", "–"]


@pytest.fixture
def worth_dir(output_dir: Path) -> Path:
    """Write what a group run says of a good and of a useless target, and of one never fitted."""
    lacking = CalibratedPairRecord("fusionFC", "SCifod2act_fs86_volnorm", reason="found 12")
    single = change(PAIRS[GOOD], source="SCifod2act_fs86_volnorm")
    rows = [[one] for one in (*PAIRS.values(), lacking, single)]
    for name, kind, content in (
        ("calibration.tsv", CalibratedPairRecord, rows),
        ("metrics.tsv", Metric, [[Metric("fusionSC", GOOD, *m)] for m in METRICS.items()]),
    ):
        write_records(group_path(output_dir, name), [kind], content, description="")
    entries = {
        f"fusionSC/{GOOD}": to_sidecar(OWN),
        f"fusionSC/{USELESS}": to_sidecar(change(OWN, gain=0.0, gain_low=0.0)),
    }
    write_json(sidecar_path(intervals_path(output_dir, "01", None)), {"Calibrated": entries})
    return output_dir


def test_the_page_of_a_person_tells_good_targets_from_useless_ones(worth_dir: Path) -> None:
    """By verdict, sentence and numbers of each."""
    page = build_subject_page(Written(worth_dir, list_members(worth_dir)[0]))
    panels = page.data["worth"].panels
    assert [(one.target.name, one.claim.verdict) for one in panels] == [
        (GOOD, HERE),
        (USELESS, MEAN),
    ]
    places = {strip.label: strip for strip in panels[0].strips}
    assert places["rank among everyone"].mark == pytest.approx(26 / 27)
    gain = places["gain over the mean"]
    assert gain.span is not None
    assert gain.zero is not None
    assert gain.zero < gain.span[0] < (gain.mark or 0) < gain.span[1] <= 1
    text = render_page(page, {})
    assert "Do not read it as this person" in text
    assert "40\u00a0% of a second scan" in text
    assert "1 about this person" in text


def test_the_page_of_the_group_tells_good_targets_from_useless_ones(worth_dir: Path) -> None:
    """With what was promised and reached, and why something was not calibrated."""
    page = build_group_page(WrittenGroup(worth_dir, list_members(worth_dir)))
    rows = page.data["worth"]["rows"]
    assert [(row.target.name, row.claim.verdict) for row in rows] == [
        (GOOD, PEOPLE),
        (USELESS, MEAN),
    ]
    assert [short for _, short in rows[0].list_coverage()] == [False, False, True, *[False] * 5]
    text = render_page(page, draw_figures(page))
    assert "1 about people" in text
    assert "SCifod2act_fs86_volnorm (found 12)" in text
    assert "the mean of the other people does so by 0.82" in text
    assert "Predictions from single flavors (1)" in text


def test_without_calibration_the_sections_are_left_out(output_dir: Path) -> None:
    """As in an OUTPUT_DIR of earlier versions."""
    members = list_members(output_dir)
    assert about_person.gather(Written(output_dir, members[0])) is None
    assert about_people.gather(WrittenGroup(output_dir, members)) is None


def test_too_few_people_are_said_on_both_pages(output_dir: Path) -> None:
    """With the reason of the group level."""
    record = CalibratedPairRecord("fusionSC", GOOD, reason="expected at least 20 subjects")
    path = group_path(output_dir, "calibration.tsv")
    write_records(path, [CalibratedPairRecord], [[record]], description="")
    members = list_members(output_dir)
    for page in (
        build_subject_page(Written(output_dir, members[0])),
        build_group_page(WrittenGroup(output_dir, members)),
    ):
        assert "expected at least 20 subjects" in render_page(page, draw_figures(page))
