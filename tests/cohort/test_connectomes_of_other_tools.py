"""Connectomes of other programs: rows are told by name, put right or refused."""

import json
import logging
import zipfile
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from scipy.io import savemat

from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.cohort.named_regions import find_regions, spread_structures
from kraken_bids.exceptions import ConnectomeError, FlavorError, InputError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.matlab import MatlabObject
from kraken_bids.parcellations import load_parcellation

FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_sift2volnorm")
NAMES = np.array(load_parcellation("fs86").region_names)
UPPER = np.triu_indices(86, 1)
ORDER = np.random.default_rng(3).permutation(86)


@pytest.fixture
def square() -> np.ndarray:
    x = np.random.default_rng(0).random((86, 86))
    return x + x.T


def shuffle(square: np.ndarray) -> np.ndarray:
    return square[np.ix_(ORDER, ORDER)]


def read(text: str, flavor: object = FC) -> np.ndarray:
    return read_connectomes([text]).edges[flavor]


def as_cells(words: np.ndarray) -> np.ndarray:
    return np.array(list(map(str, words)), dtype=object)


@pytest.mark.parametrize("corner", ["", "Node", "Row", None])
@pytest.mark.parametrize("mark", [",", "\t"])
def test_named_rows_of_a_table_are_put_into_order(
    tmp_path: Path, square: np.ndarray, corner: str | None, mark: str
) -> None:
    """As pandas, XCP-D, MATLAB and R write names; one triangle is enough."""
    head = [*([] if corner is None else [corner]), *NAMES[ORDER]]
    rows = [
        mark.join([name, *map(repr, row.tolist())])
        for name, row in zip(NAMES[ORDER], np.triu(shuffle(square)), strict=True)
    ]
    path = tmp_path / "sub-01.csv"
    path.write_text("\n".join([mark.join(head), *rows]))

    np.testing.assert_array_equal(read(f"{FC}={path}")[0], square[UPPER])


@pytest.mark.parametrize("fault", ["short", "long", "twice"])
def test_a_list_of_names_that_does_not_fit_the_rows_is_not_passed_over(
    tmp_path: Path, square: np.ndarray, fault: str
) -> None:
    """Else rows in another order would be read by their place, without a word."""
    names = NAMES[ORDER].tolist()
    names = {
        "short": names[:-1],
        "long": [*names, "Brain-Stem"],
        "twice": [*names[:-1], names[0]],
    }[fault]
    np.savez(tmp_path / "sub-01.npz", data=shuffle(square), labels=names)

    with pytest.raises(ConnectomeError, match=r"sub-01.npz.*each once; found 8[567] names"):
        read(f"{FC}={tmp_path / 'sub-01.npz'}")


@pytest.mark.parametrize("fault", ["short", "twice"])
def test_numbers_of_regions_that_do_not_fit_are_not_passed_over(
    tmp_path: Path, square: np.ndarray, fault: str
) -> None:
    """FreeSurfer's, as names."""
    numbers = np.array(load_parcellation("fs86").labels)[ORDER]
    numbers = numbers[:-1] if fault == "short" else np.append(numbers[:-1], numbers[0])
    np.savez(tmp_path / "sub-01.npz", data=shuffle(square), labels=numbers)

    with pytest.raises(ConnectomeError, match="each once"):
        read(f"{FC}={tmp_path / 'sub-01.npz'}")


def test_names_that_each_subject_has_of_its_own_put_all_into_order(
    tmp_path: Path, square: np.ndarray
) -> None:
    """A MATLAB struct per subject; where their orders differ, no one order is right."""
    path, kind = tmp_path / "many.mat", [("id", object), ("FC", object), ("names", object)]
    people = [
        (one, k * shuffle(square), as_cells(NAMES[ORDER])) for one, k in (("u", 1), ("v", 2))
    ]
    savemat(path, {"S": np.array(people, kind)})

    np.testing.assert_array_equal(read(f"{FC}={path}"), [square[UPPER], 2 * square[UPPER]])

    people[1] = ("v", square, as_cells(NAMES))
    savemat(path, {"S": np.array(people, kind)})
    with pytest.raises(ConnectomeError, match=r"S.names the same regions.*connectome 2"):
        read(f"{FC}={path}")


