"""Each tool's layout of tractograms is found: tracks, weights, mu, space, label images."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from kraken_bids.bids.datasets import find_datasets
from kraken_bids.bids.inputs import find_session_inputs
from kraken_bids.bids.query import ExplicitPaths
from kraken_bids.bids.tractographies import Tractography
from kraken_bids.parcellations import load_parcellation

PARCELLATIONS = [load_parcellation(name) for name in ("fs86", "shen268")]


def find(study: Path, session: str | None = None, **labels: str) -> dict[str, Tractography]:
    """Tractograms of sub-01 by algorithm; labels are --parcellation options."""
    inputs = find_session_inputs(
        find_datasets(study, {}),
        "01",
        parcellations=PARCELLATIONS,
        explicit=ExplicitPaths(parcellations=labels),
    )
    (found,) = [i for i in inputs if i.session == session]
    assert not found.problems
    return {tracts.algorithm: tracts for tracts in found.tractographies}


def name_of(path: Path | None) -> str | None:
    return path and path.name


@pytest.fixture
def study(raw: Path, tree: SimpleNamespace) -> SimpleNamespace:
    """Make a study with fMRIPrep, and a way to add a tool's outputs."""

    def add(folder: str, tool: str, *names: str) -> Path:
        root = raw / "derivatives" / folder
        tree.describe(root, tool)
        tree.touch(root / "sub-01", *names)
        for tracks in (n for n in names if n.endswith((".tck", ".tck.gz"))):
            if not tracks.endswith(".gz") and "ifod2" not in tracks.lower():
                tree.write_tck(root / "sub-01" / tracks, [], keys={"method": "iFOD2"})
        return root / "sub-01"

    return SimpleNamespace(path=raw, add=add)


def test_qsirecon_with_suffix_datasets(study: SimpleNamespace) -> None:
    """QSIRecon 1 and 26: streamlines in a dataset per workflow, atlases in the main one."""
    study.add(
        "qsirecon",
        "QSIRecon",
        "anat/sub-01_space-ACPC_seg-fs86_dseg.nii.gz",
        "ses-1/dwi/sub-01_ses-1_dir-AP_space-ACPC_seg-shen268_dseg.nii.gz",
    )
    stem = "ses-1/dwi/sub-01_ses-1_dir-AP_space-T1w_model"
    study.add(
        "qsirecon/derivatives/qsirecon-MRtrix3_act-HSVS",
        "QSIRecon",
        f"{stem}-ifod2_streamlines.tck.gz",
        f"{stem}-sdstream_streamlines.tck.gz",
        "ses-1/dwi/sub-01_ses-1_dir-AP_model-sift2_streamlineweights.csv",
        "ses-1/dwi/sub-01_ses-1_dir-AP_space-T1w_connectivity.mat",
        "ses-1/dwi/sub-01_ses-1_dir-AP_exemplarbundles.zip",
    )
    found = find(study.path, "1")
    assert set(found) == {"ifod2", "sdstream"}
    assert found["ifod2"].space == "ACPC"
    labels = {name: image.path.name for name, image in found["ifod2"].labels.items()}
    assert labels == {
        "fs86": "sub-01_space-ACPC_seg-fs86_dseg.nii.gz",
        "shen268": "sub-01_ses-1_dir-AP_space-ACPC_seg-shen268_dseg.nii.gz",
    }
    assert all(not image.transforms for image in found["ifod2"].labels.values())


def test_old_qsiprep(study: SimpleNamespace) -> None:
    """QSIPrep 0.x: algorithm as suffix, weights that name it, `orig` to `T1w`."""
    stem = "dwi/sub-01_space-T1w_desc-preproc_space-T1w_desc"
    folder = study.add(
        "qsiprep",
        "qsiprep",
        f"{stem}-tracks_ifod2.tck",
        f"{stem}-siftweights_ifod2.csv",
        f"{stem}-sift2_mu.txt",
        "anat/sub-01_from-orig_to-T1w_mode-image_xfm.txt",
    )
    found = find(study.path)["ifod2"]
    assert found.space == "ACPC"
    assert name_of(
        found.weights
    ) == "sub-01_space-T1w_desc-preproc_space-T1w_desc-siftweights_" + ("ifod2.csv")
    assert found.mu
    assert [t.name for t in found.labels["shen268"].transforms] == [
        "sub-01_from-orig_to-T1w_mode-image_xfm.txt",
        "sub-01_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5",
    ]
    assert found.tracks.parent == folder / "dwi"


