"""Streamed principal components against scikit-learn's full singular value decomposition."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.io.stored_rows import open_npy
from kraken_bids.models.krakencoder import principal_components
from kraken_bids.models.krakencoder.principal_components import fit_components
from kraken_bids.models.krakencoder.reduction import fit_reduction


def make_cohort(n_subjects: int, n_edges: int, seed: int = 0) -> np.ndarray:
    """Connectomes as they are: a large common part, and a spectrum that falls slowly."""
    rng = np.random.default_rng(seed)
    n_factors = min(n_subjects, n_edges)
    factors = rng.standard_normal((n_subjects, n_factors)) / np.arange(1, n_factors + 1) ** 0.7
    edges = factors @ rng.standard_normal((n_factors, n_edges)) + 20 * rng.standard_normal(n_edges)
    return edges.astype(np.float32)


@pytest.fixture(params=["one block", "blocks of seven"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "one block":
        monkeypatch.setattr(principal_components, "BLOCK_VALUES", 7 * 300)
        monkeypatch.setattr(principal_components, "CHUNK", 64)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("shape", [(60, 300), (300, 60), (60, 60)])
def test_components_are_those_of_a_full_decomposition(shape: tuple[int, int]) -> None:
    """Signs too, to 1e-6, whether people or edges are fewer, and however they are cut."""
    x = make_cohort(*shape)
    oracle = PCA(20, svd_solver="full").fit(x.astype(np.float64))

    found = fit_components(x, 20)

    np.testing.assert_allclose(found.mean, oracle.mean_, rtol=1e-10)
    np.testing.assert_allclose(found.singular_values, oracle.singular_values_, rtol=1e-9)
    np.testing.assert_allclose(found.components, oracle.components_, atol=1e-6)
    ratio = (found.singular_values**2).sum() / found.total
    assert ratio == pytest.approx(oracle.explained_variance_ratio_.sum(), rel=1e-9)


def test_a_subspace_that_is_iterated_explains_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where people and edges are many: 0.1 % of the variance, and orthonormal components."""
    x = make_cohort(300, 400)
    oracle = PCA(40, svd_solver="full").fit(x.astype(np.float64))
    monkeypatch.setattr(principal_components, "LARGEST_EXACT", 100)
    monkeypatch.setattr(principal_components, "BLOCK_VALUES", 50 * 400)

    found = fit_components(x, 40)

    ratio = (found.singular_values**2).sum() / found.total
    assert ratio == pytest.approx(oracle.explained_variance_ratio_.sum(), rel=1e-3)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(40), atol=1e-12)
    np.testing.assert_allclose(found.components[:20], oracle.components_[:20], atol=0.02)


def test_a_file_gives_the_components_of_the_array(tmp_path: Path) -> None:
    """To the last bit: only where the rows lie is another."""
    x = make_cohort(30, 200)
    np.save(tmp_path / "x.npy", x)

    stored = fit_reduction(open_npy(tmp_path / "x.npy"), "pca8")

    for name, values in fit_reduction(x, "pca8").arrays.items():
        assert np.array_equal(values, stored.arrays[name]), name


def test_as_many_components_as_people_are_orthonormal() -> None:
    """Nobody varies along the last one, and it is one all the same."""
    found = fit_components(make_cohort(10, 50), 10)

    np.testing.assert_allclose(found.components @ found.components.T, np.eye(10), atol=1e-10)
    assert found.singular_values[-1] == 0


def test_people_who_are_all_alike_are_refused() -> None:
    """There is nothing to train on."""
    same = np.tile(make_cohort(1, 50), (10, 1))

    with pytest.raises(ConnectomeError, match="differ from person to person; found 10"):
        fit_components(same, 4)


def test_copies_of_people_are_told() -> None:
    """Five people twice differ in four directions."""
    twice = np.repeat(make_cohort(5, 50), 2, axis=0)

    with pytest.raises(ConnectomeError, match=r"found 4 among 10.*--transform pca4"):
        fit_components(twice, 6)
