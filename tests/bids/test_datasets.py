"""Datasets and subjects are found, and wrong folders are explained."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from kraken_bids.bids.datasets import find_datasets, find_subjects
from kraken_bids.exceptions import InputError


def test_raw_with_derivatives(raw: Path) -> None:
    """The raw root and every dataset below derivatives/ are found, with software and version."""
    found = {d.name: d for d in find_datasets(raw, {})}
    assert found["study"].kind == "raw"
    assert (found["fmriprep"].pipeline, found["fmriprep"].version) == ("fmriprep", "25.2.5")
    assert set(found) == {"study", "fmriprep", "atlases"}


def test_derivative_itself_and_named_ones_first(
    raw: Path, tmp_path: Path, tree: SimpleNamespace
) -> None:
    """A derivatives dataset can be BIDS_DIR; those of -d come first, under the user's name."""
    tree.describe(tmp_path / "other/recon", "QSIRecon", "1.1")
    tree.touch(tmp_path / "other/recon", "sub-01/dwi/x_dwi.json")
    found = find_datasets(raw / "derivatives/fmriprep", {"tracts": tmp_path / "other/recon"})
    assert [(d.name, d.pipeline) for d in found] == [
        ("tracts", "qsirecon"),
        ("fmriprep", "fmriprep"),
    ]


@pytest.mark.parametrize(
    "place",
    ["fmriprep/sourcedata/freesurfer", "fmriprep/freesurfer", "freesurfer"],
)
def test_freesurfer_of_every_layout(raw: Path, place: str, tree: SimpleNamespace) -> None:
    """FreeSurfer's folder is found inside and beside fMRIPrep's, as its layouts have it."""
    tree.touch(raw / "derivatives" / place, "sub-01/mri/aparc+aseg.mgz")
    found = find_datasets(raw / "derivatives/fmriprep", {})
    assert [d.pipeline for d in found] == ["fmriprep", "freesurfer"]


def test_nested_derivatives(raw: Path, tree: SimpleNamespace) -> None:
    """QSIRecon's specs lie in derivatives/qsirecon/derivatives/<spec>."""
    inner = raw / "derivatives/qsirecon/derivatives/qsirecon-MRtrix3"
    tree.describe(raw / "derivatives/qsirecon", "QSIRecon")
    tree.describe(inner, "qsirecon-MRtrix3")
    assert inner in [d.path for d in find_datasets(raw, {})]


def test_same_names_are_numbered_and_folders_listed_once(
    raw: Path, tmp_path: Path, tree: SimpleNamespace
) -> None:
    """Names are unique, since they name datasets in URIs; a folder given twice counts once."""
    tree.describe(tmp_path / "b/fmriprep", "fMRIPrep")
    own = raw / "derivatives/fmriprep"
    found = find_datasets(raw, {"mine": own, "fmriprep": tmp_path / "b/fmriprep"})
    assert [d.name for d in found] == ["mine", "fmriprep", "study", "atlases"]
    assert find_datasets(raw, {})[0].path == raw


def test_missing(tmp_path: Path) -> None:
    """A path without anything is said."""
    with pytest.raises(InputError, match="nothing is there"):
        find_datasets(tmp_path / "no", {})


def test_file(tmp_path: Path) -> None:
    """A file in place of a folder is said."""
    (tmp_path / "a").touch()
    with pytest.raises(InputError, match="found a file"):
        find_datasets(tmp_path / "a", {})


def test_empty(tmp_path: Path) -> None:
    """An empty folder is said, with the container's mount as a likely reason."""
    with pytest.raises(InputError, match=r"empty.*mounted"):
        find_datasets(tmp_path, {})


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that this user may not read is said."""

    def refuse(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match="may not read"):
        find_datasets(tmp_path, {})


def test_raw_without_derivatives(raw: Path) -> None:
    """A raw dataset alone names what to run first."""
    shutil.rmtree(raw / "derivatives")
    with pytest.raises(InputError, match="--output-spaces T1w MNI152NLin6Asym:res-2"):
        find_datasets(raw, {})


def test_neither_description_nor_participants(raw: Path) -> None:
    """A folder of datasets is no dataset; the message names the datasets in it."""
    with pytest.raises(InputError, match=r"found neither.*fmriprep="):
        find_datasets(raw / "derivatives", {})


def test_broken_description(raw: Path) -> None:
    """A damaged description is named."""
    (raw / "derivatives/fmriprep/dataset_description.json").write_text("{")
    with pytest.raises(InputError, match=r"fmriprep.dataset_description\.json"):
        find_datasets(raw, {})


def test_participants(raw: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Subjects are those of the derivatives; labels are taken with and without sub-."""
    datasets = find_datasets(raw, {})
    assert find_subjects(datasets, []) == ("01",)
    assert "1 participants have raw data only" in caplog.text
    assert find_subjects(datasets, ["sub-01", "01"]) == ("01",)


def test_unknown_participant(raw: Path) -> None:
    """An unknown label lists those that exist, and says where only raw data do."""
    with pytest.raises(
        InputError, match=r"expected participants 02, 99 .* found there 01.*data.*02:"
    ):
        find_subjects(find_datasets(raw, {}), ["01", "sub-02", "99"])


@pytest.mark.parametrize("name", ["../../../elsewhere", "{}", "x" * 300, "..", "a/b"])
def test_the_name_of_software_leads_nowhere_else(tmp_path: Path, raw: Path, name: str) -> None:
    """A dataset is searched in a folder that bears the name of its software, never outside."""
    folder = raw / "derivatives" / "fmriprep"
    for place in (tmp_path / "elsewhere", folder / "a" / "b"):
        (place / "sub-01").mkdir(parents=True)
    before = find_datasets(raw, {})
    software = {"Name": name.format(tmp_path / "elsewhere")}
    (folder / "dataset_description.json").write_text(json.dumps({"GeneratedBy": [software]}))

    found = find_datasets(raw, {})

    assert [dataset.path for dataset in found] == [dataset.path for dataset in before]
