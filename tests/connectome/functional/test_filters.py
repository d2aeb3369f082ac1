import numpy as np
import pytest

from kraken_bids.connectome.functional.filters import high_pass_filter, pass_band


def dense_filter(series, tr, high_pass, left_out):
    """Oracle: fmriclean's dctfilt, with its basis written out."""
    n = len(series)
    passed = (np.arange(n) / (2 * tr * n) >= high_pass).astype(float)
    size = 2 * int(36 / tr / 2) + 1
    window = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / (3.6 / tr)) ** 2)
    padded = np.hstack([passed[::-1], passed, passed[::-1]])
    passed = np.convolve(window / window.sum(), padded, "full")[n + int(size / 2) :][:n]
    basis = np.cos(np.pi / n * (np.arange(n)[None] + 0.5) * np.arange(n)[:, None])
    basis[0] /= np.sqrt(2)
    basis *= np.sqrt(2 / n)
    kept = ~left_out
    return (basis * passed[:, None]).T @ (basis[:, kept] @ series[kept])


@pytest.mark.parametrize(("n_volumes", "tr"), [(200, 0.72), (150, 2.0), (20, 0.8), (301, 1.4)])
def test_filter_is_fmricleans(n_volumes, tr):
    """Fast transform and dense basis agree, also where the window is longer than the run."""
    rng = np.random.default_rng(0)
    series = rng.normal(size=(n_volumes, 3))
    left_out = rng.random(n_volumes) < 0.1
    ours = high_pass_filter(series, tr=tr, high_pass=0.01, left_out=left_out)
    np.testing.assert_allclose(ours, dense_filter(series, tr, 0.01, left_out), atol=1e-12)


def test_slow_goes_and_fast_stays():
    """A period of 400 s is removed, one of 20 s stays."""
    t = np.arange(300) * 2.0
    series = np.cos(2 * np.pi * np.array([1 / 400, 1 / 20]) * t[:, None])
    ours = high_pass_filter(series, tr=2.0, high_pass=0.01, left_out=np.zeros(300, dtype=bool))
    assert ours[:, 0].std() < 0.1 * series[:, 0].std()
    assert np.corrcoef(ours[:, 1], series[:, 1])[0, 1] > 0.999


def test_no_cut_no_change_and_missing_stays_missing():
    """A cut of 0 filters nothing; NaN columns stay NaN and leave others alone."""
    series = np.random.default_rng(0).normal(size=(50, 2))
    none = np.zeros(50, dtype=bool)
    np.testing.assert_array_equal(
        high_pass_filter(series, tr=2.0, high_pass=0.0, left_out=none), series
    )
    with_gap = np.column_stack([series, np.full(50, np.nan)])
    ours = high_pass_filter(with_gap, tr=2.0, high_pass=0.01, left_out=none)
    assert np.isnan(ours[:, 2]).all()
    np.testing.assert_allclose(
        ours[:, :2], high_pass_filter(series, tr=2.0, high_pass=0.01, left_out=none)
    )


def test_pass_band_rises_from_stop_to_pass():
    """The gain is a smooth step: near 0 below the cut, 1 above."""
    gain = pass_band(600, tr=0.72, high_pass=0.05)
    assert gain[0] < 1e-6
    assert gain[-1] == pytest.approx(1.0)
    assert (np.diff(gain) >= -1e-12).all()