def test_names_in_a_group_of_hdf5_are_those_of_its_array(
    tmp_path: Path, square: np.ndarray
) -> None:
    """Each atlas in a group of its own, with its regions and its subjects' order."""
    people, path = ["a", "b"], tmp_path / "cohort.h5"
    with h5py.File(path, "w") as file:
        for name, flavor, factors in (("one", FC, (1, 2)), ("other", SC, (2, 1))):
            group = file.create_group(name)
            group[str(flavor)] = np.stack([factor * shuffle(square) for factor in factors])
            group["regions"] = NAMES[ORDER].astype("S")
            group["subjects"] = np.array(people if factors[0] == 1 else people[::-1], "S")

    found = read_connectomes([str(path)])

    assert found.subjects == ("a", "b")
    for flavor in (FC, SC):
        np.testing.assert_allclose(
            found.edges[flavor], [square[UPPER], 2 * square[UPPER]], rtol=1e-6
        )


def test_lists_of_other_things_beside_an_array_say_nothing_of_its_rows(
    tmp_path: Path, square: np.ndarray
) -> None:
    networks = ["Visual", "Default"] * 43
    np.savez(tmp_path / "sub-01.npz", data=square, labels=networks, area=np.ones(86))

    np.testing.assert_array_equal(read(f"{FC}={tmp_path / 'sub-01.npz'}")[0], square[UPPER])


@pytest.mark.parametrize("key", ["regions", "labels", "ROI_names", "node_label"])
def test_names_beside_an_array_put_it_into_order(
    tmp_path: Path, square: np.ndarray, key: str
) -> None:
    """In .npz, as square and as edges; and the names of people are those of people."""
    stack = np.stack([shuffle(square), 2 * shuffle(square)])
    names = {key: NAMES[ORDER], "subjects": ["a", "b"]}
    np.savez(tmp_path / "x.npz", data=stack, **names)
    np.savez(tmp_path / "y.npz", data=stack[:, *UPPER], **names)

    for name in "xy":
        found = read_connectomes([f"{FC}={tmp_path / name}.npz"])
        np.testing.assert_allclose(found.edges[FC][1], 2 * square[UPPER])
        assert found.subjects == ("a", "b")


def test_names_in_order_and_counts_change_nothing(tmp_path: Path, square: np.ndarray) -> None:
    """The table's own names; numbers from 0, which only count."""
    for names in (NAMES, np.arange(86), np.arange(1, 87)):
        np.savez(tmp_path / "x.npz", data=square, labels=names)
        np.testing.assert_array_equal(read(f"{FC}={tmp_path / 'x.npz'}")[0], square[UPPER])


def test_numbers_of_another_table_are_refused(tmp_path: Path, square: np.ndarray) -> None:
    """The 84 nodes of MRtrix's fs_default.txt are no 84 of the 86 regions."""
    np.savez(tmp_path / "x.npz", data=square[:84, :84], labels=np.arange(1, 85))
    with pytest.raises(ConnectomeError, match="84 names, 66 unknown"):
        read(f"{FC}={tmp_path / 'x.npz'}")


