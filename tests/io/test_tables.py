"""Text, JSON, tables, matrices and weights are read, and damage is named."""

from pathlib import Path

import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.texts import read_json, read_text
from kraken_bids.io.tractograms import BLOCK_BYTES, read_weights


def test_read_json(tmp_path: Path) -> None:
    """One object is read; anything else names the file."""
    path = tmp_path / "a.json"
    path.write_text('{"RepetitionTime": 2}')
    assert read_json(path) == {"RepetitionTime": 2}
    for text in ("[]", "{"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"a\.json"):
            read_json(path)
    with pytest.raises(InputError, match=r"no\.json"):
        read_text(tmp_path / "no.json")


def test_read_columns(tmp_path: Path) -> None:
    """Numbers become float64 with n/a as NaN; other columns stay as spelled."""
    path = tmp_path / "c.tsv"
    path.write_text("a\tb\tc\n1\tx\tn/a\nn/a\tn/a\tn/a\n2.5e3\tz\tn/a\n")
    columns = read_columns(path)
    np.testing.assert_array_equal(columns["a"], [1, np.nan, 2500])
    assert columns["b"].tolist() == ["x", "n/a", "z"]
    assert np.isnan(columns["c"]).all()
    path.write_text("a\tb\n")
    assert [len(v) for v in read_columns(path).values()] == [0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a\tb\n1\t2\n3\n", "found 1 in line 3"), ("a\ta\n1\t2\n", "different"), ("", "empty file")],
)
def test_read_columns_of_damaged_tables(tmp_path: Path, text: str, message: str) -> None:
    """A cut row, a repeated name and an empty file are said."""
    path = tmp_path / "c.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_columns(path)


def test_read_relmat(tmp_path: Path) -> None:
    """A square of numbers, with nan and n/a, as numpy reads it."""
    path = tmp_path / "m.tsv"
    path.write_text("1\t0.5\tnan\n0.5\t1\t-2e-3\nn/a\t0\t1\n")
    expected = [[1, 0.5, np.nan], [0.5, 1, -0.002], [np.nan, 0, 1]]
    np.testing.assert_array_equal(read_relmat(path), expected)


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf1\t2\n3\tn/a",
        b"1\t2\r\n3\tNaN\r\n",
        b"1\t2\r3\tnan\r",
        b"\n1 2\n \n3 nan\n\n",
    ],
)
def test_read_relmat_as_other_programs_write_it(tmp_path: Path, text: bytes) -> None:
    """A byte order mark, no last line end, lines of Windows and old Macs, blank lines."""
    path = tmp_path / "m.tsv"
    path.write_bytes(text)
    np.testing.assert_array_equal(read_relmat(path), [[1, 2], [3, np.nan]])


@pytest.mark.parametrize(
    "text", ["", "1\t2\n", "1\t2\n3\n", "1\tx\n3\t4\n", "1\t2\n3\t4x\n", "1\té\n3\t4\n"]
)
def test_read_relmat_of_damaged_files(tmp_path: Path, text: str) -> None:
    """Empty, not square, cut, or with words in it: the path is named."""
    path = tmp_path / "m.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"m\.tsv"):
        read_relmat(path)


@pytest.mark.parametrize("separator", [" ", "\n", ",", ", "])
def test_read_weights(tmp_path: Path, separator: str) -> None:
    """Blanks, lines and commas separate; MRtrix's comment line is passed over; float32."""
    path = tmp_path / "w.csv"
    path.write_text("# tcksift2 1,2 3 \n" + separator.join(["1.5", "2", "1e-3"]) + "\n")
    weights = read_weights(path)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, np.float32([1.5, 2, 1e-3]))


def test_read_weights_in_blocks(tmp_path: Path) -> None:
    """Numbers and comments on the edge of a block stay whole."""
    path = tmp_path / "w.txt"
    values = np.random.default_rng(0).random(2 * BLOCK_BYTES // 12).astype(np.float32)
    body = " ".join(f"{v:.9g}" for v in values)
    path.write_text(f"# {'1 ' * (BLOCK_BYTES // 2)}\n{body}\n")
    np.testing.assert_array_equal(read_weights(path), values)


def test_reading_weights_changes_no_filter_of_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters are the whole process's: warnings of BOLD read meanwhile would become errors."""
    path = tmp_path / "w.csv"
    path.write_text("1 2.5\n")
    with monkeypatch.context() as during:
        during.delattr("warnings.catch_warnings")
        weights = read_weights(path)
    np.testing.assert_array_equal(weights, np.float32([1, 2.5]))


@pytest.mark.parametrize("text", ["", "# only a comment\n", "1 2 x 3\n", "1 2_000 3\n", "1 2x"])
def test_read_weights_of_damaged_files(tmp_path: Path, text: str) -> None:
    """No numbers, or words among them, is an error that names the file."""
    path = tmp_path / "w.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"w\.csv"):
        read_weights(path)


@pytest.mark.parametrize("text", ["1 nan 3\n", "1\ninf\n3\n", "1,-inf,3", "1 1e40 3\n"])
def test_read_weights_that_are_not_finite(tmp_path: Path, text: str) -> None:
    """A weight that is no number would make whole edges NaN: the streamline is named."""
    path = tmp_path / "weights.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="for streamline 2, and 1 such"):
        read_weights(path)


@pytest.mark.parametrize(
    "text",
    [
        b"1\t2\t3\n4\n",
        b"1\t\t0.5\n0.5\t1\n",
        b"1\t0.5\n0.5\t0.1\0\0\n",
        b"1\t0.5\n0.5\t1\x1f\n",
        b"\t1\t2\n3\t4\n",
        b"1\t2\n \t3\t4\n",
        b"1\t2\t\t\n3\t4\n",
        b"1 2 3\n4\n",
    ],
)
def test_rows_of_other_lengths_and_bytes_of_no_text_are_refused(
    tmp_path: Path, text: bytes
) -> None:
    """As many numbers as a square has are no square, where rows differ or a file ends in zeros."""
    path = tmp_path / "x.tsv"
    path.write_bytes(text)

    with pytest.raises(InputError, match=r"x\.tsv"):
        read_relmat(path)


@pytest.mark.parametrize("text", [b"1\t2\n3\t4", b"1\t2\t\r\n3\t4\t\r\n", b"1 2\n\n3  4\n"])
def test_other_layouts_of_a_square_are_read(tmp_path: Path, text: bytes) -> None:
    """Without a last line end, with a tab at the end of lines, separated by blanks."""
    path = tmp_path / "x.tsv"
    path.write_bytes(text)

    np.testing.assert_array_equal(read_relmat(path), [[1, 2], [3, 4]])


def test_no_square_has_so_many_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted before there is room for them."""
    monkeypatch.setattr("kraken_bids.io.tables.MAX_LINES", 3)
    path = tmp_path / "m.tsv"
    path.write_text("1\t2\n3\t4\n")
    assert read_relmat(path).shape == (2, 2)
    path.write_text("1\n" * 3)
    with pytest.raises(InputError, match=r"m\.tsv; reading it gave: 4 lines"):
        read_relmat(path)


@pytest.mark.parametrize("text", [b"1" * 100, b"# " + b"x" * 100, b"1 2\n" + b"3" * 100])
def test_no_weight_and_no_comment_is_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    """A file without line ends or blanks is not kept to be looked through again and again."""
    monkeypatch.setattr("kraken_bids.io.tractograms.BLOCK_BYTES", 16)
    path = tmp_path / "w.txt"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"w\.txt; reading it gave: a word or a comment"):
        read_weights(path)
