"""QC-FC: how strongly connectomes of a cohort follow the head motion of its subjects."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.io.records import column

MIN_PEOPLE = 10
"""A correlation over fewer subjects is mostly chance."""
ALPHA = 0.05
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MotionDependence:
    """Correlation of every edge with head motion over the subjects of a cohort."""

    correlation: Floats
    """[n_edges]: Pearson's r with mean framewise displacement; NaN where it cannot be had."""
    p_value: Floats
    """[n_edges]: two-sided."""
    n_people: int
    """Subjects that count, each once."""

    @property
    def median_absolute(self) -> float:
        """Median of abs(r) over edges."""
        return float(np.nanmedian(np.abs(self.correlation)))

    @property
    def chance_absolute(self) -> float:
        """Median of abs(r) that cohorts of this size have where motion plays no part."""
        from scipy.special import stdtrit

        freedom = self.n_people - 2
        quantile = float(stdtrit(freedom, 0.75))
        return quantile / float(np.sqrt(freedom + quantile**2))

    @property
    def share_uncorrected(self) -> float:
        """Share of edges with p < 0.05; about 0.05 by chance."""
        return float((self._known_p < ALPHA).mean())

    @property
    def share_corrected(self) -> float:
        """Share of edges with a false discovery rate below 0.05 (Benjamini and Hochberg)."""
        p = np.sort(self._known_p)
        passed = np.flatnonzero(p * (len(p) / np.arange(1, len(p) + 1)) < ALPHA)
        return float(passed[-1] + 1) / len(p) if passed.size else 0.0

    @property
    def _known_p(self) -> Floats:
        return self.p_value[np.isfinite(self.p_value)]


@dataclass(frozen=True)
class QcFc:
    """Dependence of one functional flavor on head motion."""

    flavor: str = column()
    n_sessions: int = column("sessions with the flavor and known motion")
    n_people: int = column("people of these sessions, each of whom counts once")
    n_edges: int = column("edges that enough people have")
    median_abs_r: float = column(
        "median over edges of abs(r), r: correlation of an edge with mean framewise displacement "
        "over people, sessions of one averaged"
    )
    chance_abs_r: float = column("the same where motion plays no part, with so many people")
    share_p05: float = column("share of edges with p < 0.05, uncorrected; 0.05 by chance")
    share_fdr05: float = column("share of edges with a false discovery rate below 0.05")
    distance_rho: float = column(
        "Spearman correlation of r with the distance of the two regions; clearly negative where "
        "motion is left in the data"
    )
    r: NDArray[np.floating] = field(default_factory=lambda: np.empty(0), repr=False)
    """[n_edges]"""
    distance: NDArray[np.floating] = field(default_factory=lambda: np.empty(0), repr=False)
    """[n_edges], mm; NaN where regions have no known place."""


def correlate_with_motion(
    connectomes: Iterable[NDArray[np.floating]],
    mean_fd: NDArray[np.floating],
    people: Sequence[object] | None = None,
) -> MotionDependence:
    """Correlate every edge with head motion over subjects; connectomes are read one by one.

    Sessions of one subject are averaged, edges and motion alike: as observations of their own they
    would make p far too small, since both are much the same in all of them.

    Parameters
    ----------
    connectomes : iterable of ndarray of shape (n_edges,)
        One per session; r and p of an edge that fewer than 10 subjects have, or that is constant,
        are NaN.
    mean_fd : ndarray of shape (n_sessions,)
        mm.
    people : sequence of length n_sessions, optional
        Whose session each is, those of one subject one after the other; somebody else's each by
        default.

    Raises
    ------
    ConnectomeError
        If there are fewer than 10 subjects, all with the same motion, no edge that varies, or
        one connectome has another number of edges.

    Source
    ------
    Power et al. 2015, doi:10.1016/j.neuroimage.2014.10.044; Ciric et al. 2017,
    doi:10.1016/j.neuroimage.2017.03.020.
    """
    motion = np.asarray(mean_fd, np.float64)
    whose = range(len(motion)) if people is None else people
    n_people = len(set(whose))
    _check_motion(motion, n_people)
    sums = _Sums()
    sessions = zip(whose, connectomes, motion - motion.mean(), strict=True)
    for _, own in groupby(sessions, key=itemgetter(0)):
        sums.add([(np.asarray(edges, np.float64), float(moved)) for _, edges, moved in own])
    correlation = sums.correlate()
    if not np.isfinite(correlation).any():
        raise ConnectomeError(
            f"expected edges that vary and that at least {MIN_PEOPLE} people have, to "
            "correlate with motion; found none."
        )
    return MotionDependence(correlation, _test(correlation, sums.n), n_people)


