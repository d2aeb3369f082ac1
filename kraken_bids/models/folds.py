"""Folds of a cohort for cross-validation; families stay together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.splits import group_families


def deal_folds(
    n_subjects: int, n_folds: int, *, families: Sequence[str] | None = None, seed: int = 0
) -> NDArray[np.intp]:
    """Deal subjects into folds of about one size; returns the number of each one's fold.

    Parameters
    ----------
    families : sequence of str, optional
        Family of each subject; members of one family are in one fold.

    Returns
    -------
    ndarray of shape (n_subjects,)

    Raises
    ------
    ConnectomeError
        If there are fewer families, or subjects, than folds.
    """
    _, member_of = group_families(families, n_subjects)
    sizes = np.bincount(member_of)
    if len(sizes) < n_folds:
        what = "subjects" if families is None else "families"
        raise ConnectomeError(
            f"expected at least {n_folds} {what} for {n_folds} folds; found {len(sizes)}. Give "
            f"more {what}, or ask for fewer folds."
        )
    order = np.random.default_rng(seed).permutation(len(sizes))
    # the largest families first, each into the fold with the fewest people
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(n_folds, np.intp)
    fold_of = np.empty(len(sizes), np.intp)
    for family in order:
        fold_of[family] = np.argmin(filled)
        filled[fold_of[family]] += sizes[family]
    return np.asarray(fold_of[member_of], np.intp)
