"""Cells of participants.tsv: groups in colours, numbers in shades."""

from kraken_bids.report.sections.subject_table import LEVELS, RAMP, colour_cells


def test_numbers_run_from_pale_to_dark() -> None:
    """Absent ones have no colour and are sorted last."""
    cells = colour_cells(["20", "n/a", "60", "40.5", ""])

    assert [cell.colour for cell in cells][::2] == [RAMP[0], RAMP[1], ""]
    assert cells[3].colour not in RAMP
    assert [cell.text for cell in cells] == ["20", "–", "60", "40.5", "–"]
    assert [cell.order for cell in cells] == ["20", "", "60", "40.5", ""]


def test_groups_have_one_colour_each() -> None:
    """Also groups that are spelled as numbers, such as 0 and 1."""
    cells = colour_cells(["patient", "control", "patient"])
    assert [cell.colour for cell in cells] == [LEVELS[1], LEVELS[0], LEVELS[1]]
    coded = colour_cells(["1", "0", "1"])
    assert [cell.colour for cell in coded] == [LEVELS[1], LEVELS[0], LEVELS[1]]


def test_one_number_for_all_divides_by_nothing() -> None:
    """A column of infinite or equal values is drawn all the same."""
    cells = colour_cells(["inf", "3", "4", "5"])
    assert len({cell.text for cell in cells}) == 4
