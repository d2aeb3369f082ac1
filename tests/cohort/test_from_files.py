"""Connectome files in every layout give the same edges."""

import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.cohort.joined_rows import Connectomes
from kraken_bids.exceptions import ConnectomeError, FlavorError, InputError
from kraken_bids.flavors import parse_flavor

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


@pytest.mark.parametrize(
    "name",
    [
        "sub-{}_connectome.csv",
        "sub-{}_count.npy",
        "sub-{}_connectivity.mat",
        "sub-{}/fs86_volnorm.csv",
        "results/sub-{}/Compute_Connectivity/sc.npy",
        "sub-{}/dwi/sub-{}_space-T1w_connectivity.mat",
        "sub-{}.npz",
        "sub-{}/edges.h5",
    ],
)
@pytest.mark.parametrize("is_square", [True, False])
def test_files_of_one_person_each_join_by_the_label_in_their_path(
    tmp_path: Path, squares: np.ndarray, edges: np.ndarray, name: str, is_square: bool
) -> None:
    """As tck2connectome, scilpy, QSIRecon and kraken-tools sc write them."""
    inputs = []
    for subject, square, row in zip(SUBJECTS, squares, edges, strict=True):
        path = tmp_path / name.format(subject, subject)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, square if is_square else row[None], "data")
        inputs.append(f"{SC}={path}")

    found = read_connectomes(inputs)

    assert found.subjects == tuple(SUBJECTS)
    np.testing.assert_array_equal(found.edges[SC], edges)


def test_sessions_in_a_path_are_part_of_the_label(tmp_path: Path, squares: np.ndarray) -> None:
    """In a folder or in the name; names in the file count before both."""
    (tmp_path / "sub-01" / "ses-a").mkdir(parents=True)
    one = write(tmp_path / "sub-01" / "ses-a" / "x.csv", squares[0], "data")
    two = write(tmp_path / "sub-01_ses-b_x.npy", squares[1], "data")
    own = write(tmp_path / "sub-02_x.npz", squares[2:], "data", ["03"])

    found = read_connectomes([f"{SC}={path}" for path in (one, two, own)])

    assert found.subjects == ("01_ses-a", "01_ses-b", "03")


def test_files_of_one_person_each_without_label_are_refused(
    tmp_path: Path, squares: np.ndarray
) -> None:
    """Nobody can tell whose they are: the message says what to do."""
    inputs = [f"{SC}={write(tmp_path / f'{k}.npy', squares[k], '')}" for k in range(2)]

    with pytest.raises(InputError, match="sub-LABEL"):
        read_connectomes(inputs)


@pytest.mark.parametrize("spelling", ["[{}]", "[{}]@SC", "{}@SC"])
def test_the_published_spelling_of_inputs_is_taken(
    tmp_path: Path, squares: np.ndarray, spelling: str
) -> None:
    """``[FLAVOR]@GROUP=FILE`` as in the commands of the reference release."""
    path = write(tmp_path / "x.npz", squares, "data", SUBJECTS)

    assert list(read_connectomes([f"{spelling.format(SC)}={path}"]).edges) == [SC]
    with pytest.raises(FlavorError, match=f"{SC}@SC=FILE"):
        read_connectomes([f"[{SC}]@FC={path}"])


def test_one_prediction_is_an_input(tmp_path: Path, edges: np.ndarray) -> None:
    """``predicted_alltypes`` with one source and target; several, or another flavor, are not."""
    subjects = np.array(SUBJECTS, dtype=object)
    nested: dict[str, dict[str, Any]] = {"fusion": {SC.name: edges}}
    savemat(
        tmp_path / "x.mat", {"predicted_alltypes": nested, "subjects": subjects},
        long_field_names=True,
    )  # fmt: skip

    found = read_connectomes([f"{SC}={tmp_path / 'x.mat'}"])

    assert found.subjects == tuple(SUBJECTS)
    np.testing.assert_array_equal(found.edges[SC], edges)
    with pytest.raises(InputError, match=f"fusion.{SC}"):
        read_connectomes([f"{FC}={tmp_path / 'x.mat'}"])
    savemat(
        tmp_path / "x.mat", {"predicted_alltypes": nested | {"other": nested["fusion"]}},
        long_field_names=True,
    )  # fmt: skip
    with pytest.raises(InputError, match=f"fusion.{SC}, other.{SC}"):
        read_connectomes([f"{SC}={tmp_path / 'x.mat'}"])


