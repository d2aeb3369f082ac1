"""Folds cover a cohort once, are of about one size, and keep families together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.folds import deal_folds


@given(n=st.integers(10, 300), n_folds=st.integers(2, 10), seed=st.integers(0, 3))
def test_folds_of_single_people_differ_by_one_at_most(n: int, n_folds: int, seed: int) -> None:
    """Everybody is in one fold, and the seed alone fixes which."""
    folds = deal_folds(n, n_folds, seed=seed)

    counts = np.bincount(folds, minlength=n_folds)
    assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(folds, deal_folds(n, n_folds, seed=seed))


@given(st.lists(st.integers(0, 40), min_size=40, max_size=120))
def test_no_family_is_in_two_folds(members: list[int]) -> None:
    """The largest family bounds how unequal the folds are."""
    names = [f"f{one}" for one in members]
    if len(set(names)) < 5:
        return

    folds = deal_folds(len(names), 5, families=names)

    assert len({(name, fold) for name, fold in zip(names, folds, strict=True)}) == len(set(names))
    counts = np.bincount(folds, minlength=5)
    assert counts.max() - counts.min() <= max(map(names.count, set(names)))


def test_too_few_families_are_said() -> None:
    """Four people of two families make no three folds."""
    with pytest.raises(ConnectomeError, match="at least 3 families for 3 folds; found 2"):
        deal_folds(4, 3, families=["a", "a", "b", "b"])
    with pytest.raises(ConnectomeError, match=r"at least 3 subjects .* fewer folds"):
        deal_folds(2, 3)
