from dataclasses import replace

import numpy as np
import pytest
from nilearn.signal import clean
from scipy.stats import gamma

from kraken_bids.connectome.functional.cleaning import Cleaning
from kraken_bids.connectome.functional.confounds import MOTION
from kraken_bids.connectome.functional.correlations import compute_correlation
from kraken_bids.connectome.functional.denoise import (
    apply_nuisance,
    high_pass_filter,
    pass_band,
)
from kraken_bids.connectome.functional.nuisance import prepare_nuisance
from kraken_bids.exceptions import ConnectomeError

# nilearn warns of what fmriclean does on purpose: plain regression with a column of ones
pytestmark = pytest.mark.filterwarnings("ignore:When confounds are provided:UserWarning")

TR = 0.8


def clean_run(series, columns, metadata=None, *, tr, cleaning, gsr):
    """Prepare and apply: one run, once."""
    nuisance = prepare_nuisance(series, columns, metadata, tr=tr, cleaning=cleaning)
    return apply_nuisance(series, nuisance, gsr=gsr)


def dense_fmriclean(series, columns, run, *, gsr, high_pass=0.01):
    """Oracle: fmriclean's design and order, dense, given the outlier frames of ``run``."""
    n = series.n_volumes
    motion = np.stack([columns[name] for name in MOTION], axis=1)

    def with_difference(x):
        return np.hstack([x, np.vstack([np.diff(x, axis=0), np.zeros((1, x.shape[1]))])])

    moved = with_difference(motion)
    t = np.arange(n) * TR
    hrf = np.where(t <= 39.2, 1.2 * (gamma.pdf(t, 6) - gamma.pdf(t, 16) / 6), 0)
    rest = np.convolve(np.ones(n), hrf)[:n, None]
    outliers = np.eye(n)[:, ~run.kept]
    linear = np.arange(n)[:, None]

    def tissue(voxels):
        mean = voxels.mean(axis=1, dtype=float)[:, None]
        base = np.hstack([mean, linear, motion, outliers, rest])
        left = clean(
            voxels.astype(float),
            detrend=False,
            standardize=None,
            confounds=base - base.mean(axis=0),
        )
        power = (left**2).mean(axis=0)
        left = left[:, power > power.min()]
        return np.hstack([mean, np.linalg.svd(left, full_matrices=False)[0][:, 1:5]])

    grey = with_difference(series.grey_mean[:, None]) if gsr else np.zeros((n, 0))
    tissues = [tissue(series.tissue[name]) for name in ("WM", "CSF")]
    rests = with_difference(rest)
    design = np.hstack([np.ones((n, 1)), grey, *tissues, moved, moved**2, rests, outliers, linear])
    left = clean(
        series.means["a"],
        confounds=design,
        standardize=None,
        standardize_confounds=False,
        detrend=False,
    )
    frequencies = np.arange(n) / (2 * TR * n)
    size = 2 * int(36 / TR / 2) + 1
    window = np.exp(-0.5 * ((np.arange(size) - size // 2) / (3.6 / TR)) ** 2)
    step = (frequencies >= high_pass).astype(float)
    gain = np.convolve(window / window.sum(), np.hstack([step[::-1], step, step[::-1]]))
    gain = gain[n + size // 2 :][:n]
    basis = np.cos(np.pi / n * (np.arange(n) + 0.5) * np.arange(n)[:, None])
    basis[0] /= np.sqrt(2)
    basis *= np.sqrt(2 / n)
    return (basis * gain[:, None]).T @ (basis[:, run.kept] @ left[run.kept]), design.shape[1]


@pytest.mark.parametrize("gsr", [False, True])
def test_cleaning_is_fmricleans(series, columns, gsr):
    """The whole chain agrees with a dense copy of fmriclean built on nilearn's regression."""
    columns["trans_x"][120:] += 1.5
    run = clean_run(series, columns, tr=TR, cleaning=Cleaning(), gsr=gsr)
    expected, n_regressors = dense_fmriclean(series, columns, run, gsr=gsr)
    assert len(run.regressors) == n_regressors
    scale = expected.std()
    np.testing.assert_allclose(run.cleaned["a"] / scale, expected / scale, atol=1e-6)


def test_regressors_stand_in_fmricleans_order(series, columns):
    """ones, grey matter, WM, CSF, 24 motion, rest, outliers, linear; counted and recorded."""
    columns["trans_x"][120:] += 1.5
    run = clean_run(series, columns, tr=TR, cleaning=Cleaning(), gsr=True)
    names = run.regressors
    assert names[:5] == ("ones", "GM_mean", "GM_mean_derivative1", "WM_mean", "WM_component1")
    assert names[8] == "CSF_mean"
    assert names[13:20] == (*MOTION, "trans_x_derivative1")
    assert names[37:39] == ("rest", "rest_derivative1")
    assert names[39:] == (
        "outlier_0",
        "outlier_1",
        "outlier_2",
        "outlier_119",
        "outlier_120",
        "linear",
    )
    assert (run.n_volumes, run.n_dropped, run.n_outliers, run.n_used) == (200, 3, 2, 195)
    assert np.flatnonzero(~run.kept).tolist() == [0, 1, 2, 119, 120]
    assert run.minutes == pytest.approx(195 * TR / 60)
    assert run.mean_fd == pytest.approx(np.nanmean(columns["framewise_displacement"]))
    assert (run.tr, run.high_pass, run.gsr, run.strategy) == (TR, 0.01, True, "fmriclean")


def test_both_flavors_share_one_preparation(series, columns):
    """Preparing once and applying twice is what clean_run does each time."""
    nuisance = prepare_nuisance(series, columns, tr=TR, cleaning=Cleaning())
    for gsr in (False, True):
        whole = clean_run(series, columns, tr=TR, cleaning=Cleaning(), gsr=gsr)
        again = apply_nuisance(series, nuisance, gsr=gsr)
        np.testing.assert_array_equal(whole.cleaned["b"], again.cleaned["b"])


def test_filter_comes_after_the_regression(series, columns):
    """Motion that is white goes entirely; were the data filtered first, some of it would stay."""
    rng = np.random.default_rng(5)
    planted = rng.normal(size=200)
    columns["trans_z"] = planted * 0.01
    quiet = rng.normal(size=(200, 8))
    loud = quiet + 500 * planted[:, None]
    runs = [
        clean_run(
            replace(series, means={"a": means}), columns, tr=TR, cleaning=Cleaning(), gsr=False
        )
        for means in (quiet, loud)
    ]
    np.testing.assert_allclose(runs[0].cleaned["a"], runs[1].cleaned["a"], atol=1e-6)


def test_outlier_frames_do_not_leak(series, columns):
    """A spike in a dropped or censored frame changes nothing in the frames that are kept."""
    columns["framewise_displacement"][60] = 2.0
    cleaning = Cleaning(fd_threshold=0.5)
    wild = {name: means.copy() for name, means in series.means.items()}
    wild["a"][[1, 60]] += 1e6
    kept = [
        clean_run(replace(series, means=means), columns, tr=TR, cleaning=cleaning, gsr=False)
        for means in (series.means, wild)
    ]
    assert kept[0].n_outliers == 1
    np.testing.assert_allclose(
        kept[0].cleaned["a"][kept[0].kept], kept[1].cleaned["a"][kept[0].kept], atol=1e-4
    )


def test_planted_network_is_recovered(series, columns):
    """A shared signal under drift, motion and tissue noise comes back; without it, none does."""
    rng = np.random.default_rng(2)
    signal = rng.normal(size=200)
    means = series.means["a"].copy()
    nuisance = np.stack([columns[name] for name in MOTION], axis=1) @ rng.normal(size=(6, 8)) * 500
    means[:] = 1000 + nuisance + np.linspace(0, 90, 200)[:, None] + rng.normal(size=means.shape)
    means[:, :4] += 2 * signal[:, None]
    run = clean_run(
        replace(series, means={"a": means}), columns, tr=TR, cleaning=Cleaning(), gsr=False
    )
    square = compute_correlation(run.cleaned["a"][run.kept])
    assert square[:4, :4].min() > 0.7
    assert np.abs(square[:4, 4:]).max() < 0.35


@pytest.mark.parametrize("strategy", ["24p", "36p", "acompcor", "none"])
def test_other_strategies_agree_with_nilearn(series, columns, strategy):
    """Regression alone of each strategy's published columns is that of nilearn.signal.clean."""
    run = clean_run(
        series, columns, tr=TR, cleaning=Cleaning(strategy, high_pass=0.0), gsr=strategy == "36p"
    )
    parts = ("", "_derivative1", "_power2", "_derivative1_power2")
    motion = [name + part for part in parts for name in MOTION]
    signals = [columns[name] for name in ("white_matter", "csf", "global_signal")]
    names = {"24p": motion, "36p": motion, "none": [], "acompcor": motion}[strategy]
    table = [np.nan_to_num(columns[name]) for name in names]
    if strategy == "36p":
        for values in signals:
            step = np.concatenate([[0.0], np.diff(values)])
            table += [values, step, values**2, step**2]
        assert len(table) == 36
    if strategy == "acompcor":
        table += [columns[f"{p}_comp_cor_{i:02d}"] for p in "wc" for i in range(5)]
        table += [columns[f"cosine_{i:02d}"] for i in range(5)]
    design = np.column_stack([np.ones(200), np.arange(200), *table, np.eye(200)[:, ~run.kept]])
    expected = clean(
        series.means["b"],
        confounds=design,
        standardize=None,
        standardize_confounds=False,
        detrend=False,
    )
    np.testing.assert_allclose(run.cleaned["b"], expected, atol=1e-6)
    assert len(run.regressors) == design.shape[1]


def test_acompcor_high_passes_by_cosines(series, columns):
    """The cosines do the high-pass, and that is recorded; without them the filter does."""
    run = clean_run(series, columns, tr=TR, cleaning=Cleaning("acompcor"), gsr=False)
    assert run.high_pass == 1 / 128
    assert "cosines" in run.high_pass_method
    bare = {name: values for name, values in columns.items() if "cosine" not in name}
    run = clean_run(series, bare, tr=TR, cleaning=Cleaning("acompcor"), gsr=False)
    assert run.high_pass == 0.01
    assert "DCT" in run.high_pass_method


def test_without_tissue_voxels_fmripreps_columns_stand_in(series, columns):
    """The regressors are then named after fMRIPrep's columns, 20.2's as well."""
    bare = replace(series, tissue={"WM": np.zeros((200, 3), dtype=np.float32)})
    run = clean_run(bare, columns, tr=TR, cleaning=Cleaning(), gsr=False)
    assert run.regressors[1:7] == (
        "white_matter",
        *(f"w_comp_cor_{i:02d}" for i in range(4)),
        "csf",
    )
    old = {k: v for k, v in columns.items() if not k.startswith(("w_comp", "c_comp"))}
    masks = {f"a_comp_cor_{i:02d}": {"Mask": "CSF" if i < 2 else "WM"} for i in range(6)}
    run = clean_run(bare, old, masks, tr=TR, cleaning=Cleaning(), gsr=False)
    assert run.regressors[6:9] == ("csf", "a_comp_cor_00", "a_comp_cor_01")


def test_without_grey_mask_the_global_signal_stands_in(series, columns):
    """Second choice, said in the notes; refused only when asked for and not there."""
    bare = replace(series, grey_mean=None)
    run = clean_run(bare, columns, tr=TR, cleaning=Cleaning(), gsr=True)
    assert run.regressors[1] == "global_signal"
    assert "no grey-matter mask" in run.notes[0]
    del columns["global_signal"]
    clean_run(bare, columns, tr=TR, cleaning=Cleaning(), gsr=False)
    with pytest.raises(ConnectomeError, match="found no global_signal"):
        clean_run(bare, columns, tr=TR, cleaning=Cleaning(), gsr=True)


def test_which_frames_are_left_out(series, columns):
    """--drop-volumes overrides fMRIPrep's count; outlier rules can be chosen."""
    columns["trans_x"][120:] += 1.5

    def left_out(**settings):
        run = clean_run(series, columns, tr=TR, cleaning=Cleaning(**settings), gsr=False)
        return np.flatnonzero(~run.kept).tolist()

    assert left_out(drop_volumes=0) == [119, 120]
    assert left_out(drop_volumes=5) == [0, 1, 2, 3, 4, 119, 120]
    assert left_out(outliers="fmriprep") == [0, 1, 2, 77]
    assert left_out(outliers="none") == [0, 1, 2]
    assert left_out(strategy="24p") == [0, 1, 2]


def test_missing_and_constant_regions(series, columns):
    """A NaN region stays NaN, a constant one becomes exactly 0; the others do not notice."""
    means = {name: values.copy() for name, values in series.means.items()}
    means["a"][:, 2] = np.nan
    means["a"][:, 4] = 800.0
    whole = clean_run(series, columns, tr=TR, cleaning=Cleaning(), gsr=False)
    run = clean_run(replace(series, means=means), columns, tr=TR, cleaning=Cleaning(), gsr=False)
    assert np.isnan(run.cleaned["a"][:, 2]).all()
    assert (run.cleaned["a"][:, 4] == 0).all()
    rest = [0, 1, 3, 5, 6, 7]
    np.testing.assert_allclose(run.cleaned["a"][:, rest], whole.cleaned["a"][:, rest], atol=1e-9)


def test_too_short_runs_are_refused_with_numbers(series, columns):
    """Fifty frames do not carry forty regressors: the message counts and says what to do."""
    short = replace(
        series,
        means={name: values[:50] for name, values in series.means.items()},
        global_mean=series.global_mean[:50],
        grey_mean=series.grey_mean[:50],
        tissue={name: values[:50] for name, values in series.tissue.items()},
    )
    table = {name: values[:50] for name, values in columns.items()}
    with pytest.raises(ConnectomeError, match=r"found \d: 50 volumes - 3 dropped.*--denoise 24p"):
        clean_run(short, table, tr=TR, cleaning=Cleaning(), gsr=False)
    assert clean_run(short, table, tr=TR, cleaning=Cleaning("24p"), gsr=False).n_used == 47


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"drop_volumes": 1000}, "200 dropped .*Lower --drop-volumes"),
        ({"fd_threshold": 0.0}, "moves too much.*--fd-threshold"),
        ({"high_pass": 0.5}, "160 slow frequencies.*Lower --high-pass"),
    ],
)
def test_what_takes_most_is_named(series, columns, settings, said):
    """The way out is that of the setting that leaves too little."""
    with pytest.raises(ConnectomeError, match=said):
        clean_run(series, columns, tr=TR, cleaning=Cleaning(**settings), gsr=False)


