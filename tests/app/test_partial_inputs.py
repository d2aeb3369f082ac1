"""What is not there: half of a participant's inputs, a space, a level of preprocessing."""

import shutil
from typing import Any

import numpy as np
import pytest

from kraken_bids.io.tables import read_relmat

pytestmark = pytest.mark.usefixtures("without_pictures")

FC, IFOD2, SDSTREAM = (
    "atlas-fs86_meas-FCcorrHPF",
    "atlas-fs86_meas-SCifod2actVN",
    "atlas-fs86_meas-SCsdstreamVN",
)


def test_only_function(app: Any) -> None:
    """From BOLD alone both kinds of connectomes are predicted."""
    app.copy_bids("01")
    shutil.rmtree(app.qsirecon)
    assert app.participant().exit_code == 0
    assert app.measured("01") == [FC]
    assert app.is_finished("01", "fusion")
    assert app.is_finished("01", "fusionFC")
    assert not app.is_finished("01", "fusionSC")
    assert "No SC input was found" in (app.out / "sub-01.html").read_text()
    sidecar = app.sidecar("01", "meas-SCifod2actVN_desc-fusionkraken_relmat")
    assert sidecar["SourceFlavors"] == ["FCcorr_fs86_hpf"]


def test_only_structure(app: Any) -> None:
    """From tractograms alone both kinds of connectomes are predicted."""
    app.copy_bids("03")
    shutil.rmtree(app.fmriprep)
    assert app.participant().exit_code == 0
    assert app.measured("03") == [IFOD2, SDSTREAM]
    assert app.is_finished("03", "fusion")
    assert app.is_finished("03", "fusionSC")
    assert not app.is_finished("03", "fusionFC")
    assert "No FC input was found" in (app.out / "sub-03.html").read_text()


def test_only_one_tractogram(app: Any) -> None:
    """A missing tractogram leaves the other."""
    app.copy_bids("03")
    app.dwi("03", "streamlines.tck.gz").unlink()
    assert app.participant().exit_code == 0
    assert app.measured("03") == [FC, SDSTREAM]
    assert app.is_finished("03")


@pytest.mark.parametrize("with_structure", [True, False])
def test_minimal_level(app: Any, with_structure: bool) -> None:
    """BOLD that fMRIPrep has not resampled is answered with the level to run."""
    app.copy_bids("01")
    func = app.fmriprep / "sub-01" / "func"
    for path in func.glob("*"):
        if "_boldref" not in path.name:
            path.unlink()
    if not with_structure:
        shutil.rmtree(app.qsirecon)
    outcome = app.participant()
    assert outcome.says("--level minimal", "--level full", "sub-01")
    assert outcome.says("--output-spaces T1w MNI152NLin6Asym:res-2")
    assert outcome.exit_code == (0 if with_structure else 3)
    assert ("sub-01" in app.failures()) is not with_structure
    if with_structure:
        assert app.is_finished("01", "fusionSC")
        assert "--level minimal" in (app.out / "sub-01.html").read_text()


def test_no_t1w_space(app: Any) -> None:
    """Without BOLD in T1w space fs86 is carried to the template's, and this is said."""
    app.copy_bids("01")
    for path in (app.fmriprep / "sub-01" / "func").glob("*_space-T1w_*"):
        path.unlink()
    flavors = [f"FCcorr_{name}_hpf" for name in ("fs86", "shen268", "coco439")]
    outcome = app.participant(
        "--atlases", "fs86", "shen268", "coco439", flavors=(*flavors, "SCifod2act_fs86_volnorm")
    )
    assert outcome.exit_code == 0
    assert outcome.says("fs86 is measured from BOLD in MNI152NLin6Asym")
    assert outcome.says("--output-spaces T1w MNI152NLin6Asym:res-2")
    assert app.measured("01") == [
        "atlas-coco439_meas-FCcorrHPF", FC, IFOD2, "atlas-shen268_meas-FCcorrHPF",
    ]  # fmt: skip
    assert "no BOLD in space T1w for fs86" in (app.out / "sub-01.html").read_text()
    # the template's BOLD holds the same signals with other noise
    folder = "sub-01/func/sub-01_task-rest_space-{}_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv"
    carried = read_relmat(app.out / folder.format("MNI152NLin6Asym"))
    native = read_relmat(app.world.done / folder.format("T1w"))
    upper = np.triu_indices(86, 1)
    assert np.corrcoef(carried[upper], native[upper])[0, 1] > 0.9


def test_no_template_space(app: Any) -> None:
    """Without BOLD in the template's space fs86 is measured and the others are said."""
    app.copy_bids("01")
    for path in (app.fmriprep / "sub-01" / "func").glob("*_space-MNI152NLin6Asym_*"):
        path.unlink()
    flavors = ("FCcorr_fs86_hpf", "FCcorr_shen268_hpf", "SCifod2act_fs86_volnorm")
    outcome = app.participant("--atlases", "fs86", "shen268", flavors=flavors)
    assert outcome.exit_code == 0
    assert outcome.says("no BOLD in space MNI152NLin6Asym for shen268", "--output-spaces")
    assert app.measured("01") == [FC, IFOD2]


def test_participant_without_anything(app: Any) -> None:
    """A participant with an empty folder fails alone, with what was looked for."""
    app.copy_bids("01", "02")
    shutil.rmtree(app.fmriprep / "sub-01" / "func")
    shutil.rmtree(app.qsirecon / "sub-01" / "dwi")
    outcome = app.participant()
    assert outcome.exit_code == 1
    assert outcome.says("of sub-01", "desc-preproc_bold.nii.gz", "streamlines.tck")
    assert set(app.failures()) == {"sub-01"}
    assert app.is_finished("02")
