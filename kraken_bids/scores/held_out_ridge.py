"""What features say of a label or a number, in subjects held out, beside what chance says."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Features = Callable[[NDArray[np.bool_]], Floats]
"""Features ``[n_rows, n_features]`` of all rows, made with what is known of the rows given alone;
rows of NaN are left out."""

N_FOLDS = 5
N_PERMUTATIONS = 500
AT_ONCE = 50
"""Permutations whose predictions are computed together."""


@dataclass(frozen=True)
class HeldOutScore:
    """A score over subjects held out, and what it is by chance."""

    value: float
    chance: float
    low: float
    """Of the 95 % interval of permutations."""
    high: float
    p: float
    """One-sided: share of permutations that do as well, the value itself counted."""


@dataclass(frozen=True)
class Fold:
    """Predictions of those held out are ``weights @ targets[fitted]``, whatever the targets."""

    fitted: Indices
    held_out: Indices
    weights: Floats
    """[n_held_out, n_fitted]."""


def deal_subjects(subjects: Sequence[str], sites: Sequence[str]) -> Indices:
    """Deal subjects into folds, those of each site over all of them; returns each row's fold.

    Parameters
    ----------
    subjects : sequence of str of length n_rows
        Rows of one subject, or one family, are in one fold.
    sites : sequence of str of length n_rows
        Of a subject with several the first counts.
    """
    first = dict(reversed([*zip(subjects, sites, strict=True)]))
    rng = np.random.default_rng(0)
    names = sorted(first)
    fold_of: dict[str, int] = {}
    next_fold = 0
    for site in sorted(set(first.values())):
        own = [who for who in names if first[who] == site]
        for who in rng.permutation(np.array(own, object)):
            fold_of[who] = next_fold % N_FOLDS
            next_fold += 1
    return np.array([fold_of[who] for who in subjects], np.intp)


def fit_folds(features: Features, fold_of: Indices) -> list[Fold]:
    """Fit a ridge regression without each fold; its targets may be any.

    Features are centred and scaled by those fitted on; the ridge is their mean eigenvalue.
    """
    folds = []
    for number in np.unique(fold_of):
        held_out = fold_of == number
        values = features(~held_out)
        has = np.isfinite(values).all(axis=1)
        fitted, tested = np.flatnonzero(has & ~held_out), np.flatnonzero(has & held_out)
        if len(fitted) < 2 or not len(tested):
            continue
        center, scale = values[fitted].mean(axis=0), values[fitted].std(axis=0)
        scaled = (values - center) / np.where(scale > 0, scale, 1)
        own = scaled[fitted]
        gram = own @ own.T
        gram[np.diag_indices_from(gram)] += max(float(np.trace(gram)) / len(fitted), 1e-12)
        weights = np.linalg.solve(gram, own @ scaled[tested].T).T
        folds.append(Fold(fitted, tested, weights))
    return folds


def score_labels(
    folds: Sequence[Fold], labels: Sequence[str], subjects: Sequence[str]
) -> HeldOutScore:
    """Balanced accuracy of labels: the mean over labels of the share of subjects told right.

    Each label's indicator is predicted, less its share among those fitted on and divided by it,
    so that rare labels are found as often as frequent ones. Chance is one over their number.

    Parameters
    ----------
    subjects : sequence of str
        Whose rows are exchanged together in permutations; a subject counts as one.
    """
    names = sorted(set(labels))
    codes = np.array([names.index(label) for label in labels], np.intp)
    weights = _weigh(subjects)

    def score(targets: Indices) -> Floats:
        hits, total = np.zeros((2, len(targets), len(names)))
        for fold in folds:
            one_hot = targets[:, fold.fitted, None] == np.arange(len(names))
            shares = one_hot.mean(axis=1, keepdims=True)
            with np.errstate(divide="ignore", invalid="ignore"):
                centred = np.where(shares > 0, (one_hot - shares) / shares, 0.0)
            found = np.einsum("tf,pfk->ptk", fold.weights, centred, optimize=True)
            found[np.broadcast_to(shares == 0, found.shape)] = -np.inf
            told = found.argmax(axis=2) == targets[:, fold.held_out]
            for code in range(len(names)):
                own = (targets[:, fold.held_out] == code) * weights[fold.held_out]
                hits[:, code] += (own * told).sum(axis=1)
                total[:, code] += own.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.nanmean(np.where(total > 0, hits / total, np.nan), axis=1))

    blocks = _permute(subjects, folds)
    return _compare(score, codes, blocks, chance=1 / len(names))


def score_numbers(folds: Sequence[Fold], values: Floats, subjects: Sequence[str]) -> HeldOutScore:
    """Correlation of numbers with their predictions, over all subjects held out; chance is 0."""
    weights = _weigh(subjects)

    def score(targets: Floats) -> Floats:
        found = np.full(targets.shape, np.nan)
        for fold in folds:
            own = targets[:, fold.fitted]
            found[:, fold.held_out] = (own - own.mean(axis=1, keepdims=True)) @ fold.weights.T
        return _correlate(found, targets, np.where(np.isfinite(found[0]), weights, 0.0))

    return _compare(score, values, _permute(subjects, folds), chance=0.0)


def _compare(
    score: Callable[[Any], Floats],
    values: NDArray[Any],
    blocks: Iterator[Indices],
    *,
    chance: float,
) -> HeldOutScore:
    own = float(score(values[None])[0])
    null = np.concatenate([score(values[rows]) for rows in blocks])
    low, high = np.nanpercentile(null, [2.5, 97.5])
    p = (1 + int((null >= own).sum())) / (1 + len(null))
    return HeldOutScore(own, chance, float(low), float(high), p)


def _permute(subjects: Sequence[str], folds: Sequence[Fold]) -> Iterator[Indices]:
    """Whose value each row gets ``[AT_ONCE, n_rows]``: that of another subject of its fold.

    Folds keep as many of each label as they have, so that permutations err as the value does.
    """
    names, first, subject_of = np.unique(subjects, return_index=True, return_inverse=True)
    subject_of = subject_of.reshape(-1)
    groups = [np.unique(subject_of[fold.held_out]) for fold in folds]
    rng = np.random.default_rng(0)
    for _ in range(N_PERMUTATIONS // AT_ONCE):
        given = np.tile(np.arange(len(names)), (AT_ONCE, 1))
        for own in groups:
            given[:, own] = rng.permuted(given[:, own], axis=1)
        yield first[given[:, subject_of]]


def _weigh(subjects: Sequence[str]) -> Floats:
    _, subject_of, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[subject_of.reshape(-1)])


def _correlate(a: Floats, b: Floats, weights: Floats) -> Floats:
    """Weighted correlation of the rows of two arrays ``[n_permutations, n_rows]``."""
    kept = weights > 0
    w = weights[kept] / weights[kept].sum()
    x, y = (v[:, kept] - (v[:, kept] @ w)[:, None] for v in (a, b))
    length = np.sqrt((x**2 @ w) * (y**2 @ w))
    return np.where(length > 0, ((x * y) @ w) / np.where(length > 0, length, 1), 0.0)


def share_of_slope(
    features: Floats,
    values: Floats,
    *,
    others: Floats,
    sites: Sequence[str],
    subjects: Sequence[str],
) -> float:
    """Share of a covariate's slope within sites that is found over all sites together.

    1: differences in the covariate between sites go along with those differences of features
    that it goes along with inside sites. 0: sites were made alike although they differ in it.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_features)
        Rows of NaN are left out.
    values : ndarray of shape (n_rows,)
        The covariate.
    others : ndarray of shape (n_rows, n_others)
        Further covariates.
    """
    has = np.isfinite(features).all(axis=1) & np.isfinite(values) & np.isfinite(others).all(axis=1)
    root = np.sqrt(_weigh(subjects)[has])[:, None]
    names = np.array(sites, object)[has]
    own = np.column_stack([values[has], others[has]])
    inside = np.array([[site == name for name in sorted(set(names))] for site in names], float)
    slopes = [
        np.linalg.lstsq(np.column_stack([own, columns]) * root, features[has] * root, rcond=None)[
            0
        ][0]
        for columns in (inside, np.ones((int(has.sum()), 1)))
    ]
    length = float(slopes[0] @ slopes[0])
    return float(slopes[1] @ slopes[0]) / length if length > 0 else float("nan")
