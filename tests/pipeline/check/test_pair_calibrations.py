"""Families of a cohort, as the column of participants.tsv has them."""

import logging
from pathlib import Path

import pytest

from kraken_bids.cohort.members import Member
from kraken_bids.pipeline.check.pair_calibrations import list_families
from kraken_bids.settings import DataSettings, Settings
from kraken_bids.worth_settings import WorthSettings


def read(folder: Path, rows: str) -> list[str]:
    (folder / "participants.tsv").write_text(f"participant_id\tsession_id\tfam\n{rows}")
    settings = Settings(DataSettings(folder, folder / "out"), worth=WorthSettings(families="fam"))
    members = [Member("01", "1", {}), Member("01", "2", {}), Member("02", None, {})]
    return list_families(settings, members)


def test_a_family_that_only_a_later_session_s_row_says_counts(tmp_path: Path) -> None:
    rows = "sub-01\tses-1\tn/a\nsub-01\tses-2\tF1\nsub-02\tn/a\tF1\n"
    assert read(tmp_path, rows) == ["F1", "F1", "F1"]


def test_a_column_that_knows_nobody_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path, "sub-77\tn/a\tF1\n") == ["sub-01", "sub-01", "sub-02"]
    assert "no family of anybody in this run is known" in caplog.text
