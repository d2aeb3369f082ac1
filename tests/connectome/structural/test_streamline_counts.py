import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest

from kraken_bids.connectome.structural.nearest_labels import build_region_search, find_regions
from kraken_bids.connectome.structural.streamline_counts import (
    METRICS,
    EdgeCounter,
    volume_norm,
)
from kraken_bids.exceptions import ConnectomeError

TCK2CONNECTOME = shutil.which("tck2connectome")
N_VOXELS = np.array([10, 30, 7, 0, 25])


def make_block(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, 6, (n, 2))
    pairs[pairs == 4] = 0
    return pairs, rng.lognormal(size=n).astype(np.float32)


def brute_matrix(pairs, values):
    square = np.zeros((5, 5))
    for (i, j), value in zip(pairs, values, strict=True):
        if i and j:
            square[i - 1, j - 1] += value
            if i != j:
                square[j - 1, i - 1] += value
    return square


def count(pairs, weights=None, *, voxel_mm3=1.0, n_blocks=1):
    counter = EdgeCounter(N_VOXELS, voxel_mm3, is_weighted=weights is not None)
    for at in np.array_split(np.arange(len(pairs)), n_blocks):
        counter.add(pairs[at], None if weights is None else weights[at])
    return counter


def test_mrtrix_units():
    """Counts, inverse volumes in voxels, weights and both: as tck2connectome defines them."""
    pairs, weights = make_block()
    counter = count(pairs, weights, voxel_mm3=8.0)
    scale = 2 / np.maximum(N_VOXELS[:, None] + N_VOXELS[None], 1)
    counts, sums = brute_matrix(pairs, np.ones(3000)), brute_matrix(pairs, weights)
    expected = {
        "count": counts,
        "volnorm": counts * scale,
        "sift2": sums,
        "sift2volnorm": sums * scale,
    }
    for metric in METRICS:
        square = counter.connectome(metric, units="mrtrix")
        np.testing.assert_allclose(square, expected[metric], rtol=1e-6)
        np.testing.assert_array_equal(square, square.T)


def test_krakencoder_units():
    """Volumes in 1.25 mm voxels, five million streamlines, no diagonal, NaN for absent regions."""
    pairs, weights = make_block()
    counter = count(pairs, weights, voxel_mm3=8.0)
    assert counter.missing_regions == (4,)
    volumes = N_VOXELS * 8.0 / 1.953125
    scale = 2 / np.maximum(volumes[:, None] + volumes[None], 1e-9) * 5e6 / 3000
    expected = brute_matrix(pairs, np.ones(3000)) * scale
    square = counter.connectome("volnorm", units="krakencoder")
    seen = [0, 1, 2, 4]
    off = ~np.eye(4, dtype=bool)
    at = np.ix_(seen, seen)
    np.testing.assert_allclose(square[at][off], expected[at][off], rtol=1e-12)
    assert (np.diag(square)[seen] == 0).all()
    assert np.isnan(square[3]).all()
    assert np.isnan(square[:, 3]).all()
    weighted = counter.connectome("sift2volnorm", units="krakencoder")
    expected = brute_matrix(pairs, weights) * scale
    np.testing.assert_allclose(weighted[at][off], expected[at][off], rtol=1e-10)


def test_units_do_not_depend_on_how_many_streamlines_or_voxels():
    """Twice the streamlines, or the same volume in other voxels, gives the same connectome."""
    pairs, _ = make_block()
    once = count(pairs).connectome("volnorm", units="krakencoder")
    twice = count(np.vstack([pairs, pairs])).connectome("volnorm", units="krakencoder")
    np.testing.assert_allclose(once, twice)
    finer = EdgeCounter(N_VOXELS * 8, 0.125, is_weighted=False)
    finer.add(pairs)
    np.testing.assert_allclose(once, finer.connectome("volnorm", units="krakencoder"))


def test_upstream_volume_normalisation():
    """On the model's own grid and number of streamlines, N becomes N · 2/(Vi + Vj) exactly."""
    square = np.array([[0.0, 12.0], [12.0, 0.0]])
    volumes = np.array([300, 500]) * 1.953125
    np.testing.assert_allclose(volume_norm(square, volumes), square * 2 / 800)
    assert not volume_norm(square, np.zeros(2)).any()


