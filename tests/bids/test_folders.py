"""Folders that are closed, empty or not installed: named, and nobody else stops for them."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from kraken_bids.bids import folders
from kraken_bids.bids.datasets import find_datasets, find_subjects
from kraken_bids.bids.folders import explain_folder, list_folder
from kraken_bids.bids.index import list_subject_files
from kraken_bids.bids.inputs import find_session_inputs
from kraken_bids.exceptions import InputError
from kraken_bids.parcellations import load_parcellation

Close = Callable[[Path], None]


@pytest.fixture
def close(monkeypatch: pytest.MonkeyPatch) -> Close:
    """Close a folder for this user, also where the user is root, who may read everything."""
    closed: set[str] = set()
    real = os.scandir

    def scandir(path: os.PathLike[str]) -> object:
        if os.fspath(path) in closed:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(folders.os, "scandir", scandir)  # type: ignore[attr-defined]
    return lambda path: closed.add(str(path))


def test_a_closed_dataset_is_named_and_left_out(
    raw: Path, tree: SimpleNamespace, close: Close, caplog: pytest.LogCaptureFixture
) -> None:
    """A colleague's folder beside fMRIPrep's does not end the run."""
    tree.touch(raw, "derivatives/private/notes.txt")
    close(raw / "derivatives/private")

    with caplog.at_level(logging.INFO, "kraken_bids"):
        found = [d.name for d in find_datasets(raw, {})]

    assert found == ["study", "atlases", "fmriprep"]
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "derivatives/private cannot be read (Permission denied)" in caplog.text


@pytest.mark.parametrize("place", ["", "func", "ses-1/func"])
def test_a_closed_participant_has_an_error_of_its_own(
    raw: Path, tree: SimpleNamespace, close: Close, place: str
) -> None:
    """Whichever of its folders is closed, the message names it."""
    prep = raw / "derivatives/fmriprep"
    tree.touch(prep, "sub-09/ses-1/func/x", "sub-09/func/x")
    close(prep / "sub-09" / place)

    with pytest.raises(InputError, match=rf"sub-09/?{place}; reading it gave: Permission denied"):
        list_subject_files(find_datasets(raw, {}), "09")


@pytest.mark.parametrize(("datalad", "level"), [(True, "WARNING"), (False, "INFO")])
def test_an_empty_dataset_is_worth_a_warning_where_parts_may_not_be_installed(
    raw: Path, caplog: pytest.LogCaptureFixture, datalad: bool, level: str
) -> None:
    """Elsewhere it is most often an output folder that waits to be filled."""
    (raw / "derivatives/qsirecon").mkdir()
    if datalad:
        (raw / ".gitmodules").touch()

    with caplog.at_level(logging.INFO, "kraken_bids"):
        find_datasets(raw, {})

    assert [r.levelname for r in caplog.records] == [level]
    assert "qsirecon is empty" in caplog.text
    assert "datalad get qsirecon" in caplog.text


def test_where_everything_is_empty_the_error_says_what_is(tmp_path: Path) -> None:
    """No derivatives are found since the one that is there is not installed."""
    (tmp_path / "sub-01").mkdir()
    (tmp_path / "derivatives/fmriprep").mkdir(parents=True)
    (tmp_path / "derivatives/qsirecon").symlink_to("/nowhere/qsirecon")

    with pytest.raises(InputError) as caught:
        find_datasets(tmp_path, {})

    assert "fmriprep is empty; in a DataLad dataset" in str(caught.value)
    assert "qsirecon is a link to /nowhere/qsirecon" in str(caught.value)


def test_a_link_to_nowhere_is_a_participant_who_is_not_installed(
    raw: Path, tree: SimpleNamespace
) -> None:
    """It is listed, so that it fails by name; reports of other tools are no subjects."""
    prep = raw / "derivatives/fmriprep"
    tree.touch(prep, "sub-01/func/x")
    (prep / "sub-03").symlink_to("/nowhere/sub-03")
    (prep / "sub-04.html").symlink_to("/annex/objects/sub-04.html")
    datasets = find_datasets(raw, {})

    assert "03" in find_subjects(datasets, [])
    assert "04.html" not in find_subjects(datasets, [])
    with pytest.raises(InputError, match=r"sub-03 is a link to /nowhere/sub-03.*datalad get"):
        find_session_inputs(datasets, "03", parcellations=[load_parcellation("fs86")])


def test_an_ordinary_folder_has_nothing_to_explain(tmp_path: Path) -> None:
    """Nor one that is not there, nor a file."""
    (tmp_path / "b").mkdir()
    (tmp_path / "a").touch()

    assert [e.name for e in list_folder(tmp_path)] == ["a", "b"]
    assert explain_folder(tmp_path) == ""
    assert explain_folder(tmp_path / "a") == ""
    assert explain_folder(tmp_path / "c") == ""
