"""What a run pays for the process in which foreign files are read."""

from typing import Any

import pytest

from kraken_bids.io import foreign


def test_a_run_on_images_tracks_and_tables_starts_no_process_for_foreign_files(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without files of HDF5 or MATLAB among inputs and outputs there is nothing to pay."""

    def refuse(_: object) -> None:
        raise AssertionError("a process for foreign files was started")

    monkeypatch.setattr(foreign._Apart, "__init__", refuse)
    app.copy_bids("03")
    outcome = app.participant()
    assert outcome.exit_code == 0, outcome.output
    assert app.is_finished("03")
