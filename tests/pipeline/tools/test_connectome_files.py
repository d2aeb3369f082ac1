"""Connectome files in every layout give the same edges."""

import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from kraken_bids.exceptions import ConnectomeError, FlavorError, InputError
from kraken_bids.flavors import parse_flavor
from kraken_bids.pipeline.tools.connectome_files import read_connectomes

FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")
SUBJECTS = ["01", "02", "10"]
UPPER = np.triu_indices(86, 1)


@pytest.fixture
def squares() -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(3, 86, 86))
    return (x + x.swapaxes(1, 2)) / 2


@pytest.fixture
def edges(squares: np.ndarray) -> np.ndarray:
    return squares[:, UPPER[0], UPPER[1]]


def write(path: Path, array: np.ndarray, key: str, subjects: Any = None) -> Path:
    content = {key: array} if subjects is None else {key: array, "subjects": np.array(subjects)}
    if path.suffix == ".npz":
        np.savez(path, **content)
    elif path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".mat":
        savemat(path, content)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, value in content.items():
                file[name] = [str(s) for s in value] if name == "subjects" else value
    else:
        np.savetxt(path, array, delimiter="," if path.suffix == ".csv" else "\t", fmt="%.17g")
    return path


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".mat", ".h5", ".tsv", ".csv"])
@pytest.mark.parametrize("is_square", [True, False])
def test_one_flavor_per_file(
    tmp_path: Path, squares: np.ndarray, edges: np.ndarray, suffix: str, is_square: bool
) -> None:
    """FLAVOR=FILE takes squares and triangles of every format (text: triangles of a cohort)."""
    is_text = suffix in {".tsv", ".csv"}
    array = squares if is_square and not is_text else edges
    path = write(tmp_path / f"x{suffix}", array, "data", None if is_text else SUBJECTS)

    found = read_connectomes([f"{FC}={path}"])

    np.testing.assert_array_equal(found.edges[FC], edges)
    expected = ("1", "2", "3") if is_text or suffix == ".npy" else tuple(SUBJECTS)
    assert found.subjects == expected


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".h5"])
def test_flavors_as_keys(
    tmp_path: Path, squares: np.ndarray, edges: np.ndarray, suffix: str
) -> None:
    """A file whose keys are flavors goes without FLAVOR=; other keys are passed over."""
    path = tmp_path / f"x{suffix}"
    content = {FC.name: squares, SC.name: edges.astype(np.float32), "note": np.arange(3)}
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["subjects"] = [f"sub-{s}" for s in SUBJECTS]
            for name, value in content.items():
                file[f"deep/{name}"] = value
    elif suffix == ".mat":
        savemat(
            path, {**content, "subjects": np.array(SUBJECTS, dtype=object)}, long_field_names=True
        )
    else:
        np.savez(path, subjects=np.array([f"sub-{s}" for s in SUBJECTS]), **content)

    found = read_connectomes([path])

    assert found.subjects == tuple(SUBJECTS)
    assert set(found.edges) == {FC, SC}
    np.testing.assert_array_equal(found.edges[FC], edges)
    assert found.edges[SC].dtype == np.float32


def test_published_mat_files_with_missing_subjects(
    tmp_path: Path, squares: np.ndarray, edges: np.ndarray
) -> None:
    """Cells of matrices, numeric labels and a list of who is missing are understood."""
    cells = np.empty(3, dtype=object)
    for row in range(3):
        cells[row] = squares[row]
    savemat(
        tmp_path / "x.mat",
        {"SC": cells, "subject": np.array([1.0, 2, 3]), "ismissing": np.array([0, 1, 0])},
    )

    found = read_connectomes([f"{SC}={tmp_path / 'x.mat'}"])

    assert found.subjects == ("1", "3")
    np.testing.assert_array_equal(found.edges[SC], edges[[0, 2]])


def write_tables(folder: Path, squares: np.ndarray) -> list[Path]:
    paths = []
    for subject, square in zip(SUBJECTS, squares, strict=True):
        for kind, meas in (("func", "FCcorrHPF"), ("dwi", "SCifod2actVN")):
            if (subject, kind) == ("02", "dwi"):
                continue
            place = folder / f"sub-{subject}" / kind
            place.mkdir(parents=True)
            stem = f"sub-{subject}_atlas-fs86_meas-{meas}"
            for name in (stem, f"{stem}_desc-fusionkraken"):
                paths.append(place / f"{name}_relmat.dense.tsv")
                np.savetxt(paths[-1], square, delimiter="\t", fmt="%.17g")
    return paths


@pytest.mark.parametrize("is_zip", [False, True])
def test_a_folder_or_zip_of_bids_tables(
    tmp_path: Path, squares: np.ndarray, edges: np.ndarray, is_zip: bool
) -> None:
    """Measured matrices are found by name; predictions are not; who lacks a flavor has NaN."""
    folder = tmp_path / "out"
    paths = write_tables(folder, squares)
    source = folder
    if is_zip:
        source = tmp_path / "out.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in paths:
                archive.write(path, path.relative_to(tmp_path))

    found = read_connectomes([source])

    assert found.subjects == tuple(SUBJECTS)
    np.testing.assert_array_equal(found.edges[FC], edges)
    np.testing.assert_array_equal(found.edges[SC][[0, 2]], edges[[0, 2]])
    assert np.isnan(found.edges[SC][1]).all()


