"""Folders of the HCP and of UK Biobank become subjects, sessions and runs."""

from pathlib import Path

import pytest

from kraken_bids.bids.datasets import find_datasets, find_subjects
from kraken_bids.bids.foreign_layouts import (
    HCP,
    UK_BIOBANK,
    find_layout,
    list_hcp_runs,
    list_sessions,
    parse_run,
)
from kraken_bids.exceptions import InputError


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.mark.parametrize(
    ("name", "entities"),
    [
        ("rfMRI_REST1_LR", {"task": "rest", "dir": "LR", "run": "1"}),
        ("rfMRI_REST2_7T_PA", {"task": "rest", "acq": "7T", "dir": "PA", "run": "2"}),
        ("tfMRI_WM_RL", {"task": "wm", "dir": "RL"}),
        ("rfMRI_REST", {"task": "rest"}),
        ("rfMRI_AP", {"task": "rest", "dir": "AP"}),
        ("tfMRI_2BK_AP", {"task": "2bk", "dir": "AP"}),
        ("task-rest_acq-ap_run-01_bold", {"task": "rest", "acq": "ap", "run": "01"}),
        ("restingstate", {"task": "restingstate"}),
        ("_", {"task": "task"}),
    ],
)
def test_names_of_runs_are_free(name: str, entities: dict[str, str]) -> None:
    """HCP's own, 7T, tasks, multi-run, BIDS App, people's own."""
    assert parse_run(name) == entities


@pytest.mark.parametrize(
    ("folder", "session"),
    [
        ("100307", ("100307", None)),
        ("sub-100307", ("100307", None)),
        ("HCA6002236_V1_MR", ("HCA6002236", "V1")),
        ("sub-01/files", ("01", None)),
        ("sub-01/ses-a", ("01", "a")),
        ("sub-01/ses-a/files", ("01", "a")),
        ("pilot.3_b_2", ("pilot3b2", None)),
    ],
)
def test_a_folder_of_the_hcp_is_a_subject(
    tmp_path: Path, folder: str, session: tuple[str, str | None]
) -> None:
    """By the ways in which releases and tools lay them out."""
    root = make(tmp_path, f"{folder}/MNINonLinear/T1w.nii.gz", "readme.txt", "empty/x")
    assert find_layout(root) == HCP
    assert list_sessions(root, HCP) == {session: (root / folder,)}
    (dataset,) = find_datasets(root, {})
    assert find_subjects([dataset], []) == (session[0],)


def test_two_folders_of_one_person_are_refused(tmp_path: Path) -> None:
    """100307 and sub-100307 cannot be told apart."""
    names = ("100307", "sub-100307")
    root = make(tmp_path, *(f"{name}/MNINonLinear/T1w.nii.gz" for name in names))
    with pytest.raises(InputError, match="both are sub-100307"):
        list_sessions(root, HCP)


def test_fields_of_one_instance_of_uk_biobank_belong_together(tmp_path: Path) -> None:
    """Unpacked apart or together; instance 3 is another session; no BOLD, no session."""
    root = make(
        tmp_path,
        "1000001_20227_2_0/fMRI/rfMRI.ica/x",
        "1000001_20252_2_0/T1/x",
        "1000001_3_0/fMRI/rfMRI.ica/x",
        "1000002/fMRI/rfMRI.ica/x",
        "1000003_20252_2_0/T1/x",
    )
    assert find_layout(root) == UK_BIOBANK
    assert list_sessions(root, UK_BIOBANK) == {
        ("1000001", "2"): (root / "1000001_20227_2_0", root / "1000001_20252_2_0"),
        ("1000001", "3"): (root / "1000001_3_0",),
        ("1000002", None): (root / "1000002",),
    }


def test_one_participants_folder_is_not_taken_for_the_dataset(tmp_path: Path) -> None:
    """The message names the folder to give."""
    root = make(tmp_path, "100307/MNINonLinear/T1w.nii.gz", "7/fMRI/rfMRI.ica/x")
    for name in ("100307", "7"):
        with pytest.raises(InputError, match=rf"one participant.*give the one above, {root}"):
            find_datasets(root / name, {})


