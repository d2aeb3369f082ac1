"""Label images in another numbering, or of another place, through the command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from kraken_bids.connectome.labels.label_identity import identify_labels
from kraken_bids.parcellations import load_parcellation

FC, SC = "FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm"
FS86 = load_parcellation("fs86")
DEEP = ("Thalamus-Proper", "Caudate", "Putamen", "Pallidum", "Hippocampus", "Amygdala")
MRTRIX = (
    *(name for name in FS86.region_names if name.startswith("ctx-lh")),
    *("Left-Cerebellum-Cortex", *(f"Left-{r}" for r in (*DEEP, "Accumbens-area"))),
    *(f"Right-{r}" for r in (*DEEP, "Accumbens-area")),
    *(name for name in FS86.region_names if name.startswith("ctx-rh")),
    "Right-Cerebellum-Cortex",
)
"""labelconvert's fs_default.txt."""


def renumber(path: Path, numbers: Callable[[str], int]) -> None:
    """Give each region of fs86 the number of its name; the file's other labels go."""
    image = nibabel.load(path)
    labels = np.asarray(image.dataobj)
    values = FS86.labels if labels.max() > 86 else FS86.indices
    table = np.zeros(int(labels.max()) + 1, np.int16)
    for name, value in zip(FS86.region_names, values, strict=True):
        if value < len(table):
            table[value] = numbers(name)
    path.unlink()  # it is a link to the shared one
    nibabel.save(nibabel.Nifti1Image(table[labels], image.affine), path)


def in_mrtrix_order(name: str) -> int:
    return MRTRIX.index(name) + 1 if name in MRTRIX else 0


def find_segmentation(app: Any) -> Path:
    return Path(app.fmriprep / "sub-01" / "anat" / "sub-01_desc-aparcaseg_dseg.nii.gz")


def test_a_segmentation_in_mrtrixs_order_is_refused(app: Any) -> None:
    """Its participant fails, and learns which order it is; nothing of it is measured."""
    app.copy_bids("01")
    renumber(find_segmentation(app), in_mrtrix_order)
    outcome = app.participant(flavors=(FC,))
    assert outcome.exit_code == 3
    assert outcome.says("MRtrix's 84 regions (labelconvert with fs_default.txt)", "aparc+aseg.mgz")
    assert "desc-aparcaseg_dseg.nii.gz" in app.failures()["sub-01"]
    assert app.measured("01") == []


def test_labels_of_a_tractogram_in_mrtrixs_order_are_refused(app: Any, tmp_path: Path) -> None:
    """The user's own, --parcellation."""
    app.copy_bids("01")
    image = tmp_path / "nodes.nii.gz"
    image.write_bytes(find_segmentation(app).read_bytes())
    renumber(image, in_mrtrix_order)
    words = ("--parcellation", f"fs86={image}")
    outcome = app.participant(*words, flavors=(SC,))
    assert outcome.exit_code == 3
    assert outcome.says("nodes.nii.gz", "MRtrix's 84 regions")


@pytest.mark.parametrize("by_number", [True, False])
def test_a_segmentation_with_the_sides_exchanged_is_refused(app: Any, by_number: bool) -> None:
    """By FreeSurfer's numbers, or by the index of each region."""
    app.copy_bids("01")
    values = dict(zip(FS86.region_names, FS86.labels if by_number else FS86.indices, strict=True))

    def exchange(name: str) -> int:
        for left, right in (("Left-", "Right-"), ("ctx-lh", "ctx-rh")):
            if name.startswith(left):
                return values[name.replace(left, right)]
            if name.startswith(right):
                return values[name.replace(right, left)]
        raise AssertionError(name)

    renumber(find_segmentation(app), exchange)
    outcome = app.participant(flavors=(FC,))
    assert outcome.exit_code == 3
    assert outcome.says("left and right")


def test_doubts_stand_in_log_sidecar_and_report(app: Any) -> None:
    """Regions on their sides, but nowhere near their places: measured, and said three times."""
    app.copy_bids("01")
    values = dict(zip(FS86.region_names, FS86.labels, strict=True))
    rng = np.random.default_rng(0)
    shuffled = {}
    for side in "LR":
        own = [n for n, s in zip(FS86.region_names, FS86.hemispheres, strict=True) if s == side]
        shuffled |= dict(zip(own, rng.permutation(own), strict=True))
    renumber(find_segmentation(app), lambda name: values[shuffled[name]])
    outcome = app.participant(flavors=(FC,))
    said = "regions of fs86 do not lie where they do in other brains"
    assert outcome.exit_code == 0, outcome.output
    assert outcome.says("WARNING", said)
    sidecar = app.sidecar("01", "atlas-fs86_meas-FCcorrHPF_relmat")
    assert any(said in warning for warning in sidecar["Warnings"])
    assert said in (app.out / "sub-01.html").read_text()


def test_the_demos_own_label_images_raise_no_doubt(app: Any) -> None:
    """Everyone's segmentation, the atlases, and the labels of the tractograms."""
    roots = (app.world.bids, app.world.done)
    images = [path for root in roots for path in root.rglob("*_dseg.nii.gz")]
    judged = 0
    for path in images:
        name = next((n for n in ("fs86", "shen268", "coco439") if f"-{n}_" in path.name), "fs86")
        if name == "fs86" and not ("aparcaseg" in path.name or "-fs86_" in path.name):
            continue  # tissues
        image = nibabel.load(path)
        labels = np.asarray(image.dataobj).astype(np.int32)
        assert identify_labels(labels, image.affine, load_parcellation(name)).doubts == (), path
        judged += 1
    assert judged >= 5
