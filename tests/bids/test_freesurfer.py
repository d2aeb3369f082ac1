"""FreeSurfer's folder is the one that the run of fMRIPrep used, by its version and anatomy."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from kraken_bids.bids.datasets import find_datasets
from kraken_bids.bids.inputs import SessionInputs, find_session_inputs
from kraken_bids.parcellations import load_parcellation
from tests.found_labels import labels_of

PARCELLATIONS = [load_parcellation(name) for name in ("fs86", "shen268")]


def make_session(
    raw: Path,
    tree: SimpleNamespace,
    names: Sequence[str],
    *,
    version: str,
    anat: str,
    pipeline: str = "fMRIPrep",
) -> SessionInputs:
    """Lay out BOLD of ses-1, an anatomy at a level, FreeSurfer's folders; find the session."""
    root = raw / "derivatives/fmriprep"
    tree.describe(root, pipeline, version)
    subject = root / "sub-05"
    tree.write_run(subject / "ses-1/func", "sub-05_ses-1_task-rest")
    stem = "sub-05_ses-1" if anat else "sub-05"
    tree.write_anat(subject / anat / "anat", stem, aparcaseg=False)
    tree.touch(root / "sourcedata/freesurfer", *(f"{n}/mri/aparc+aseg.mgz" for n in names))
    (session,) = find_session_inputs(find_datasets(raw, {}), "05", parcellations=PARCELLATIONS)
    return session


BARE, FIRST, BOTH = "sub-05", "sub-05_ses-1", "sub-05_ses-2+1"
SECOND = "sub-05_ses-2"


@pytest.mark.parametrize(
    ("version", "anat", "names", "used"),
    [
        ("24.1.1", "", (BARE, FIRST, SECOND), BARE),
        ("20.2.7", "ses-1", (BARE, FIRST), BARE),
        ("25.1.4", "ses-1", (BARE, FIRST), BARE),
        ("25.2.5", "ses-1", (FIRST, SECOND), FIRST),
        ("25.2.0", "", (BOTH,), BOTH),
        ("25.2.5", "", (BARE,), BARE),
        ("26.0.0", "", (BARE,), BARE),
        ("26.0.0", "ses-1", (FIRST, SECOND), FIRST),
        ("25.3.0.dev12+gab", "", (BARE, SECOND), BARE),
        ("25.2.5", "", (BARE, "sub-05_ses-1.long.sub-05_template"), BARE),
        ("", "", (BARE,), BARE),
        ("", "ses-1", (FIRST,), FIRST),
    ],
)
def test_which_folder(
    raw: Path,
    tree: SimpleNamespace,
    version: str,
    anat: str,
    names: tuple[str, ...],
    used: str,
) -> None:
    """Named by subject before 25.2; by session, or all sessions, from then on. No alarm."""
    session = make_session(raw, tree, names, version=version, anat=anat)
    path = labels_of(session)["T1w", "fs86"].path
    assert path.parts[-3] == used
    assert not any("FreeSurfer" in note for note in session.notes)


@pytest.mark.parametrize(
    ("version", "anat", "names", "used"),
    [
        ("25.2.5", "ses-1", (BARE, FIRST), FIRST),
        ("25.2.5", "", (BARE, BOTH), BOTH),
        ("26.0.0", "", (BARE, BOTH), BARE),
        ("", "", (BARE, FIRST), BARE),
    ],
)
def test_a_choice_between_folders_is_said(
    raw: Path,
    tree: SimpleNamespace,
    version: str,
    anat: str,
    names: tuple[str, ...],
    used: str,
) -> None:
    """Where a version may have used either, all are named and the one that is used."""
    session = make_session(raw, tree, names, version=version, anat=anat)
    assert labels_of(session)["T1w", "fs86"].path.parts[-3] == used
    (note,) = [note for note in session.notes if "may all be that of sub-05_ses-1" in note]
    assert f"aparc+aseg.mgz of {used} is used" in note


def test_folders_that_the_version_cannot_have_made(raw: Path, tree: SimpleNamespace) -> None:
    """FMRIPrep 24 with folders of sessions alone: another run of FreeSurfer, and not used."""
    session = make_session(raw, tree, (FIRST, SECOND), version="24.1.1", anat="")
    assert ("T1w", "fs86") not in labels_of(session)
    assert any("were not made by fMRIPrep 24.1.1" in note for note in session.notes)


def test_the_dataset_own_folder_comes_first(raw: Path, tree: SimpleNamespace) -> None:
    """FreeSurfer in or beside the dataset of the transform, before one that lies elsewhere."""
    tree.describe(raw / "derivatives/a_first", "fMRIPrep", "24.1.1")
    stranger = raw / "derivatives/a_first/sourcedata/freesurfer"
    tree.touch(stranger, f"{BARE}/mri/aparc+aseg.mgz")
    session = make_session(raw, tree, (BARE,), version="24.1.1", anat="")
    path = labels_of(session)["T1w", "fs86"].path
    assert path.is_relative_to(raw / "derivatives/fmriprep")
