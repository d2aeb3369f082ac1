import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from kraken_bids.connectome.functional import timeseries
from kraken_bids.connectome.functional.timeseries import compute_region_series
from kraken_bids.connectome.labels.label_numbers import index_labels
from kraken_bids.exceptions import ConnectomeError

SHAPE = (7, 8, 9)


def make_run(n_volumes=12, dtype=np.float32, seed=0):
    """4D series [x, y, z, t] and two label images, one of which misses region 3."""
    rng = np.random.default_rng(seed)
    data = rng.normal(1000, 50, (*SHAPE, n_volumes)).astype(dtype)
    labels = {"a": rng.integers(0, 5, SHAPE), "b": rng.integers(0, 3, SHAPE)}
    labels["a"][labels["a"] == 3] = 0
    brain = np.zeros(SHAPE, dtype=bool)
    brain[1:, :, 1:] = True
    return data, labels, brain


def measure(data, labels, brain, *, slope=1.0, inter=0.0, tissue=None, n_regions=None):
    volumes = (data[..., t].ravel(order="F") for t in range(data.shape[3]))
    return compute_region_series(
        volumes,
        shape=SHAPE,
        slope=slope,
        inter=inter,
        labels=labels,
        brain_mask=brain,
        tissue_masks=tissue or {},
        n_regions=n_regions,
    )


def brute_means(data, labels, n_regions):
    """Oracle: mean over the voxels of each region that are not zero at all times."""
    means = np.full((data.shape[3], n_regions), np.nan)
    for k in range(1, n_regions + 1):
        voxels = data[labels == k].astype(np.float64)
        voxels = voxels[(voxels != 0).any(axis=1)]
        if len(voxels):
            means[:, k - 1] = voxels.mean(axis=0)
    return means


def test_means_of_every_parcellation_in_one_pass():
    """Region means of two parcellations equal brute-force means to rounding; absent is NaN."""
    data, labels, brain = make_run()
    series = measure(data, labels, brain)
    np.testing.assert_allclose(series.means["a"], brute_means(data, labels["a"], 4), rtol=1e-13)
    np.testing.assert_allclose(series.means["b"], brute_means(data, labels["b"], 2), rtol=1e-13)
    assert np.isnan(series.means["a"][:, 2]).all()
    assert series.n_voxels["a"].tolist() == [(labels["a"] == k).sum() for k in (1, 2, 3, 4)]
    assert series.n_volumes == 12


def test_many_parcellations_are_as_each_alone(monkeypatch):
    """Means and coverage do not depend on what else is measured, nor on how keys are packed."""
    data, _, brain = make_run()
    rng = np.random.default_rng(2)
    labels = {f"p{k}": rng.integers(0, 30, SHAPE) for k in range(9)}
    together = [measure(data, labels, brain)]
    monkeypatch.setattr(timeseries, "MAX_KEY", 2000)  # keys are numbered anew on the way
    together.append(measure(data, labels, brain))
    for name, image in labels.items():
        alone = measure(data, {name: image}, brain)
        for series in together:
            np.testing.assert_allclose(series.means[name], alone.means[name], rtol=1e-13)
            np.testing.assert_array_equal(series.coverage[name], alone.coverage[name])
            np.testing.assert_array_equal(series.n_voxels[name], alone.n_voxels[name])


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
def test_stored_values_are_scaled(dtype):
    """Means are of stored * slope + inter, for integers as for floats."""
    data, labels, brain = make_run()
    data = (data / 10).astype(dtype)
    series = measure(data, labels, brain, slope=0.5, inter=100.0)
    expected = brute_means(data.astype(float) * 0.5 + 100.0, labels["b"], 2)
    np.testing.assert_allclose(series.means["b"], expected, rtol=1e-12)


@pytest.mark.parametrize(("slope", "inter"), [(1.0, 0.0), (0.5, -50.0)])
def test_voxels_that_are_always_zero_do_not_count(slope, inter):
    """Voxels of only zeros (after scaling) leave means alone and lower coverage; a few count."""
    data, labels, brain = make_run(dtype=np.int16)
    zero = round(-inter / slope)
    data[:3] = zero
    data[5, 5, 5, 4] = zero
    data[6, :, 4] = 777
    series = measure(data, labels, brain, slope=slope, inter=inter)
    scaled = data * slope + inter
    np.testing.assert_allclose(series.means["b"], brute_means(scaled, labels["b"], 2), rtol=1e-12)
    seen = (data.min(axis=3) != data.max(axis=3)) & brain
    expected = [seen[labels["b"] == k].mean() for k in (1, 2)]
    np.testing.assert_allclose(series.coverage["b"], expected)