def test_words_among_the_confounds_are_refused(series, columns):
    """Any column that is used and holds no numbers is named, with the word."""
    for name in ("trans_x", "framewise_displacement", "std_dvars"):
        words = {**columns, name: np.array(["n/a", *["0,5"] * 199])}
        with pytest.raises(ConnectomeError, match=rf"column {name}; found '0,5' and 198 more"):
            clean_run(series, words, tr=TR, cleaning=Cleaning(), gsr=False)


def test_scrubbing_without_displacement(series, columns):
    """Where the column holds only n/a, displacement comes from the motion, so frames are found."""
    columns["trans_x"][120:] += 1.5
    columns["framewise_displacement"] = np.full(200, np.nan)
    cleaning = Cleaning("24p", fd_threshold=1.0)
    run = clean_run(series, columns, tr=TR, cleaning=cleaning, gsr=False)
    assert np.flatnonzero(~run.kept).tolist() == [0, 1, 2, 120]


def test_bad_confounds_are_refused(series, columns):
    """No repetition time, no motion, no CompCor: each message names what is missing."""
    with pytest.raises(ConnectomeError, match="repetition time"):
        clean_run(series, columns, tr=0.0, cleaning=Cleaning(), gsr=False)
    bare = {k: v for k, v in columns.items() if "comp_cor" not in k}
    with pytest.raises(ConnectomeError, match="CompCor columns of WM"):
        clean_run(series, bare, tr=TR, cleaning=Cleaning("acompcor"), gsr=False)
    del columns["rot_y"]
    with pytest.raises(ConnectomeError, match="found no rot_y"):
        clean_run(series, columns, tr=TR, cleaning=Cleaning(), gsr=False)


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
