"""How alike connectomes of parts of a session's data are: the table, of a session and of all."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.io.facts import read_facts, read_table
from kraken_bids.io.records import column, from_columns, name_columns

OF = "MeasuredDigest"
"""Key in the sidecar of a table: digest of the connectome of all data that it goes with."""
PART = "run, first minutes (5min), or all"


@dataclass(frozen=True)
class PartPair:
    """Two parts of the data, and how alike their connectomes are."""

    flavor: str = column("what was measured")
    first: str = column(f"one part of the data: {PART}")
    second: str = column(f"the other part: {PART}")
    first_minutes: float = column("minutes that count, of the first part")
    second_minutes: float = column("minutes that count, of the second part")
    shared_minutes: float = column("minutes that both rest on; 0: they share no data")
    n_edges: int = column("edges that both have")
    correlation: float = column("Pearson correlation of the two over their edges")
    difference: float = column("mean absolute difference of their edges")


@dataclass(frozen=True)
class PartSummary:
    """Two parts of the data, over all sessions."""

    flavor: str = column("what was measured")
    first: str = column(f"one part of the data: {PART}")
    second: str = column(f"the other part: {PART}")
    n_sessions: int = column("sessions that have both")
    shared_minutes: float = column("minutes that both rest on, median over sessions")
    correlation: float = column("Pearson correlation over edges, median over sessions")
    correlation_low: float = column("its lower quartile")
    correlation_high: float = column("its upper quartile")
    difference: float = column("mean absolute difference of edges, median over sessions")


def compare_edges(
    first: NDArray[np.floating], second: NDArray[np.floating]
) -> tuple[int, float, float]:
    """Compare two connectomes: edges that both have, correlation, mean absolute difference.

    Parameters
    ----------
    first, second : ndarray of shape (n_edges,)
        NaN where a region is missing. The last two results are NaN where nothing can be compared.
    """
    both = np.isfinite(first) & np.isfinite(second)
    one, other = first[both], second[both]
    if len(one) < 2 or not one.std() or not other.std():
        return len(one), float("nan"), float("nan")
    return len(one), float(np.corrcoef(one, other)[0, 1]), float(np.abs(one - other).mean())


def read_pairs(folder: Path, digests: Collection[str]) -> list[PartPair]:
    """Pairs of the parts of a session, of the tables that go with its connectomes.

    Parameters
    ----------
    folder : path
        ``sub-X`` or ``sub-X/ses-Y``.
    digests : collection of str
        Of the connectomes of all data, without the λ of the group level; tables of others are of
        an earlier run, and passed over.

    Raises
    ------
    InputError
        If a table is damaged.
    """
    numbers, texts = name_columns(PartPair)
    pairs = []
    for path in sorted(folder.glob("func/*_reliability.tsv")):
        if read_facts(sidecar_path(path)).text(OF) in digests:
            pairs += from_columns(PartPair, read_table(path, numbers=numbers, texts=texts))
    return pairs


def summarize_pairs(sessions: Iterable[Sequence[PartPair]]) -> list[PartSummary]:
    """Medians and quartiles of every pair of parts over sessions, in the order of the first."""
    found: dict[tuple[str, str, str], list[PartPair]] = {}
    for pairs in sessions:
        for pair in pairs:
            found.setdefault((pair.flavor, pair.first, pair.second), []).append(pair)
    return [_summarize(pairs) for pairs in found.values()]


def _summarize(pairs: Sequence[PartPair]) -> PartSummary:
    correlations = [pair.correlation for pair in pairs if np.isfinite(pair.correlation)]
    low, middle, high = np.percentile(correlations, (25, 50, 75)) if correlations else [np.nan] * 3
    first = pairs[0]
    return PartSummary(
        first.flavor,
        first.first,
        first.second,
        n_sessions=len(pairs),
        shared_minutes=float(np.median([pair.shared_minutes for pair in pairs])),
        correlation=float(middle),
        correlation_low=float(low),
        correlation_high=float(high),
        difference=float(np.median([pair.difference for pair in pairs])),
    )
