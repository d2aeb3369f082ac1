"""Filters mean what fMRIPrep's filter file means."""

from pathlib import Path

import pytest

from kraken_bids.bids.query import Query, fill_template, matches, read_filters
from kraken_bids.exceptions import InputError

RUN = {"sub": "01", "task": "rest", "run": "01", "suffix": "bold", "extension": ".nii.gz"}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, True),
        ({"task": "rest"}, True),
        ({"task": "nback"}, False),
        ({"task": ["nback", "rest"]}, True),
        ({"run": 1}, True),
        ({"run": "1"}, True),
        ({"run": 2}, False),
        ({"acquisition": None}, True),
        ({"acq": "Query.NONE"}, True),
        ({"task": None}, False),
        ({"task": "*"}, True),
        ({"echo": "Query.ANY"}, False),
        ({"echo": "Query.OPTIONAL"}, True),
        ({"session": [None, "1"]}, True),
        ({"extension": "nii.gz"}, True),
        ({"extension": ".nii.gz"}, True),
        ({"extension": ["nii", "nii.gz"]}, True),
        ({"extension": [".nii", None]}, False),
        ({"extension": "gz"}, False),
        ({"extension": "Query.REQUIRED"}, True),
        ({"reconstruction": "nordic"}, False),
    ],
)
def test_matches(conditions: dict[str, object], expected: bool) -> None:
    """Values, lists, absence, presence, and numbers that are written with zeros."""
    assert matches(RUN, conditions) is expected


def test_query_takes_labels_with_prefix() -> None:
    """Sessions and tasks may carry ``ses-`` and ``task-``."""
    query = Query(sessions=("ses-1",), tasks=("task-rest",))
    assert query.accepts_session("1")
    assert not query.accepts_session("2")
    assert not query.accepts_session(None)
    assert query.accepts("bold", RUN)
    assert not query.accepts("bold", {**RUN, "task": "nback"})


def test_read_filters(tmp_path: Path) -> None:
    """A filter file is read; anything but an object of objects is refused with its path."""
    path = tmp_path / "filter.json"
    path.write_text('{"bold": {"session": "01"}}')
    assert read_filters(path) == {"bold": {"session": "01"}}
    for text in ("[1]", '{"bold": 1}', "{"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"filter\.json"):
            read_filters(path)


def test_filters_that_leave_nothing_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A byte-order mark does no harm; conditions for nothing that is read here are said."""
    path = tmp_path / "filter.json"
    path.write_text('\ufeff{"t1w": {}, "bold": {"session": "01"}}', encoding="utf-8")
    assert read_filters(path)["bold"] == {"session": "01"}
    assert not caplog.records
    path.write_text('{"bolt": {"session": "01"}}')
    read_filters(path)
    assert "conditions for bolt and none for bold or tractogram" in caplog.text


def test_fill_template() -> None:
    """Labels fill the template; a session that does not exist is said."""
    assert fill_template("a/{subject}/{session}.tck", "01", "2") == Path("a/01/2.tck")
    with pytest.raises(InputError, match="found none for sub-01"):
        fill_template("{session}.tck", "01", None)