def test_mrtrix3_connectome(study: SimpleNamespace) -> None:
    """MRtrix3_connectome: folder `tractogram`, the algorithm in the header, mu in `connectome`."""
    folder = study.add(
        "MRtrix3_connectome-participant",
        "BIDS-Apps/MRtrix3_connectome",
        "tractogram/sub-01_tractogram.tck",
        "tractogram/sub-01_weights.csv",
        "connectome/sub-01_desc-desikan_connectome.csv",
        "connectome/sub-01_mu.txt",
        "anat/nodes.nii.gz",
    )
    found = find(study.path, fs86=str(folder / "anat/nodes.nii.gz"))["ifod2"]
    assert found.space == ""
    assert name_of(found.weights) == "sub-01_weights.csv"
    assert name_of(found.mu) == "sub-01_mu.txt"
    assert set(found.labels) == {"fs86"}


def test_micapipe(study: SimpleNamespace) -> None:
    """micapipe: space-dwi, number of tracks in desc, weights as text, labels in the same space."""
    stem = "dwi/sub-01_space-dwi"
    study.add(
        "micapipe_v0.2.0",
        "micapipe",
        f"{stem}_desc-iFOD2-40M_tractography.tck",
        f"{stem}_desc-iFOD2-40M_tractography_weights.txt",
        f"{stem}_atlas-shen268_dseg.nii.gz",
        "dwi/connectomes/sub-01_space-dwi_atlas-aparc_desc-iFOD2-40M-SIFT2_full-connectome.txt",
    )
    found = find(study.path)["ifod2"]
    assert found.space == "dwi"
    assert name_of(found.weights) == "sub-01_space-dwi_desc-iFOD2-40M_tractography_weights.txt"
    assert set(found.labels) == {"shen268"}


@pytest.mark.parametrize("folder", ["", "dwi/", "tracking/"])
@pytest.mark.parametrize("suffix", ["tractogram", "tracks", "streamlines"])
def test_plain_folders(study: SimpleNamespace, folder: str, suffix: str) -> None:
    """Files of people's own, in any folder or in none; fMRIPrep's T1w is what it says."""
    study.add(
        "mine",
        "scripts",
        f"{folder}sub-01_space-T1w_desc-ifod2_{suffix}.tck",
        f"{folder}sub-01_space-T1w_desc-ifod2_weights.csv",
    )
    found = find(study.path)["ifod2"]
    assert found.space == "T1w"
    assert found.weights
    assert found.labels["fs86"].path.name == "sub-01_desc-aparcaseg_dseg.nii.gz"
    assert not found.labels["fs86"].transforms


def test_single_bundles_are_no_tractogram(study: SimpleNamespace) -> None:
    """Files of one bundle beside the whole tractogram are not taken for another one."""
    stem = "dwi/sub-01_space-T1w"
    study.add(
        "mine",
        "scripts",
        f"{stem}_model-ifod2_streamlines.tck",
        f"{stem}_model-ifod2_bundle-CSTleft_streamlines.tck",
        f"{stem}_tract-AF_model-ifod2_tractogram.tck",
    )
    assert find(study.path)["ifod2"].tracks.name.endswith("w_model-ifod2_streamlines.tck")


@pytest.mark.parametrize("extension", [".trk", ".trk.gz", ".trx"])
def test_other_formats(study: SimpleNamespace, extension: str) -> None:
    """Tracks of TrackVis and TRX are found by their names, weights beside them too."""
    stem = "dwi/sub-01_space-T1w_model-ifod2"
    study.add("mine", "scripts", f"{stem}_tractogram{extension}", f"{stem}_weights.csv")
    found = find(study.path)["ifod2"]
    assert found.tracks.name.endswith(extension)
    assert found.weights
