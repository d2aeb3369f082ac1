"""participants.tsv reads the same however a spreadsheet program saved it."""

from pathlib import Path

import pytest

from kraken_bids.bids.participants import read_participants
from kraken_bids.exceptions import InputError

TABLE = "participant_id\tgroup\nsub-01\tFälle\nsub-02\tcontrol\n"
ROWS = [{"participant_id": "01", "group": "Fälle"}, {"participant_id": "02", "group": "control"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_encoding_and_line_end_gives_the_same_rows(
    tmp_path: Path, encoding: str, line_end: str
) -> None:
    """UTF-8 with and without mark, Latin-1, Windows-1252 and Excel's UTF-16."""
    path = tmp_path / "participants.tsv"
    path.write_bytes(TABLE.replace("\n", line_end).encode(encoding))

    assert read_participants(path) == ROWS


def test_blanks_around_names_and_values_are_no_part_of_them(tmp_path: Path) -> None:
    """Padded ids, groups with trailing blanks, a padded header, empty lines, cells left out."""
    path = tmp_path / "participants.tsv"
    path.write_text("participant_id \t group\n sub-01 \tFälle  \n\nsub-02\tcontrol \nsub-03\n")

    assert read_participants(path) == [*ROWS, {"participant_id": "03", "group": ""}]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a\ta\n1\t2\n", "different names"), ("participant_id\n01\textra\n", "2 in line 2")],
)
def test_tables_that_nobody_can_read_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """A column twice, and a row with more cells than the header has."""
    path = tmp_path / "participants.tsv"
    path.write_text(text)

    with pytest.raises(InputError, match=message):
        read_participants(path)


def test_an_absent_table_is_an_error_with_its_path(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(InputError, match=r"participants\.tsv"):
        read_participants(tmp_path / "participants.tsv")


def test_no_more_people_are_read_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a line that no table has."""
    monkeypatch.setattr("kraken_bids.bids.participants.MAX_CELLS", 12)
    path = tmp_path / "participants.tsv"
    path.write_text("participant_id\n" + "1\n" * 3)
    assert len(read_participants(path)) == 3
    path.write_text("participant_id\n" + "1\n" * 4)
    with pytest.raises(InputError, match=r"participants\.tsv.* more than 3 subjects"):
        read_participants(path)
    monkeypatch.setattr("kraken_bids.bids.participants.MAX_LINE", 10)
    with pytest.raises(InputError, match="a line of 15 letters"):
        read_participants(path)


def test_a_table_of_bytes_that_end_within_a_letter(tmp_path: Path) -> None:
    """UTF-16 that is cut."""
    path = tmp_path / "participants.tsv"
    path.write_bytes(TABLE.encode("utf-16")[:-1])
    with pytest.raises(InputError, match=r"participants\.tsv"):
        read_participants(path)
