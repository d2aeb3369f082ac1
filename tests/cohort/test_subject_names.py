"""People are joined by name, however inputs spell them, and never by the place of their rows."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.cohort.subject_names import (
    count_labels,
    match_labels,
    simplify_label,
    unify_labels,
)
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import parse_flavor

FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")
UPPER = np.triu_indices(86, 1)
N = 4


def test_sessions_are_counted_beside_subjects_where_they_are_more() -> None:
    assert count_labels(["01_ses-1", "01_ses-2", "02_ses-1"]) == "3 sessions of 2 subjects"
    assert count_labels(["01_ses-1", "02_ses-1"]) == "2 subjects"


@pytest.fixture
def squares() -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(N, 86, 86))
    return (x + x.swapaxes(1, 2)) / 2


def write(path: Path, squares: np.ndarray, **beside: Any) -> Path:
    content = {
        key: np.array(value, dtype=object if path.suffix == ".mat" and _is_text(value) else None)
        for key, value in beside.items()
    }
    if path.suffix == ".mat":
        savemat(path, {"data": squares, **content})
    else:
        np.savez(path, data=squares, **content)
    return path


def _is_text(value: Any) -> bool:
    return isinstance(value, list) and isinstance(value[0], str)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (["01", "02", "03", "10"], ["1", "2", "3", "10"]),
        ([1.0, 2.0, 3.0, 10.0], ["001", "002", "003", "010"]),
        (["A01", "A02", "A03", "A04"], ["a01", "a02", "a03", "a04"]),
        (["sub01", "sub02", "sub03", "sub04"], ["sub-01", "sub-02", "sub-03", "sub-04"]),
        (["NDAR_INV1A", "NDAR_INV2B", "NDAR_INV3C", "NDAR_INV4D"],
         ["sub-NDARINV1A", "sub-NDARINV2B", "sub-NDARINV3C", "sub-NDARINV4D"]),
        ([f"0{i}_ses-a" for i in range(1, 5)], [f"{i}_ses-a" for i in range(1, 5)]),
    ],
)  # fmt: skip
def test_people_spelled_differently_are_joined_and_that_is_said_once(
    tmp_path: Path, squares: np.ndarray, caplog: pytest.LogCaptureFixture, one: Any, two: Any
) -> None:
    """Numbers against padded words, small letters, ``sub`` with and without its hyphen."""
    a = write(tmp_path / "a.mat", squares, subjects=one)
    b = write(tmp_path / "b.mat", squares[::-1], subjects=list(reversed(two)))

    with caplog.at_level(logging.WARNING):
        found = read_connectomes([f"{FC}={a}", f"{SC}={b}"])

    assert len(found.subjects) == N
    np.testing.assert_array_equal(found.edges[SC], found.edges[FC])
    said = [record.message for record in caplog.records]
    assert len(said) == 1
    assert "taken as the same" in said[0]


def test_people_spelled_alike_are_joined_without_a_word(
    tmp_path: Path, squares: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where one input lacks somebody, and labels differ in their zeros only within it."""
    a = write(tmp_path / "a.npz", squares, subjects=["1", "001", "b", "B"])
    b = write(tmp_path / "b.npz", squares[[1, 0, 3, 2]], subjects=["001", "1", "B", "b"])

    with caplog.at_level(logging.WARNING):
        found = read_connectomes([f"{FC}={a}", f"{SC}={b}"])

    assert found.subjects == ("1", "001", "b", "B")
    np.testing.assert_array_equal(found.edges[SC], found.edges[FC])
    assert not caplog.records


def test_spellings_that_may_be_two_people_are_refused(tmp_path: Path, squares: np.ndarray) -> None:
    """1 and 001 in one input, and only one of them in the other."""
    a = write(tmp_path / "a.npz", squares, subjects=["1", "001", "2", "3"])
    b = write(tmp_path / "b.npz", squares[:3], subjects=["01", "2", "3"])

    with pytest.raises(InputError, match=f"1 and 001 in {FC}, where {SC} has 01"):
        read_connectomes([f"{FC}={a}", f"{SC}={b}"])


def test_inputs_of_other_people_are_refused(tmp_path: Path, squares: np.ndarray) -> None:
    """Two files that share nobody; with a third that shares somebody with both they may stand."""
    one = write(tmp_path / "one.npz", squares[:2], subjects=["a", "b"])
    two = write(tmp_path / "two.npz", squares[2:], subjects=["c", "d"])
    both = write(tmp_path / "both.npz", squares, subjects=["a", "b", "c", "d"])

    with pytest.raises(InputError, match=r"nobody in common.*a, b.*c, d"):
        read_connectomes([f"{FC}={one}", f"{SC}={two}"])

    found = read_connectomes([f"{FC}={one}", f"{SC}={two}", f"FCcorr_fs86_hpfgsr={both}"])
    assert found.subjects == ("a", "b", "c", "d")


