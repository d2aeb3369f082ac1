"""The participant's page shows where labels and streamlines lie."""

import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from matplotlib.image import imread

LEFT, RIGHT = (255, 157, 46), (53, 201, 255)


def read_picture(app: Any, words: str) -> np.ndarray:
    """RGB of the picture of sub-01 whose name has these words."""
    (path,) = (app.out / "sub-01" / "figures").glob(f"sub-01_registration_*{words}*.png")
    return np.round(255 * imread(path)[..., :3]).astype(int)


def share_beside_the_brain(pixels: np.ndarray) -> float:
    """Share of the pixels on borders that have nothing but black around them."""
    is_border = (pixels == LEFT).all(axis=2) | (pixels == RIGHT).all(axis=2)
    is_brain = (pixels.max(axis=2) > 20) & (pixels.min(axis=2) < 250) & ~is_border
    rows, columns = np.nonzero(is_border)
    alone = [
        not is_brain[max(0, r - 4) : r + 5, max(0, c - 4) : c + 5].any()
        for r, c in zip(rows, columns, strict=True)
    ]
    return float(np.mean(alone))


def move(path: Path, mm: float) -> None:
    """Say in the header of an image that it lies further to the right."""
    image = nibabel.load(path)
    affine = image.affine.copy()
    affine[0, 3] += mm
    moved = nibabel.Nifti1Image(np.asarray(image.dataobj), affine)
    path.unlink()
    moved.to_filename(path)


def test_labels_and_streamlines_are_shown_on_the_anatomy(app: Any) -> None:
    """One picture per space and atlas, and per tractogram, in figures/ and in the page."""
    app.copy_done()
    page = (app.out / "sub-01.html").read_text()
    section = page.partition('<section id="registration">')[2].partition("</section>")[0]

    titles = re.findall("<h3>(.*?)</h3>", section)
    assert titles == [
        "fs86 on task rest in T1w",
        "fs86 on streamlines of iFOD2 in ACPC",
        "fs86 on streamlines of SD_STREAM in ACPC",
    ]
    names = [path.name for path in (app.out / "sub-01" / "figures").glob("*registration*")]
    assert len(names) == len(re.findall("<img", section)) == 3
    for words in ("task-rest", "tracks-ifod2"):
        pixels = read_picture(app, words)
        assert (pixels == LEFT).all(axis=2).sum() > 300
        assert (pixels == RIGHT).all(axis=2).sum() > 300
    assert share_beside_the_brain(read_picture(app, "task-rest")) < 0.02


def test_labels_beside_the_brain_are_seen(app: Any) -> None:
    """Two centimetres are more than any eye misses; the page is drawn again."""
    app.copy_done()
    app.copy_bids("01")
    (labels,) = (app.fmriprep / "sub-01" / "anat").glob("*aparcaseg_dseg.nii.gz")
    move(labels, 20.0)
    before = (app.out / "sub-01.html").read_text()

    app.participant("--participant-label", "01", flavors=["FCcorr_fs86_hpf"])

    assert share_beside_the_brain(read_picture(app, "task-rest")) > 0.1
    assert (app.out / "sub-01.html").read_text() != before


def test_pictures_are_drawn_again_only_where_labels_changed(app: Any) -> None:
    """A second run leaves them; one that is lost comes back without --force."""
    app.copy_done()
    pictures = sorted((app.out / "sub-01" / "figures").glob("*registration*"))
    lost = pictures[0]
    lost.unlink()
    before = {path: path.stat().st_mtime_ns for path in pictures[1:]}

    assert app.participant("--participant-label", "01").exit_code == 0

    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert lost.exists()


def test_only_what_is_measured_is_drawn_however_often_it_is_run(app: Any) -> None:
    """A tractogram that no flavor asked for has no picture, in a second run neither."""
    few = ["FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm"]
    app.participant("--participant-label", "01", flavors=few)
    folder = app.out / "sub-01" / "figures"
    first = {path.name for path in folder.glob("*registration*")}

    app.participant("--participant-label", "01", flavors=few)

    assert {path.name for path in folder.glob("*registration*")} == first
    assert not any("sdstream" in name for name in first)
    assert len(first) == 2


def test_a_broken_background_costs_the_picture_only(app: Any) -> None:
    """The connectomes are measured all the same, and the log says what is missing."""
    app.copy_bids("01")
    reference = app.bold("01").with_name(
        app.bold("01").name.replace("desc-preproc_bold", "boldref")
    )
    reference.unlink()
    reference.write_bytes(b"no image")

    outcome = app.participant("--participant-label", "01")

    assert outcome.exit_code == 0
    assert app.is_finished("01")
    assert outcome.says("sub-01: no picture of the registration", reference.name)


def test_a_picture_that_cannot_be_written_is_a_failure(app: Any) -> None:
    """What was drawn is not complete, so neither is the participant; the next ones are written."""
    app.copy_done()
    closed, missing, *_ = sorted((app.out / "sub-01" / "figures").glob("*registration*"))
    for picture in (closed, missing):
        picture.unlink()
    (closed / "something").mkdir(parents=True)

    outcome = app.participant("--participant-label", "01")

    assert outcome.exit_code == 3
    assert closed.name in app.failures()["sub-01"]
    assert missing.is_file()
    assert app.is_finished("01")
    # drawing the pages again does not draw these pictures: what is said of them stays
    app.participant("--participant-label", "01", "--reports-only")
    assert closed.name in app.failures()["sub-01"]
    assert "The pictures of sub-01 failed" in (app.out / "sub-01.html").read_text()
