"""Splits and folds: parts cover everyone once, shares are as asked, families stay together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.splits import deal_folds, split_subjects


@given(n=st.integers(5, 400), seed=st.integers(0, 5))
def test_every_subject_is_in_one_part(n: int, seed: int) -> None:
    """Parts are disjoint, cover the cohort and have the published shares."""
    split = split_subjects(n, seed=seed)

    together = np.concatenate([split.train, split.validation, split.test])
    assert sorted(together) == list(range(n))
    assert len(split.test) == round(0.2 * n)
    assert len(split.validation) == round(0.1 * (n - len(split.test)))


@given(st.lists(st.integers(0, 60), min_size=60, max_size=200))
def test_families_stay_together(families: list[int]) -> None:
    """No family has members in two parts, and nobody is lost."""
    names = [str(family) for family in families]
    split = split_subjects(len(names), families=names)

    parts = [{names[row] for row in part} for part in (split.train, split.validation, split.test)]
    assert sum(len(part) for part in parts) == len(set(names))
    assert len(split.train) + len(split.validation) + len(split.test) == len(names)


def test_a_seed_fixes_the_split() -> None:
    """The same seed splits alike, another one differently."""
    one, same, other = (split_subjects(100, seed=seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(one.test, same.test)
    assert not np.array_equal(one.test, other.test)


def test_impossible_splits_are_refused() -> None:
    """Families of another length, and nobody left to train on."""
    with pytest.raises(ConnectomeError, match="family for each of 3"):
        split_subjects(3, families=["a"])
    with pytest.raises(ConnectomeError, match="left for training"):
        split_subjects(4, test_share=1.0)


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
