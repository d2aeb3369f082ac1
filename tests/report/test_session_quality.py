"""What the group's page sums up of ``group/qc.tsv``."""

import numpy as np

from kraken_bids.report.sections.session_quality import summarise_quality


def test_numbers_that_cannot_be_are_passed_over() -> None:
    """A damaged table ends no page: only 1 says that a flavor was used."""
    rows = {
        "flavor": np.array(["a", "b", "c", "d"]),
        "mean_fd": np.array([0.1, np.nan, np.inf, 0.2]),
        "minutes": np.array([8.0, 9.0, -np.inf, np.nan]),
        "both_ends": np.full(4, np.nan),
        "used_as_input": np.array([1e308, 1e308, 1.0, 0.0]),
        "n_missing_regions": np.array([2.0, np.inf, np.nan, 0.0]),
    }

    found = summarise_quality("sub-01", rows, ({"a", "b", "c", "d"}, [], None), "sub-01.html")

    assert (found.n_measured, found.n_inputs, found.n_imputed) == (4, 1, 2)
    assert (found.mean_fd, found.minutes_kept, found.both_ends) == (0.2, 8.0, None)
    assert found.flags == ("d not used",)
