"""The repetition time is found wherever BIDS allows it, and what contradicts it is named."""

import json
from math import inf
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kraken_bids.bids.bold_series import open_bold
from kraken_bids.bids.repetition_time import read_bold_metadata
from kraken_bids.exceptions import InputError

NAME = "sub-01_ses-1_task-rest_run-1_space-T1w_desc-preproc_bold.nii.gz"


def save(path: Path, *, tr: float | None = None, unit: str = "sec") -> Path:
    """Write a series whose header says ``tr``; None: as nibabel writes headers by itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.ones((2, 2, 2, 3), np.float32), np.diag([2.0, 2, 2, 1]))
    if tr is not None:
        image.header.set_xyzt_units("mm", unit)
        image.header["pixdim"][4] = tr
    nib.save(image, path)
    return path


def put(path: Path, **content: object) -> Path:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("said", "in_header", "unit"),
    [(0.055, 1.98, "sec"), (2.0, 0.002, "usec"), (2.0, 1.0, "sec"), (0.8, 2500.0, "msec")],
)
def test_disagreement(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, said: float, in_header: float, unit: str
) -> None:
    """The JSON counts, and both numbers are named, in seconds."""
    path = save(tmp_path / "b.nii.gz", tr=in_header, unit=unit)
    put(tmp_path / "b.json", RepetitionTime=said)
    assert open_bold(path, tr=None).tr == said
    seconds = in_header / {"sec": 1, "msec": 1e3, "usec": 1e6}[unit]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"{said:g} s in its JSON and {seconds:g} s in its header" in record.getMessage()
    caplog.clear()
    assert open_bold(path, tr=said).tr == said
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("said", "in_header", "unit"),
    [
        (0.735, 0.734999, "sec"),
        (2.0, 2000.0, "msec"),
        (2.0, 2000.0, "sec"),
        (2.0, 2.0, "msec"),
        (2.0, 0.0, "sec"),
        (2.0, None, ""),
        (3.0, 2.98, "sec"),
    ],
)
def test_agreement(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    said: float,
    in_header: float | None,
    unit: str,
) -> None:
    """Rounding, units mistaken by a thousand, and headers that were never told are no alarm."""
    path = save(tmp_path / "b.nii.gz", tr=in_header, unit=unit)
    put(tmp_path / "b.json", RepetitionTime=said)
    assert open_bold(path, tr=None).tr == said
    assert not caplog.records


@pytest.mark.parametrize(
    "where",
    [
        "task-rest_bold.json",
        "task-rest_space-T1w_desc-preproc_bold.json",
        "sub-01/sub-01_task-rest_bold.json",
        "sub-01/ses-1/sub-01_ses-1_bold.json",
        "sub-01/ses-1/func/sub-01_ses-1_task-rest_bold.json",
    ],
)
def test_inherited(tmp_path: Path, where: str) -> None:
    """A JSON of a folder above applies where it names nothing that the series is not."""
    (tmp_path / "dataset_description.json").write_text("{}")
    func = tmp_path / "sub-01/ses-1/func"
    path = save(func / NAME)
    own = put(func / NAME.replace(".nii.gz", ".json"), SkullStripped=False)
    inherited = put(tmp_path / where, RepetitionTime=0.72)
    assert open_bold(path, tr=None).tr == 0.72
    metadata, sidecars = read_bold_metadata(path)
    assert metadata == {"SkullStripped": False, "RepetitionTime": 0.72}
    assert sidecars == (own, inherited)


def test_the_nearest_counts(tmp_path: Path) -> None:
    """Its own JSON before that of its folder, and that before one of the dataset."""
    (tmp_path / "dataset_description.json").write_text("{}")
    path = save(tmp_path / "sub-01/ses-1/func" / NAME)
    put(tmp_path / "bold.json", RepetitionTime=3.0)
    put(tmp_path / "sub-01/sub-01_task-rest_bold.json", RepetitionTime=1.5)
    assert open_bold(path, tr=None).tr == 1.5
    put(path.with_name(NAME.replace(".nii.gz", ".json")), RepetitionTime=0.8)
    assert open_bold(path, tr=None).tr == 0.8


@pytest.mark.parametrize(
    "where",
    [
        "task-nback_bold.json",
        "task-rest_run-2_bold.json",
        "task-rest_boldref.json",
        "../task-rest_bold.json",
    ],
)
def test_not_inherited(tmp_path: Path, where: str) -> None:
    """Of another task or run, of another kind of file, or above the dataset."""
    root = tmp_path / "study"
    path = save(root / "sub-01/ses-1/func" / NAME)
    (root / "dataset_description.json").write_text("{}")
    put(root / where, RepetitionTime=0.72)
    with pytest.raises(InputError, match="found neither"):
        open_bold(path, tr=None)


def test_nowhere(tmp_path: Path) -> None:
    """1 without a unit is what headers hold that were never told: no repetition time."""
    path = save(tmp_path / "b.nii.gz")
    with pytest.raises(InputError, match=r"found neither \(1 in the header\)"):
        open_bold(path, tr=None)


def test_one_second_of_the_header_alone_is_doubted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Libraries that join volumes write 1 s; a JSON settles it, and other numbers are no alarm."""
    path = save(tmp_path / "b.nii.gz", tr=1.0)
    assert open_bold(path, tr=None).tr == 1.0
    assert "is also what libraries write" in caplog.text
    caplog.clear()
    put(tmp_path / "b.json", RepetitionTime=1.0)
    assert open_bold(path, tr=None).tr == 1.0
    other = save(tmp_path / "c.nii.gz", tr=0.8)
    assert open_bold(other, tr=None).tr == pytest.approx(0.8)
    assert not caplog.records


def test_volume_timing(tmp_path: Path) -> None:
    """Even times give the repetition time; uneven ones are refused."""
    path = save(tmp_path / "b.nii.gz")
    put(tmp_path / "b.json", VolumeTiming=[0.0, 2.5, 5.0])
    assert open_bold(path, tr=None).tr == 2.5
    for times in (
        [0.0, 2.5, 7.5],
        [0.0],
        "often",
        "",
        {},
        [0.0, inf, inf],
        [1e308, -1e308, 1e308],
    ):
        put(tmp_path / "b.json", VolumeTiming=times)
        with pytest.raises(InputError, match="at even times"):
            open_bold(path, tr=None)


def test_names_with_brackets_and_stars(tmp_path: Path) -> None:
    """Characters that mean something in patterns are letters in names."""
    path = save(tmp_path / "scan[1]**.nii.gz", tr=1.5)
    assert open_bold(path, tr=None).tr == 1.5


def test_names_with_dots(tmp_path: Path) -> None:
    """Of AFNI's names every dot but the extension's belongs to the name."""
    path = save(tmp_path / "errts.sub-01.r01.nii.gz")
    put(tmp_path / "errts.json", RepetitionTime=9.0)
    put(tmp_path / "errts.sub-01.r01.json", RepetitionTime=1.25)
    assert open_bold(path, tr=None).tr == 1.25
