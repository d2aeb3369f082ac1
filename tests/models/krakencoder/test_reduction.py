"""Transforms against their formulas and scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from kraken_bids.exceptions import CheckpointError, ConnectomeError
from kraken_bids.models.krakencoder.reduction import (
    REQUIRED_ARRAYS,
    Reduction,
    fit_pca,
    fit_reduction,
)

N_EDGES = 12


def make_arrays(rng: np.random.Generator, kind: str) -> dict[str, np.ndarray]:
    """Random statistics of the right shapes."""
    shapes = {"input_mean": N_EDGES, "pca_input_mean": N_EDGES, "input_stdev": N_EDGES}
    if kind.startswith("zscore"):
        shapes = {}
    arrays = {
        name: rng.uniform(0.5, 2, size=shapes.get(name, 1)).astype(np.float32)
        for name in REQUIRED_ARRAYS[kind]
    }
    for name in set(arrays) & {"pca_components", "tsvd_components"}:
        arrays[name] = np.linalg.qr(rng.normal(size=(N_EDGES, 4)))[0].T.astype(np.float32)
    return arrays


def apply_log_formula(x: np.ndarray, a: dict[str, np.ndarray]) -> np.ndarray:
    low = a["input_minimum_nonzero"]
    z = (np.log10(np.maximum(x, low)) - a["input_logmean_nonzero"]) / a["input_logstdev_nonzero"]
    scaled = z * a["output_logstdev_nonzero"] + a["output_logmean_nonzero"]
    return scaled * (x >= low) / a["input_rownorm_mean"]


def apply_formula(kind: str, x: np.ndarray, a: dict[str, np.ndarray]) -> np.ndarray:
    """Follow the table of published transforms, as it stands in their description."""
    if kind in {"pca", "tsvd"}:
        centered = x - a["pca_input_mean"] if kind == "pca" else x
        reduced = centered @ a[f"{kind}_components"].T
        return a["output_normscale"] * reduced / a["input_normscale"]
    if kind == "lognorm+rownorm":
        return apply_log_formula(x, a)
    if kind == "norm":
        return a["output_normscale"] * x / a["input_normscale"]
    centered = x - a.get("input_mean", 0)
    for name in ("input_rownorm_mean", "input_variance", "input_stdev"):
        centered = centered / a.get(name, 1)
    return centered


@pytest.mark.parametrize("kind", list(REQUIRED_ARRAYS))
def test_forward_is_the_published_formula(rng: np.random.Generator, kind: str) -> None:
    """Every published transform type equals its formula."""
    arrays = make_arrays(rng, kind)
    x = rng.uniform(0.1, 5, size=(9, N_EDGES))

    actual = Reduction(kind, arrays, N_EDGES).forward(x)

    np.testing.assert_allclose(actual, apply_formula(kind, x, arrays), rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [kind for kind in REQUIRED_ARRAYS if kind not in {"pca", "tsvd"}])
def test_inverse_undoes_forward(rng: np.random.Generator, kind: str) -> None:
    """Transforms that keep the dimension are undone by their inverse."""
    reduction = Reduction(kind, make_arrays(rng, kind), N_EDGES)
    x = rng.uniform(2.5, 5, size=(9, N_EDGES))

    np.testing.assert_allclose(reduction.inverse(reduction.forward(x)), x, rtol=1e-3)


@pytest.mark.parametrize("kind", ["pca", "tsvd"])
def test_inverse_of_components_projects_once(rng: np.random.Generator, kind: str) -> None:
    """Forward undoes the inverse: reduced values survive the way there and back."""
    reduction = Reduction(kind, make_arrays(rng, kind), N_EDGES)
    y = rng.normal(size=(9, 4))

    np.testing.assert_allclose(reduction.forward(reduction.inverse(y)), y, atol=1e-4)


def test_fit_pca_is_scikit_learns_scaled_to_norm_100(rng: np.random.Generator) -> None:
    """Components are scikit-learn's; the reduced training data have Frobenius norm 100."""
    x = rng.normal(size=(40, N_EDGES)) @ rng.normal(size=(N_EDGES, N_EDGES)) + 3
    oracle = PCA(5, random_state=0).fit(x)

    reduction = fit_pca(x, 5)

    expected = 100 * oracle.transform(x) / np.linalg.norm(oracle.transform(x))
    np.testing.assert_allclose(reduction.forward(x), expected, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(reduction.forward(x)), 100, rtol=1e-5)
    np.testing.assert_allclose(reduction.training_mean, x.mean(0), rtol=1e-5)
    assert reduction.n_components == 5


@pytest.mark.parametrize(
    ("kind", "expected"), [("pca4", "pca"), ("pc4", "pca"), ("cfeat", "cfeat"), ("none", "none")]
)
def test_fit_reduction_keeps_the_training_mean(
    rng: np.random.Generator, kind: str, expected: str
) -> None:
    """Whatever is fitted, the training mean is known afterwards: adaptation needs it."""
    x = rng.normal(size=(10, N_EDGES)) + 5

    reduction = fit_reduction(x, kind)

    assert reduction.kind == expected
    np.testing.assert_allclose(reduction.training_mean, x.mean(0), rtol=1e-5)


def test_more_components_than_subjects_are_refused(rng: np.random.Generator) -> None:
    """The message names both numbers."""
    with pytest.raises(ConnectomeError, match=r"at least 9 training subjects.*found 8"):
        fit_pca(rng.normal(size=(8, N_EDGES)), 9)


def test_unknown_or_incomplete_transforms_are_refused(rng: np.random.Generator) -> None:
    """An unknown type, a missing statistic and an unknown request are CheckpointErrors."""
    with pytest.raises(CheckpointError, match="found 'magic'"):
        Reduction("magic", {}, N_EDGES)
    with pytest.raises(CheckpointError, match="lacks input_mean"):
        Reduction("cfeat", {}, N_EDGES)
    with pytest.raises(CheckpointError, match="found 'ica5'"):
        fit_reduction(rng.normal(size=(8, N_EDGES)), "ica5")
    with pytest.raises(CheckpointError, match="no affine form"):
        Reduction("lognorm+rownorm", make_arrays(rng, "lognorm+rownorm"), N_EDGES).to_affine()
