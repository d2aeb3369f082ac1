"""Matrices of text read alike, whatever separates their numbers."""

import io
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.text_matrices import read_named_matrix, read_text_matrix

MATRIX = np.array([[1.0, 0.25, -3e-5], [0.25, 1.0, 7.0], [-3e-5, 7.0, 1.0]])


def to_text(mark: str, end: str = "") -> str:
    return "".join(mark.join(f"{v:.9g}" for v in row) + end + "\n" for row in MATRIX)


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".txt"])
@pytest.mark.parametrize(
    "text",
    [
        *(to_text(mark) for mark in ("\t", ",", ";", " ", "   ", ", ", " ,", " \t")),
        *(to_text(mark, end=mark) for mark in ("\t", ",", " ")),
        *(to_text(",").replace("\n", end) for end in ("\r\n", "\r", "\n\n")),
        "\ufeff" + to_text(","),
        "% by hand\n" + to_text(" "),
        "# tck2connectome 3.0.4\n" + to_text(" "),
        "\ufeff# both\n\n" + to_text("\t"),
        "  " + to_text(" ").replace("\n", " % the end\n"),
        to_text("\t").rstrip("\n"),
    ],
)
def test_every_layout_gives_the_same_numbers(tmp_path: Path, text: str, suffix: str) -> None:
    """The name of the file does not say what separates its numbers; the file does."""
    path = tmp_path / f"x{suffix}"
    path.write_bytes(text.encode())

    np.testing.assert_array_equal(read_text_matrix(path), MATRIX)
    np.testing.assert_array_equal(read_text_matrix(io.BytesIO(text.encode())), MATRIX)


@pytest.mark.parametrize("word", ["nan", "NaN", "n/a", "N/A", "NA"])
@pytest.mark.parametrize("mark", ["\t", ",", " "])
def test_cells_that_say_not_available_are_nan(tmp_path: Path, word: str, mark: str) -> None:
    """As BIDS, pandas, R and numpy write them."""
    path = tmp_path / "x.tsv"
    path.write_text(to_text(mark).replace("7", word))

    np.testing.assert_array_equal(read_text_matrix(path), np.where(MATRIX == 7, np.nan, MATRIX))


@pytest.mark.parametrize(
    "text",
    [
        "1,,3\n4,5,6\n", ",1\n2,3\n", "1\t\t3\n4\t5\t6\n", "1 2\n3\n", "1,2\n3\n", "", "# only\n",
        "50% 2\n3 4\n", "1 2\n3 x\n", "0,5\t0,3\n0,3\t0,5\n", "0,5;0,3\n0,3;0,5\n", "1\x002\n",
    ],
)  # fmt: skip
def test_text_that_is_no_matrix_is_refused(tmp_path: Path, text: str) -> None:
    """Empty cells, ragged rows, words, percent, decimal commas: nothing is made up."""
    path = tmp_path / "broken.csv"
    path.write_text(text)

    with pytest.raises(InputError, match=r"broken\.csv"):
        read_text_matrix(path)


@pytest.mark.parametrize(
    "text", ["a\tb\tc\n", "\ta\tb\tc\n", '"a"\t"b"\t"c"\n', "Node\ta\tb\tc\n"]
)
def test_a_header_of_the_regions_is_no_row(tmp_path: Path, text: str) -> None:
    """Names above the columns, and as pandas writes them also before the rows."""
    rows = to_text("\t").splitlines(keepends=True)
    if text.startswith(("\t", "Node")):
        rows = [f"{name}\t{row}" for name, row in zip("abc", rows, strict=True)]
    path = tmp_path / "x.tsv"
    path.write_text(text + "".join(rows))

    names, values = read_named_matrix(path)
    assert names == ("a", "b", "c")
    np.testing.assert_array_equal(values, MATRIX)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("a\tb\n", "2 names in the header"),
        ("a\tb\tb\n", "repeated names"),
        ("\ta\tb\tc\n", "not those of the rows"),
    ],
)
def test_a_header_of_other_regions_is_refused(tmp_path: Path, header: str, message: str) -> None:
    """Too few, one twice, rows named otherwise."""
    path = tmp_path / "x.tsv"
    path.write_text(header + to_text("\t"))

    with pytest.raises(InputError, match=message):
        read_text_matrix(path)


def test_comments_and_missing_cells_are_found_in_every_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bytes at a time; NAN is a number's spelling, <NA> is pandas' word."""
    monkeypatch.setattr("kraken_bids.io.text_matrices.BLOCK_BYTES", 4)
    path = tmp_path / "x.csv"
    path.write_text("<NA>,1 # one\nNAN , 2\n# two\n3 ,n/a % three\n")

    np.testing.assert_array_equal(read_text_matrix(path), [[np.nan, 1], [np.nan, 2], [3, np.nan]])


def test_names_of_regions_are_no_missing_cells(tmp_path: Path) -> None:
    """Nucleus accumbens (NAcc) has N and A in its name."""
    path = tmp_path / "x.csv"
    path.write_text(",NAcc,n/a-1\nNAcc,1,NA\nn/a-1,NA,1\n")

    found = read_text_matrix(path)
    np.testing.assert_array_equal(found, [[1, np.nan], [np.nan, 1]])


def test_a_first_line_of_words_without_end_is_no_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken apart."""
    monkeypatch.setattr("kraken_bids.io.tables.MAX_LINE", 20)
    path = tmp_path / "x.tsv"
    path.write_text("q\t" * 20 + "\n1\t2\n")
    with pytest.raises(InputError, match="a first line of words of 40 bytes"):
        read_text_matrix(path)
