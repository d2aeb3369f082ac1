"""Segmentation, tissue maps and transforms come from where the data's own T1w space was made."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from kraken_bids.bids.datasets import find_datasets
from kraken_bids.bids.inputs import SessionInputs, find_session_inputs
from kraken_bids.parcellations import load_parcellation
from tests.found_labels import labels_of

FS86 = [load_parcellation("fs86")]
SEGMENTATION = "aparc+aseg.mgz"


def find(root: Path, subject: str = "01", **extra: Path) -> list[SessionInputs]:
    datasets = find_datasets(root, extra)
    return list(find_session_inputs(datasets, subject, parcellations=FS86))


def prep(root: Path) -> Path:
    return root / "derivatives/fmriprep"


def anatomy_of(session: SessionInputs) -> set[Path]:
    """Datasets and levels that what is used of the anatomy lies in."""
    used = [p for image in labels_of(session).values() for p in image.files]
    used += [p for run in session.bold_runs for p in run.tissue.values()]
    return {path.parent for path in used if not path.name.startswith("tpl-")}


@pytest.fixture
def sessions(raw: Path, tree: SimpleNamespace) -> Path:
    """Make a subject with BOLD in two sessions; returns its folder."""
    subject = prep(raw) / "sub-03"
    for label in "12":
        tree.write_run(subject / f"ses-{label}/func", f"sub-03_ses-{label}_task-rest")
    return subject


def test_each_session_keeps_to_its_own_anatomy(
    raw: Path, sessions: Path, tree: SimpleNamespace
) -> None:
    """A session with anatomy but without segmentation takes no other session's."""
    tree.write_anat(sessions / "ses-1/anat", "sub-03_ses-1")
    tree.write_anat(sessions / "ses-2/anat", "sub-03_ses-2", aparcaseg=False)
    first, second = find_all(raw)
    assert anatomy_of(first) == {sessions / "ses-1/anat"}
    assert ("T1w", "fs86") not in labels_of(second)
    assert any("-d freesurfer=PATH" in note for note in second.notes)
    stranger = sessions / "ses-1/anat/sub-03_ses-1_desc-aparcaseg_dseg.nii.gz"
    assert any(f"{stranger}: of another session" in note for note in second.notes)


def find_all(raw: Path) -> list[SessionInputs]:
    """Find both sessions, MNI BOLD too, so that a session without T1w labels stays."""
    every = [load_parcellation(name) for name in ("fs86", "shen268")]
    return list(find_session_inputs(find_datasets(raw, {}), "03", parcellations=every))


def test_a_session_without_anatomy_takes_the_only_other_one(
    raw: Path, sessions: Path, tree: SimpleNamespace
) -> None:
    """As fMRIPrep does where one session alone had a T1w image."""
    tree.write_anat(sessions / "ses-1/anat", "sub-03_ses-1")
    assert [anatomy_of(one) for one in find(raw, "03")] == [{sessions / "ses-1/anat"}] * 2


def test_of_two_other_anatomies_none_is_taken(
    raw: Path, sessions: Path, tree: SimpleNamespace
) -> None:
    """Which one BOLD of a third session lies in cannot be told."""
    for label in "23":
        tree.write_anat(sessions / f"ses-{label}/anat", f"sub-03_ses-{label}")
    first, second = find_all(raw)
    assert not anatomy_of(first) & set(sessions.glob("ses-*/anat"))
    assert any("ses-2 and ses-3 each have theirs" in note for note in first.notes)
    assert sessions / "ses-2/anat" in anatomy_of(second)


