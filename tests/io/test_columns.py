"""Tables with a header: the same columns however many blocks they are read in, and in bounds."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraken_bids.exceptions import InputError
from kraken_bids.io import tables
from kraken_bids.io.tables import NOT_AVAILABLE, parse_columns, read_columns

CELLS = st.sampled_from(["1", "-2.5e3", "n/a", "", "nan", "x", "Fälle", "7 ", "0x1", "inf"])


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a few lines at a time."""
    monkeypatch.setattr(tables, "BLOCK_BYTES", 16)


def read_cell_by_cell(rows: list[list[str]], k: int) -> list[float] | list[str]:
    cells = [row[k] for row in rows]
    try:
        return [np.nan if cell in NOT_AVAILABLE else float(cell) for cell in cells]
    except ValueError:
        return cells


@given(st.data(), st.integers(1, 4), st.integers(1, 40))
def test_blocks_do_not_show(data: st.DataObject, n_columns: int, n_rows: int) -> None:
    """Numbers, words and cells without value, against Python's float, cell by cell."""
    rows = data.draw(st.lists(st.lists(CELLS, min_size=n_columns, max_size=n_columns),
                              min_size=n_rows, max_size=n_rows))  # fmt: skip
    rows = [row for row in rows if row != [""]]  # a blank line is none
    names = [f"c{k}" for k in range(n_columns)]
    text = "\n".join("\t".join(row) for row in [names, *rows]) + "\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "BLOCK_BYTES", 16)
        found = parse_columns(text.encode(), "here")

    assert list(found) == names
    for k, name in enumerate(names):
        expected = np.array(read_cell_by_cell(rows, k), np.float64 if not rows else None)
        np.testing.assert_array_equal(found[name], expected)
        assert found[name].dtype == expected.dtype


@pytest.mark.usefixtures("small_blocks")
def test_a_word_at_the_end_makes_a_column_of_words(tmp_path: Path) -> None:
    """What was read as numbers before it is there as it was spelled."""
    path = tmp_path / "t.tsv"
    path.write_text("a\tb\n" + "01\t1.50\n" * 30 + "x\t2\n")

    found = read_columns(path)

    assert found["a"].tolist() == ["01"] * 30 + ["x"]
    np.testing.assert_array_equal(found["b"], [1.5] * 30 + [2])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1\t2\n" * 20 + "1\n", "found 1 in line 22"),
        ("1\t2\n" * 20 + "1\n1\t2\t3\n", "found 1 in line 22"),
        ("1\t2\t3\n1\n", "found 3 in line 2"),
        ("1\t2\0\n", "zero bytes"),
        ("1\n" * 20, "found 1 in line 2"),
    ],
)
def test_rows_of_other_lengths_are_named_by_line(body: str, message: str) -> None:
    """Also where all of them together have as many cells as they should."""
    with pytest.raises(InputError, match=message):
        parse_columns(f"a\tb\n{body}".encode(), "here")


def test_text_that_is_no_utf8_is_refused() -> None:
    """In the header, and below it."""
    for content in (b"a\xe9\n1\n", b"a\n\xe9\n"):
        with pytest.raises(InputError, match=r"here; found: .*utf-8"):
            parse_columns(content, "here")


def test_no_more_room_is_made_than_a_table_can_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """One long cell among many would be as long in each row; too many columns are no table."""
    monkeypatch.setattr(tables, "MAX_WORD_BYTES", 4 * 11 * 20)
    text = b"a\n" + b"x\n" * 10
    assert len(parse_columns(text + b"y" * 20, "here")["a"]) == 11
    with pytest.raises(InputError, match="11 rows of words of up to 21 letters"):
        parse_columns(text + b"y" * 21, "here")

    monkeypatch.setattr(tables, "MAX_COLUMNS", 3)
    assert len(parse_columns(b"a\tb\tc\n", "here")) == 3
    with pytest.raises(InputError, match="more than 3 columns"):
        parse_columns(b"a\tb\tc\td\n", "here")
