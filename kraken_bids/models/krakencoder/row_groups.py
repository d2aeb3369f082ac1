"""How many subjects are multiplied at once: whole groups on a CPU, as many as fit on a GPU."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.devices import Device, Values, namespace, single_thread

GROUP = 24
"""Subjects whose number a CPU multiplies a multiple of; others are padded to as many.

OpenBLAS's kernels take 12 or 24 rows at a time: a product of whole groups rounds each as alone.
"""
ROWS = 4 * GROUP
"""Subjects that are multiplied at once on a CPU, at most."""
LARGE_PRODUCT = 1 << 23
"""Multiplications in a product of one group, above which more rows round alike.

For small products (less than 28 times 512 squared) OpenBLAS has other kernels on AVX-512.
"""
CPU_BATCH = 2 * ROWS
"""Subjects whose edges are copied at once: bounds the temporary memory."""
GPU_SHARE = 0.25
"""Share of a GPU's free memory that one batch may take."""


def slices(n: int, step: int) -> Iterator[slice]:
    """Consecutive slices of ``step`` that cover ``n``; the last may be shorter."""
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def pad_rows(values: NDArray[np.floating], device: Device) -> Values:
    """Float32 copy on a device; on a CPU with rows of zeros up to a multiple of :data:`GROUP`.

    There is at least one row, of zeros where nobody is given.
    """
    step = 1 if device.is_gpu else GROUP
    n_rows = max(1, -(-len(values) // step)) * step
    padded = np.empty((n_rows, values.shape[1]), np.float32)
    padded[: len(values)] = values
    padded[len(values) :] = 0.0
    return device.place(padded)


def in_blocks(layers: Callable[[Values], Values], values: Values) -> Values:
    """Layers applied to padded rows, :data:`GROUP` at a time on a CPU."""
    with single_thread():
        step = GROUP if isinstance(values, np.ndarray) else len(values)
        blocks = slices(len(values), step)
        return namespace(values).concatenate([layers(values[rows]) for rows in blocks])


def block_size(values: Values, matrix: Values) -> int:
    """Rows that are multiplied by a matrix at once: all of them on a GPU.

    On a CPU as many as round each row as :data:`GROUP` of them do.
    """
    if not isinstance(values, np.ndarray):
        return len(values)
    return ROWS if GROUP * matrix.size >= LARGE_PRODUCT else GROUP


def batch_size(device: Device, n_edges: int) -> int:
    """Subjects whose edges are on the device at once: as many as a GPU has room for."""
    if not device.is_gpu:
        return CPU_BATCH
    return max(1, int(GPU_SHARE * device.count_free_bytes()) // (4 * n_edges))