@pytest.mark.parametrize("suffix", [".mat", ".npz", ".npy"])
def test_one_person_alone_is_a_cohort(tmp_path: Path, edges: np.ndarray, suffix: str) -> None:
    """[1, edges] comes out of MATLAB as [edges]; a bare vector is the same."""
    for row in (edges[:1], edges[0]):
        path = write(tmp_path / f"x{suffix}", row, "data", ["a"])

        found = read_connectomes([f"{SC}={path}"])

        np.testing.assert_array_equal(found.edges[SC], edges[:1])


@pytest.mark.parametrize("suffix", [".mat", ".npz", ".h5"])
@pytest.mark.parametrize("is_square", [True, False])
def test_people_on_the_last_axis_are_put_first(
    tmp_path: Path, squares: np.ndarray, edges: np.ndarray, suffix: str, is_square: bool
) -> None:
    """As MATLAB users keep them, SC(:,:,subject); the sizes say so."""
    array = np.moveaxis(squares, 0, -1) if is_square else edges.T

    found = read_connectomes([f"{SC}={write(tmp_path / f'x{suffix}', array, 'data', SUBJECTS)}"])

    assert found.subjects == tuple(SUBJECTS)
    np.testing.assert_array_equal(found.edges[SC], edges)


def test_what_kraken_tools_fc_wrote_is_an_input(
    tmp_path: Path, squares: np.ndarray, edges: np.ndarray
) -> None:
    """FLAVOR.tsv, of the person in the folder's name, or whose BOLD its sidecar names."""
    for subject, square in zip(SUBJECTS, squares, strict=True):
        folder = tmp_path / "fc" / ("plain" if subject == "10" else f"sub-{subject}")
        folder.mkdir(parents=True)
        write(folder / f"{FC}.tsv", square, "")
        (folder / "fs86_timeseries.tsv").write_text("a\tb\n1\t2\n")
        (folder / f"{FC}.json").write_text('{"Bold": {"Path": "/x/sub-10_task-rest_bold.nii.gz"}}')

    found = read_connectomes(tmp_path / "fc")

    assert sorted(found.subjects) == SUBJECTS
    order = [found.subjects.index(subject) for subject in SUBJECTS]
    np.testing.assert_array_equal(found.edges[FC][order], edges)
    for given in (f"{FC}={tmp_path}/fc/plain/{FC}.tsv", f"{tmp_path}/fc/plain/{FC}.tsv"):
        assert read_connectomes(given).subjects == ("10",)


def test_a_stranger_file_beside_a_matrix_is_no_sidecar(
    tmp_path: Path, squares: np.ndarray
) -> None:
    """A list in JSON, or no JSON at all, under the name that a sidecar would have."""
    path = write(tmp_path / "x.npy", squares[0], "")
    for text in ("[1, 2]", "{", '{"Bold": "x"}', '{"Bold": {"Path": 3}}'):
        (tmp_path / "x.json").write_text(text)

        assert read_connectomes([f"{FC}={path}"]).subjects == ("1",)


def test_a_file_in_the_folder_of_somebody_else_is_refused(
    tmp_path: Path, squares: np.ndarray
) -> None:
    """sub-01's name in sub-02's folder: one of them is wrong."""
    (tmp_path / "sub-02" / "func").mkdir(parents=True)
    name = "sub-01_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv"
    write(tmp_path / "sub-02" / "func" / name, squares[0], "")

    with pytest.raises(InputError, match=r"files of sub-02 in the folder sub-02.*sub-01_atlas"):
        read_connectomes(tmp_path)


def test_cohorts_say_in_one_line_what_they_hold(tmp_path: Path, squares: np.ndarray) -> None:
    """And their edges are found by a flavor or by its id, as model.predict takes them."""
    found = read_connectomes([f"{SC}={write(tmp_path / 'x.npz', squares, 'data', SUBJECTS)}"])

    assert repr(found) == f"<Connectomes of 3 subjects: {SC} [3, 3655]>"
    many = Connectomes(("a",), {parse_flavor(f"SC{k}_x_count"): squares[0] for k in range(9)})
    assert repr(many).endswith("SC2_x_count [86, 86], and 6 more flavors>")
    np.testing.assert_array_equal(found.edges[SC.name], found.edges[SC])
    assert SC.name in found.edges
    assert FC.name not in found.edges
    assert found.edges.get(FC.name) is None
    with pytest.raises(FlavorError, match="Did you mean"):
        found.edges["SCifod2act_fs86_volnrm"]
