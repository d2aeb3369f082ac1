"""Calibrations come back from their file to the last bit; damaged files are refused by name."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.calibration.calibration import fit_calibration
from kraken_bids.models.calibration.intervals import fit_intervals
from kraken_bids.models.calibration.saved_calibrations import (
    PairCalibration,
    SavedCalibrations,
    check_calibrations,
    read_calibrations,
    share_lines,
    write_calibrations,
)
from kraken_bids.models.splits import deal_folds
from kraken_bids.scores.calibrated_records import CalibratedPairRecord, CalibratedRecord

FC = parse_flavor("FCcorr_fs86_hpf")
NAME = f"pairs/fusionSC/{FC.name}"


@pytest.fixture(scope="module")
def saved() -> SavedCalibrations:
    rng = np.random.default_rng(0)
    measured = rng.normal(size=(20, 30)).astype(np.float32)
    predicted = (measured + rng.normal(size=(20, 30))).astype(np.float32)
    fitted = fit_calibration(measured, predicted, folds=deal_folds(20, 5))
    features = rng.normal(size=(20, 2))
    pair = PairCalibration(
        ("SCifod2act_fs86_volnorm",),
        "",
        fitted.calibration,
        without=share_lines(fitted),
        intervals=fit_intervals(measured, fitted, features, coverage=0.8),
        latent_center=rng.normal(size=4),
        folds=fitted.folds,
        subjects=tuple(f"s{k}" for k in range(20)),
        connectomes=tuple(f"c{k}" for k in range(20)),
        people=tuple(CalibratedRecord(1, gain=k / 7, rank=k) for k in range(20)),
        record=CalibratedPairRecord("fusionSC", FC.name, n=20, gain=1 / 3, weakest_class="x"),
    )
    refused = {("fusionFC", parse_flavor("SCifod2act_fs86_volnorm")): "too few"}
    return SavedCalibrations("a" * 64, "none", "b", "c", {("fusionSC", FC): pair}, refused)


def test_all_of_it_comes_back(saved: SavedCalibrations, tmp_path: Path) -> None:
    path = tmp_path / "calibration.h5"
    write_calibrations(saved, path)
    found = read_calibrations(path)
    assert (found.model_sha256, found.adaptation_mode, found.rests_on) == ("a" * 64, "none", "c")
    assert found.refused == saved.refused
    one, other = found.pairs["fusionSC", FC], saved.pairs["fusionSC", FC]
    assert (one.people, one.record, one.subjects) == (other.people, other.record, other.subjects)
    new = np.random.default_rng(1).normal(size=30).astype(np.float32)
    for a, b in zip(
        (one.calibration, *one.without), (other.calibration, *other.without), strict=True
    ):
        np.testing.assert_array_equal(a.apply(new), b.apply(new))
        assert (a.n_fitted, a.kept) == (b.n_fitted, b.kept)
    features = np.array([[0.3, -0.2]])
    assert one.intervals.judge(features) == other.intervals.judge(features)
    np.testing.assert_array_equal(one.intervals.error, other.intervals.error)
    assert one.find_row("c7") == 7
    assert one.find_row("?") is None
    assert one.find_fold("s7") == other.folds[7]
    again = tmp_path / "again.h5"
    write_calibrations(found, again)
    assert again.read_bytes() == path.read_bytes()


def test_lines_around_one_mean_are_the_same_calibrations(saved: SavedCalibrations) -> None:
    pair = saved.pairs["fusionSC", FC]
    for one in pair.without:
        np.testing.assert_array_equal(one.mean_predicted, pair.calibration.mean_predicted)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: f.attrs.__setitem__("format", "other"), "another kind"),
        (lambda f: f[NAME].__delitem__("slope"), "slope"),
        (lambda f: f[f"{NAME}/slope"].__setitem__(3, np.nan), "not finite"),
        (lambda f: f[NAME].attrs.__setitem__("interval_coverage", 2.0), "promise 2.0"),
        (lambda f: f[f"{NAME}/folds"].__setitem__(0, 9), "folds"),
        (lambda f: f[NAME].attrs.__setitem__("record", "{"), "expected saved calibrations"),
        (lambda f: f.move(NAME, "pairs/fusionSC/nothing_known"), "nothing_known"),
        (lambda f: f.__delitem__("pairs"), "0 pairs"),
        (lambda f: f.attrs.__setitem__("n_pairs", 2), "1 pairs"),
    ],
)
def test_damaged_files_are_refused_by_name(
    saved: SavedCalibrations, tmp_path: Path, damage: Callable[[h5py.File], object], words: str
) -> None:
    path = tmp_path / "calibration.h5"
    write_calibrations(saved, path)
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(CheckpointError, match=words) as error:
        read_calibrations(path)
    assert str(path) in str(error.value)


def test_files_of_earlier_versions_do_not_say_how_many_pairs_they_hold(
    saved: SavedCalibrations, tmp_path: Path
) -> None:
    path = tmp_path / "calibration.h5"
    write_calibrations(saved, path)
    with h5py.File(path, "r+") as file:
        del file.attrs["n_pairs"]
    assert [*read_calibrations(path).pairs] == [*saved.pairs]


def test_arrays_of_other_lengths_and_other_models_are_refused(
    saved: SavedCalibrations, tmp_path: Path
) -> None:
    path = tmp_path / "calibration.h5"
    write_calibrations(saved, path)
    with h5py.File(path, "r+") as file:
        del file[f"{NAME}/fold_means"]
        file[f"{NAME}/fold_means"] = np.zeros((5, 29), np.float32)
    with pytest.raises(CheckpointError, match="one row per fold"):
        read_calibrations(path)
    check_calibrations(saved, "a" * 64, {FC: 30}, n_latent=4)
    with pytest.raises(CheckpointError, match="of another"):
        check_calibrations(saved, "f" * 64, {FC: 30}, n_latent=4)
    with pytest.raises(CheckpointError, match="expected a calibration of 31 edges"):
        check_calibrations(saved, "a" * 64, {FC: 31}, n_latent=4)
    with pytest.raises(CheckpointError, match="expected latents of 5 numbers"):
        check_calibrations(saved, "a" * 64, {FC: 30}, n_latent=5)
    with pytest.raises(CheckpointError, match="found no"):
        read_calibrations(tmp_path / "nothing.h5")