def test_nan_counts_as_zero():
    """NaN and infinity count as zero at that time, and are counted."""
    data, labels, brain = make_run()
    clean = data.copy()
    data[2, 3, 4, 5], clean[2, 3, 4, 5] = np.nan, 0
    data[3, 3, 3, 6], clean[3, 3, 3, 6] = np.inf, 0
    data[4, 4, 4], clean[4, 4, 4] = np.nan, 0
    series = measure(data, labels, brain)
    for name, n in (("a", 4), ("b", 2)):
        np.testing.assert_allclose(series.means[name], brute_means(clean, labels[name], n))
    assert series.n_not_finite == 14
    assert measure(clean, labels, brain).n_not_finite == 0


def test_grey_and_global_means():
    """Grey matter is the mean of its mask, global that of the brain."""
    data, labels, brain = make_run()
    grey = np.zeros(SHAPE, dtype=bool)
    grey[2:5, 2:5, 2:5] = True
    series = measure(data, labels, brain, tissue={"GM": grey})
    np.testing.assert_allclose(series.global_mean, data[brain].mean(axis=0, dtype=float))
    np.testing.assert_allclose(series.grey_mean, data[grey].mean(axis=0, dtype=float))
    assert measure(data, labels, None).grey_mean is None


def test_tissue_voxels_come_from_the_eroded_mask(monkeypatch):
    """WM series are those of the mask eroded by a 3 x 3 x 3 box, scaled; every k-th if many."""
    data, labels, brain = make_run()
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:6, 1:7, 1:7] = True
    eroded = binary_erosion(mask, np.ones((3, 3, 3)))
    expected = np.stack(
        [(data[..., t] * 2 + 1).ravel(order="F")[eroded.ravel(order="F")] for t in range(12)]
    )
    series = measure(data, labels, brain, slope=2.0, inter=1.0, tissue={"WM": mask})
    np.testing.assert_allclose(series.tissue["WM"], expected, rtol=1e-6)
    assert series.tissue["WM"].dtype == np.float32
    monkeypatch.setattr(timeseries, "MAX_TISSUE_VOXELS", 20)
    series = measure(data, labels, brain, slope=2.0, inter=1.0, tissue={"WM": mask})
    np.testing.assert_allclose(series.tissue["WM"], expected[:, ::3], rtol=1e-6)


def test_absent_last_regions_keep_their_columns():
    """With the table's number of regions, the matrix width does not follow the image."""
    data, labels, brain = make_run()
    series = measure(data, labels, brain, n_regions={"b": 5})
    assert series.means["b"].shape == (12, 5)
    assert np.isnan(series.means["b"][:, 2:]).all()
    assert series.coverage["b"][2:].tolist() == [0, 0, 0]


def test_labels_become_region_numbers():
    """FreeSurfer labels map to their place in the table, unknown ones to 0."""
    labels = np.array([[[0, 8, 2035, 1001, 7, 99999]]], dtype=np.float32)
    indexed = index_labels(labels, [1001, 8, 2035])
    assert indexed.ravel().tolist() == [0, 2, 3, 1, 0, 0]
    assert indexed.dtype == np.int32
    assert index_labels(np.zeros((1, 1, 2)), [0, 4]).ravel().tolist() == [0, 0]


def test_broken_series_are_refused():
    """No volumes, volumes of another size, images on another grid: each is said."""
    data, labels, brain = make_run()
    with pytest.raises(ConnectomeError, match="no volumes"):
        measure(data[..., :0], labels, brain)
    with pytest.raises(ConnectomeError, match="504 voxels"):
        compute_region_series(
            iter([np.zeros(503)]),
            shape=SHAPE,
            slope=1.0,
            inter=0.0,
            labels=labels,
            brain_mask=None,
            tissue_masks={},
        )
    with pytest.raises(ConnectomeError, match="brain mask: expected an image on the BOLD grid"):
        measure(data, labels, brain[1:])