def test_single_tables_join_over_subjects(
    tmp_path: Path, squares: np.ndarray, edges: np.ndarray
) -> None:
    """One file per subject, named as BIDS does, sessions included."""
    first = write(
        tmp_path / "sub-01_ses-a_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv", squares[0], ""
    )
    other = write(tmp_path / "sub-02_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv", squares[1], "")

    found = read_connectomes([f"{FC}={first}", other])

    assert found.subjects == ("01_ses-a", "02")
    np.testing.assert_array_equal(found.edges[FC], edges[:2])


def test_files_are_joined_by_subject_not_by_row(
    tmp_path: Path, squares: np.ndarray, edges: np.ndarray
) -> None:
    """Another order of subjects in the second file is put right."""
    one = write(tmp_path / "a.npz", squares, "data", SUBJECTS)
    two = write(tmp_path / "b.npz", squares[::-1], "data", SUBJECTS[::-1])

    found = read_connectomes([f"{FC}={one}", f"{SC}={two}"])

    np.testing.assert_array_equal(found.edges[FC], found.edges[SC])


def test_broken_files_are_refused_with_their_path(tmp_path: Path, squares: np.ndarray) -> None:
    """Missing, truncated, pickled, wordy and foreign files are InputErrors."""
    np.save(tmp_path / "objects.npy", np.array({"a": 1}, dtype=object), allow_pickle=True)
    whole = write(tmp_path / "x.npz", squares, "data").read_bytes()
    (tmp_path / "torn.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mat").write_text("hello")
    (tmp_path / "words.tsv").write_text("a\tb\nc\td\n")
    (tmp_path / "x.xlsx").write_text("")
    (tmp_path / "bad.zip").write_text("no")
    for name in ("absent.npz", "objects.npy", "torn.npz", "text.mat", "words.tsv", "x.xlsx"):
        with pytest.raises(InputError, match=name.split(".")[0]):
            read_connectomes([f"{FC}={tmp_path / name}"])
    for name in ("bad.zip", "nowhere"):
        with pytest.raises(InputError, match=name.split(".")[0]):
            read_connectomes([tmp_path / name])


def test_numbers_that_are_no_connectome_are_refused(tmp_path: Path, squares: np.ndarray) -> None:
    """Wrong sizes, asymmetry and single NaN are ConnectomeErrors."""
    lopsided, holed = squares.copy(), squares.copy()
    lopsided[0, 0, 1] += 1
    holed[1, 0, 1] = holed[1, 1, 0] = np.nan
    for array, message in (
        (squares[:, :50, :50], r"n_subjects, 86, 86\]"),
        (lopsided, "symmetric"),
        (holed, r"connectome 2 of 3: expected NaN only as whole rows .* single NaN"),
    ):
        path = write(tmp_path / "x.npz", array, "data")
        with pytest.raises(ConnectomeError, match=message):
            read_connectomes([f"{FC}={path}"])


def test_files_that_disagree_about_subjects_are_refused(
    tmp_path: Path, squares: np.ndarray
) -> None:
    """Too few names, repeated names, unnamed rows of another number, the same subject twice."""
    cases: list[list[str]] = []
    for i, names in enumerate((["01"], ["01", "01", "02"])):
        cases.append([f"{FC}={write(tmp_path / f'{i}.npz', squares, 'data', names)}"])
    good = f"{FC}={write(tmp_path / 'good.npz', squares, 'data', SUBJECTS)}"
    cases.append([good, f"{SC}={write(tmp_path / 'two.npy', squares[:2], 'data')}"])
    cases.append([good, good])
    for inputs in cases:
        with pytest.raises(InputError):
            read_connectomes(inputs)


def test_inputs_without_flavor_are_refused(tmp_path: Path, squares: np.ndarray) -> None:
    """A bare .npy, keys that are no flavors, a table without BIDS name, an empty folder."""
    (tmp_path / "empty").mkdir()
    for path in (
        write(tmp_path / "x.npy", squares, ""),
        write(tmp_path / "y.npz", squares, "data"),
        write(tmp_path / "z.tsv", squares[0], ""),
        tmp_path / "empty",
    ):
        with pytest.raises(FlavorError):
            read_connectomes([path])


def test_two_runs_of_a_subject_are_refused(tmp_path: Path, squares: np.ndarray) -> None:
    """Two files for one flavor and subject: which one is meant is not guessed."""
    for run in ("1", "2"):
        write(
            tmp_path / f"sub-01_run-{run}_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv",
            squares[0],
            "",
        )

    with pytest.raises(InputError, match=r"run-1.*run-2"):
        read_connectomes([tmp_path])
