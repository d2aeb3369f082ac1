import numpy as np
import pytest

from kraken_bids.connectome.functional.bold_quality import (
    FrameQuality,
    correlation_noise,
    explain_shortness,
    standardized_dvars,
    temporal_snr,
)

RNG = np.random.default_rng(0)


def test_std_dvars_of_fmriprep_wins() -> None:
    """Its column is taken as it is, whatever else there is."""
    columns = {"std_dvars": np.array([np.nan, 1.1, 0.9]), "dvars": np.ones(3)}
    dvars, source = standardized_dvars(columns, {})
    np.testing.assert_array_equal(dvars, columns["std_dvars"])
    assert source == "std_dvars of the confounds"


def test_dvars_is_divided_by_its_median() -> None:
    """Without std_dvars, the plain column is brought to 1 where nothing happens."""
    dvars, source = standardized_dvars({"dvars": np.array([np.nan, 20.0, 22.0, 66.0])}, {})
    np.testing.assert_allclose(dvars, [np.nan, 20 / 22, 1.0, 3.0])
    assert "median" in source


def test_dvars_of_region_means_finds_a_planted_jump() -> None:
    """Without either column, the largest value lies where all regions jump, in per cent units."""
    means = 1000 + RNG.normal(size=(80, 30))
    means[40:] *= 1.05
    means[:, 3] = np.nan
    dvars, source = standardized_dvars({}, {"a": means[:, :10], "b": means[:, 10:]})
    seen = means[:, [k for k in range(30) if k != 3]]
    change = np.diff(100 * seen / seen.mean(axis=0), axis=0)
    expected = np.sqrt((change**2).mean(axis=1))
    np.testing.assert_allclose(dvars[1:], expected / np.median(expected))
    assert np.isnan(dvars[0])
    assert np.nanargmax(dvars) == 40
    assert "region means" in source


def test_dvars_without_any_data_is_nan() -> None:
    """A run whose regions hold nothing has no DVARS, and no warning is raised."""
    dvars, _ = standardized_dvars({}, {"a": np.full((5, 2), np.nan)})
    assert np.isnan(dvars).all()


def test_mean_dvars_is_that_of_frames_that_count() -> None:
    """Frames left out, and the first, do not count."""
    dvars = np.array([np.nan, 1.0, 9.0, 2.0])
    kept = np.array([True, True, False, True])
    assert FrameQuality(dvars, dvars, "", dvars, kept).mean_dvars == 1.5
    assert np.isnan(FrameQuality(dvars, dvars, "", dvars, ~kept & False).mean_dvars)


def test_tsnr_is_mean_over_deviation_of_frames_that_count() -> None:
    """First volumes that are left out do not swamp it; constant or absent regions have none."""
    means = 100 + RNG.normal(size=(50, 3))
    means[:4] *= 3
    means[:, 1], means[:, 2] = 5.0, np.nan
    kept = np.arange(50) >= 4
    tsnr = temporal_snr(means, kept)
    np.testing.assert_allclose(tsnr[0], means[4:, 0].mean() / means[4:, 0].std())
    assert np.isnan(tsnr[1:]).all()
    np.testing.assert_allclose(temporal_snr(means)[0], means[:, 0].mean() / means[:, 0].std())
    assert np.isnan(temporal_snr(means, np.zeros(50, bool))).all()


@pytest.mark.parametrize("n_frames", [5, 40])
def test_noise_is_the_spread_of_correlations_of_unrelated_regions(n_frames: int) -> None:
    """Ten thousand simulated pairs spread as the formula says."""
    a, b = RNG.normal(size=(2, 10_000, n_frames))
    r = [np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)]
    assert correlation_noise(n_frames) == pytest.approx(np.std(r), rel=0.03)
    assert np.isnan(correlation_noise(1))


def test_what_is_too_short_is_said_and_nothing_else() -> None:
    """Minutes below the wish and frames below the regions are told apart."""
    enough = {"n_frames": 300, "n_regions": 86, "minutes": 10.0, "min_minutes": 5.0}
    assert explain_shortness(**enough) == ()
    (minutes,) = explain_shortness(**enough | {"minutes": 4.0})
    assert "4.0 minutes" in minutes
    assert "less than 5" in minutes
    (frames,) = explain_shortness(**enough | {"n_regions": 439})
    assert "300 frames are left for 439 regions" in frames
    assert "±0.06" in frames
    assert len(explain_shortness(n_frames=20, n_regions=86, minutes=0.5, min_minutes=5)) == 2