@pytest.mark.parametrize("n_blocks", [1, 2, 7, 500])
def test_blocks_of_any_size_give_the_same_bits(n_blocks):
    """Sums run in the order of the file, so reading in blocks changes not one bit."""
    pairs, weights = make_block()
    one, other = count(pairs, weights), count(pairs, weights, n_blocks=n_blocks)
    for metric in METRICS:
        for units in ("mrtrix", "krakencoder"):
            np.testing.assert_array_equal(
                one.connectome(metric, units=units), other.connectome(metric, units=units)
            )


def test_statistics_of_the_ends():
    """Streamlines with two, one and no ends in regions, and those that return to their own."""
    pairs = np.array([[1, 2], [2, 1], [3, 3], [0, 5], [5, 0], [0, 0]])
    stats = count(pairs, np.full(6, 0.5), n_blocks=2).statistics()
    assert (stats.n_streamlines, stats.n_both, stats.n_one, stats.n_none) == (6, 3, 2, 1)
    assert (stats.n_self, stats.sum_of_weights) == (1, 3.0)
    assert count(pairs).statistics().sum_of_weights is None


def test_weights_must_fit():
    """Weights too few, too many, absent or unexpected; regions beyond the table: refused."""
    pairs, weights = make_block(10)
    counter = count(pairs, weights)
    with pytest.raises(ConnectomeError, match=r"expected 10 weights.*found 9"):
        counter.add(pairs, weights[:9])
    with pytest.raises(ConnectomeError, match=r"expected 10 weights.*found none"):
        counter.add(pairs)
    with pytest.raises(ConnectomeError, match=r"expected no weights.*found 10"):
        count(pairs).add(pairs, weights)
    with pytest.raises(ConnectomeError, match="region numbers 0 … 5"):
        count(pairs).add(pairs + 9)
    with pytest.raises(ConnectomeError, match="metric sift2volnorm"):
        count(pairs).connectome("sift2volnorm", units="mrtrix")


@pytest.mark.skipif(TCK2CONNECTOME is None, reason="tck2connectome is not installed")
def test_matrices_are_byte_identical_to_tck2connectome(tmp_path):
    """Counts, volume norm, SIFT2 and both print the very bytes that MRtrix writes."""
    rng = np.random.default_rng(8)
    labels = np.repeat(np.repeat(rng.integers(0, 8, (6, 7, 5)), 4, axis=0), 3, axis=1)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    ends = rng.uniform(-6, [54, 48, 14], (5000, 2, 3)).astype(np.float32)
    weights = np.char.mod("%.6g", rng.lognormal(size=5000))
    (tmp_path / "weights.txt").write_text("\n".join(weights) + "\n")
    triplets = np.full((5000, 3, 3), np.nan, dtype="<f4")
    triplets[:, :2] = ends
    header = b"mrtrix tracks\ndatatype: Float32LE\nfile: . 80\nEND\n".ljust(80)
    end = np.full(3, np.inf, dtype="<f4").tobytes()
    (tmp_path / "tracks.tck").write_bytes(header + triplets.tobytes() + end)
    nib.save(nib.Nifti1Image(labels.astype(np.int16), affine), tmp_path / "labels.nii.gz")
    search = build_region_search(labels, affine, radius=4.0)
    counter = EdgeCounter(search.n_voxels(7), search.voxel_mm3, is_weighted=True)
    counter.add(find_regions(search, ends), weights.astype(np.float32))
    for metric in METRICS:
        options = ["-scale_invnodevol"] if metric.endswith("volnorm") else []
        options += ["-tck_weights_in", "weights.txt"] if "sift2" in metric else []
        names = [TCK2CONNECTOME, "tracks.tck", "labels.nii.gz", "out.csv", "-symmetric"]
        subprocess.run(
            [*names, "-force", "-quiet", "-nthreads", "0", *options],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
        square = counter.connectome(metric, units="mrtrix")
        ours = "".join(",".join(f"{v:.15g}" for v in row) + "\n" for row in square)
        lines = (tmp_path / "out.csv").read_text().splitlines(keepends=True)
        assert ours == "".join(line for line in lines if not line.startswith("#"))