def _test(correlation: NDArray[np.float64], n: NDArray[np.integer]) -> NDArray[np.float64]:
    """Two-sided p of correlations over n subjects each, by Student's t."""
    from scipy.special import stdtr

    freedom = np.maximum(n - 2, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.abs(correlation) * np.sqrt(freedom / (1 - correlation**2))
    return np.asarray(2 * stdtr(freedom, -statistic), np.float64)


def distance_dependence(dependence: MotionDependence, distances: NDArray[np.floating]) -> float:
    """Spearman correlation of each edge's correlation with motion and its length.

    Motion raises correlations of near regions and lowers those of far ones: where it is left in
    the data, this is clearly negative.

    Parameters
    ----------
    dependence : MotionDependence
        From :func:`correlate_with_motion`.
    distances : ndarray of shape (n_edges,)
        Of the two regions of each edge, mm; NaN where unknown.

    Returns
    -------
    float
        NaN where fewer than three edges are known.

    Source
    ------
    Power et al. 2012, doi:10.1016/j.neuroimage.2011.10.018; Ciric et al. 2017.
    """
    from scipy.stats import rankdata

    known = np.isfinite(dependence.correlation) & np.isfinite(distances)
    if known.sum() < 3:
        return float("nan")
    ranks = [rankdata(values[known]) for values in (dependence.correlation, distances)]
    if min(np.ptp(one) for one in ranks) == 0:
        return float("nan")
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def edge_distances(centroids: NDArray[np.floating]) -> Floats:
    """Euclidean distance of the two regions of every edge.

    Parameters
    ----------
    centroids : ndarray of shape (n_regions, 3)
        mm; NaN rows where unknown.

    Returns
    -------
    ndarray of shape (n_edges,)
        Upper triangle, row by row.
    """
    i, j = np.triu_indices(len(centroids), 1)
    points = np.asarray(centroids, np.float64)
    return np.asarray(np.linalg.norm(points[i] - points[j], axis=1))


def region_centroids(
    labels: NDArray[np.integer], affine: NDArray[np.floating], n_regions: int
) -> Floats:
    """Mean position of the voxels of each region.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
        Region numbers 1 … n, 0 outside.
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm.

    Returns
    -------
    ndarray of shape (n_regions, 3)
        RAS mm; NaN for regions without voxels.
    """
    voxels = np.argwhere(labels > 0)
    numbers = labels[tuple(voxels.T)]
    counts = np.bincount(numbers, minlength=n_regions + 1)[1 : n_regions + 1]
    sums = [np.bincount(numbers, axis, n_regions + 1)[1 : n_regions + 1] for axis in voxels.T]
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = np.stack(sums, axis=1) / counts[:, None]
    return np.asarray(middle @ np.asarray(affine)[:3, :3].T + np.asarray(affine)[:3, 3])


class _Sums:
    """Sums over subjects from which correlations follow, edge by edge."""

    def __init__(self) -> None:
        self.n: NDArray[np.int64] = np.empty(0, np.int64)
        self._shift: Floats = np.empty(0)
        self._sums: Floats = np.empty((5, 0))

    def add(self, sessions: Sequence[tuple[Floats, float]]) -> None:
        """Add one subject: edges [n_edges] and motion of each session, averaged edge by edge."""
        first = sessions[0][0]
        if not len(self.n):
            self.n = np.zeros(len(first), np.int64)
            # sums around a value near the mean lose no digits
            self._shift = np.nan_to_num(first)
            self._sums = np.zeros((5, len(first)))
        counts, x, y = np.zeros((3, len(self.n)))
        for edges, displacement in sessions:
            if len(edges) != len(self.n):
                raise ConnectomeError(
                    f"expected connectomes of {len(self.n)} edges; found one of {len(edges)}."
                )
            here = np.isfinite(edges)
            counts += here
            x += np.where(here, edges - self._shift, 0.0)
            y += here * displacement
        x, y = x / np.maximum(counts, 1), y / np.maximum(counts, 1)
        self.n += counts > 0
        self._sums += np.stack([x, y, x * x, y * y, x * y])

    def correlate(self) -> Floats:
        """Pearson's r [n_edges]."""
        n = np.maximum(self.n, 1)
        x, y, xx, yy, xy = self._sums / n
        variances = (xx - x**2) * (yy - y**2)
        defined = (self.n >= MIN_PEOPLE) & (xx - x**2 > 1e-14 * np.maximum(xx, 1e-300))
        with np.errstate(divide="ignore", invalid="ignore"):
            r = np.where(defined & (variances > 0), (xy - x * y) / np.sqrt(variances), np.nan)
        return np.clip(r, -1.0, 1.0)


def _check_motion(motion: Floats, n_people: int) -> None:
    if n_people < MIN_PEOPLE or not np.isfinite(motion).all() or np.ptp(motion) == 0:
        raise ConnectomeError(
            f"expected the mean framewise displacement of at least {MIN_PEOPLE} people, not "
            f"all the same; found {n_people} people, {len(motion)} sessions, "
            f"{int(np.isfinite(motion).sum())} of known motion."
        )
