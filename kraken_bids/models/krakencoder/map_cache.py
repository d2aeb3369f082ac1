"""Folded maps between edges and layers that stay in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field

from kraken_bids.models.devices import Values

KEPT_BYTES = 400_000_000
"""Memory for maps: those of one direction of the published model take 350 MB."""

FEW_BYTES = 120_000_000
"""The same for work that goes through the flavors once: two of the largest maps."""


@dataclass(eq=False)
class MapCache:
    """Maps in memory: those used last, up to a number of bytes.

    Threads may share it: each step is one that Python does not interrupt.
    """

    max_bytes: int = KEPT_BYTES
    _kept: dict[str, Values] = field(default_factory=dict, init=False, repr=False)

    def __reduce__(self) -> tuple[type["MapCache"], tuple[int]]:
        """Begin empty in copies, and in what is sent to other processes."""
        return MapCache, (self.max_bytes,)

    def get(self, key: str, make: Callable[[], Values]) -> Values:
        """Map of that key, made where it is not kept (any more)."""
        values = self._kept.pop(key, None)
        if values is None:
            values = make()
            # the oldest go before the newest stays, so that both are never there
            for oldest in list(self._kept):
                if self._count_bytes() + values.nbytes <= self.max_bytes:
                    break
                self._kept.pop(oldest, None)
        self._kept[key] = values
        return values

    def _count_bytes(self) -> int:
        return sum(kept.nbytes for kept in list(self._kept.values()))