def test_two_files_of_a_flavor_hold_other_people_each(tmp_path: Path, squares: np.ndarray) -> None:
    """A cohort in two parts is one cohort."""
    one = write(tmp_path / "one.npz", squares[:2], subjects=["a", "b"])
    two = write(tmp_path / "two.npz", squares[2:], subjects=["c", "d"])

    assert read_connectomes([f"{FC}={one}", f"{FC}={two}"]).subjects == ("a", "b", "c", "d")


def test_rows_without_names_are_not_paired_with_names(
    tmp_path: Path, squares: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever comes first, and though they are as many; without any names they are paired."""
    named = f"{FC}={write(tmp_path / 'named.npz', squares, subjects=list('abcd'))}"
    bare = f"{SC}={write(tmp_path / 'bare.npz', squares)}"
    other = f"FCcorr_fs86_hpfgsr={write(tmp_path / 'other.npz', squares)}"

    for inputs in ([named, bare], [bare, named]):
        with pytest.raises(InputError, match=r"names of the subjects in .*bare\.npz"):
            read_connectomes(inputs)
    with caplog.at_level(logging.INFO):
        assert read_connectomes([bare, other]).subjects == ("1", "2", "3", "4")
    assert "rows of 2 inputs belong together by their place" in caplog.text


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
@pytest.mark.parametrize(
    "key",
    ["participant_id", "subject_id", "ID", "subj", "subjects", "subs", "Subject", "SubjID",
     "participants", "subject_list", "src_subject_id", "eid", "PTID"],
)  # fmt: skip
def test_names_are_found_under_the_keys_that_people_use(
    tmp_path: Path, squares: np.ndarray, key: str, suffix: str
) -> None:
    """In another order than in the other file: the right rows belong together."""
    one = write(tmp_path / f"one{suffix}", squares, subjects=list("abcd"))
    two = write(tmp_path / f"two{suffix}", squares[::-1], **{key: list("dcba")})

    found = read_connectomes([f"{FC}={one}", f"{SC}={two}"])

    np.testing.assert_array_equal(found.edges[SC], found.edges[FC])


def test_names_that_pandas_gave_are_words(tmp_path: Path, squares: np.ndarray) -> None:
    """An array of objects, which numpy pickles: words in it are read, anything else is refused."""
    for names in (list("dcba"), [101, 7, 12, 8]):
        np.savez(tmp_path / "x.npz", data=squares, subjects=np.array(names, dtype=object))
        found = read_connectomes([f"{FC}={tmp_path / 'x.npz'}"])
        assert found.subjects == tuple(map(str, names))
    for other in ([1.5, "a", "b", "c"], [print, "a", "b", "c"], [["a"], "b", "c", "d"]):
        np.savez(tmp_path / "x.npz", data=squares, subjects=np.array(other, dtype=object))
        with pytest.raises(InputError, match="Python objects"):
            read_connectomes([f"{FC}={tmp_path / 'x.npz'}"])


def test_values_that_cannot_be_names_of_the_rows_are_passed_over(
    tmp_path: Path, squares: np.ndarray
) -> None:
    """Numbers of regions, ages with fractions, tables."""
    path = write(
        tmp_path / "x.npz", squares,
        ids=np.arange(86), subj=np.array([20.5, 31, 40, 22]), participants_list=np.ones((4, 2)),
    )  # fmt: skip

    assert read_connectomes([f"{FC}={path}"]).subjects == ("1", "2", "3", "4")


def test_connectomes_under_a_key_like_that_of_names_are_connectomes(
    tmp_path: Path, squares: np.ndarray
) -> None:
    """``subs`` [people, regions, regions] is no list."""
    np.savez(tmp_path / "x.npz", subs=squares)

    assert read_connectomes([f"{FC}={tmp_path / 'x.npz'}"]).subjects == ("1", "2", "3", "4")


def test_subjects_that_are_no_names_are_refused(tmp_path: Path, squares: np.ndarray) -> None:
    """A struct, fractions, a table: rows are not named by what they look like in Python."""
    for value in ({"id": "a"}, np.array([0.5, 1, 2, 3]), np.ones((4, 2))):
        savemat(tmp_path / "x.mat", {"data": squares, "subjects": value})
        with pytest.raises(InputError, match=r"words or whole numbers|found 1 names"):
            read_connectomes([f"{FC}={tmp_path / 'x.mat'}"])


def test_a_person_without_a_name_is_refused(tmp_path: Path, squares: np.ndarray) -> None:
    """An empty cell among the names."""
    path = write(tmp_path / "x.npz", squares, subjects=["a", "", "c", "d"])

    with pytest.raises(InputError, match="none for row 2"):
        read_connectomes([f"{FC}={path}"])


@pytest.mark.parametrize("name", ["ismissing", "is_missing"])
@pytest.mark.parametrize("names", [None, list("abcd"), list("abd")])
@pytest.mark.parametrize("is_whole", [True, False])
def test_missing_people_are_left_out_with_or_without_names(
    tmp_path: Path, squares: np.ndarray, name: str, names: list[str] | None, is_whole: bool
) -> None:
    """Whether names and rows are those of everybody or of those who are there."""
    beside: dict[str, Any] = {name: [0, 0, 1, 0]} | ({"subjects": names} if names else {})
    rows = squares if is_whole else squares[[0, 1, 3]]
    for key in ("data", FC.name):
        content = {key: rows, **beside}
        np.savez(tmp_path / "x.npz", **content)
        text = f"{FC}={tmp_path / 'x.npz'}" if key == "data" else str(tmp_path / "x.npz")

        found = read_connectomes([text])

        np.testing.assert_array_equal(found.edges[FC], squares[[0, 1, 3]][:, *UPPER])
        assert found.subjects == (("a", "b", "d") if names else ("1", "2", "3"))


@pytest.mark.parametrize("values", [[0, 0, 0], [0, 1, 1, 0, 0], [0, 2, 0, 0], ["no"] * 4])
def test_ismissing_that_does_not_fit_is_refused(
    tmp_path: Path, squares: np.ndarray, values: Sequence[Any]
) -> None:
    """Of another length, or neither yes nor no."""
    path = write(tmp_path / "x.npz", squares, subjects=list("abcd"), ismissing=values)

    with pytest.raises(InputError, match="ismissing"):
        read_connectomes([f"{FC}={path}"])


def test_labels_that_mean_the_same_are_simplified_to_the_same() -> None:
    """And a label that consists of what is taken away stays."""
    for several in (("1", "01", "sub-001", "Sub1"), ("P-07", "p7"), ("sub", "sub"), ("-", "-")):
        assert len({simplify_label(label) for label in several}) == 1
    assert simplify_label("10") != simplify_label("1")
    assert simplify_label("100") == "100"
    assert unify_labels({"a": ["x1"], "b": ["X01", "y"]}) == {"x1": "x1", "X01": "x1", "y": "y"}


def test_labels_of_a_query_are_found_among_the_people_of_a_run() -> None:
    """Those who are nobody, or may be two, stay as they are written."""
    said: list[str] = []

    found = match_labels(["1", "b", "nobody", "7"], ["001", "b", "07", "007"], say=said.append)

    assert found == {"001", "b", "nobody", "7"}
    assert said == ["1 subjects are spelled differently, and taken as the same: 1 = 001"]


@pytest.mark.parametrize("key", ["files", "pid", "age_days"])
def test_rows_without_names_are_not_paired_against_another_list_beside_them(
    tmp_path: Path, squares: np.ndarray, key: str
) -> None:
    """The same values in another order say that the people lie otherwise; other values do not."""
    values = ["a", "b", "c", "d"] if key == "files" else [7, 9, 8, 4]
    a = write(tmp_path / "a.npz", squares, **{key: values})
    b = write(tmp_path / "b.npz", squares, **{key: values[::-1]})
    with pytest.raises(InputError, match=f"values of {key} in another order"):
        read_connectomes([f"{FC}={a}", f"{SC}={b}"])
    for other in (values, [f"{value}0" for value in values], ["x", "x", "x", "x"]):
        b = write(tmp_path / "b.npz", squares, **{key: other})
        assert len(read_connectomes([f"{FC}={a}", f"{SC}={b}"]).subjects) == N


def test_people_numbered_from_zero_are_not_paired_with_people_numbered_from_one(
    tmp_path: Path, squares: np.ndarray
) -> None:
    """Numbers that count both alike, or are names of their own, are."""
    a = write(tmp_path / "a.npz", squares, subjects=[0, 1, 2, 3])
    b = write(tmp_path / "b.npz", squares, subjects=[1, 2, 3, 4])
    with pytest.raises(InputError, match="counted from 0"):
        read_connectomes([f"{FC}={a}", f"{SC}={b}"])
    assert len(read_connectomes([f"{FC}={a}", f"{SC}={a}"]).subjects) == N
    b = write(tmp_path / "b.npz", squares, subjects=[1, 2, 3, 5])
    assert len(read_connectomes([f"{FC}={a}", f"{SC}={b}"]).subjects) == N + 1
