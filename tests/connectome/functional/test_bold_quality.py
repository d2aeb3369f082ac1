import numpy as np
import pytest

from kraken_bids.connectome.functional.bold_quality import (
    FrameQuality,
    composite_motion,
    correlation_noise,
    count_non_steady_state,
    explain_shortness,
    find_art_outliers,
    find_fmriprep_outliers,
    framewise_displacement,
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


STILL = np.zeros((60, 6))
QUIET = np.random.default_rng(0).normal(1000, 1, 60)


def spm_matrix(p):
    """Oracle: SPM's transform of six parameters, written out as in fmriclean's utils."""
    cos, sin = np.cos(p[3:]), np.sin(p[3:])
    x = np.array([[1, 0, 0], [0, cos[0], sin[0]], [0, -sin[0], cos[0]]])
    y = np.array([[cos[1], 0, sin[1]], [0, 1, 0], [-sin[1], 0, cos[1]]])
    z = np.array([[cos[2], sin[2], 0], [-sin[2], cos[2], 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = x @ y @ z
    matrix[:3, 3] = p[:3]
    return matrix


def art_points(p):
    """Oracle: the 18 coordinates of ART's six control points, as fmriclean computes them."""
    e3, z31, z34 = np.eye(3), np.zeros((3, 1)), np.zeros((3, 4))
    blocks = []
    for box in (np.diag([70.0, 70, 75]), np.diag([-70.0, -110, -45])):
        blocks += [
            np.hstack([box, z31, z34, z34, e3, z31]),
            np.hstack([z34, box, z31, z34, e3, z31]),
            np.hstack([z34, z34, box, z31, e3, z31]),
        ]
    return spm_matrix(p).T.flatten() @ np.vstack(blocks).T


def test_composite_motion_is_arts():
    """The largest step of ART's control points, for random translations and rotations."""
    rng = np.random.default_rng(1)
    motion = np.hstack([rng.normal(size=(20, 3)), rng.normal(scale=0.1, size=(20, 3))])
    points = np.array([art_points(p) for p in motion]).reshape(20, 6, 3)
    expected = np.linalg.norm(np.diff(points, axis=0), axis=2).max(axis=1)
    np.testing.assert_allclose(composite_motion(motion), [0, *expected], atol=1e-12)


def test_a_jump_of_the_head_marks_its_frame_and_the_one_before():
    """A shift of 1 mm at frame 20 marks 19 and 20; one of 0.8 mm marks nothing."""
    motion = STILL.copy()
    motion[20:, 1] = 1.0
    assert np.flatnonzero(find_art_outliers(QUIET, motion)).tolist() == [19, 20]
    motion[20:, 1] = 0.8
    assert not find_art_outliers(QUIET, motion).any()


def test_a_spike_of_the_global_signal_marks_its_neighbours():
    """A spike at frame 30 changes the signal into 30 and into 31: frames 29, 30 and 31."""
    signal = QUIET.copy()
    signal[30] += 40
    assert np.flatnonzero(find_art_outliers(signal, STILL)).tolist() == [29, 30, 31]


def test_constant_signals_have_no_outliers():
    """A global signal without spread divides by 1, not by 0."""
    assert not find_art_outliers(np.full(60, 5.0), STILL).any()


def test_fmriprep_columns(columns):
    """Non-steady volumes are counted; every column with outlier in its name marks frames."""
    assert count_non_steady_state(columns) == 3
    assert np.flatnonzero(find_fmriprep_outliers(columns, 200)).tolist() == [0, 1, 2, 77]


def test_framewise_displacement(columns):
    """The column where there is one, else Power's sum with a 50 mm head."""
    motion = STILL.copy()
    motion[10:] = [0.1, -0.2, 0.3, 0.01, 0, -0.002]
    np.testing.assert_array_equal(
        framewise_displacement(columns, motion), columns["framewise_displacement"]
    )
    ours = framewise_displacement({}, motion)
    assert np.isnan(ours[0])
    assert ours[10] == pytest.approx(0.6 + 0.6)
    assert ours[11] == 0
