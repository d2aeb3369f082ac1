"""Which column of the participants colours the cohort."""

import pytest

from kraken_bids.report.colouring import choose_colouring

LABELS = [f"sub-{k:02d}" for k in range(12)]
COLUMNS = {
    "iq": [str(90 + k) for k in range(12)],
    "age": [str(20 + k) for k in range(12)],
    "sex": list("FM" * 6),
    "Site": ["a", "b", "n/a"] * 4,
    "scanner": [f"scanner {k % 9}" for k in range(12)],
    "GROUP": [" patient", "control "] * 6,
    "gender": ["1", "2"] * 6,
    "alike": ["x"] * 11 + ["n/a"],
}


@pytest.mark.parametrize(
    ("columns", "chosen", "is_numeric"),
    [
        (tuple(COLUMNS), "GROUP", False),
        (("iq", "age", "sex", "Site"), "Site", False),
        (("iq", "age", "gender"), "gender", False),
        (("iq", "age"), "age", True),
        (("scanner", "alike", "iq"), "iq", True),
        (("scanner", "alike"), None, False),
        ((), None, False),
    ],
)
def test_the_first_suitable_column(
    columns: tuple[str, ...], chosen: str | None, *, is_numeric: bool
) -> None:
    """Groups before sites, sexes and ages; none that is alike for all or has too many names."""
    facts = {label: {c: COLUMNS[c][k] for c in columns} for k, label in enumerate(LABELS)}
    found = choose_colouring(LABELS, columns, facts)
    assert (found.column if found else None) == chosen
    if found:
        assert found.is_numeric == is_numeric
        expected = [COLUMNS[found.column][k].strip() for k in range(12)]
        assert list(found.values) == [value.replace("n/a", "") for value in expected]


def test_people_whom_the_table_does_not_know() -> None:
    """They stay in the picture, in the colour of those of whom nothing is known."""
    facts = {label: {"sex": "FM"[k % 2]} for k, label in enumerate(LABELS[:4])}
    found = choose_colouring(LABELS[:6], ("sex",), facts)
    assert found is not None
    assert found.values == ("F", "M", "F", "M", "", "")
