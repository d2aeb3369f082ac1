"""A file or array that calls itself another flavor is not taken for the one that is given."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.exceptions import FlavorError
from kraken_bids.io.writing import write_relmat

FC, SC = "FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm"
EDGES = np.random.default_rng(0).random((3, 3655))


@pytest.mark.parametrize("key", [FC, "FCcorr_fs86_hpfgsr", "FC", "SCifod2act_fs86_sift2count"])
def test_an_array_of_another_name_is_refused(tmp_path: Path, key: str) -> None:
    """In every format with names, whatever else the file holds."""
    np.savez(tmp_path / "a.npz", **{key: EDGES})
    savemat(tmp_path / "a.mat", {key: EDGES}, long_field_names=True)
    for path in (tmp_path / "a.npz", tmp_path / "a.mat"):
        with pytest.raises(FlavorError, match=rf"expected {SC}.*found the array {key}, which"):
            read_connectomes(f"{SC}={path}")


@pytest.mark.parametrize("key", [SC, "SC", "volnorm", "data", "connectome", "mine"])
def test_an_array_of_its_own_name_or_of_none_is_taken(tmp_path: Path, key: str) -> None:
    """As published files and everyone's own have them."""
    np.savez(tmp_path / "a.npz", **{key: EDGES})
    found = read_connectomes(f"{SC}={tmp_path / 'a.npz'}")
    np.testing.assert_allclose(found.edges[SC], EDGES, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "FCcorr_fs86_hpf.npy",
        "cohort_FCcorr_fs86_hpf_n20.npy",
        "sub-01_atlas-fs86_meas-FCcorrHPF_relmat.npy",
        "group_atlas-fs86_meas-SCsdstreamVN_relmat.npy",
        "SCifod2act_shen268_volnorm.npy",
    ],
)
def test_a_file_of_another_name_is_refused(tmp_path: Path, name: str) -> None:
    """By what a flavor is called, or by its BIDS label."""
    np.save(tmp_path / name, EDGES)
    with pytest.raises(FlavorError, match=rf"expected {SC}.*the name {name}, which says"):
        read_connectomes(f"{SC}={tmp_path / name}")


@pytest.mark.parametrize(
    "name",
    [
        "SCifod2act_fs86_volnorm.npy",
        "SCifod2act_fs86_volnorm_and_FCcorr_fs86_hpf.npy",
        "group_atlas-fs86_meas-SCifod2actVN_relmat.npy",
        "group_atlas-DesikanKilliany86_meas-SCifod2actVN_relmat.npy",
        "group_meas-mine_relmat.npy",
        "fc.npy",
    ],
)
def test_a_file_of_its_own_name_or_of_none_is_read(tmp_path: Path, name: str) -> None:
    """An atlas may be called by a name of one's own."""
    np.save(tmp_path / name, EDGES)
    assert read_connectomes(f"{SC}={tmp_path / name}").edges[SC].shape == EDGES.shape


def test_text_of_another_name_is_refused(tmp_path: Path) -> None:
    """A matrix that kraken-bids wrote, given as what it is not."""
    path = tmp_path / "sub-01_task-rest_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv"
    write_relmat(path, edges_to_square(EDGES[0], diagonal=1.0))
    assert list(read_connectomes(f"{FC}={path}").edges[FC].shape) == [1, 3655]
    with pytest.raises(FlavorError, match=f"which says {FC}"):
        read_connectomes(f"{SC}={path}")
