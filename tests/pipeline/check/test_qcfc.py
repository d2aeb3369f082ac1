"""QC-FC of a cohort on disk."""

import logging
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.stats import pearsonr

from kraken_bids.bids.outputs import (
    group_path,
    labels_path,
    region_table_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.nifti import write_labels
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_json, write_relmat, write_table
from kraken_bids.parcellations import load_parcellation, read_table
from kraken_bids.pipeline.check import qcfc
from kraken_bids.pipeline.check.qcfc import write_qcfc
from kraken_bids.report.sections import motion_effects
from kraken_bids.report.sections.motion_effects import list_motion_effects
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.motion_dependence import edge_distances

N_PEOPLE = 14
FLAVOR = parse_flavor("FCcorr_fs86_hpf")
MOTION = np.random.default_rng(0).gamma(3, 0.05, N_PEOPLE)


def write_cohort(root: Path, flavor=FLAVOR, n_regions: int = 86, n: int = N_PEOPLE) -> np.ndarray:
    """Write connectomes whose edges fall with motion the more the longer they are; edges."""
    rng = np.random.default_rng(1)
    n_edges = n_regions * (n_regions - 1) // 2
    trend = np.linspace(1, -1, n_edges)
    if flavor == FLAVOR:
        trend = 1 - list_distances() / 75
    edges = 0.2 + 0.05 * rng.normal(size=(n, n_edges)) + 2 * MOTION[:n, None] * trend
    for k, row in enumerate(edges):
        path = relmat_path(root, {"sub": f"{k:02d}", "space": "T1w"}, flavor, source=None)
        write_relmat(path, edges_to_square(row, diagonal=1.0))
        write_json(sidecar_path(path), {"Flavor": flavor.name, "MeanFD": MOTION[k]})
    return edges


def list_distances() -> np.ndarray:
    """Distance of every edge of fs86, from the package's table."""
    rows = [row for row in read_table("centroids.tsv") if row["parcellation"] == "fs86"]
    return edge_distances(np.array([[float(row[axis]) for axis in "xyz"] for row in rows]))


def test_a_planted_dependence_is_in_the_table_and_comes_back(tmp_path: Path) -> None:
    """Table, edges and page hold pearsonr's numbers; ρ shows the planted fall with distance."""
    edges = write_cohort(tmp_path)
    write_qcfc(tmp_path, list_members(tmp_path))
    columns = read_columns(group_path(tmp_path, "qcfc.tsv"))
    assert columns["flavor"].tolist() == [FLAVOR.name]
    assert columns["n_sessions"] == columns["n_people"] == [N_PEOPLE]
    assert columns["n_edges"] == [3655]
    assert columns["distance_rho"][0] < -0.8
    r = np.array([pearsonr(edges[:, k], MOTION).statistic for k in range(3655)])
    assert columns["median_abs_r"][0] == pytest.approx(np.median(np.abs(r)), abs=1e-4)
    (effect,) = list_motion_effects(WrittenGroup(tmp_path, ()))
    np.testing.assert_allclose(effect.r, r, atol=1e-4)
    np.testing.assert_allclose(effect.distance, list_distances(), rtol=1e-6)
    described = read_json(group_path(tmp_path, "qcfc.json"))
    assert set(columns) - set(described) == {"flavor"}


def test_fewer_than_ten_people_are_said_and_old_numbers_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says it for all flavors; what an earlier, larger cohort left does not stay."""
    write_cohort(tmp_path)
    write_cohort(tmp_path, parse_flavor("FCpcorr_fs86_hpf"), n=4)
    with caplog.at_level(logging.INFO):
        write_qcfc(tmp_path, list_members(tmp_path))
    for path in tmp_path.glob("sub-0[0-4]/func/*_relmat.dense.tsv"):
        path.unlink()
    members = list_members(tmp_path)
    with caplog.at_level(logging.INFO):
        write_qcfc(tmp_path, members)
    said = [record.getMessage() for record in caplog.records if "QC-FC" in record.getMessage()]
    assert said == [
        "no QC-FC of FCpcorr_fs86_hpf: it needs 10 people with known head motion; 4 have it",
        "no QC-FC of any flavor: it needs 10 people with known head motion; 9 have it",
    ]
    assert not list(group_path(tmp_path, "").glob("qcfc*"))
    assert list_motion_effects(WrittenGroup(tmp_path, ())) == ()
    assert motion_effects.gather(WrittenGroup(tmp_path, members))["n_with_motion"] == 9


def test_sessions_of_a_person_are_averaged_and_nobody_counts_twice(tmp_path: Path) -> None:
    """Table and edges hold pearsonr's numbers over people, whose sessions are their mean."""
    rng = np.random.default_rng(5)
    edges, motion = rng.normal(size=(N_PEOPLE, 2, 3655)), MOTION[:, None] + [-0.02, 0.05]
    for k, (person, own) in enumerate(zip(edges, motion, strict=True)):
        for n, row in enumerate(person[: 1 + k % 2]):
            entities = {"sub": f"{k:02d}", "ses": str(n), "space": "T1w"}
            path = relmat_path(tmp_path, entities, FLAVOR, source=None)
            write_relmat(path, edges_to_square(np.tanh(row), diagonal=1.0))
            write_json(sidecar_path(path), {"Flavor": FLAVOR.name, "MeanFD": own[n]})
    write_qcfc(tmp_path, list_members(tmp_path))
    columns = read_columns(group_path(tmp_path, "qcfc.tsv"))
    assert columns["n_people"] == [N_PEOPLE]
    assert columns["n_sessions"] == [N_PEOPLE * 3 // 2]
    means = np.array([np.tanh(e[: 1 + k % 2]).mean(axis=0) for k, e in enumerate(edges)])
    moved = [own[: 1 + k % 2].mean() for k, own in enumerate(motion)]
    expected = pearsonr(means, np.array(moved)[:, None], axis=0)
    (effect,) = list_motion_effects(WrittenGroup(tmp_path, ()))
    np.testing.assert_allclose(effect.r, expected.statistic, atol=1e-4)
    assert columns["share_p05"][0] == pytest.approx((expected.pvalue < 0.05).mean(), abs=1e-3)


def test_a_broken_file_is_said_and_the_others_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first file, of which the number of edges cannot be learned, is no exception."""
    write_cohort(tmp_path)
    path = relmat_path(tmp_path, {"sub": "00", "space": "T1w"}, FLAVOR, source=None)
    path.write_text("0.1\t0.2\n")
    write_qcfc(tmp_path, list_members(tmp_path))
    assert f"left out of QC-FC: expected a square matrix in {path}" in caplog.text
    with h5py.File(group_path(tmp_path, "qcfc.h5")) as file:
        assert np.isfinite(np.asarray(file[FLAVOR.name]["r"])).all()


def change_a_matrix(path: Path) -> None:
    square = read_relmat(path)
    square[2, 3] = square[3, 2] = 0.9
    write_relmat(path, square)


def change_the_motion(path: Path) -> None:
    write_json(sidecar_path(path), {"Flavor": FLAVOR.name, "MeanFD": 0.77})


def break_the_file(path: Path) -> None:
    path.write_text("0.1\t0.2\n")


def damage_what_is_kept(path: Path) -> None:
    for kept in group_path(path.parents[2], "").glob(".qcfc*.json"):
        kept.write_bytes(kept.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("change", "is_computed"),
    [
        (change_a_matrix, True),
        (change_the_motion, True),
        (break_the_file, True),
        (Path.unlink, True),
        (damage_what_is_kept, True),
        (lambda path: path.touch(), False),
    ],
)
def test_it_is_computed_where_anything_changed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    is_computed: bool,
) -> None:
    """A matrix, its sidecar, who is there; the files are those of a folder that kept nothing."""
    write_cohort(tmp_path)
    write_qcfc(tmp_path, list_members(tmp_path))
    change(relmat_path(tmp_path, {"sub": "03", "space": "T1w"}, FLAVOR, source=None))
    read: list[Path] = []
    monkeypatch.setattr(qcfc, "recall_relmat", lambda path: read.append(path) or read_relmat(path))

    write_qcfc(tmp_path, list_members(tmp_path))

    found = [group_path(tmp_path, name).read_bytes() for name in ("qcfc.tsv", "qcfc.h5")]
    assert bool(read) == is_computed
    write_qcfc(tmp_path, list_members(tmp_path), anew=True)
    assert found == [group_path(tmp_path, name).read_bytes() for name in ("qcfc.tsv", "qcfc.h5")]


def test_what_is_kept_is_found_where_the_folder_is_moved_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or mounted, as in a container."""
    write_cohort(tmp_path / "here")
    write_qcfc(tmp_path / "here", list_members(tmp_path / "here"))
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.setattr(qcfc, "recall_relmat", None)

    write_qcfc(tmp_path / "there", list_members(tmp_path / "there"))


def test_a_broken_file_is_said_in_every_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the numbers are read back."""
    write_cohort(tmp_path)
    break_the_file(relmat_path(tmp_path, {"sub": "03", "space": "T1w"}, FLAVOR, source=None))
    for _ in range(3):
        caplog.clear()
        write_qcfc(tmp_path, list_members(tmp_path))
        assert caplog.text.count("left out of QC-FC") == 1


def test_regions_of_an_atlas_of_ones_own_lie_where_its_image_says(tmp_path: Path) -> None:
    """Their places are those of the regions written beside the connectome of one session."""
    flavor = parse_flavor("FCcorr_mine_hpf")
    write_cohort(tmp_path, flavor, n_regions=4)
    write_table(region_table_path(tmp_path, "mine"), {
        "index": [1, 2, 3, 4], "name": list("abcd"), "hemisphere": ["L"] * 4, "group": ["x"] * 4,
    })  # fmt: skip
    labels = np.zeros((9, 3, 3), np.int32)
    labels[[0, 2, 4, 8], 1, 1] = [1, 2, 3, 4]
    beside = labels_path(tmp_path, {"sub": "00", "space": "T1w"}, "mine")
    write_labels(beside, labels, np.diag([3.0, 3.0, 3.0, 1.0]))
    write_qcfc(tmp_path, list_members(tmp_path))
    (effect,) = list_motion_effects(WrittenGroup(tmp_path, ()))
    np.testing.assert_allclose(effect.distance, [6, 12, 24, 6, 18, 12])
    beside.unlink()
    write_qcfc(tmp_path, list_members(tmp_path))
    (effect,) = list_motion_effects(WrittenGroup(tmp_path, ()))
    assert np.isnan(effect.distance_rho)
    assert np.isnan(effect.distance).all()


@pytest.mark.parametrize("name", ["fs86", "shen268", "coco439"])
def test_every_region_of_the_models_parcellations_has_a_place_in_the_head(name: str) -> None:
    """Left of the midline where the table says left, within the bounds of MNI space."""
    parcellation = load_parcellation(name)
    rows = [row for row in read_table("centroids.tsv") if row["parcellation"] == name]
    places = np.array([[float(row[axis]) for axis in "xyz"] for row in rows])
    assert [int(row["index"]) for row in rows] == list(range(1, parcellation.n_regions + 1))
    assert (np.abs(places) < [80, 115, 85]).all()
    sides = np.array(parcellation.hemispheres)
    assert (places[sides == "L", 0] < 2).all()
    assert (places[sides == "R", 0] > -2).all()