def test_regions_that_are_not_there_are_missing(
    tmp_path: Path, square: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    """MRtrix's 84 nodes by name: no VentralDC, and the brain stem is left out."""
    rows = [place for place in ORDER if "VentralDC" not in NAMES[place]]
    given = np.zeros((85, 85))
    given[:84, :84] = square[np.ix_(rows, rows)]
    np.savez(tmp_path / "x.npz", data=given, labels=[*NAMES[rows], "Brain-Stem"])

    found = read(f"{FC}={tmp_path / 'x.npz'}")[0]

    gone = np.isin(UPPER, np.flatnonzero(["VentralDC" in name for name in NAMES])).any(axis=0)
    np.testing.assert_array_equal(np.isnan(found), gone)
    np.testing.assert_array_equal(found[~gone], square[UPPER][~gone])
    assert (
        "2 of 86 regions are not among its rows (Left-VentralDC, Right-VentralDC)" in caplog.text
    )


def test_another_atlas_is_refused_by_its_names(tmp_path: Path) -> None:
    """Of the same size, too: 86 rows are not fs86."""
    names = [f"7Networks_LH_Vis_{n}" for n in range(1, 87)]
    np.savez(tmp_path / "x.npz", data=np.eye(86), labels=names)
    with pytest.raises(ConnectomeError, match=r"86 unknown \(7Networks_LH_Vis_1.*another atlas"):
        read(f"{FC}={tmp_path / 'x.npz'}")


def test_structs_of_matlab_are_looked_into(tmp_path: Path, square: np.ndarray) -> None:
    """One struct; and one per subject, with coordinates that are no connectome."""
    one = {"matrix": shuffle(square), "names": as_cells(NAMES[ORDER]), "xyz": np.ones((86, 3))}
    savemat(tmp_path / "sub-07_x.mat", {"conn": one, "note": "made by hand"})
    np.testing.assert_array_equal(read(f"{FC}={tmp_path / 'sub-07_x.mat'}")[0], square[UPPER])

    many = np.array([{"id": name, "FC": factor * square} for name, factor in (("u", 1), ("v", 3))])
    savemat(tmp_path / "many.mat", {"S": many})
    found = read_connectomes([f"{FC}={tmp_path / 'many.mat'}"])
    assert found.subjects == ("u", "v")
    np.testing.assert_array_equal(found.edges[FC][1], 3 * square[UPPER])


def test_a_table_of_matlab_is_a_matrix(square: np.ndarray) -> None:
    """Its columns are called as MATLAB lets them be."""
    names = [name.replace("-", "_") for name in NAMES[ORDER]]
    arrays = {f"T.{name}": shuffle(square)[:, n] for n, name in enumerate(names)}
    table = MatlabObject(Path("x.mat"), "T", "table")

    spread = spread_structures({"T": table, **arrays, "T.Region": np.array(names)})

    np.testing.assert_array_equal(spread["T"], shuffle(square))
    assert find_regions(spread, "T", FC) == tuple(names)


def write_qsirecon(
    folder: Path, square: np.ndarray, *, version: str = "", **other: object
) -> Path:
    """As MRtrix workflows of QSIRecon 1.2 write it, but for the atlas."""
    path = folder / "sub-01" / "dwi" / "sub-01_space-T1w_connectivity.mat"
    path.parent.mkdir(parents=True)
    content = {
        "atlas_fs86_region_ids": np.arange(1, 87),
        "atlas_fs86_region_labels": as_cells(NAMES[ORDER]),
        "atlas_fs86_sift_invnodevol_radius2_count_connectivity": shuffle(square),
        "atlas_fs86_radius2_meanlength_connectivity": 9 * square,
        "atlas_AAL116_region_ids": np.arange(1, 117),
        "atlas_AAL116_region_labels": as_cells(np.arange(116)),
        "atlas_AAL116_sift_invnodevol_radius2_count_connectivity": np.eye(116),
        "command": "tck2connectome …",
    }
    savemat(path, content | other, long_field_names=True, do_compression=True)
    if version:
        made = {"Name": "QSIRecon", "GeneratedBy": [{"Name": "QSIRecon", "Version": version}]}
        (folder / "dataset_description.json").write_text(json.dumps(made))
    return path


@pytest.mark.parametrize(
    ("version", "is_warned"), [("1.1.1", False), ("1.2.0", True), ("26.0.0", True),
                               ("26.0.1", False), ("", True)],
)  # fmt: skip
def test_qsirecon_is_read_by_atlas_and_measure(
    tmp_path: Path, square: np.ndarray, caplog: pytest.LogCaptureFixture, version: str,
    is_warned: bool,
) -> None:  # fmt: skip
    """And releases that issue 399 is about are warned of, as not confirmed."""
    path = write_qsirecon(tmp_path, square, version=version)

    found = read_connectomes([f"{SC}={path}"])

    np.testing.assert_array_equal(found.edges[SC][0], square[UPPER])
    assert found.subjects == ("01",)
    assert ("issue 399" in caplog.text and "not confirmed" in caplog.text) == is_warned


@pytest.mark.parametrize(
    ("flavor", "message"),
    [
        ("SCifod2act_shen268_sift2volnorm", "found those of fs86, AAL116, which have other"),
        ("SCifod2act_fs86_volnorm", "found sift_invnodevol_radius2_count, radius2_meanlength of"),
    ],
)
def test_qsirecon_without_atlas_or_measure_is_refused(
    tmp_path: Path, square: np.ndarray, flavor: str, message: str
) -> None:
    """Nothing of another atlas, and no lengths, pass for the flavor."""
    path = write_qsirecon(tmp_path, square)
    with pytest.raises(InputError, match=message):
        read(f"{flavor}={path}")


def write_micapipe(path: Path, square: np.ndarray) -> Path:
    """Upper triangle: 14 deep regions, 34 lobules, 36 rows of cortex on either side."""
    numbers = np.array(load_parcellation("fs86").labels)
    deep = [10, 11, 12, 13, 17, 18, 26, 49, 50, 51, 52, 53, 54, 58]
    rows = [*deep, *range(101, 135), *range(1000, 1036), *range(2000, 2036)]
    full = np.zeros((120, 120), np.float32)
    known = [place for place, number in enumerate(rows) if number in numbers]
    ours = [int(np.flatnonzero(numbers == rows[place])[0]) for place in known]
    full[np.ix_(known, known)] = square[np.ix_(ours, ours)]
    full = np.triu(full)
    if path.suffix == ".gii":
        array = nib.gifti.GiftiDataArray(data=full, intent=2005, datatype=16)
        nib.save(nib.gifti.GiftiImage(darrays=[array]), path)
    else:
        np.savetxt(path, full, fmt="%.9g")
    return path


@pytest.mark.parametrize("suffix", ["shape.gii", "txt"])
def test_micapipe_is_read_by_the_numbers_of_its_tables(
    tmp_path: Path, square: np.ndarray, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    """82 of 86 regions; the cerebellum is in lobules there, and VentralDC in none."""
    name = f"sub-HC1_ses-01_space-dwi_atlas-aparc_desc-iFOD2-40M-SIFT2_full-connectome.{suffix}"
    flavor = parse_flavor("SCifod2act_fs86_sift2")
    path = write_micapipe(tmp_path / name, square)

    found = read_connectomes([f"{flavor}={path}"])

    gone = [n for n, one in enumerate(NAMES) if "VentralDC" in one or "Cerebellum" in one]
    is_gone = np.isin(UPPER, gone).any(axis=0)
    np.testing.assert_array_equal(np.isnan(found.edges[flavor][0]), is_gone)
    np.testing.assert_allclose(
        found.edges[flavor][0][~is_gone], square[UPPER][~is_gone], rtol=1e-6
    )
    assert found.subjects == ("HC1_ses-01",)
    assert "4 of 86 regions are not among its rows" in caplog.text


@pytest.mark.parametrize(
    "part", ["atlas-schaefer-400_d_full-connectome", "atlas-aparc_d_cor-connectome",
             "atlas-aparc_d_full-edgeLengths", "rsfmri_space-fsnative_atlas-aparc_desc-FC"],
)  # fmt: skip
def test_what_else_micapipe_writes_is_refused(tmp_path: Path, part: str) -> None:
    """Other atlases, the cortex alone, lengths of edges, correlations on the surface."""
    path = tmp_path / f"sub-1_space-dwi_{part}.txt"
    np.savetxt(path, np.eye(86))
    with pytest.raises(InputError, match="micapipe"):
        read(f"{FC}={path}")


def test_broken_gifti_is_refused(tmp_path: Path) -> None:
    """Cut; of several arrays; with values in another file."""
    array = nib.gifti.GiftiDataArray(data=np.eye(86, dtype=np.float32), intent=2005, datatype=16)
    nib.save(nib.gifti.GiftiImage(darrays=[array, array]), tmp_path / "two.gii")
    (tmp_path / "cut.gii").write_bytes((tmp_path / "two.gii").read_bytes()[:900])
    (tmp_path / "out.gii").write_bytes(b'<GIFTI Encoding="ExternalFileBinary"/>')
    for name in ("two", "cut", "out"):
        with pytest.raises(InputError, match=f"{name}.gii"):
            read(f"{FC}={tmp_path / name}.gii")


NEMO = "{}_nemo_output_{}_chacoconn_{}_nemoSC{}_mean.mat"


def write_nemo(folder: Path, square: np.ndarray, sift: str = "") -> None:
    """Two lesions, the intact mean, another algorithm, and what is no connectome."""
    folder.mkdir()
    for factor, owner in enumerate(("sub-01_label-lesion_mask", "my lesion", "nemorefsubj"), 1):
        name = NEMO.format(owner, "ifod2act", "fs86subj", f"{sift}_volnorm")
        savemat(folder / name, {"SC": factor * square})
        savemat(folder / name.replace("_mean", "_stdev"), {"SC": np.eye(86)})
        (folder / name.replace(f"nemoSC{sift}_volnorm_mean.mat", "mean.pkl")).write_bytes(
            b"never read"
        )
    for owner in ("sub-01_label-lesion_mask", "my lesion", "nemorefsubj"):
        name = NEMO.format(owner, "sdstream", "fs86subj", sift)
        savemat(folder / name, {"SC": square})


@pytest.mark.parametrize("is_zip", [False, True])
@pytest.mark.parametrize(
    ("settings", "sift", "processings"),
    [
        ({}, "", ("volnorm", "count")),
        ({"siftweights": True}, "", ("sift2volnorm", "sift2")),
        ({"siftweights": "false"}, "", ("volnorm", "count")),
        ({"siftweights": "true"}, "_sift2", ("sift2volnorm", "sift2")),
    ],
)
def test_nemo_is_read_by_its_names(
    tmp_path: Path, square: np.ndarray, caplog: pytest.LogCaptureFixture, is_zip: bool,
    settings: dict[str, object], sift: str, processings: tuple[str, str],
) -> None:  # fmt: skip
    """Flavors as the reference reads them; older files say of SIFT2 in the settings alone."""
    folder = path = tmp_path / "nemo"
    write_nemo(folder, square, sift)
    (folder / "x_nemo_output_ifod2act_2026_config.json").write_text(json.dumps(settings))
    if is_zip:
        path = tmp_path / "nemo.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for one in sorted(folder.iterdir()):
                archive.write(one, f"out/{one.name}")

    found = read_connectomes(path)

    act, stream = (
        parse_flavor(f"SC{algorithm}_fs86_{processing}")
        for algorithm, processing in zip(("ifod2act", "sdstream"), processings, strict=True)
    )
    assert set(found.edges) == {act, stream}
    assert set(found.subjects) == {"01", "mylesion", "nemorefsubj"}
    for factor, label in enumerate(("01", "mylesion", "nemorefsubj"), 1):
        row = found.subjects.index(label)
        np.testing.assert_array_equal(found.edges[act][row], factor * square[UPPER])
    assert "nemorefsubj, the mean of NeMo's reference subjects" in caplog.text


def test_nemo_may_come_with_participants(tmp_path: Path, square: np.ndarray) -> None:
    """A table says whose lesion a mask is."""
    write_nemo(tmp_path / "n", square)
    (tmp_path / "n" / "participants.tsv").write_text(
        "participant_id\tsubject\nsub-x1\tmy lesion\nsub-x2\tsub-01_label-lesion_mask\n"
    )
    assert set(read_connectomes(tmp_path / "n").subjects) == {"x1", "x2", "nemorefsubj"}


def test_one_file_of_nemo_says_its_flavor(tmp_path: Path, square: np.ndarray) -> None:
    """Under another flavor it is refused, and so are ratios and deviations."""
    write_nemo(tmp_path / "n", square)
    path = tmp_path / "n" / NEMO.format("my lesion", "ifod2act", "fs86subj", "_volnorm")
    flavor = parse_flavor("SCifod2act_fs86_volnorm")

    found = read_connectomes(path)
    np.testing.assert_array_equal(found.edges[flavor][0], 2 * square[UPPER])
    assert found.subjects == ("mylesion",)

    with pytest.raises(FlavorError, match="which says SCifod2act_fs86_volnorm"):
        read(f"SCsdstream_fs86_volnorm={path}")
    with pytest.raises(FlavorError, match="shares of lost connections, or standard deviations"):
        read(f"{flavor}={str(path).replace('_mean', '_stdev')}")


def test_nemo_without_connectomes_is_refused(tmp_path: Path) -> None:
    """ChaCo ratios alone, in pickles that are never opened."""
    (tmp_path / "a_nemo_output_ifod2act_chacoconn_fs86subj_mean.pkl").write_bytes(b"")
    with pytest.raises(InputError, match="pairwise disconnectivity"):
        read_connectomes(tmp_path)


def test_stars_stand_for_many_files(
    tmp_path: Path, square: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    """One file per subject; without any, the pattern is named."""
    caplog.set_level(logging.INFO)
    for label in ("b", "a"):
        (tmp_path / f"sub-{label}").mkdir()
        np.savetxt(tmp_path / f"sub-{label}" / "fc.csv", square, delimiter=",", fmt="%.17g")
    assert read_connectomes([f"{FC}={tmp_path}/sub-*/fc.csv"]).subjects == ("a", "b")
    with pytest.raises(InputError, match=r"sub-\*/sc\.csv; found none"):
        read_connectomes([f"{FC}={tmp_path}/sub-*/sc.csv"])
