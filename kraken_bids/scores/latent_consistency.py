"""Do the latents of one subject's files belong together? Each file against the others.

A swapped or damaged connectome has a latent that agrees with those of another subject's flavors,
or with nobody's. Which of two files that disagree is the wrong one, the other flavors decide.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.scores.novelty import CONSISTENT_MAD, MIN_SUBJECTS

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.intp]

MIN_RANKED = 3
"""Fewer sessions cannot be ranked."""
BLOCK = 256
"""Subjects that are ranked at once: bounds the temporary memory."""
MAX_VOTE = float(np.log(100))
"""One pair of flavors never says more than odds of 100 to 1: it may be the other file's fault."""
MIN_FIT = -float(np.log(20))
"""A file with odds of 20 to 1 against it is set aside."""
MANY_INCONSISTENT, MANY_SHARE = 4, 1 / 4
"""So many subjects, and such a share of them, are not inconsistent because of a swap or two."""


@dataclass(frozen=True)
class LatentFit:
    """How the latents of one flavor fit the other latents of the same subjects."""

    log_odds: Vector
    """For against its belonging to the subject's other files [n_subjects]; 0 says nothing, NaN
    where there is nothing to compare."""
    rank: Vector
    """Of the own other files among everyone's [n_subjects]: 1 where none fits better."""
    n_ranked: NDArray[np.int64]
    """Subjects ranked, with the subject itself [n_subjects]."""
    best: NDArray[np.intp]
    """Whose other files fit best among the other subjects [n_subjects]; -1 where nobody can."""
    best_log_odds: Vector
    """How well those fit [n_subjects]."""
    typical: float
    """How well subjects' own other files fit (median); NaN where nobody was ranked."""
    swapped_with: NDArray[np.intp]
    """Whose file of this flavor fits here, while this one fits there [n_subjects]; -1 nobody's."""
    set_aside: Mask
    """Files that do not fit, and that the others are therefore not compared with [n_subjects]."""
    scans_swapped_with: NDArray[np.intp]
    """Whose structural files fit the functional ones here, while these fit there [n_subjects]; -1
    nobody's. The same for all flavors."""


def judge_latents(
    latents: Mapping[Flavor, NDArray[np.floating]],
    subjects: Sequence[str],
    unlike: Mapping[Flavor, Mask] | None = None,
) -> dict[Flavor, LatentFit]:
    """Compare each latent with the latents of the same subject's other flavors.

    Every latent is centred on its flavor's median over subjects and scaled to unit length. For two
    flavors the cosine of one subject's latents is typically high, of two subjects' low; where a
    pair of files lies between these two is their vote, in log odds (a linear discriminant with
    one spread). A file's odds are the sum of its votes with flavors of its own modality and the
    mean of its votes with those of the other, which are copies of one weak relation. The file
    with the worst odds of each subject, if below :data:`MIN_FIT`, is set aside, and everything
    is computed again without it, so that a right file is not blamed for a wrong one.

    Parameters
    ----------
    latents : mapping of Flavor to ndarray of shape (n_subjects, n_latent)
        NaN rows where a subject lacks the flavor.
    subjects : sequence of str
        Whose each row is; rows of one subject are not ranked against each other.
    unlike : mapping of Flavor to ndarray of bool, shape (n_subjects,), optional
        Files that are known to be unlike their flavor: set aside from the start.
    """
    if not latents:
        return {}
    flavors = tuple(latents)
    rows = np.stack([latents[flavor] for flavor in flavors]).astype(np.float64)
    known: Mask = np.asarray(np.isfinite(rows).all(axis=2))
    trusted = known.copy()
    for flavor, mask in (unlike or {}).items():
        if flavor in latents:
            trusted[flavors.index(flavor)] &= ~mask
    votes, odds = _set_aside(flavors, rows, trusted)
    labels = np.unique(np.asarray(subjects), return_inverse=True)[1]
    scans = votes.find_swapped_scans(labels)
    return {
        flavor: votes.rank(k, odds[k], labels, known[k], scans) for k, flavor in enumerate(flavors)
    }


def _set_aside(
    flavors: Sequence[Flavor], rows: NDArray[np.float64], trusted: Mask
) -> tuple["_Votes", Matrix]:
    """Set files aside in ``trusted`` until all others fit; returns votes and odds of the last."""
    n_subjects = (np.isfinite(rows).all(axis=2)).any(axis=0).sum()
    while True:
        votes = _Votes(flavors, _centre(rows, trusted), trusted)
        odds = np.stack([votes.own_odds(k) for k in range(len(flavors))])
        worst = np.where(trusted & np.isfinite(odds), odds, np.inf)
        which, lowest = worst.argmin(axis=0), worst.min(axis=0)
        wrong = np.flatnonzero(lowest < MIN_FIT)
        if not wrong.size or n_subjects < MIN_SUBJECTS:
            return votes, odds
        trusted[which[wrong], wrong] = False


