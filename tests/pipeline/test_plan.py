"""Finding what to measure costs no library that measures, and no tree walk."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kraken_bids.bids.datasets import find_datasets
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.pipeline import plan
from kraken_bids.pipeline.plan import plan_participants
from kraken_bids.settings import DataSettings, FunctionalSettings, Settings, StructuralSettings

HEAVY = ("torch", "numpy", "scipy", "nibabel", "pandas", "bids", "nilearn", "matplotlib")
MOST_MODULES = 90
"""Of this package that a dry run may import; 80 today, some milliseconds for each ten."""


def write_participant(root: Path, label: str) -> None:
    """One run in T1w space, images empty."""
    for folder in ("anat", "func"):
        (root / label / folder).mkdir(parents=True)
    stem = root / label / "func" / f"{label}_task-rest"
    for ending in (
        *("space-T1w_desc-preproc_bold.nii.gz", "desc-confounds_timeseries.tsv"),
        *("space-T1w_desc-brain_mask.nii.gz",),
    ):
        stem.with_name(f"{stem.name}_{ending}").touch()
    (root / label / "anat" / f"{label}_desc-aparcaseg_dseg.nii.gz").touch()


def write_dataset(root: Path) -> None:
    root.mkdir()
    content = {"Name": "x", "DatasetType": "derivative", "GeneratedBy": [{"Name": "fMRIPrep"}]}
    (root / "dataset_description.json").write_text(json.dumps(content))
    for label in ("sub-01", "sub-02"):
        write_participant(root, label)


def note_folders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Folders whose content is listed from now on."""
    opened: list[str] = []
    scandir = os.scandir

    def note(path: str | Path = ".") -> object:
        opened.append(str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", note)
    return opened


def test_planning_imports_nothing_heavy() -> None:
    """A dry run, and a cluster's submit node, wait for no library that measures or predicts."""
    code = f"import sys, kraken_bids.pipeline.plan; sys.exit(str(set({HEAVY}) & set(sys.modules)))"
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert outcome.stderr.strip() == "set()"


def test_a_dry_run_imports_little(tmp_path: Path) -> None:
    """Files that are found by their names and sidecars are not opened, nor are their readers."""
    write_dataset(tmp_path / "fmriprep")
    command = ["kraken-bids", "fmriprep", "out", "participant", "--dry-run"]
    code = f"""if True:
        import sys
        from kraken_bids.cli.app import main
        sys.argv = {command}
        try:
            main()
        finally:
            own = [name for name in sys.modules if name.startswith("kraken_bids")]
            print(len(own), *set({HEAVY}) & set(sys.modules))
    """
    outcome = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert outcome.stderr.count("_desc-preproc_bold.nii.gz → fs86") == 2
    n_own, *heavy = outcome.stdout.split()
    assert not heavy
    assert int(n_own) <= MOST_MODULES


def test_only_the_folders_of_the_participant_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planning one participant opens no folder of another."""
    root = tmp_path / "fmriprep"
    write_dataset(root)
    opened = note_folders(monkeypatch)
    data = DataSettings(bids_dir=root, output_dir=tmp_path / "out", participants=("02",))
    plan = plan_participants(Settings(data=data))
    assert [task.session.subject for task in plan.tasks] == ["02"]
    assert plan.datasets == find_datasets(root, {})
    assert any("sub-02" in path for path in opened)
    assert not [path for path in opened if "sub-01" in path]


def test_a_ridge_for_no_atlas_is_refused(tmp_path: Path) -> None:
    """A misspelled atlas in --pcorr-lambda is named; one that is not measured now does no harm."""
    write_dataset(tmp_path / "fmriprep")
    data = DataSettings(tmp_path / "fmriprep", tmp_path / "out", atlases=("fs86",))
    known = FunctionalSettings(pcorr_lambda={"shen268": 0.1})
    assert plan_participants(Settings(data, known)).tasks
    unknown = FunctionalSettings(pcorr_lambda={"shen": 0.1})
    with pytest.raises(SettingsError, match=r"among fs86.*found shen"):
        plan_participants(Settings(data, unknown))


@pytest.mark.parametrize("option", ["tractogram", "tractogram_weights"])
def test_one_tractogram_for_several_participants_is_refused(tmp_path: Path, option: str) -> None:
    """Everyone would have the structure of one; a single participant may give a plain path."""
    write_dataset(tmp_path / "fmriprep")
    data = DataSettings(tmp_path / "fmriprep", tmp_path / "out", atlases=("fs86",))
    structural = StructuralSettings(**{option: "/d/tracks.tck"})
    with pytest.raises(SettingsError, match=r"\{subject\} in the path for 2 participants"):
        plan_participants(Settings(data, structural=structural))
    one = replace(data, participants=("01",))
    assert plan_participants(Settings(one, structural=structural)).subjects == ("01",)
    each = StructuralSettings(**{option: "/d/{subject}.tck"})
    assert len(plan_participants(Settings(data, structural=each)).subjects) == 2


def test_a_second_participant_lists_its_own_folders_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What all participants share, such as atlases in the dataset, is looked up once."""
    root = tmp_path / "fmriprep"
    write_dataset(root)
    folder = root / "tpl-MNI152NLin6Asym" / "anat"
    folder.mkdir(parents=True)
    (folder / "tpl-MNI152NLin6Asym_atlas-shen268_res-01_dseg.nii.gz").touch()
    shared = []
    for wanted in (("01",), ("01", "02")):
        opened = note_folders(monkeypatch)
        data = DataSettings(bids_dir=root, output_dir=tmp_path / "out", participants=wanted)
        assert len(plan_participants(Settings(data=data)).tasks) == len(wanted)
        shared.append([path for path in opened if "sub-" not in path])
    assert shared[0] == shared[1]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InputError("closed folder"), "closed folder"),
        (PermissionError(13, "Permission denied", "/x/mri"), "Permission denied: '/x/mri'"),
        (OSError(116, "Stale file handle"), "Stale file handle"),
    ],
)
def test_a_participant_who_cannot_be_read_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    """Whatever the system refuses, the others are planned."""
    write_dataset(tmp_path / "in")
    find = plan.find_session_inputs

    def refuse_one(datasets: object, subject: str, **options: object) -> object:
        if subject == "01":
            raise error
        return find(datasets, subject, **options)

    monkeypatch.setattr(plan, "find_session_inputs", refuse_one)

    found = plan_participants(Settings(DataSettings(tmp_path / "in", tmp_path / "out")))

    assert [task.label for task in found.tasks] == ["sub-02"]
    (failure,) = found.failures
    assert failure.participant_id == "sub-01"
    assert failure.exit_code == 3
    assert words in failure.message
