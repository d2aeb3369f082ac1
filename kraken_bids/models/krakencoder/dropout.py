"""Dropout: which numbers a training step leaves out, from a seeded stream of random bytes."""

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.krakencoder.devices import Array

BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
"""The eight bits of each byte."""
RESOLUTION = 1 << 16


class Dropout:
    """Factors that keep a number (1 / (1 - rate)) or leave it out (0).

    Parameters
    ----------
    rate : float
        Share that is left out, to 1/65536. Half are drawn eight at a time, by the bits of a byte.
    """

    def __init__(self, rate: float) -> None:
        self._threshold = round(rate * RESOLUTION)
        self.keep = np.float32(RESOLUTION / (RESOLUTION - self._threshold))
        """Factor of what is kept."""
        self._by_byte = BITS * self.keep

    def draw(self, generator: np.random.Generator, *shape: int) -> Array | None:
        """Draw factors of this shape; None where nothing is left out."""
        if not self._threshold:
            return None
        n_values = int(np.prod(shape))
        if self._threshold * 2 == RESOLUTION:
            drawn = _draw_bytes(generator, -(-n_values // 8))
            factors = self._by_byte.take(drawn, axis=0, mode="clip").reshape(-1)[:n_values]
        else:
            numbers = _draw_bytes(generator, 2 * n_values).view(np.uint16)
            factors = (numbers >= self._threshold) * self.keep
        return factors.reshape(shape)


def _draw_bytes(generator: np.random.Generator, n_bytes: int) -> NDArray[np.uint8]:
    words = generator.integers(0, 1 << 64, -(-n_bytes // 8), np.uint64, endpoint=False)
    return words.astype("<u8", copy=False).view(np.uint8)[:n_bytes]