def _centre(rows: NDArray[np.float64], trusted: Mask) -> NDArray[np.float64]:
    """Take each flavor's median from its latents and scale them to unit length; 0 where none.

    Shapes are [n_flavors, n_subjects, n_latent] and [n_flavors, n_subjects].
    """
    units = np.zeros_like(rows)
    for k, mask in enumerate(trusted):
        if mask.any():
            centred = np.nan_to_num(rows[k] - np.median(rows[k, mask], axis=0))
            norms = np.linalg.norm(centred, axis=1, keepdims=True)
            units[k] = centred / np.where(norms > 0, norms, 1.0)
    return units


class _Votes:
    """Unit latents of all flavors, and what a cosine between two of them means."""

    def __init__(
        self, flavors: Sequence[Flavor], units: NDArray[np.float64], trusted: Mask
    ) -> None:
        self.units, self.trusted = units, trusted
        n = len(flavors)
        self.slopes, self.middles = np.zeros((n, n)), np.zeros((n, n))
        self.groups = np.array([flavor.group for flavor in flavors])
        self.same_group = self.groups[:, None] == self.groups[None]
        for f in range(n):
            for g in range(f):
                slope, middle = _fit_votes(units[f], units[g], trusted[f] & trusted[g])
                self.slopes[f, g] = self.slopes[g, f] = slope
                self.middles[f, g] = self.middles[g, f] = middle

    def weights(self, f: int) -> Matrix:
        """Weight of each subject's files in judging flavor f [n_flavors, n_subjects]."""
        counted = self.trusted.copy()
        counted[f] = False
        others = counted & ~self.same_group[f][:, None]
        return np.where(others, 1 / np.maximum(others.sum(axis=0), 1), counted.astype(float))

    def own_odds(self, f: int) -> Vector:
        """Log odds of every subject's file of flavor f; NaN where it has no other file."""
        weights = self.weights(f)
        cosines = (self.units * self.units[f]).sum(axis=2)
        votes = self.slopes[f][:, None] * (cosines - self.middles[f][:, None])
        odds = (weights * np.clip(votes, -MAX_VOTE, MAX_VOTE)).sum(axis=0)
        return np.where((weights > 0).any(axis=0), odds, np.nan)

    def find_swapped_scans(self, people: NDArray[np.intp]) -> NDArray[np.intp]:
        """Whose structural files fit each one's functional files, and the other way round; or -1.

        How well those of subjects i and j fit, ``F(i, j)``, is the mean vote over pairs of a
        structural and a functional flavor. The log odds of a swap, ``F(i, j) + F(j, i) - F(i, i) -
        F(j, j)``, must exceed the logarithm of the number of pairs: one swap in all is expected.
        Where many subjects' own files do not fit, the model does not bring the modalities together
        here, and nobody is named.
        """
        left, right, has = self._join_scans()
        partner: NDArray[np.intp] = np.full(len(people), -1, np.intp)
        own = (left * right).sum(axis=1)
        n = int(has.sum())
        if n < MIN_SUBJECTS or (own[has] < 0).sum() >= max(MANY_INCONSISTENT, MANY_SHARE * n):
            return partner
        least = np.log(n * (n - 1) / 2)
        found: list[tuple[float, int, int]] = []
        for start in range(0, len(people), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(people)))
            gain = left[rows] @ right.T + right[rows] @ left.T - own[rows, None] - own
            is_pair = has[rows, None] & has & (people[rows, None] < people)
            i, j = np.nonzero(is_pair & (gain > least))
            found += zip(gain[i, j].tolist(), rows[i].tolist(), j.tolist(), strict=True)
        for _, one, other in sorted(found, reverse=True):
            if partner[one] < 0 and partner[other] < 0:
                partner[one], partner[other] = other, one
        return partner

    def _join_scans(self) -> tuple[Matrix, Matrix, Mask]:
        """Each one's structural and functional files as one vector: their product is ``F``."""
        is_sc = self.groups == "SC"
        counted = self.trusted.astype(float)
        n_sc, n_fc = counted[is_sc].sum(axis=0), counted[~is_sc].sum(axis=0)
        sc, fc = counted[is_sc] / np.maximum(n_sc, 1), counted[~is_sc] / np.maximum(n_fc, 1)
        slopes = self.slopes[np.ix_(is_sc, ~is_sc)]
        offsets = slopes * self.middles[np.ix_(is_sc, ~is_sc)]
        left = np.moveaxis(sc[..., None] * self.units[is_sc], 0, 1)
        right = np.einsum("fg,gn,gnl->nfl", slopes, fc, self.units[~is_sc], optimize=True)
        n = len(n_sc)
        return (
            np.hstack([left.reshape(n, -1), -sc.T]),
            np.hstack([right.reshape(n, -1), (offsets @ fc).T]),
            np.asarray((n_sc > 0) & (n_fc > 0)),
        )

    def rank(  # noqa: PLR0917 - what is known of flavor f
        self, f: int, odds: Vector, subjects: Places, known: Mask, scans: Places
    ) -> LatentFit:
        """Rank everyone's other files by how well they fit each subject's file of flavor f."""
        weights = self.weights(f)
        slopes = weights * self.slopes[f][:, None]
        references = np.einsum("gn,gnl->nl", slopes, self.units)
        offsets = (slopes * self.middles[f][:, None]).sum(axis=0)
        has = np.asarray((weights > 0).any(axis=0))
        rank, best_odds, own_fits = np.zeros((3, len(odds)))
        n_ranked, best = np.zeros((2, len(odds)), np.int64)
        for start in range(0, len(odds), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(odds)))
            fits = self.units[f, rows] @ references.T - offsets
            own_fits[rows] = own = fits[np.arange(len(rows)), rows]
            is_rival = has & (subjects != subjects[rows, None])
            n_ranked[rows] = np.where(known[rows] & has[rows], 1 + is_rival.sum(axis=1), 0)
            fits = np.where(is_rival, fits, -np.inf)
            rank[rows] = 1 + (fits > own[:, None]).sum(axis=1)
            best[rows], best_odds[rows] = fits.argmax(axis=1), fits.max(axis=1)
        ranked: Mask = np.asarray(n_ranked >= MIN_RANKED)
        aside: Mask = np.asarray(known & ~self.trusted[f])
        best, wrong, low = np.where(ranked, best, -1), ranked & (rank > 1), np.asarray(odds < 0)
        return LatentFit(
            log_odds=np.where(ranked, odds, np.nan),
            rank=np.where(ranked, rank, np.nan),
            n_ranked=n_ranked,
            best=best,
            best_log_odds=np.where(ranked, best_odds, np.nan),
            typical=float(np.median(own_fits[ranked])) if ranked.any() else float("nan"),
            swapped_with=_find_swaps(best, wrong, suspicious=aside, doubtful=low),
            set_aside=aside,
            scans_swapped_with=np.where(known, scans, -1),
        )


