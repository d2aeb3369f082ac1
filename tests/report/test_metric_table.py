"""What the group's page says of every source and target: never a correlation alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from kraken_bids.bids.outputs import group_path
from kraken_bids.io.records import write_records
from kraken_bids.report.sections.identifiability import read_metrics, summarize_worth
from kraken_bids.report.sections.metric_table import (
    SECTION,
    show_ceiling,
    show_p,
    show_uncertain,
    show_value,
)
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.quality_control import Metric

TARGET = "FCcorr_fs86_hpf"
VALUES = {
    "avgrank": 0.75, "top1acc": 0.05, "avgcorr": 0.84, "avgcorr_resid": 0.085,
    "explainedvar": 0.01, "baseline_avgcorr": 0.82, "gain": -0.031, "r2": -0.04, "pls_gain": 0.012,
    "ceiling_avgcorr_resid": 0.49, "ceiling_share": 0.17, "n": 195.0,
}  # fmt: skip


@pytest.fixture
def group(tmp_path: Path) -> WrittenGroup:
    """Write the table of one source and target, as of the independent benchmark."""
    rows = [
        Metric("fusionSC", TARGET, name, value, 0.001, value - 0.01, value + 0.01, 195)
        for name, value in VALUES.items()
    ]
    rows = [
        replace(row, n=20, basis="sessions") if row.metric.startswith("ceiling_a") else row
        for row in rows
    ]
    path = group_path(tmp_path, "metrics.tsv")
    path.parent.mkdir()
    write_records(path, [Metric], [[row] for row in rows], description="x")
    return WrittenGroup(tmp_path, ())


def test_a_row_shows_mean_ceiling_and_interval(group: WrittenGroup) -> None:
    """As they are in the table."""
    ((source, target, values),) = SECTION.gather(group)

    assert (source, target) == ("fusionSC", TARGET)
    assert show_uncertain(values, "gain") == "−0.03 [−0.04, −0.02]"
    assert show_value(values, "baseline_avgcorr") == "0.82"
    assert show_ceiling(values, "ceiling_avgcorr_resid") == "0.49 (sessions)"
    assert show_p(values, "avgrank") == "p = 0.001"
    assert show_value(values, "cal_gain") == "–"
    del values["ceiling_avgcorr_resid"]
    assert show_ceiling(values, "ceiling_avgcorr_resid") == "unknown"


def test_the_summary_says_what_the_mean_reaches_and_that_raw_values_err_more(
    group: WrittenGroup,
) -> None:
    """A reader who reads nothing else is not misled."""
    (text,) = summarize_worth(read_metrics(group))

    assert "correlate with the measured ones at 0.84" in text
    assert "at 0.82. Without the mean 0.09 is left" in text
    assert "in the 1 target for which it is known" in text
    assert "measurement of the same person reaches, 0.09 of 0.49." in text
    assert "err more than the mean does, by 3.1\u00a0%" in text
    assert "a closed-form regression from the same inputs: 1.2\u00a0%" in text


def test_an_unknown_ceiling_is_said(group: WrittenGroup) -> None:
    """Nothing is left out silently."""
    metrics = read_metrics(group)
    del metrics["fusionSC", TARGET]["ceiling_avgcorr_resid"]

    (text,) = summarize_worth(metrics)

    assert "what a second measurement would reach is unknown" in text


def test_tables_of_before_are_shown(tmp_path: Path) -> None:
    """Without p-values, intervals and the group mean there are dashes."""
    path = group_path(tmp_path, "metrics.tsv")
    path.parent.mkdir()
    rows = [
        f"fusionSC\t{TARGET}\t{name}\t{value}"
        for name, value in VALUES.items()
        if name in {"avgrank", "top1acc", "avgcorr", "avgcorr_resid", "explainedvar", "n"}
    ]
    path.write_text("\n".join(["source\ttarget\tmetric\tvalue", *rows]) + "\n")

    ((_, _, values),) = SECTION.gather(WrittenGroup(tmp_path, ()))

    assert show_uncertain(values, "gain") == "–"
    assert show_p(values, "avgrank") == ""
    assert summarize_worth(read_metrics(WrittenGroup(tmp_path, ()))) == []
