"""Times of jobs are read and spelled as their schedulers have them."""

import pytest

from kraken_bids.pipeline.workers.schedulers import parse_walltime


@pytest.mark.parametrize(
    ("text", "of_lsf", "seconds"),
    [
        ("00:30:00", False, 1800),
        ("2-00:00:01", False, 172801),
        ("00:30", True, 1800),
        ("00:30", False, None),
        ("forever", False, None),
    ],
)
def test_times_are_read(text: str, of_lsf: bool, seconds: int | None) -> None:
    """What may mean minutes or hours is not guessed."""
    assert parse_walltime(text, of_lsf=of_lsf) == seconds