def _find_swaps(
    best: NDArray[np.intp], misplaced: Mask, *, suspicious: Mask, doubtful: Mask
) -> NDArray[np.intp]:
    """Pairs of misplaced files that fit each other's place best; one suspicious, or both doubtful.

    Subjects who resemble each other leave the odds of swapped files near even.
    """
    partner = np.full(len(best), -1)
    for index in np.flatnonzero((suspicious | doubtful) & misplaced):
        other = best[index]
        is_likely = suspicious[index] or doubtful[other]
        if is_likely and misplaced[other] and best[other] == index:
            partner[index], partner[other] = other, index
    return partner


def _fit_votes(a: Matrix, b: Matrix, both: Mask) -> tuple[float, float]:
    """Slope and zero of the log odds that two unit latents with some cosine are of one subject.

    The spread is that of different subjects' cosines, or that of one subject's where it is larger;
    a pair of flavors that does not tell subjects apart gets slope 0.
    """
    n = int(both.sum())
    if n < MIN_RANKED:
        return 0.0, 0.0
    x, y = a[both], b[both]
    own = (x * y).sum(axis=1)
    typical = float(np.median(own))
    # mean and mean square over all pairs of different subjects, without forming the pairs
    pairs = n * (n - 1)
    mean = float(x.sum(axis=0) @ y.sum(axis=0) - own.sum()) / pairs
    square = float(np.sum((x.T @ x) * (y.T @ y)) - (own**2).sum()) / pairs
    own_spread = CONSISTENT_MAD * float(np.median(np.abs(own - typical)))
    spread = max(np.sqrt(max(square - mean**2, 0.0)), own_spread)
    if typical <= mean or spread == 0:
        return 0.0, 0.0
    return (typical - mean) / spread**2, (typical + mean) / 2
