import numpy as np
import pytest

from kraken_bids.connectome.functional.outlier_frames import (
    composite_motion,
    count_non_steady_state,
    find_art_outliers,
    find_fmriprep_outliers,
    framewise_displacement,
)

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
