"""Covariates as columns of a regression."""

import numpy as np

from kraken_bids.scores.covariates import encode_covariates


def test_numbers_are_standardised_and_words_become_columns() -> None:
    """Of words, all but the most frequent one."""
    found = encode_covariates(
        {"age": ["20", "30", "40"], "site": ["b", "a", "b"], "motion": [0.1, 0.1, 0.1]}, 3
    )
    assert found.names == ("age", "site=a", "motion")
    spread = np.std([20, 30, 40])
    expected = [[1, -10 / spread, 0, 0], [1, 0, 1, 0], [1, 10 / spread, 0, 0]]
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert not any(found.unknown)


def test_what_tables_write_for_unknown_is_unknown() -> None:
    """In every column, whether of words or of numbers."""
    found = encode_covariates({"age": ["20", "n/a", "21"], "sex": ["F", "M", " "]}, 3)
    assert found.unknown == ("", "age", "sex")
    assert np.isnan(found.values[[1, 2], [1, 2]]).all()
    assert encode_covariates({}, 2).values.tolist() == [[1], [1]]


def test_a_column_that_nobody_has_is_unknown_of_everyone() -> None:
    """Rather than a constant."""
    found = encode_covariates({"age": ["", None, float("nan")]}, 3)
    assert found.unknown == ("age", "age", "age")
    assert np.isnan(found.values[:, 1]).all()