def test_a_bids_dataset_is_none_of_them(raw: Path) -> None:
    """Nor is an empty folder."""
    assert find_layout(raw) == find_layout(raw / "derivatives/fmriprep") == ""


def test_a_folder_of_the_hcp_can_be_named(tmp_path: Path, raw: Path) -> None:
    """``-d hcp=PATH`` beside a BIDS dataset; under derivatives/ it is found by itself."""
    root = make(tmp_path / "data", "100307/MNINonLinear/T1w.nii.gz")
    named = find_datasets(raw, {"hcp": root})[0]
    assert (named.name, named.pipeline, named.kind) == ("hcp", HCP, "derivative")
    make(raw / "derivatives/s1200", "100307/MNINonLinear/T1w.nii.gz")
    found = {d.name: d.pipeline for d in find_datasets(raw, {})}
    assert found["s1200"] == HCP


def test_a_description_in_a_folder_of_the_hcp_changes_nothing(tmp_path: Path) -> None:
    """Somebody may have put one there; nobody's folder is called sub-."""
    make(tmp_path, "100307/MNINonLinear/T1w.nii.gz")
    (tmp_path / "dataset_description.json").write_text('{"Name": "HCP", "BIDSVersion": "1.8.0"}')
    (dataset,) = find_datasets(tmp_path, {})
    assert (dataset.pipeline, dataset.kind) == (HCP, "derivative")


def test_new_folders_are_seen(tmp_path: Path) -> None:
    """What was listed is listed again where the root has changed."""
    make(tmp_path, "1/MNINonLinear/x")
    assert len(list_sessions(tmp_path, HCP)) == 1
    make(tmp_path, "2/MNINonLinear/x")
    assert len(list_sessions(tmp_path, HCP)) == 2


def test_the_training_datas_version_of_a_run_comes_first(tmp_path: Path) -> None:
    """hp2000_clean before others; reclassified and temporal ICA after; variances are none."""
    results = "1/MNINonLinear/Results"
    runs = {
        "rfMRI_REST1_LR": ("_hp2000_clean_rclean_tclean", "_hp2000_clean", "_hp0_clean", ""),
        "rfMRI_REST1_RL": ("_hp0_clean_tclean", "_hp0_clean_rclean_tclean", "_hp0_clean_vn"),
        "rfMRI_REST2_LR": ("", "_hp2000_clean_vn", "_SBRef"),
        "rfMRI_REST2_RL": ("_Atlas_MSMAll_hp2000_clean",),
    }
    for name, endings in runs.items():
        make(tmp_path, *(f"{results}/{name}/{name}{ending}.nii.gz" for ending in endings))
    found = {run.folder.name: run for run in list_hcp_runs(tmp_path / "1")}
    assert {k: r.bold.name if r.bold else None for k, r in found.items()} == {
        "rfMRI_REST1_LR": "rfMRI_REST1_LR_hp2000_clean.nii.gz",
        "rfMRI_REST1_RL": "rfMRI_REST1_RL_hp0_clean_tclean.nii.gz",
        "rfMRI_REST2_LR": "rfMRI_REST2_LR.nii.gz",
        "rfMRI_REST2_RL": None,
    }
    assert [run.is_fix for run in found.values()] == [True, True, False, False]
    assert found["rfMRI_REST1_LR"].others == (
        "rfMRI_REST1_LR_hp0_clean.nii.gz",
        "rfMRI_REST1_LR_hp2000_clean_rclean_tclean.nii.gz",
    )


def test_lettered_runs_are_numbered(tmp_path: Path) -> None:
    """HCP-D's REST1a and REST1b: BIDS wants whole numbers."""
    names = ["rfMRI_REST1a_AP", "rfMRI_REST1a_PA", "rfMRI_REST1b_AP", "rfMRI_REST2_AP"]
    make(tmp_path, *(f"1/MNINonLinear/Results/{n}/{n}_hp0_clean.nii.gz" for n in names))
    found = [run.entities["run"] for run in list_hcp_runs(tmp_path / "1")]
    assert found == ["1", "1", "2", "3"]
