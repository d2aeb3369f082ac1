"""Paths of a source that count the same subjects are found together."""

import numpy as np

from kraken_bids.models.krakencoder.alike_paths import group_paths


def test_groups_hold_every_path_once_and_add_up_to_sources() -> None:
    """Each path finds its subjects by its group; sums over groups are sums over paths."""
    has = np.random.default_rng(0).random((4, 6)) < 0.7
    paths = np.ones((4, 4), bool)

    alike = group_paths(paths, has)

    assert alike.present is not None
    for source, target in np.ndindex(4, 4):
        group = alike.index[source, target]
        assert alike.sources[group] == source
        np.testing.assert_array_equal(alike.present[group], has[source] & has[target])
    values = np.random.default_rng(1).random((len(alike.sources), 3)).astype(np.float32)
    expected = values[alike.index].sum(axis=1)
    np.testing.assert_allclose(alike.add_up(values), expected, rtol=1e-5)


def test_where_nobody_lacks_anything_a_source_is_one_group() -> None:
    """All its paths are alike; on themselves alone there is one."""
    has = np.ones((3, 5), bool)

    alike = group_paths(np.ones((3, 3), bool), has)
    own = group_paths(np.eye(3, dtype=bool), has)

    assert alike.present is None
    assert alike.counts.tolist() == [3, 3, 3]
    assert own.counts.tolist() == [1, 1, 1]
