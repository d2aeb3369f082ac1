"""Surrogate series, and whether communities come and go more than in these."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.models.communities.model import find_presence

Floats = NDArray[np.floating]


def randomise_phases(series: Floats, rng: np.random.Generator) -> NDArray[np.float64]:
    """Series of the same spectra and the same static correlations, stationary in time.

    Parameters
    ----------
    series : ndarray of shape (n_volumes, n_regions)
    rng : Generator
        Every region gets the same random phases.

    Source: Prichard and Theiler 1994, doi:10.1103/PhysRevLett.73.951.
    """
    spectrum = np.fft.rfft(series, axis=0)
    turns = np.exp(2j * np.pi * rng.random(len(spectrum)))
    turns[0] = 1  # the mean stays
    if len(series) % 2 == 0:
        turns[-1] = 1  # real
    return np.fft.irfft(spectrum * turns[:, None], n=len(series), axis=0)


def shuffle_time(series: Floats, rng: np.random.Generator) -> NDArray[np.float64]:
    """Series of the same volumes in random order: static correlations stay, courses do not."""
    return np.asarray(series, np.float64)[rng.permutation(len(series))]


NULLS: dict[str, Callable[[Floats, np.random.Generator], NDArray[np.float64]]] = {
    "phase": randomise_phases,
    "shuffle": shuffle_time,
}


EPOCHS = 80
"""Of scan and surrogates alike: most of how far presence swings is there by then."""


@dataclass(frozen=True)
class PresenceTest:
    """Whether the communities of one scan come and go beyond a null."""

    swing: NDArray[np.float64]
    """Standard deviation over volumes of each community's presence [n_communities]."""
    level: NDArray[np.float64]
    """Mean of the same over surrogates."""
    p: NDArray[np.float64]
    """Share of surrogates, and of the scan itself, with as much."""


def compare_with_null(  # noqa: PLR0913 - a test is that many things
    series: Floats,
    affiliation: Floats,
    settings: CommunitySettings,
    *,
    counts: NDArray[np.floating] | None = None,
    null: str = "phase",
    n_nulls: int = 19,
    device: str = "cpu",
) -> PresenceTest:
    """Compare how far a scan's communities come and go with surrogates of the scan.

    Parameters
    ----------
    series : ndarray of shape (n_volumes, n_regions)
    affiliation : ndarray of shape (n_regions, n_communities)
    counts : ndarray of shape (n_volumes,), optional
        Which volumes count. Surrogates are made of those that do.
    null : str
        ``phase`` (stationary series of the same spectra and correlations) or ``shuffle``.
    n_nulls : int
        Surrogates: 19 for p as low as 0.05.

    Source: p = (1 + number as large) / (1 + number), Phipson and Smyth 2010.
    """
    values = np.asarray(series, np.float64)
    if counts is not None:
        values = values[np.asarray(counts) > 0]
    values = values[np.isfinite(values[:, np.isfinite(affiliation).all(axis=1)]).all(axis=1)]
    rng = np.random.default_rng(settings.seed)
    known = np.isfinite(values).all(axis=0)
    surrogates = [
        np.where(known, NULLS[null](np.where(known, values, 0.0), rng), np.nan)
        for _ in range(n_nulls)
    ]
    quick = replace(settings, n_seeds=1, epochs=min(settings.epochs, EPOCHS))
    found = find_presence([values, *surrogates], affiliation, quick, device=device)
    swings = np.array([np.nanstd(one, axis=0) for one in found], np.float64)
    as_large = (swings[1:] >= swings[0]).sum(axis=0)
    return PresenceTest(swings[0], swings[1:].mean(axis=0), (1 + as_large) / (1 + n_nulls))
