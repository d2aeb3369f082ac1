"""How far a stage is, in the log."""

import logging

import pytest

from kraken_bids.pipeline import progress
from kraken_bids.pipeline.progress import Progress, format_seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give a clock that is set by hand."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])  # type: ignore[attr-defined]
    return now


def test_items_with_a_name_have_a_line_each(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """With the count, and with the time that is left once that can be told."""
    stage = Progress("measured", 4)
    with caplog.at_level(logging.INFO, "kraken_bids"):
        for second, verb in ((1.0, ""), (60.0, "failed"), (90.0, ""), (120.0, "")):
            clock[0] = second
            stage.advance("sub-01", verb)

    assert caplog.messages == [
        "sub-01 measured (1 of 4)",
        "sub-01 failed (2 of 4, about 60 s left)",
        "sub-01 measured (3 of 4, about 30 s left)",
        "sub-01 measured (4 of 4)",
    ]


def test_items_without_a_name_have_a_line_now_and_then(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Two thousand predictions are no two thousand lines, and no long silence either."""
    stage = Progress("predicted", 2000)
    with caplog.at_level(logging.INFO, "kraken_bids"):
        for n in range(1, 2001):
            clock[0] = 0.0625 * n
            stage.advance()

    assert len(caplog.messages) == 13
    assert caplog.messages[0] == "predicted 160 of 2000 (about 2 min left)"
    assert caplog.messages[-1] == "predicted 2000 of 2000"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (89, "89 s"), (100, "2 min"), (5000, "83 min"), (9000, "2.5 h")],
)
def test_times_are_spelled_as_people_do(seconds: float, text: str) -> None:
    """Seconds, minutes, hours."""
    assert format_seconds(seconds) == text