@pytest.mark.parametrize("other", ["a_first", "z_last"])
def test_segmentations_of_another_dataset_are_not_taken(
    raw: Path, tree: SimpleNamespace, other: str
) -> None:
    """BOLD of one fMRIPrep run lies in its own T1w space, wherever a segmentation is found."""
    (prep(raw) / "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz").unlink()
    stranger = raw / "derivatives" / other
    tree.describe(stranger, "fMRIPrep", "25.2.5")
    tree.write_anat(stranger / "sub-01/anat", "sub-01")
    tree.touch(prep(raw) / "sourcedata/freesurfer", f"sub-01/mri/{SEGMENTATION}")
    tree.touch(stranger / "sourcedata/freesurfer", f"sub-01/mri/{SEGMENTATION}")
    (session,) = find(raw)
    image = labels_of(session)["T1w", "fs86"]
    assert all(path.is_relative_to(prep(raw)) for path in image.files)
    assert session.notes == ()


def test_each_dataset_keeps_to_its_own_segmentation(raw: Path, tree: SimpleNamespace) -> None:
    """Rest prepared by one run of fMRIPrep and a task by another: two T1w spaces."""
    second = raw / "derivatives/second"
    tree.describe(second, "fMRIPrep", "25.2.5")
    tree.write_run(second / "sub-01/func", "sub-01_task-nback")
    tree.write_anat(second / "sub-01/anat", "sub-01")
    (session,) = find(raw)
    found = {run.entities["task"]: run.labels["fs86"].path for run in session.bold_runs}
    assert found["rest"].is_relative_to(prep(raw))
    assert found["nback"].is_relative_to(second)


def test_runs_of_one_task_come_from_one_dataset(raw: Path, tree: SimpleNamespace) -> None:
    """A run that only the second dataset has is not joined to those of the first."""
    second = raw / "derivatives/second"
    tree.describe(second, "fMRIPrep", "20.2.7")
    tree.write_anat(second / "sub-01/anat", "sub-01")
    for run in ("", "_run-2"):
        tree.write_run(second / "sub-01/func", f"sub-01_task-rest{run}")
    (session,) = find(raw)
    assert [run.bold.is_relative_to(prep(raw)) for run in session.bold_runs] == [True]
    assert any(f"BOLD series of {second} are left aside" in note for note in session.notes)
    (session,) = find(raw, fmriprep=second)
    assert {run.bold.is_relative_to(second) for run in session.bold_runs} == {True}


def test_anatomy_of_smriprep(raw: Path, tree: SimpleNamespace) -> None:
    """FMRIPrep was given its anatomy (--derivatives): tissue maps and segmentation lie there."""
    smriprep = raw / "derivatives/smriprep"
    tree.describe(smriprep, "sMRIPrep", "0.19.2")
    shutil.move(prep(raw) / "sub-01/anat", smriprep / "sub-01/anat")
    old = raw / "derivatives/another"
    tree.describe(old, "fMRIPrep", "20.2.7")
    tree.write_anat(old / "sub-01/anat", "sub-01")
    (session,) = find(raw)
    assert anatomy_of(session) == {smriprep / "sub-01/anat"}
    assert set(session.bold_runs[0].tissue) == {"GM", "WM", "CSF"}


def test_what_fmriprep_adds_to_an_anatomy_it_was_given(raw: Path, tree: SimpleNamespace) -> None:
    """From 25.2 it writes the segmentation itself, and maps in template spaces."""
    smriprep = raw / "derivatives/smriprep"
    tree.describe(smriprep, "sMRIPrep", "0.19.2")
    tree.write_anat(smriprep / "sub-01/anat", "sub-01", aparcaseg=False)
    for path in (prep(raw) / "sub-01/anat").iterdir():
        if "aparcaseg" not in path.name:
            path.unlink()
    (session,) = find(raw)
    assert labels_of(session)["T1w", "fs86"].path.is_relative_to(prep(raw))
    assert {p.parent for p in session.bold_runs[0].tissue.values()} == {smriprep / "sub-01/anat"}
    assert session.notes == ()


