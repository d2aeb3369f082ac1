"""The maps that are kept, and those that are made again."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kraken_bids.models.krakencoder.map_cache import MapCache


def make(n_bytes: int) -> np.ndarray:
    return np.zeros(n_bytes // 4, np.float32)


def test_what_was_used_last_is_kept_within_the_room_there_is() -> None:
    """Of three maps in room for two, the one that was not asked for lately is made again."""
    cache = MapCache(2000)
    made: list[str] = []

    def get(key: str) -> np.ndarray:
        return cache.get(key, lambda: made.append(key) or make(1000))  # type: ignore[func-returns-value]

    for key in ("a", "b", "a", "c", "a", "b"):
        assert get(key).nbytes == 1000

    assert made == ["a", "b", "c", "b"]


def test_one_that_has_no_room_is_given_all_the_same() -> None:
    """And stays until another one comes."""
    cache = MapCache(100)

    assert cache.get("large", lambda: make(1000)) is cache.get("large", lambda: make(1000))


def test_threads_may_share_it() -> None:
    """Many that ask for more than there is room for each get what they ask for."""
    cache = MapCache(5000)
    maps = {str(k): make(4 * (200 + k)) for k in range(30)}
    rng = np.random.default_rng(0)
    keys = [str(k) for k in rng.integers(0, 30, 20_000)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda key: cache.get(key, lambda: maps[key]), keys))

    assert all(values is maps[key] for key, values in zip(keys, found, strict=True))


def test_copies_begin_empty() -> None:
    """A cache that is sent to another process takes its room along, and no maps."""
    cache = MapCache(5000)
    cache.get("a", lambda: make(4000))

    sent = pickle.dumps(cache)

    assert len(sent) < 200
    assert pickle.loads(sent).max_bytes == 5000
