"""Dropout: which numbers a training step leaves out, from a seeded stream of random bytes."""

import numpy as np

from kraken_bids.models.devices import Array

BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
"""The eight bits of each byte."""
RESOLUTION = 1 << 16
POOL = 1 << 14
"""Factors that are drawn at once, at least."""


class Dropout:
    """A stream of factors that keep a number (1 / (1 - rate)) or leave it out (0).

    Parameters
    ----------
    rate : float
        Share that is left out, to 1/65536. Half are drawn eight at a time, by the bits of a byte.
    """

    def __init__(self, rate: float, seed: np.random.SeedSequence) -> None:
        self._threshold = round(rate * RESOLUTION)
        keep = np.float32(RESOLUTION / (RESOLUTION - self._threshold))
        self._by_byte, self._keep = BITS * keep, keep
        self._source = np.random.SFC64(seed)
        self._pool = np.empty(0, np.float32)
        self._n_used = 0

    def draw(self, n_rows: int, width: int) -> Array | None:
        """Draw factors ``[n_rows, width]``, good until the next ones; None to keep everything."""
        if not self._threshold:
            return None
        n_values = n_rows * width
        if self._n_used + n_values > self._pool.size:
            self._fill(n_values)
        first, self._n_used = self._n_used, self._n_used + n_values
        return self._pool[first : self._n_used].reshape(n_rows, width)

    def _fill(self, n_values: int) -> None:
        n_values = -(-max(n_values, POOL) // 8) * 8
        if self._pool.size != n_values:
            self._pool = np.empty(n_values, np.float32)
        self._n_used = 0
        if self._threshold * 2 == RESOLUTION:
            drawn = self._draw_words(n_values // 64 + 1).view(np.uint8)[: n_values // 8]
            self._by_byte.take(drawn, axis=0, mode="clip", out=self._pool.reshape(-1, 8))
        else:
            numbers = self._draw_words(n_values // 4).view(np.uint16)
            np.multiply(numbers >= self._threshold, self._keep, out=self._pool)

    def _draw_words(self, n_words: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        words: np.ndarray[tuple[int], np.dtype[np.uint64]] = self._source.random_raw(n_words)
        return words.astype("<u8", copy=False)