def test_anatomy_of_a_dataset_that_is_no_smriprep_is_said(
    raw: Path, tree: SimpleNamespace
) -> None:
    """It may be the right one, and it may not."""
    other = raw / "derivatives/other"
    tree.describe(other, "fMRIPrep", "23.0.0")
    shutil.move(prep(raw) / "sub-01/anat", other / "sub-01/anat")
    (session,) = find(raw)
    assert anatomy_of(session) == {other / "sub-01/anat"}
    assert any(f"that of {other} is used" in note for note in session.notes)


def test_missing_tissue_maps_are_said(raw: Path) -> None:
    """Without them other regressors are used, and numbers differ."""
    for path in (prep(raw) / "sub-01/anat").glob("sub-01_label-*_probseg.nii.gz"):
        path.unlink()
    (session,) = find(raw)
    (note,) = session.notes
    for part in ("label-WM_probseg", "BOLD in T1w", "-d smriprep=PATH"):
        assert part in note


def name_cohort(folder: Path, name: str, cohort: str) -> None:
    """Rename the template's files after a cohort, as fMRIPrep does."""
    for path in sorted(folder.rglob("*MNI152NLin6Asym*")):
        new = path.name.replace("space-MNI152NLin6Asym", f"space-{name}_cohort-{cohort}")
        path.rename(path.with_name(new.replace("MNI152NLin6Asym", f"{name}+{cohort}")))


def write_cohorts(raw: Path, tree: SimpleNamespace, cohorts: Sequence[str]) -> None:
    """Lay out BOLD, tissue maps and transforms in cohorts of one template alone."""
    subject = prep(raw) / "sub-01"
    shutil.rmtree(subject / "func")
    for cohort in cohorts:
        tree.write_run(subject / "func", "sub-01_task-rest", ("MNI152NLin6Asym_res-2",))
        tree.write_anat(subject / "anat", "sub-01")
        name_cohort(subject, "MNIPediatricAsym", cohort)


def test_cohorts_are_not_mixed(raw: Path, tree: SimpleNamespace) -> None:
    """Mask, tissue maps and transforms are those of the cohort of the BOLD."""
    write_cohorts(raw, tree, "32")
    (session,) = find(raw)
    assert {run.space for run in session.bold_runs} == {"MNIPediatricAsym+2"}
    (run,) = session.bold_runs
    assert run.mask
    assert {"cohort-2" in path.name for path in (run.mask, *run.tissue.values())} == {True}
    assert [path.name for path in run.labels["fs86"].transforms] == [
        "sub-01_from-T1w_to-MNIPediatricAsym+2_mode-image_xfm.h5"
    ]
    assert run.entities["cohort"] == "2"


@pytest.mark.parametrize("where", ["--atlas", "datasets"])
def test_atlases_of_another_cohort_are_refused(
    raw: Path, tree: SimpleNamespace, tmp_path: Path, where: str
) -> None:
    """An atlas goes with the BOLD of its own cohort alone, and without one with none."""
    write_cohorts(raw, tree, "23")
    shen = load_parcellation("shen268")
    name = "tpl-MNIPediatricAsym_cohort-{}_atlas-shen268_res-1_dseg.nii.gz"
    for cohort, spaces in (("3", {"MNIPediatricAsym+3"}), ("1", set())):
        image = tmp_path / name.format(cohort)
        image.touch()
        found = {"shen268": str(image)}
        if where == "datasets":
            folder = raw / "derivatives/atlases/tpl-MNIPediatricAsym"
            shutil.rmtree(raw / "derivatives/atlases/tpl-MNI152NLin6Asym", ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            tree.touch(folder / "anat", name.format(cohort))
            shen, found = replace(shen, space=f"MNIPediatricAsym+{cohort}"), {}
        (session,) = find_session_inputs(
            find_datasets(raw, {}), "01", parcellations=[*FS86, shen], atlas_images=found
        )
        assert {space for space, atlas in labels_of(session) if atlas == "shen268"} == spaces
        said = any("Cohorts of one template" in note for note in session.notes)
        assert said is not bool(spaces)
