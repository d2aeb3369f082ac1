"""Filters mean what fMRIPrep's filter file means."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from bids import layout

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.query import (
    Query,
    fill_template,
    matches,
    parse_exclusion,
    read_exclusions,
    read_filters,
)
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
        ({"task": []}, True),
        ({"echo": ["1", "Query.OPTIONAL"]}, True),
        ({"echo": ["Query.NONE", "Query.ANY"]}, True),
        ({"echo": "<Query.NONE: 1>"}, True),
        ({"task": "res", "regex_search": True}, True),
        ({"task": "^(nback|REST)$", "regex_search": True}, True),
        ({"task": ["^st", None], "regex_search": True}, False),
        ({"echo": [None, "1"], "regex_search": True}, True),
        ({"extension": "nii", "regex_search": True}, True),
        ({"run": 1, "regex_search": True}, True),
        ({"task": "res", "regex_search": False}, False),
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


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ('{"task": "Query.NON"}', r"Query\.OPTIONAL for task in .*filter\.json \(bold\)"),
        ('{"task": ["rest", "<Query.SOME: 4>"]}', "found '<Query.SOME: 4>'"),
        ('{"task": "(rest", "regex_search": true}', r"regular expression .* found '\(rest'"),
        ('{"regex_search": "yes"}', "expected true or false"),
        ('{"RepetitionTime": 2}', "Values of sidecars"),
        ('{"task": {"in": "rest"}}', "expected a value or a list"),
    ],
)
def test_conditions_that_mean_nothing_are_refused(
    tmp_path: Path, conditions: str, said: str
) -> None:
    """A slip of the pen would leave everything out, or nothing."""
    path = tmp_path / "filter.json"
    path.write_text(f'{{"bold": {conditions}}}')
    with pytest.raises(InputError, match=said):
        read_filters(path)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # pybids leaves files open
@pytest.mark.parametrize(
    "conditions",
    [
        {"task": "rest"},
        {"task": ["rest", None]},
        {"run": 1},
        {"run": None},
        {"run": ["Query.NONE", "Query.ANY"]},
        {"session": "Query.ANY"},
        {"session": "Query.OPTIONAL", "acquisition": []},
        {"task": "^RE", "regex_search": True},
        {"session": ["^0", None], "regex_search": True},
        {"extension": "nii.gz"},
        {"extension": "nii", "regex_search": True},
    ],
)
def test_conditions_mean_what_pybids_makes_of_them(
    tmp_path: Path, tree: SimpleNamespace, conditions: dict[str, object]
) -> None:
    """Pybids chooses the same files of a dataset by the same words."""
    names = ("task-rest", "task-rest_run-01", "task-nback_run-2", "task-prerest_acq-ap_run-1")
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    tree.touch(tmp_path, *(f"sub-1/func/sub-1_{name}_bold.nii.gz" for name in names))
    tree.touch(tmp_path, *(f"sub-1/ses-01/func/sub-1_ses-01_{name}_bold.nii" for name in names))
    asked = {
        key: [getattr(layout.Query, str(one)[6:], one) for one in value]
        if isinstance(value, list)
        else getattr(layout.Query, str(value)[6:], value)
        for key, value in conditions.items()
    }
    theirs = layout.BIDSLayout(tmp_path).get(suffix="bold", return_type="filename", **asked)
    every = tmp_path.rglob("*bold.nii*")
    assert sorted(theirs) == sorted(str(p) for p in every if matches(parse_name(p), conditions))


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


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("sub-01_task-rest_run-1", True),
        ("task-rest_run-1", True),
        ("run-01", True),
        ("sub-01_task-rest_run-1_bold.nii.gz", True),
        ("sub-1_run-1", True),
        ("sub-02_task-rest_run-1", False),
        ("sub-01_task-rest_run-2", False),
        ("sub-01_ses-1_run-1", False),
        ("sub-01_run-1_streamlines.tck", False),
    ],
)
def test_exclusions(name: str, left_out: bool) -> None:
    """A run is left out where its name has every entity of the exclusion."""
    assert Query(excluded=(name,)).accepts("bold", RUN) is not left_out


def test_exclusions_of_everything_are_refused() -> None:
    """A subject or a session alone is no run."""
    for name in ("sub-01", "sub-01_ses-1", "sub-01_bold.nii.gz", "rest"):
        with pytest.raises(InputError, match="sub-03_task-rest_run-2"):
            parse_exclusion(name)


def test_exclusions_from_a_file(tmp_path: Path) -> None:
    """One name a line, comments and what follows the name aside; words stay as they are."""
    path = tmp_path / "bad_runs.tsv"
    path.write_text("# seen by eye\nsub-01_run-2\tmoved\n\nsub-02_task-rest_run-1\n")
    words = ("sub-09_run-1", str(path), "sub-01_run-2")
    assert read_exclusions(words) == ("sub-09_run-1", "sub-01_run-2", "sub-02_task-rest_run-1")
    path.write_text("participant_id\n")
    with pytest.raises(InputError, match="found 'participant_id'"):
        read_exclusions((str(path),))


@pytest.mark.parametrize(
    ("template", "said"),
    [("/d/sub-02_tracks.tck", "sub-02"), ("/d/sub-01_ses-2_dseg.nii", "ses-2")],
)
def test_paths_of_another_participant_are_refused(template: str, said: str) -> None:
    """A path without {subject} would give everyone the data of one."""
    with pytest.raises(InputError, match=f"says {said}"):
        fill_template(template, "01", "1")
    assert fill_template("/d/sub-01_x.tck", "01", "1") == Path("/d/sub-01_x.tck")
    assert fill_template("/d/sub-01_ses-2_x.tck", "01", None).name == "sub-01_ses-2_x.tck"
