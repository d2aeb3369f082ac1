"""What tests of whole levels leave out."""

import pytest

from kraken_bids.pipeline import levels


@pytest.fixture
def no_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no pages, which take most of the time."""
    monkeypatch.setattr(levels, "draw_subjects", lambda *_: [])
    monkeypatch.setattr(levels, "draw_cohort", lambda *_: None)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out of pages."""
    monkeypatch.setattr("kraken_bids.report.page.draw_figures", lambda _page: {})
