"""Region series of every kind of file, which way round they are, and what is refused."""

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.region_series import read_region_series
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.io.writing import write_json, write_table

VALUES = np.random.default_rng(0).standard_normal((30, 4)).round(6)


def write(path: Path, values: NDArray[np.float64]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".tsv":
            write_table(path, {f"region{k}": values[:, k] for k in range(values.shape[1])})
        case ".csv":
            np.savetxt(path, values, delimiter=",")
        case ".1D":
            np.savetxt(path, values, header="written by AFNI")
        case ".npy":
            np.save(path, values)
        case ".mat":
            scipy.io.savemat(path, {"tc": values, "TR": 0.72})
        case ".h5":
            with h5py.File(path, "w") as file:
                file["series"] = values
    return path


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.1D", "a.npy", "a.mat", "a.h5"])
def test_every_kind_of_file_gives_the_same_series(tmp_path: Path, name: str) -> None:
    (scan,) = read_region_series([write(tmp_path / name, VALUES)])
    np.testing.assert_allclose(scan.values, VALUES, rtol=1e-8)
    assert scan.name == "a"
    assert scan.regions == (
        ("region0", "region1", "region2", "region3") if name == "a.tsv" else ()
    )


def test_arrays_with_regions_in_rows_are_turned_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [write(tmp_path / "a.mat", VALUES.T), write(tmp_path / "b.mat", VALUES[:20].T)]
    with caplog.at_level(logging.WARNING):
        scan, _ = read_region_series(paths)
    np.testing.assert_allclose(scan.values, VALUES)
    assert "its 4 rows are taken for regions" in caplog.text


@pytest.mark.parametrize("name", ["a.csv", "a.npy", "a.mat"])
def test_where_regions_are_is_asked_for_where_nothing_says_it(tmp_path: Path, name: str) -> None:
    """A short scan of a fine atlas looks like a long one with its regions in rows."""
    path = write(tmp_path / name, VALUES.T)
    with pytest.raises(InputError, match=r"found 4 rows and 30 columns.*--regions columns or"):
        read_region_series([path])
    for regions, values in (("rows", VALUES), ("columns", VALUES.T)):
        (scan,) = read_region_series([path], regions=regions)
        np.testing.assert_allclose(scan.values, values)


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_above_columns_are_names_and_no_volume(tmp_path: Path, first: int) -> None:
    path = tmp_path / "a.tsv"
    write_table(path, {str(k + first): VALUES[:, k] for k in range(4)})
    (scan,) = read_region_series([path])
    np.testing.assert_allclose(scan.values, VALUES)
    assert scan.regions == tuple(str(k + first) for k in range(4))
    path = tmp_path / "a.csv"
    header = ",".join(str(k + first) for k in range(4))
    np.savetxt(path, VALUES, delimiter=",", header=header, comments="")
    (scan,) = read_region_series([path])
    np.testing.assert_allclose(scan.values, VALUES)


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.txt"])
@pytest.mark.parametrize("style", ["%.18e", "%.1f"])
def test_numbers_of_columns_in_the_style_of_the_values_are_no_volume(
    tmp_path: Path, name: str, style: str
) -> None:
    """Saved as one array with the values; a volume of whole numbers among others is a volume."""
    mark = {"a.tsv": "\t", "a.csv": ",", "a.txt": " "}[name]
    numbered = np.vstack([[1001, 1002, 1003, 2001], VALUES])
    np.savetxt(tmp_path / name, numbered, delimiter=mark, fmt=style)
    (scan,) = read_region_series([tmp_path / name])
    wanted = [[float(style % value) for value in row] for row in VALUES]
    np.testing.assert_allclose(scan.values, wanted)
    assert scan.regions == (("1001", "1002", "1003", "2001") if name == "a.tsv" else ())
    whole = np.vstack([[1, 2, 3, 4], np.rint(100 * VALUES)])
    np.savetxt(tmp_path / "b.csv", whole, delimiter=",", fmt=style)
    (scan,) = read_region_series([tmp_path / "b.csv"])
    np.testing.assert_allclose(scan.values, whole)


def test_a_table_of_bids_has_names_above_it_whatever_they_look_like(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_task-rest_atlas-mine_desc-hpf_timeseries.tsv"
    write_table(path, {name: VALUES[:, k] for k, name in enumerate(("20", "10", "30", "5"))})
    (scan,) = read_region_series([path])
    assert scan.regions == ("20", "10", "30", "5")
    np.testing.assert_allclose(scan.values, VALUES)


def test_a_column_that_counts_volumes_is_no_region(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    write_table(path, {"index": np.arange(30), "r1": VALUES[:, 0], "r2": np.ones(30)})
    with pytest.raises(InputError, match="found index, which counts volumes"):
        read_region_series([path])


@pytest.mark.parametrize("ending", [".csv", ".1D", ".npy", ".mat"])
@pytest.mark.parametrize("step", [1.0, 0.72, 1 / 3])
def test_a_column_that_counts_has_no_name_in_other_files(
    tmp_path: Path, ending: str, step: float
) -> None:
    """An index or times that were saved with the values would be a region that only rises."""
    times = (step * np.arange(30)).round(3)
    path = write(tmp_path / f"a{ending}", np.column_stack([times, VALUES]))
    with pytest.raises(InputError, match=r"found column 1, which counts volumes or seconds"):
        read_region_series([path])


def test_seconds_are_no_region_though_their_steps_are_rounded(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    write_table(path, {"time": (0.72 * np.arange(30)).round(2), "r1": VALUES[:, 0]})
    with pytest.raises(InputError, match="found time, which counts volumes or seconds"):
        read_region_series([path])


def test_a_region_that_rises_unevenly_is_a_region(tmp_path: Path) -> None:
    rising = np.arange(30) + 0.1 * VALUES[:, 0]
    (scan,) = read_region_series([write(tmp_path / "a.csv", np.column_stack([rising, VALUES]))])
    assert scan.values.shape == (30, 5)


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    """Else the presence in one would be written over that in the other."""
    paths = [write(tmp_path / f"sub-0{k}" / "ts.csv", k * VALUES) for k in (1, 2)]
    one, other = read_region_series([*paths])
    assert (one.name, other.name) == ("sub-01_ts", "sub-02_ts")
    np.testing.assert_allclose(other.values, 2 * VALUES)
    with pytest.raises(InputError, match=r"found .*ts\.csv twice"):
        read_region_series([paths[0], paths[0]])
    with pytest.raises(InputError, match="scans of different names"):
        read_region_series([paths[0], write(tmp_path / "sub-01" / "ts.npy", VALUES)])


def test_arrays_of_one_name_in_groups_of_hdf5_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["rest/series"], file["task/series"] = VALUES, VALUES + 1
    with pytest.raises(InputError, match=r"rest/series .*--variable"):
        read_region_series([path])
    (scan,) = read_region_series([path], variable="rest/series")
    np.testing.assert_allclose(scan.values, VALUES)


@pytest.mark.parametrize("words", [{}, {"regions": "columns"}])
def test_several_scans_of_a_matlab_file_of_version_7_3_are_told_apart(
    tmp_path: Path, words: dict[str, str]
) -> None:
    """MATLAB puts its axes into such a file from last to first."""
    scans = np.stack([VALUES, 2 * VALUES, 3 * VALUES])
    path = tmp_path / "ts.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["series"] = scans.T
        file["series"].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as content:
        content.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    found = read_region_series([path], **words)
    assert [one.name for one in found] == ["ts_1", "ts_2", "ts_3"]
    for one, wanted in zip(found, scans, strict=True):
        np.testing.assert_array_equal(one.values, wanted)


def test_the_sidecar_of_a_series_says_which_volumes_count(tmp_path: Path) -> None:
    path = write(tmp_path / "sub-01_task-rest_atlas-fs86_desc-hpf_timeseries.tsv", VALUES)
    kept = [0, 0, *[1] * 28]
    write_json(sidecar_path(path), {"VolumesKept": kept})
    (scan,) = read_region_series([path])
    assert scan.counts is not None
    assert scan.counts.tolist() == kept
    write_json(sidecar_path(path), {"VolumesKept": kept[1:]})
    with pytest.raises(InputError, match="VolumesKept: 29"):
        read_region_series([path])


def test_the_axis_that_all_scans_share_is_that_of_the_regions(tmp_path: Path) -> None:
    """Also where a scan has fewer volumes than there are regions."""
    rng = np.random.default_rng(1)
    paths = [write(tmp_path / f"{n}.npy", rng.standard_normal((n, 25))) for n in (20, 40)]
    scans = read_region_series(paths)
    assert [scan.values.shape for scan in scans] == [(20, 25), (40, 25)]


def test_an_array_of_three_axes_holds_several_scans(tmp_path: Path) -> None:
    path = tmp_path / "all.npy"
    np.save(path, np.stack([VALUES, 2 * VALUES]))
    one, other = read_region_series([path])
    assert (one.name, other.name) == ("all_1", "all_2")
    np.testing.assert_array_equal(other.values, 2 * VALUES)


def test_one_of_several_arrays_is_asked_for_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"rest": VALUES, "task": VALUES + 1})
    with pytest.raises(InputError, match=r"rest \[30, 4\], task \[30, 4\].*--variable"):
        read_region_series([path])
    np.save(tmp_path / "b.npy", VALUES)  # whose array has no name
    scan, other = read_region_series([path, tmp_path / "b.npy"], variable="task")
    np.testing.assert_allclose(scan.values, VALUES + 1)
    np.testing.assert_allclose(other.values, VALUES)


def test_folders_of_kraken_bids_give_their_cleaned_series_and_which_volumes_count(
    tmp_path: Path,
) -> None:
    func = tmp_path / "sub-01" / "func"
    own = func / "sub-01_task-rest_space-T1w_atlas-fs86_desc-hpf_timeseries.tsv"
    write(own, VALUES)
    write(func / "sub-01_task-rest_space-MNI_atlas-shen268_desc-hpf_timeseries.tsv", VALUES[:, :3])
    kept = np.ones(30)
    kept[:4] = 0
    frames = func / "sub-01_task-rest_space-MNI_desc-quality_timeseries.tsv"
    write_table(frames, {"framewise_displacement": [None] * 30, "kept": kept})
    with pytest.raises(InputError, match=r"found fs86, shen268\. Say which: --atlas"):
        read_region_series([tmp_path])
    (scan,) = read_region_series([tmp_path], atlas="fs86")
    assert scan.path == own
    assert scan.counts is not None
    np.testing.assert_array_equal(scan.counts, kept)
    with pytest.raises(InputError, match="series of coco439"):
        read_region_series([tmp_path], atlas="coco439")


def test_regions_of_scans_are_put_into_one_order_by_their_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """That of the first scan that has names; one without names has its columns in that order."""
    plain = write(tmp_path / "a.npy", VALUES)
    named = write(tmp_path / "b.tsv", VALUES)
    turned = tmp_path / "c.tsv"
    write_table(turned, {f"region{k}": VALUES[:, k] for k in (2, 0, 3, 1)})
    with caplog.at_level(logging.INFO):
        found = read_region_series([plain, named, turned])
    for scan in found:
        np.testing.assert_array_equal(scan.values, VALUES)
    assert [scan.regions[:1] for scan in found] == [(), ("region0",), ("region0",)]
    assert "c.tsv: regions put into the order of" in caplog.text


def test_named_scans_are_compared_where_the_first_has_no_names(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.npy", VALUES)
    named = write(tmp_path / "b.tsv", VALUES)
    other = tmp_path / "c.tsv"
    write_table(other, {f"area{k}": VALUES[:, k] for k in range(4)})
    with pytest.raises(ConnectomeError, match=r"c\.tsv: expected the regions of .*b\.tsv"):
        read_region_series([plain, named, other])


def test_scans_of_other_regions_are_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "a.tsv", VALUES)
    fewer = write(tmp_path / "b.tsv", VALUES[:, :3])
    with pytest.raises(ConnectomeError, match=r"b\.tsv: expected 4 regions.*found 3"):
        read_region_series([one, fewer])
    other = tmp_path / "c.tsv"
    write_table(other, {f"area{k}": VALUES[:, k] for k in range(4)})
    with pytest.raises(ConnectomeError, match=r"c\.tsv: expected the regions of .*area0"):
        read_region_series([one, other])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tsv", "x\ty\n1\tword\n2\tword\n", "found words in y"),
        ("a.txt", "1 2\n3\n", "expected a table of numbers"),
        ("a.nii", "", "expected region series"),
        ("a.mat", "no matlab", "a.mat"),
    ],
)
def test_what_is_no_series_is_refused(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        read_region_series([tmp_path / name])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found nothing at .*none\.tsv"):
        read_region_series([tmp_path / "none.tsv"])
