"""A database of pybids lists what its folders would, and one that does not belong is refused."""

import logging
import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from bids import BIDSLayout
from bids.layout import BIDSLayoutIndexer

from kraken_bids.bids.database import DATABASE, attach_databases
from kraken_bids.bids.datasets import find_datasets
from kraken_bids.bids.index import list_subject_files
from kraken_bids.exceptions import InputError

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # pybids leaves files open


@pytest.fixture
def prep(raw: Path, tree: SimpleNamespace) -> Path:
    """Make derivatives with and without sessions, and files that are passed over."""
    root = raw / "derivatives/fmriprep"
    for session in ("1", "02"):
        folder = root / f"sub-02/ses-{session}"
        tree.write_run(folder / "func", f"sub-02_ses-{session}_task-rest")
        tree.touch(folder, "figures/sub-02_x.svg", "func/.hidden.json", "func/deep/sub-02_x.tsv")
    tree.touch(root, "sub-02/sub-02_scans.tsv", "sub-01/log/sub-01_x.json", "sub-01.html")
    return root


def make(root: Path, folder: Path, *, derivatives: bool = False) -> Path:
    """Index a dataset into a database, as XCP-D does."""
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False)
    BIDSLayout(
        root, validate=False, derivatives=derivatives, indexer=indexer, database_path=folder
    )
    return folder


@pytest.mark.parametrize("of_the_raw", [True, False])
def test_a_database_lists_what_folders_do(
    raw: Path, prep: Path, tmp_path: Path, of_the_raw: bool
) -> None:
    """The same files in the same order, from one of the derivatives or of all with the raw."""
    folder = make(raw if of_the_raw else prep, tmp_path / "db", derivatives=of_the_raw)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    walked = find_datasets(raw, {})
    stored = attach_databases(walked, folder)
    assert any(one.database for one in stored)
    for subject in ("01", "02"):
        expected = [f for f in list_subject_files(walked, subject) if f.path.is_file()]
        found = list_subject_files(stored, subject)
        assert [replace(f, dataset=expected[0].dataset) for f in found] == expected
        assert len(found) > 5
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_folders_are_not_walked(raw: Path, prep: Path, tmp_path: Path) -> None:
    """What came after the database is not seen, and this is said."""
    stored = attach_databases(find_datasets(raw, {}), make(prep, tmp_path / "db"))
    late = prep / "sub-01/func/sub-01_task-late_desc-preproc_bold.nii.gz"
    late.touch()
    os.utime(late.parent, (2e9, 2e9))
    assert late not in [f.path for f in list_subject_files(stored, "01")]


def test_a_database_older_than_its_files_is_said(
    raw: Path, prep: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder that changed later is named; a subject who came later is refused."""
    stored = attach_databases(find_datasets(raw, {}), make(prep, tmp_path / "db"))
    caplog.clear()
    with caplog.at_level(logging.WARNING, "kraken_bids"):
        list_subject_files(stored, "01")
        assert not caplog.records
        os.utime(prep / "sub-01/func", (2e9, 2e9))
        list_subject_files(stored, "01")
    assert "sub-01/func has changed since" in caplog.text
    (prep / "sub-03").mkdir()
    with pytest.raises(InputError, match=r"sub-03 in the database.*found none"):
        list_subject_files(stored, "03")


def test_a_database_of_another_dataset_is_refused(raw: Path, prep: Path, tmp_path: Path) -> None:
    """A database that fMRIPrep made for itself is of the raw data."""
    folder = make(raw, tmp_path / "db")
    with pytest.raises(InputError, match=rf"a database of .*{prep}.*is of {raw}\. Make one"):
        attach_databases(find_datasets(raw, {}), folder)


@pytest.mark.parametrize("content", [None, b"", b"no database", "CREATE TABLE files (path)"])
def test_what_is_no_database_of_this_pybids_is_refused(
    raw: Path, tmp_path: Path, content: bytes | str | None
) -> None:
    """A folder without one, a broken file, and one with other tables."""
    folder = tmp_path / "db"
    folder.mkdir()
    if isinstance(content, bytes):
        (folder / DATABASE).write_bytes(content)
    elif content:
        with sqlite3.connect(folder / DATABASE) as database:
            database.execute(content)
        database.close()
    with pytest.raises(
        InputError, match="found none" if content is None else "of another version"
    ):
        attach_databases(find_datasets(raw, {}), folder)
    assert content is not None or not list(folder.iterdir())
