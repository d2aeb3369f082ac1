"""The images that labels are looked at on: of the same run, in the same space."""

from pathlib import Path

import pytest

from kraken_bids.bids.anatomy import find_bold_reference, find_t1w
from kraken_bids.bids.datasets import Dataset


@pytest.fixture
def touch(tmp_path: Path):
    """Make empty files below a folder, and give the first."""

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / names[0]

    return make


def dataset(path: Path, pipeline: str) -> Dataset:
    return Dataset(path.name, path, "derivative", pipeline, "1")


def test_the_reference_is_that_of_the_run_and_space(touch) -> None:
    """Another run's, another space's and one before registration are none."""
    folder = "fmriprep/sub-01/func/sub-01_task-rest"
    bold = touch(f"{folder}_run-01_space-T1w_desc-preproc_bold.nii.gz")
    touch(
        f"{folder}_run-02_space-T1w_boldref.nii.gz",
        f"{folder}_run-01_space-MNI152NLin6Asym_boldref.nii.gz",
        f"{folder}_run-01_desc-coreg_boldref.nii.gz",
    )
    assert find_bold_reference(bold) is None

    wanted = touch(f"{folder}_run-01_space-T1w_boldref.nii.gz")
    assert find_bold_reference(bold) == wanted


def test_a_t1w_image_that_names_no_space_is_its_own_datasets(touch, tmp_path: Path) -> None:
    """QSIPrep's T1w image is turned to AC-PC: it never lies behind fMRIPrep's BOLD."""
    bold = touch("fmriprep/sub-01/func/sub-01_task-rest_space-T1w_desc-preproc_bold.nii.gz")
    touch("qsiprep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz")
    datasets = [dataset(tmp_path / name, name) for name in ("fmriprep", "qsiprep")]
    assert find_t1w("T1w", beside=bold, datasets=datasets) is None

    own = touch("fmriprep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz")
    assert find_t1w("T1w", beside=bold, datasets=datasets) == own
    assert find_t1w("MNI152NLin6Asym", beside=bold, datasets=datasets) is None


def test_a_t1w_image_that_names_the_space_may_lie_elsewhere(touch, tmp_path: Path) -> None:
    """Tractograms of QSIRecon lie on the T1w image of QSIPrep; the session's own comes first."""
    tracks = touch("qsirecon/sub-01/ses-2/dwi/sub-01_ses-2_space-ACPC_streamlines.tck.gz")
    touch("qsiprep/sub-02/anat/sub-02_space-ACPC_desc-preproc_T1w.nii.gz")
    datasets = [dataset(tmp_path / name, name) for name in ("qsirecon", "qsiprep")]
    assert find_t1w("ACPC", beside=tracks, datasets=datasets) is None

    shared = touch("qsiprep/sub-01/anat/sub-01_space-ACPC_desc-preproc_T1w.nii.gz")
    assert find_t1w("ACPC", beside=tracks, datasets=datasets) == shared
    own = touch("qsiprep/sub-01/ses-2/anat/sub-01_ses-2_space-ACPC_desc-preproc_T1w.nii.gz")
    assert find_t1w("ACPC", beside=tracks, datasets=datasets) == own


def test_a_file_from_anywhere_has_no_anatomy(touch) -> None:
    """Explicit paths need not lie in a dataset."""
    tracks = touch("downloads/tracks.tck")
    assert find_t1w("ACPC", beside=tracks, datasets=[]) is None
