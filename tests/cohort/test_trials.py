"""Trials against an enumeration of volumes, and events that are not as they should be."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kraken_bids.cohort.trial_windows import WINDOWS, TrialWindow
from kraken_bids.cohort.trials import Trial, check_classes, label_trials
from kraken_bids.cohort.volume_times import VolumeTimes
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.io.writing import write_table

NAME = "sub-{}_task-motor_run-1_atlas-fs86_desc-cleaned_timeseries.tsv"


@dataclass(frozen=True)
class OneRun:
    """A run by its file name."""

    path: Path
    n_volumes: int = 100
    repetition_time: float = 1.0
    times: VolumeTimes = field(default_factory=VolumeTimes)


def make_runs(*subjects: str, **facts: Any) -> list[OneRun]:
    return [OneRun(Path(NAME.format(subject)), **facts) for subject in subjects]


def write_events(folder: Path, *rows: tuple[float, float, str], name: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    columns = zip(*rows, strict=True)
    path = folder / (name or "task-motor_events.tsv")
    write_table(path, dict(zip(("onset", "duration", "trial_type"), columns, strict=True)))
    return folder


def test_windows_of_the_papers_have_their_volumes(tmp_path: Path) -> None:
    """At their repetition times: rows with onset + n TR <= t < end + n TR; DeepLight's closed."""
    bids = write_events(tmp_path, (10.08, 7.2, "lf"))  # volumes 14 to 24 at 0.72 s
    run = make_runs("01", repetition_time=0.72)

    (hcp,) = label_trials(run, bids, WINDOWS["hcp"])
    (deeplight,) = label_trials(run, bids, WINDOWS["deeplight"])
    (mdtb,) = label_trials(make_runs("01"), bids, WINDOWS["mdtb"])

    assert (hcp.first, hcp.n_volumes) == (18, 10)
    times = np.arange(100) * 0.72
    kept = (times >= 10.08 + 0.72 - 1e-9) & (times <= 17.28 + 2 * 0.72 + 1e-9)
    assert deeplight.first == np.flatnonzero(kept)[0] == 15
    assert deeplight.n_volumes == kept.sum()
    times = np.arange(100.0)
    kept = (times >= 13.08) & (times < 20.28)
    assert (mdtb.first, mdtb.n_volumes) == (np.flatnonzero(kept)[0], kept.sum())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(-200, 1500), st.integers(0, 300)), min_size=1, max_size=8),
    st.integers(0, 3),
    st.booleans(),
)
def test_every_volume_is_in_the_trial_that_begins_last(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[tuple[int, int]],
    discarded: int,
    is_closed: bool,
) -> None:
    """Tenths of seconds; each volume by itself, in integers."""
    rows = sorted({onset: (onset, duration) for onset, duration in events}.values())
    bids = write_events(
        tmp_path_factory.mktemp("bids"), *((a / 10, b / 10, f"k{a}") for a, b in rows)
    )
    runs = make_runs("01", repetition_time=0.8)
    window = TrialWindow(lag=0.5, discarded=discarded, after_end=1.2, is_closed=is_closed)
    spans = []
    for onset, duration in rows:
        end = onset + duration + 5 + 12
        inside = [
            k for k in range(-60, 400) if onset + 5 <= 8 * k < end or (is_closed and 8 * k == end)
        ]
        spans.append(inside[discarded:])
    firsts = [-(-(onset + 5) // 8) + discarded for onset, _ in rows]
    wanted: dict[int, list[int]] = {}
    for k, span in enumerate(spans):
        limit = firsts[k + 1] if k + 1 < len(rows) else 100
        own = [v for v in span if 0 <= v < 100 and v < limit]
        if own:
            wanted[rows[k][0]] = own

    if not wanted:
        with pytest.raises(InputError, match="no volume is in the run"):
            label_trials(runs, bids, window)
        return
    found = label_trials(runs, bids, window)

    assert {int(t.label[1:]): list(range(t.first, t.first + t.n_volumes)) for t in found} == wanted


def test_volumes_whose_slices_were_brought_to_one_time_lie_behind_their_beginning(
    tmp_path: Path,
) -> None:
    """``StartTime``, half of 2 s: volumes stand for 1 s, 3 s and so on."""
    bids = write_events(tmp_path, (0, 6, "first"), (20, 6, "late"))
    runs = make_runs("01", repetition_time=2.0, times=VolumeTimes(1.0))

    found = label_trials(runs, bids, TrialWindow(lag=3.0))

    at = [[1 + 2 * k for k in range(t.first, t.first + t.n_volumes)] for t in found]
    assert at == [[3, 5, 7], [23, 25, 27]]


def test_events_of_runs_with_gaps_have_the_volumes_that_were_acquired_then(tmp_path: Path) -> None:
    acquired = [k for k in range(100) if k not in {2, 3, 21, *range(40, 50)}]
    bids = write_events(
        tmp_path, (0, 5, "begin"), (20, 5, "middle"), (40, 5, "gone"), (48, 5, "part"),
        (95, 20, "end"),
    )  # fmt: skip
    times = VolumeTimes(0.0, tuple(acquired))
    runs = make_runs("01", n_volumes=len(acquired), times=times)

    found = label_trials(runs, bids, TrialWindow(lag=0))

    at = {t.label: [acquired[k] for k in range(*t.volumes.indices(100))] for t in found}
    assert at == {
        "begin": [0, 1, 4], "middle": [20, 22, 23, 24], "part": [50, 51, 52],
        "end": [95, 96, 97, 98, 99],
    }  # fmt: skip


def test_events_of_the_run_go_before_those_of_the_dataset(tmp_path: Path) -> None:
    write_events(tmp_path, (10, 5, "left"))
    func = tmp_path / "sub-02" / "func"
    write_events(func, (30, 5, "right"), name="sub-02_task-motor_run-1_events.tsv")

    found = label_trials(make_runs("01", "02"), tmp_path, TrialWindow(lag=0))

    assert found == [Trial(0, 10, 5, "left", 10.0), Trial(1, 30, 5, "right", 30.0)]


def test_classes_choose_and_join_kinds(tmp_path: Path) -> None:
    bids = write_events(tmp_path, (0, 5, "instruct"), (10, 5, "body2"), (20, 5, "body"))

    found = label_trials(make_runs("01"), bids, TrialWindow(), classes=["body", "body2=body"])

    assert [one.label for one in found] == ["body", "body"]
    with pytest.raises(InputError, match="no trial of face"):
        label_trials(make_runs("01"), bids, TrialWindow(), classes=["body", "face"])
    with pytest.raises(SettingsError, match="KIND=LABEL"):
        label_trials(make_runs("01"), bids, TrialWindow(), classes=["body="])


def test_numbers_as_kinds_are_spelled_as_written(tmp_path: Path) -> None:
    bids = write_events(tmp_path, (0, 5, "1"), (10, 5, "2"), (20, 5, "n/a"))

    found = label_trials(make_runs("01"), bids, TrialWindow())

    assert [one.label for one in found] == ["1", "2"]


def test_events_beyond_the_run_are_cut_or_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bids = write_events(tmp_path, (90, 30, "a"), (150, 10, "b"))

    with caplog.at_level(logging.WARNING):
        found = label_trials(make_runs("01"), bids, TrialWindow(lag=0))

    assert found == [Trial(0, 90, 10, "a", 90.0)]
    assert "1 of 2 events have no volume of their own" in caplog.text


def test_overlapping_events_end_where_the_next_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bids = write_events(tmp_path, (10, 20, "block"), (15, 2, "face"))

    with caplog.at_level(logging.WARNING):
        found = label_trials(make_runs("01"), bids, TrialWindow(lag=0))

    assert found == [Trial(0, 10, 5, "block", 10.0), Trial(0, 15, 2, "face", 15.0)]
    assert "1 of 2 events overlap the next one" in caplog.text


def test_onsets_in_milliseconds_are_named(tmp_path: Path) -> None:
    bids = write_events(tmp_path, (9000, 3000, "a"), (25000, 3000, "b"))

    with pytest.raises(InputError, match=r"from 9000 to 25000 s.*seconds from the first volume"):
        label_trials(make_runs("01"), bids, TrialWindow())


def test_events_without_length_need_one(tmp_path: Path) -> None:
    bids = write_events(tmp_path, (10, 0, "a"), (20, float("nan"), "b"))

    with pytest.raises(InputError, match="--duration SECONDS"):
        label_trials(make_runs("01"), bids, TrialWindow(lag=0))
    found = label_trials(make_runs("01"), bids, TrialWindow(lag=0, duration=4))
    assert [(one.first, one.n_volumes) for one in found] == [(10, 4), (20, 4)]


def test_runs_without_events_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    func = tmp_path / "sub-01" / "func"
    write_events(func, (30, 5, "right"), name="sub-01_task-motor_events.tsv")

    with caplog.at_level(logging.WARNING):
        found = label_trials(make_runs("01", "02"), tmp_path, TrialWindow())

    assert {one.run for one in found} == {0}
    assert "1 of 2 runs have no trials: expected the events.tsv of sub-02" in caplog.text
    caplog.clear()
    with pytest.raises(InputError, match=r"expected the events\.tsv of sub-02"):
        label_trials(make_runs("02", "03"), tmp_path, TrialWindow())
    assert not caplog.records  # the message says it


def test_a_file_without_kinds_says_which_column_to_name(tmp_path: Path) -> None:
    write_table(
        tmp_path / "task-motor_events.tsv", {"onset": [1.0], "duration": [5.0], "stimulus": ["a"]}
    )

    with pytest.raises(InputError, match=r"expected a column trial_type.*--column NAME"):
        label_trials(make_runs("01"), tmp_path, TrialWindow())
    (one,) = label_trials(make_runs("01"), tmp_path, TrialWindow(), column="stimulus")
    assert one.label == "a"


def test_a_class_of_one_person_is_refused_with_the_others_to_paste() -> None:
    trials = [Trial(0, 0, 5, "a", 0), Trial(1, 0, 5, "a", 0), Trial(0, 9, 5, "b", 9)]
    trials += [Trial(k, 20, 5, "c", 20) for k in (0, 1)]

    with pytest.raises(InputError, match=r"found one for b \(1 trials\).*--classes a c"):
        check_classes(trials, ["01", "02"])
    assert check_classes([one for one in trials if one.label != "b"], ["01", "02"]) == ("a", "c")
    with pytest.raises(InputError, match="found a alone"):
        check_classes(trials[:2], ["01", "02"])


@pytest.mark.parametrize("wrong", [{"discarded": -1}, {"duration": 0.0}, {"lag": float("nan")}])
def test_impossible_windows_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        TrialWindow(**wrong)


def test_kinds_that_are_long_numbers_are_kept_apart(tmp_path: Path) -> None:
    rows = [(0.0, 4.0, "1234567"), (10.0, 4.0, "1234568"), (20.0, 4.0, "2")]
    bids = write_events(tmp_path, *rows)

    found = label_trials(make_runs("01"), bids, TrialWindow(lag=0))

    assert [one.label for one in found] == ["1234567", "1234568", "2"]
