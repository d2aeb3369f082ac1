import numpy as np
import pytest
from nilearn.signal import clean, high_variance_confounds
from scipy.interpolate import interp1d

from kraken_bids.connectome.functional.confounds import (
    MOTION,
    compute_tissue_regressors,
    expand,
    one_hot,
    orthonormal_basis,
    rest_effect,
    select_columns,
    select_components,
)
from kraken_bids.exceptions import ConnectomeError

# first values of fmriclean's table of the haemodynamic response, sampled every 0.8 s
HRF_TABLE = [0, 0.00147351, 0.0211715, 0.0722364, 0.136776, 0.18755, 0.209678, 0.20356, 0.178095]


def test_na_in_the_first_row_is_zero_and_nowhere_else(columns):
    """The n/a of the first frame becomes 0; a later one is refused by name."""
    names = ("trans_x_derivative1", "csf")
    values = select_columns(columns, names, 200)
    assert values[0, 0] == 0
    np.testing.assert_array_equal(values[1:, 0], columns["trans_x_derivative1"][1:])
    columns["csf"][50] = np.nan
    with pytest.raises(ConnectomeError, match="values in csf"):
        select_columns(columns, names, 200)


def test_absent_columns_and_lengths_are_said(columns):
    """Missing names are listed; a table of another run's length is refused with both numbers."""
    with pytest.raises(ConnectomeError, match="found no made_up"):
        select_columns(columns, ("csf", "made_up"), 200)
    with pytest.raises(ConnectomeError, match=r"expected 190 rows.*found 200"):
        select_columns(columns, ("csf",), 190)


def test_backward_expansion_is_fmripreps(columns):
    """Differences to the frame before give fMRIPrep's own 24 motion columns."""
    ours = expand(select_columns(columns, MOTION, 200), MOTION, forward=False)
    assert len(ours.names) == 24
    np.testing.assert_allclose(ours.values, select_columns(columns, ours.names, 200), atol=1e-15)


def test_forward_expansion_is_fmricleans():
    """Differences to the next frame, zero last, then the squares of all."""
    values = np.array([[1.0], [4.0], [9.0]])
    ours = expand(values, ["m"], forward=True).values
    np.testing.assert_array_equal(ours, [[1, 3, 1, 9], [4, 5, 16, 25], [9, 0, 81, 0]])


def test_rest_effect_is_fmricleans():
    """The response to the scan's start is the running sum of fmriclean's table."""
    at_table = rest_effect(len(HRF_TABLE), 0.8)
    np.testing.assert_allclose(at_table, np.cumsum(HRF_TABLE), atol=1e-5)
    interpolated = interp1d(0.8 * np.arange(len(HRF_TABLE)), HRF_TABLE, kind="cubic")
    expected = np.cumsum(interpolated(np.arange(8) * 0.72))
    np.testing.assert_allclose(rest_effect(8, 0.72), expected, atol=5e-3)
    assert rest_effect(300, 2.0)[-1] == pytest.approx(0.5, abs=1e-3)


def test_one_hot_has_one_column_per_frame():
    """Each marked frame has its own column, named after it."""
    ours = one_hot(np.array([True, False, True]))
    assert ours.names == ("outlier_0", "outlier_2")
    np.testing.assert_array_equal(ours.values, [[1, 0], [0, 0], [0, 1]])


@pytest.mark.parametrize("n_voxels", [12, 60, 4500])
def test_tissue_regressors_are_fmricleans(n_voxels):
    """Mean and components equal those of nilearn, called as fmriclean calls it, up to sign."""
    rng = np.random.default_rng(0)
    drift = np.cumsum(rng.normal(size=(90, 4)), axis=0)
    voxels = drift @ rng.normal(size=(4, n_voxels)) + rng.normal(1000, 3, (90, n_voxels))
    nuisance = rng.normal(size=(90, 6))
    mean = voxels.mean(axis=1)[:, None]
    confounds = np.hstack([mean, nuisance])
    cleaned = clean(
        voxels, detrend=False, standardize=None, confounds=confounds - confounds.mean(axis=0)
    )
    expected = high_variance_confounds(cleaned, n_confounds=5, percentile=100, detrend=False)
    ours = compute_tissue_regressors(voxels, nuisance, "WM")
    assert ours.names == ("WM_mean", *(f"WM_component{i}" for i in (1, 2, 3, 4)))
    np.testing.assert_allclose(ours.values[:, :1], mean)
    signs = np.sign((ours.values[:, 1:] * expected[:, 1:]).sum(axis=0))
    np.testing.assert_allclose(ours.values[:, 1:] * signs, expected[:, 1:], atol=1e-7)


def test_components_by_sidecar_or_prefix(columns):
    """20.2's single numbering is told apart by Mask, later ones by prefix; order kept."""
    assert select_components(columns, {}, "WM", 2) == ("w_comp_cor_00", "w_comp_cor_01")
    masks = {f"a_comp_cor_{i:02d}": {"Mask": ["CSF", "WM", "combined"][i // 2]} for i in range(6)}
    old = {name: columns[name] for name in masks}
    assert select_components(old, masks, "CSF", 5) == ("a_comp_cor_00", "a_comp_cor_01")
    assert select_components(old, masks, "WM", 1) == ("a_comp_cor_02",)
    assert select_components({}, {}, "WM", 5) == ()


def test_basis_spans_the_design():
    """Repeated and zero columns add nothing; the projection is that of least squares."""
    rng = np.random.default_rng(0)
    design = rng.normal(size=(40, 4)) * [1, 1e-6, 1e6, 1]
    redundant = np.column_stack([design, design[:, 0] - design[:, 1], np.zeros(40)])
    basis = orthonormal_basis(redundant)
    assert basis.shape == (40, 4)
    y = rng.normal(size=40)
    scaled = design / np.abs(design).max(axis=0)
    expected = scaled @ np.linalg.lstsq(scaled, y)[0]
    np.testing.assert_allclose(basis @ (basis.T @ y), expected, atol=1e-10)
    assert orthonormal_basis(np.zeros((5, 2))).shape == (5, 0)


def test_components_are_numbered_beyond_a_hundred():
    """Where 20.2 numbers CSF to 98 and goes on with WM, 99 comes before 100."""
    columns = {f"a_comp_cor_{i:02d}": np.zeros(3) for i in range(120)}
    columns |= {"a_comp_cor_²": np.zeros(3), f"a_comp_cor_{'9' * 5000}": np.zeros(3)}  # no numbers
    masks = {name: {"Mask": "CSF" if i < 99 else "WM"} for i, name in enumerate(columns)}
    found = select_components(columns, masks, "WM", 3)
    assert found == ("a_comp_cor_99", "a_comp_cor_100", "a_comp_cor_101")
