"""Inputs and latents against scikit-learn's PCA, scipy's MAD and numpy."""

import numpy as np
import pytest
from scipy.stats import median_abs_deviation
from sklearn.decomposition import PCA

from kraken_bids.models.krakencoder.input_share import (
    describe_training,
    measure_inputs,
    sees_subspace,
)
from kraken_bids.models.krakencoder.reduction import Reduction, fit_pca, fit_reduction
from kraken_bids.scores.novelty import measure_distances, robust_z


@pytest.fixture
def training(rng: np.random.Generator) -> np.ndarray:
    return 5 + rng.normal(size=(40, 6)) @ rng.normal(size=(6, 90)) + rng.normal(size=(40, 90))


def test_share_outside_is_what_pca_cannot_rebuild(
    rng: np.random.Generator, training: np.ndarray
) -> None:
    """Squared error of scikit-learn's reconstruction over squared distance from the mean."""
    pca = PCA(n_components=5, random_state=0).fit(training)
    new = training[:7] + rng.normal(size=(7, 90))
    residual = new - pca.inverse_transform(pca.transform(new))
    distance = np.linalg.norm(new - pca.mean_, axis=1)

    found = measure_inputs(new, fit_pca(training, 5))

    np.testing.assert_allclose(found.outside, (residual**2).sum(1) / distance**2, rtol=1e-4)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-6)


def test_training_data_leave_what_their_explained_variance_lacks(training: np.ndarray) -> None:
    """Share and root mean square distance are those of the training data themselves."""
    reduction = fit_pca(training, 5)
    own = measure_inputs(training, reduction)

    found = describe_training(reduction, len(training))

    left = (own.outside * own.distance**2).sum() / (own.distance**2).sum()
    assert found.outside == pytest.approx(left, rel=1e-4)
    assert found.distance == pytest.approx(np.sqrt(np.mean(own.distance**2)), rel=1e-4)
    assert np.isnan(describe_training(reduction, None).distance)


def test_missing_edges_count_as_the_training_mean(training: np.ndarray) -> None:
    """As in the model's input; a subject without the flavor has no numbers."""
    reduction = fit_pca(training, 5)
    rows = training[:3].copy()
    rows[0, :20] = np.nan
    rows[2] = np.nan
    filled = rows[:1].copy()
    filled[0, :20] = reduction.arrays["pca_input_mean"][:20]

    found = measure_inputs(rows, reduction)

    assert found.outside[0] == pytest.approx(measure_inputs(filled, reduction).outside[0])
    assert np.isnan([found.outside[2], found.distance[2]]).all()


def test_tsvd_is_measured_from_zero_and_other_transforms_are_not(training: np.ndarray) -> None:
    """A transform without a mean sees the mean as part of the connectome."""
    pca = fit_pca(training, 5)
    tsvd = Reduction(
        "tsvd",
        {
            "tsvd_components": pca.arrays["pca_components"],
            "input_normscale": pca.arrays["input_normscale"],
            "output_normscale": pca.arrays["output_normscale"],
        },
        90,
    )
    components = pca.arrays["pca_components"].astype(float)
    seen = ((training[:4] @ components.T) ** 2).sum(1) / (training[:4] ** 2).sum(1)

    np.testing.assert_allclose(measure_inputs(training[:4], tsvd).outside, 1 - seen, rtol=1e-4)
    assert np.isnan(describe_training(tsvd, 40).outside)
    assert not sees_subspace(fit_reduction(training, "cfeat"))
    assert np.isnan(describe_training(fit_reduction(training, "cfeat"), 40).outside)


def test_robust_z_is_scipys(rng: np.random.Generator) -> None:
    """Median and normal-consistent MAD; NaN stays, and too few have none."""
    values = np.append(rng.normal(size=21), np.nan)

    expected = (values[:-1] - np.median(values[:-1])) / median_abs_deviation(
        values[:-1], scale="normal"
    )
    np.testing.assert_allclose(robust_z(values)[:-1], expected, rtol=1e-4)
    assert np.isnan(robust_z(values)[-1])
    assert np.isnan(robust_z(values[:4])).all()
    np.testing.assert_array_equal(robust_z(np.ones(6)), np.zeros(6))
    assert robust_z(np.array([0, 0, 0, 0, 0, 0.01]), min_spread=0.05)[-1] == pytest.approx(0.2)


def test_a_latent_far_from_the_median_latent_stands_out(rng: np.random.Generator) -> None:
    """Distances are Euclidean from the coordinate-wise median; NaN rows are passed over."""
    latents = rng.normal(size=(20, 6))
    latents[3] += 20
    latents[5] = np.nan
    kept = np.delete(latents, 5, axis=0)

    distance, z = measure_distances(latents)

    expected = np.linalg.norm(kept - np.median(kept, axis=0), axis=1)
    np.testing.assert_allclose(np.delete(distance, 5), expected)
    assert np.isnan(z[5])
    assert np.flatnonzero(z > 5).tolist() == [3]
    assert np.isnan(measure_distances(latents[:4])).all()
