"""Values of files that anybody may have written: each by its kind, or not known."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.facts import Facts, read_facts, read_table

NO_NUMBERS = ("n/a", "600 s", "", True, None, [1.0], {"a": 1}, float("nan"), float("inf"), 10**400)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_number_is_not_known(value: object) -> None:
    """Texts, lists, true and infinity are no numbers, nor is what is not there."""
    known = Facts({"MeanFD": value})
    assert known.number("MeanFD") is known.count("MeanFD") is known.number("Frames") is None


def test_numbers_are_numbers_and_counts_are_whole() -> None:
    """Zero is known; a negative or broken number counts nothing."""
    known = Facts({"a": 0, "b": 2.0, "c": -1, "d": 1.5})
    assert [known.number(name) for name in "abcd"] == [0.0, 2.0, -1.0, 1.5]
    assert [known.count(name) for name in "abcd"] == [0, 2, None, None]


def test_lists_give_what_is_of_their_kind() -> None:
    """Names where objects are expected are none; numbers count together or not at all."""
    known = Facts({"Runs": ["run-1", {"File": "x"}, 3], "Counts": [1, "2"], "Bins": [1, 2.5]})
    assert known.texts("Runs") == ["run-1"]
    assert [run.text("File") for run in known.parts("Runs")] == ["x"]
    assert known.numbers("Counts") == []
    assert known.numbers("Bins") == [1.0, 2.5]
    assert known.texts("Bins") == known.texts("Other") == known.parts("Other") == []


def test_objects_in_objects_are_known_or_empty() -> None:
    """A path through parts that are no objects ends in nothing."""
    known = Facts({"Trust": {"a": {"Verdict": "ok"}, "b": 3}, "Text": "x"})
    assert known.part("Trust").part("a").text("Verdict") == "ok"
    assert known.part("Trust").part("b").part("c").text("Verdict") == ""
    assert set(known.part("Trust").by_name()) == {"a"}
    assert not known.part("Text")
    assert not Facts([1])


def test_a_file_that_is_not_there_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither does the log."""
    assert not read_facts(tmp_path / "none.json")
    assert not caplog.text


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"[]", b"3", b"\xff\xfe\x00", None])
def test_a_damaged_file_is_passed_over_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    """Whatever is wrong with it, a folder in its place included."""
    path = tmp_path / "x.json"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert not read_facts(path)
    assert "passed over: expected" in caplog.text
    assert str(path) in caplog.text


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    """All of it."""
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"MeanFD": 0.2}))
    assert read_facts(path).number("MeanFD") == 0.2


def test_a_table_has_the_columns_that_are_needed(tmp_path: Path) -> None:
    """Numbers are numbers; texts are as spelled even where all are digits."""
    path = tmp_path / "x.tsv"
    path.write_text("id\tfd\n01\t0.5\n2\tn/a\n")
    columns = read_table(path, numbers=("fd",), texts=("id",))
    np.testing.assert_equal(columns["fd"], [0.5, np.nan])
    assert columns["id"].tolist() == ["01", "2"]
    with pytest.raises(InputError, match=r"expected a column dvars in .*x.tsv; found id, fd"):
        read_table(path, numbers=("dvars",))
    path.write_text("id\tfd\n1\thigh\n")
    with pytest.raises(InputError, match=r"expected numbers in the column fd of .*x.tsv"):
        read_table(path, numbers=("fd",))
