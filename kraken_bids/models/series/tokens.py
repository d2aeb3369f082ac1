"""What a network is shown of sequences, and what it has to fill in."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.series.architecture import N_TIMES
from kraken_bids.models.series.sequences import Indices, Sequences, Values

MASK, CLS, SEP = 0, 1, 2
"""Special vectors: they stand behind the volumes, in this order."""


@dataclass(frozen=True)
class Tokens:
    """What a network is shown; one sequence after the other, without padding."""

    sequences: Sequences
    """Volumes; of pairs, first and second half by turns."""
    sources: Indices
    """Row of ``values`` that each token is; from ``n_volumes`` on, a special vector."""
    time_ids: Indices
    """Place of each token on the grid of times."""
    lengths: Indices
    """Tokens of each sequence."""
    types: Indices | None = None
    """Half of the pair that each token belongs to, 0 or 1; None where there are no pairs."""
    scored: Indices | None = None
    """Tokens whose volumes are to be filled in; None: there is nothing to fill in."""
    scored_rows: Indices | None = None
    """Their rows in ``values``."""
    entries: NDArray[np.bool_] | None = None
    """[n_scored, n_regions], which of their regions count; None: all."""
    hidden: NDArray[np.bool_] | None = None
    """[n_volumes, n_regions], regions that are hidden; None: whole volumes are, or nothing."""
    places: Indices | None = None
    """Place of each volume in its sequence, which says what hides a region."""
    is_next: Values | None = None
    """1 where the halves of a pair follow each other, else 0."""

    @property
    def values(self) -> Values:
        """Volumes, [n_volumes, n_regions]."""
        return self.sequences.values

    @property
    def runs(self) -> Indices | None:
        """Run that each volume is of, by its number; None where it was not drawn of any."""
        runs = self.sequences.runs
        return None if runs is None else np.repeat(runs, self.sequences.lengths)

    @property
    def n_values(self) -> int:
        """Number of values that are to be filled in."""
        if self.entries is not None:
            return int(self.entries.sum())
        return 0 if self.scored is None else len(self.scored) * self.values.shape[1]

    @property
    def starts(self) -> Indices:
        """First token of each sequence."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def ends(self) -> Indices:
        """Last token of each sequence."""
        return np.cumsum(self.lengths) - 1


def mask_causally(sequences: Sequences, targets: Indices) -> Tokens:
    """Hide one volume of each sequence; what follows it is left out.

    In the release what follows is masked, so it reaches no output that counts.

    Parameters
    ----------
    targets : ndarray
        Place of the hidden volume in each sequence; one that does not count is not scored.
    """
    lengths = targets + 1
    rows = np.repeat(sequences.starts - (np.cumsum(lengths) - lengths), lengths)
    rows += np.arange(lengths.sum())
    scored = np.cumsum(lengths) - 1
    sources = rows.copy()
    sources[scored] = len(sequences.values) + MASK
    if sequences.counts is not None:
        scored = scored[sequences.counts[rows[scored]]]
    return Tokens(
        sequences=sequences, sources=sources, time_ids=sequences.time_ids[rows],
        lengths=lengths, scored=scored, scored_rows=rows[scored],
    )  # fmt: skip


def show_all(sequences: Sequences, *, cls: str) -> Tokens:
    """Show sequences as they are.

    Parameters
    ----------
    cls : str
        Where the token stands that the sequence is summarised in: ``first``, ``last``, or
        ``none``.
    """
    rows = np.arange(len(sequences.values))
    if cls == "none":
        return Tokens(sequences, rows, sequences.time_ids, sequences.lengths)
    behind = sequences.starts + (sequences.lengths if cls == "last" else 0)
    return Tokens(
        sequences,
        np.insert(rows, behind, len(rows) + CLS),
        np.insert(sequences.time_ids, behind, N_TIMES),
        sequences.lengths + 1,
    )


def mask_nothing(sequences: Sequences) -> Tokens:
    """Show sequences whole, all of which is to be given again."""
    rows = np.arange(len(sequences.values))
    scored = rows if sequences.counts is None else rows[sequences.counts]
    return replace(show_all(sequences, cls="none"), scored=scored, scored_rows=scored)


def mask_volumes(pairs: Sequences, masked: NDArray[np.bool_], is_next: Values) -> Tokens:
    """Hide whole volumes of pairs: CLS, first half, SEP, second half, SEP.

    Parameters
    ----------
    pairs : Sequences
        First and second half of each pair by turns.
    masked : ndarray of bool [n_volumes]
        Volumes to hide.
    """
    return _join_pairs(pairs, masked, is_next, whole=True)


def mask_regions(pairs: Sequences, regions: NDArray[np.bool_], is_next: Values) -> Tokens:
    """Hide regions of pairs for all of their volumes.

    Parameters
    ----------
    regions : ndarray of bool [n_pairs, n_regions]
    """
    lengths = pairs.lengths.reshape(-1, 2).sum(1)
    hidden = np.repeat(regions, lengths, axis=0)
    tokens = _join_pairs(pairs, np.asarray(hidden.any(1)), is_next, whole=False)
    assert tokens.scored_rows is not None
    places = np.arange(len(hidden)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return replace(tokens, hidden=hidden, places=places, entries=hidden[tokens.scored_rows])


def _join_pairs(
    pairs: Sequences, scored: NDArray[np.bool_], is_next: Values, *, whole: bool
) -> Tokens:
    """Tokens of pairs; ``scored`` volumes are to be filled in, and hidden if ``whole``."""
    n_volumes = len(pairs.values)
    if pairs.counts is not None:
        scored = scored & pairs.counts
    firsts, ends = pairs.starts[::2], np.cumsum(pairs.lengths)
    where = np.concatenate([firsts, ends])
    # SEP of a pair stands before CLS of the next
    order = np.argsort(where * 2 + np.r_[np.ones(len(firsts)), np.zeros(len(ends))], kind="stable")
    special = np.r_[np.full(len(firsts), CLS), np.full(len(ends), SEP)][order] + n_volumes
    rows = np.insert(np.arange(n_volumes), where[order], special)
    is_volume = rows < n_volumes
    halves = np.repeat(np.tile([0, 1], len(firsts)), pairs.lengths)
    types = np.insert(
        halves, where[order],
        np.r_[np.zeros(len(firsts), int), np.tile([0, 1], len(firsts))][order],
    )  # fmt: skip
    filled = np.zeros(len(rows), bool)
    filled[is_volume] = scored
    sources = np.where(filled, n_volumes + MASK, rows) if whole else rows
    return Tokens(
        sequences=pairs,
        sources=sources,
        time_ids=np.insert(pairs.time_ids, where[order], N_TIMES),
        lengths=pairs.lengths.reshape(-1, 2).sum(1) + 3,
        types=types,
        scored=np.flatnonzero(filled),
        scored_rows=rows[filled],
        is_next=is_next,
    )
