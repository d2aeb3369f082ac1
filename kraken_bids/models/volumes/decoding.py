"""Probabilities of states, volume after volume, several at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from kraken_bids.models.devices import full_precision
from kraken_bids.models.volumes.network import VolumeNetwork

Floats = NDArray[np.float32]


def decode_volumes(
    network: VolumeNetwork,
    read: Callable[[int], Floats],
    n_volumes: int,
    *,
    n_threads: int = 1,
    device: torch.device | str = "cpu",
    at_once: int = 16,
) -> Iterator[NDArray[np.float64]]:
    """Yield the probabilities [n_states] of each volume.

    On a CPU each thread decodes a volume of its own: convolutions of a single volume gain little
    from several threads, and so their number changes no bit.

    Parameters
    ----------
    network : VolumeNetwork
        Already on the device, and in evaluation mode.
    read : callable
        Gives a volume [x, y, z] by its number.
    n_volumes : int
        How many there are.
    n_threads : int
        Of a CPU.
    device : torch.device
    at_once : int
        Volumes of a batch on a GPU.
    """

    def decode(first: int) -> NDArray[np.float64]:
        numbers = range(first, min(first + size, n_volumes))
        batch = torch.from_numpy(np.stack([read(k) for k in numbers]))
        with torch.inference_mode(), full_precision():
            logits = network(batch.to(device)).double()
            return np.asarray(logits.softmax(1).cpu().numpy())

    size = 1 if str(device) == "cpu" else at_once
    firsts = iter(range(0, n_volumes, size))
    if size > 1:
        for first in firsts:
            yield from decode(first)
        return
    with ThreadPoolExecutor(
        n_threads, initializer=torch.set_num_threads, initargs=(1,)
    ) as threads:
        while part := list(islice(firsts, 4 * n_threads)):
            for found in threads.map(decode, part):
                yield from found
