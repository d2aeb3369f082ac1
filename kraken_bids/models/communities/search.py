"""The search for dynamic communities: gradient steps over all scans, from several starts."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.models.communities.modularity import coaffiliation
from kraken_bids.models.communities.presence_modularity import (
    PresenceModularity,
    measure_presence_modularity,
    measure_present_correlation,
)
from kraken_bids.models.communities.static_modularity import (
    Scan,
    average_modularity,
    cluster_spectrally,
)

Array = NDArray[np.floating]

SHARE_POWER = 0.3
"""Of the share of volumes in which a community is present, in what presence maximises."""
START = 2.0
"""What a spectral start adds to a region's share of its community, the others' being 1."""
TERMS = ("total", "modularity", "dynamic", "smooth", "bimodal")
"""Of the history: what is minimised, and its four terms, weighted."""

FURTHEST = 4.5
"""Initial logits of presence lie within ± this."""


@dataclass(frozen=True)
class Found:
    """What one start has led to."""

    affiliation: Array
    """Shares of communities [n_regions, n_communities]."""
    presence: tuple[Array, ...]
    """Of each scan [n_communities, n_volumes]."""
    history: Array
    """Per epoch, before its step, the terms [n_epochs, n_terms]."""


class Search:
    """One start, step by step.

    Parameters
    ----------
    affiliation : Tensor of shape (n_regions, n_communities), optional
        Held fixed: presence alone is searched for.
    """

    def __init__(
        self,
        scans: Sequence[Scan],
        settings: CommunitySettings,
        *,
        seed: int,
        affiliation: Tensor | None = None,
    ) -> None:
        self.scans, self.settings = scans, settings
        like = scans[0].series
        rng = np.random.default_rng(seed)
        shape = (len(like), settings.n_communities)
        shares = torch.as_tensor(rng.normal(1, 0.01, shape)).to(like)
        self.kernel = TimeKernel(settings.timescale, like)
        self.static, self.strengths = average_modularity(scans, settings)
        self.is_fixed = affiliation is not None
        if affiliation is not None:
            shares = affiliation
        elif settings.start == "spectral":
            shares = shares + START * cluster_spectrally(self.static, settings.n_communities, seed)
        self.shares_logits = to_simplex_logits(shares)
        self.presence_logits = [self._start_presence(scan, seed) for scan in scans]
        free = [*self.presence_logits] + ([] if self.is_fixed else [self.shares_logits])
        self.optimizer = torch.optim.Adam(free, lr=settings.learning_rate)

    def _start_presence(self, scan: Scan, seed: int) -> Tensor:
        """Logits near 0, the same for scans of one length whatever other scans there are."""
        shape = (self.settings.n_communities, scan.series.shape[1])
        start = np.random.default_rng(seed).normal(0.5, 0.001, shape)
        return to_presence_logits(torch.as_tensor(start).to(scan.series))

    def step(self, run: Callable[..., Iterator[Any]] = map) -> Array:
        """Take one step; gives the terms before it.

        Parameters
        ----------
        run : callable
            How the scans are gone through, such as ``map`` or that of threads.
        """
        settings = self.settings
        shares = torch.softmax(self.shares_logits, 1)
        terms = np.zeros(len(TERMS))
        by_shares = torch.zeros_like(shares)
        if not self.is_fixed:
            sign = 1.0 if settings.objective == "printed" else -1.0
            weight = sign * settings.modularity
            terms[1] = weight * float((self.static * coaffiliation(shares)).sum())
            symmetric = self.static + self.static.T
            by_shares += weight * (symmetric @ shares - symmetric.diagonal()[:, None] * shares)
        if settings.dynamic or settings.smooth or settings.bimodal:
            work = zip(self.scans, self.strengths, self.presence_logits, strict=True)
            found = run(lambda one: self._differentiate(one[0], one[1], one[2], shares), work)
            for logits, (own, by_own_shares, by_logits) in zip(
                self.presence_logits, found, strict=True
            ):
                terms[2:] += own
                by_shares += by_own_shares
                logits.grad = by_logits
        terms[0] = terms[1:].sum()
        inner = (by_shares * shares).sum(1, keepdim=True)
        self.shares_logits.grad = shares * (by_shares - inner)
        self.optimizer.step()
        return terms

    def _differentiate(
        self, scan: Scan, strength: float, logits: Tensor, shares: Tensor
    ) -> tuple[list[float], Tensor, Tensor]:
        """Terms of a scan, and gradients by shares and by the logits of its presence."""
        settings = self.settings
        # of communities that are known, each scan is searched by itself
        n = settings.n_communities * (1 if self.is_fixed else len(self.scans))
        presence = torch.sigmoid(self.kernel.smooth(logits))
        found = self._judge(scan, strength, presence * scan.counts, shares)
        weight = -settings.dynamic / n
        terms = [weight * float(found.value)]
        gradient = weight * found.by_weights * scan.counts
        steps = torch.diff(presence, dim=1)
        lengths = steps.norm(dim=1, keepdim=True)
        terms.append(settings.smooth / n * float(lengths.sum()))
        pull = settings.smooth / n * steps / lengths.clamp(min=torch.finfo(steps.dtype).tiny)
        gradient[:, 1:] += pull
        gradient[:, :-1] -= pull
        middle = presence - 0.5
        share = settings.bimodal / (n * float(scan.counts.sum()))
        terms.append(share * float(((middle.abs() - 0.5).abs() * scan.counts).sum()))
        gradient -= share * torch.sign(middle) * scan.counts
        gradient *= presence * (1 - presence)
        return terms, weight * found.by_affiliation, self.kernel.smooth_back(gradient)

    def _judge(
        self, scan: Scan, strength: float, weights: Tensor, shares: Tensor
    ) -> PresenceModularity:
        """Say how well communities hold together in the volumes in which they are present."""
        settings = self.settings
        if settings.presence == "published":
            return measure_presence_modularity(
                scan.series,
                weights,
                shares,
                gamma=settings.gamma,
                sign=settings.sign,
                keeps_diagonal=settings.keeps_diagonal,
            )
        found = measure_present_correlation(
            scan.series, scan.squares, weights, shares, share_power=SHARE_POWER
        )
        return replace(
            found,
            value=found.value / strength,
            by_affiliation=found.by_affiliation / strength,
            by_weights=found.by_weights / strength,
        )

    def take(self, history: Sequence[Array]) -> Found:
        """Give what is found so far."""
        return Found(
            torch.softmax(self.shares_logits, 1).cpu().numpy(),
            tuple(
                torch.sigmoid(self.kernel.smooth(logits)).cpu().numpy()
                for logits in self.presence_logits
            ),
            np.array(history),
        )


@contextmanager
def scans_in_threads(device: torch.device) -> Iterator[Callable[..., Iterator[Any]]]:
    """Go through scans in threads, each of one core, so that their number changes no bit."""
    n_threads = torch.get_num_threads()
    if device.type != "cpu" or n_threads == 1:
        yield map
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(n_threads) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(n_threads)


def search(
    scans: Sequence[Scan],
    settings: CommunitySettings,
    *,
    seed: int,
    affiliation: Tensor | None = None,
    watch: Callable[[int, Array], None] = lambda _epoch, _terms: None,
) -> Found:
    """Search from one start.

    Parameters
    ----------
    affiliation : Tensor, optional
        As of :class:`Search`.
    watch : callable
        Called with each epoch and its terms.
    """
    history = []
    with torch.no_grad(), scans_in_threads(scans[0].series.device) as run:
        one = Search(scans, settings, seed=seed, affiliation=affiliation)
        for epoch in range(settings.epochs):
            history.append(one.step(run))
            watch(epoch, history[-1])
    return one.take(history)


def to_simplex_logits(shares: Tensor, *, least: float = 1e-3) -> Tensor:
    """Free numbers whose :func:`torch.softmax` are shares, up to their sum."""
    return torch.log(shares.clamp(min=least))


def to_presence_logits(presence: Tensor) -> Tensor:
    """Free numbers whose :func:`torch.sigmoid` is a presence, cut to a range that can be left."""
    return torch.logit(presence.clamp(0, 1)).clamp(-FURTHEST, FURTHEST)


class TimeKernel:
    """A Gaussian over volumes, as free numbers of neighbouring volumes are joined by.

    Parameters
    ----------
    width : float
        Standard deviation, volumes; 0 joins nothing.
    like : Tensor
        Of the type and device of the numbers.
    """

    def __init__(self, width: float, like: Tensor) -> None:
        reach = int(np.ceil(4 * width))
        steps = torch.arange(-reach, reach + 1).to(like)
        self.weights = torch.exp(-0.5 * (steps / max(width, 1e-9)) ** 2)[None, None]
        self.is_one = reach == 0

    def smooth(self, values: Tensor) -> Tensor:
        """Weighted mean of the volumes around each, ``[n_courses, n_volumes]``."""
        return values if self.is_one else self._spread(values) / self._norm(values)

    def smooth_back(self, gradient: Tensor) -> Tensor:
        """Gradient by what was smoothed, from that by the result."""
        return gradient if self.is_one else self._spread(gradient / self._norm(gradient))

    def _norm(self, like: Tensor) -> Tensor:
        return self._spread(torch.ones_like(like[:1]))

    def _spread(self, values: Tensor) -> Tensor:
        reach = self.weights.shape[2] // 2
        spread = torch.nn.functional.conv1d(values[:, None], self.weights, padding=reach)
        return spread[:, 0]
