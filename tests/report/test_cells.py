"""Cells of participants.tsv: groups in colours, numbers in shades."""

from kraken_bids.report.cells import LEVELS, RAMP, colour_cells
from kraken_bids.report.pages import PersonRow


def people(*values: str) -> list[PersonRow]:
    return [
        PersonRow(f"sub-{k}", "good", facts={"x": value} if value else {})
        for k, value in enumerate(values)
    ]


def test_numbers_run_from_pale_to_dark() -> None:
    """Absent ones have no colour and are sorted last."""
    cells = colour_cells(people("20", "n/a", "60", "40.5", ""), "x")

    assert [cell.colour for cell in cells][::2] == [RAMP[0], RAMP[1], ""]
    assert cells[3].colour not in RAMP
    assert [cell.text for cell in cells] == ["20", "–", "60", "40.5", "–"]
    assert [cell.order for cell in cells] == ["20", "", "60", "40.5", ""]


def test_groups_have_one_colour_each() -> None:
    """Also groups that are spelled as numbers, such as 0 and 1."""
    cells = colour_cells(people("patient", "control", "patient"), "x")
    assert [cell.colour for cell in cells] == [LEVELS[1], LEVELS[0], LEVELS[1]]
    coded = colour_cells(people("1", "0", "1"), "x")
    assert [cell.colour for cell in coded] == [LEVELS[1], LEVELS[0], LEVELS[1]]


def test_one_number_for_all_divides_by_nothing() -> None:
    """A column of infinite or equal values is drawn all the same."""
    cells = colour_cells(people("inf", "3", "4", "5"), "x")
    assert len({cell.text for cell in cells}) == 4
