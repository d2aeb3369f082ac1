"""Whether a folder is as its runs left it: its files, and numbers computed again from them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kraken_bids.bids.outputs import latents_path, relmat_path, sidecar_path, timeseries_path
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.manifests import (
    GROUP,
    Finding,
    manifest_path,
    read_manifest,
    write_manifest,
)
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.writing import write_json, write_relmat, write_table
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.participant import plan_predictions
from kraken_bids.pipeline.predict.session_predictions import predict_members
from kraken_bids.pipeline.verified_outputs import verify_outputs
from kraken_bids.pipeline.workers import InlineExecutor
from kraken_bids.settings import DataSettings, PredictionSettings, Settings

FLAVOR = parse_flavor("FCcorr_fs86_hpf")


@pytest.fixture
def recorded(output_dir: Path, model: Model, rng: np.random.Generator) -> Path:
    """Predict two of twelve people; one has cleaned series; record everyone's files."""
    series = rng.standard_normal((70, 86))
    path = timeseries_path(output_dir, {"sub": "01", "task": "rest"}, "fs86", is_clean=True)
    write_table(path, {f"r{k}": series[:, k] for k in range(86)})
    write_json(sidecar_path(path), {"VolumesKept": [1] * 70})
    measured = relmat_path(output_dir, {"sub": "01"}, FLAVOR, source=None)
    write_relmat(measured, np.corrcoef(series.T))
    runs = [{"File": "sub-01_task-rest_bold.nii.gz"}]
    write_json(sidecar_path(measured), {"Runs": runs, "MissingRegions": []})
    members = list_members(output_dir)
    settings = Settings(
        DataSettings(output_dir / "bids", output_dir),
        prediction=PredictionSettings(
            adaptation="none", sources=("fusion", FLAVOR.name), targets=model.flavors[1:]
        ),
    )
    plan, _ = plan_predictions(settings, model, members)
    assert all(error is None for _, error in predict_members(plan, members[:2], InlineExecutor()))
    for member in members:
        write_manifest(output_dir, member.subject)
    write_manifest(output_dir, GROUP)
    return output_dir


def test_nothing_differs_in_what_was_left(recorded: Path, model_folder: Path) -> None:
    """Every file by its hash; every prediction, and the connectome of series, once more."""
    found = verify_outputs(recorded, n_sampled=12, model=str(model_folder))
    assert found.is_sound
    assert found.findings == []
    there = [path for path in recorded.rglob("*") if path.is_file()]
    assert found.n_files == sum("logs" not in path.parts for path in there)
    names = [(one.session, one.what) for one in found.recomputed]
    assert names.count(("sub-01", FLAVOR.name)) == 1
    assert len(names) == 1 + 2 * 2 * 2  # people, sources, targets
    assert max(one.difference for one in found.recomputed) < 5e-6


def test_a_changed_number_is_found_twice(recorded: Path, model_folder: Path, model: Model) -> None:
    """By the hash of its file, and by what the model says of the latents."""
    target = model.flavors[2]
    path = relmat_path(recorded, {"sub": "02"}, target, source="fusion")
    square = read_relmat(path)
    square[3, 5] = square[5, 3] = square[3, 5] + 0.5
    write_relmat(path, square)
    found = verify_outputs(recorded, n_sampled=12, model=str(model_folder))
    assert found.findings == [Finding(path.relative_to(recorded).as_posix(), "changed")]
    (differing,) = [one for one in found.recomputed if not one.is_same]
    assert (differing.session, differing.what) == ("sub-02", f"fusion -> {target.name}")
    lines = list(found.list_lines())
    assert any(line.startswith("differs: sub-02, fusion -> SCifod2act") for line in lines)
    assert lines[-1].endswith("9 connectomes computed again, 8 the same")


def test_series_that_were_changed_give_another_connectome(
    recorded: Path, model_folder: Path
) -> None:
    """Whatever the record says."""
    path = timeseries_path(recorded, {"sub": "01", "task": "rest"}, "fs86", is_clean=True)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines[1:][::-1][1:], lines[1]]) + "\n")
    write_manifest(recorded, "01")
    found = verify_outputs(recorded, n_sampled=12, model=str(model_folder))
    assert found.findings == []
    assert [one.what for one in found.recomputed if not one.is_same] == [FLAVOR.name]


@pytest.mark.parametrize("is_same", [True, False])
def test_edges_of_a_region_without_data_are_the_same_where_both_lack_them(
    recorded: Path, *, is_same: bool
) -> None:
    """A region whose series is n/a has NaN in the connectome, and only such a one."""
    series = timeseries_path(recorded, {"sub": "01", "task": "rest"}, "fs86", is_clean=True)
    columns = read_columns(series)
    columns["r5"][:] = np.nan
    write_table(series, columns)
    measured = relmat_path(recorded, {"sub": "01"}, FLAVOR, source=None)
    square = read_relmat(measured).copy()
    gone = [5] if is_same else [5, 7]
    square[gone] = square[:, gone] = np.nan
    write_relmat(measured, square)

    found = verify_outputs(recorded, n_sampled=12)

    own = [one for one in found.recomputed if one.what == FLAVOR.name and one.session == "sub-01"]
    assert [one.is_same for one in own] == [is_same]


def test_what_is_missing_and_what_is_new(recorded: Path) -> None:
    """Files of participants whom no run has recorded are among the findings."""
    next((recorded / "sub-03" / "dwi").glob("*.tsv")).unlink()
    (recorded / "logs" / "sub-04_files.tsv").unlink()
    (recorded / "group.html").write_text("x")
    found = verify_outputs(recorded, n_sampled=0)
    kinds = sorted({(one.path.partition("/")[0], one.what) for one in found.findings})
    assert kinds == [("group.html", "extra"), ("sub-03", "missing"), ("sub-04", "not recorded")]
    assert not found.is_sound


def test_what_cannot_be_read_is_named_and_the_rest_compared(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed file, a closed folder."""
    members = list_members(recorded)
    closed = next(iter(members[0].connectomes.values()))
    folder = recorded / f"sub-{members[1].subject}"
    read, scan = Path.open, os.scandir

    def open_others(path: Path, *words: Any, **options: Any) -> object:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *words, **options)

    def scan_others(path: object) -> object:
        if str(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(Path, "open", open_others)
    monkeypatch.setattr("kraken_bids.cohort.manifests.os.scandir", scan_others)

    found = verify_outputs(recorded, n_sampled=0)

    named = {(one.path, one.what) for one in found.findings}
    assert (closed.relative_to(recorded).as_posix(), "not readable") in named
    assert (folder.name, "not readable") in named
    assert not found.is_sound
    assert any("Permission denied" in note for note in found.notes)


def test_files_are_counted_whose_hashes_were_compared(recorded: Path) -> None:
    """Neither new ones, nor those of a damaged manifest, nor of a group that has not run."""
    n_before = verify_outputs(recorded, n_sampled=0).n_files
    own = {name: len(read_manifest(manifest_path(recorded, name))) for name in ("02", GROUP)}
    (recorded / "sub-03.html").write_text("x")
    assert verify_outputs(recorded, n_sampled=0).n_files == n_before
    manifest_path(recorded, "02").write_text("x")
    assert verify_outputs(recorded, n_sampled=0).n_files == n_before - own["02"]
    manifest_path(recorded, GROUP).unlink()
    found = verify_outputs(recorded, n_sampled=0)
    assert found.n_files == n_before - own["02"] - own[GROUP]
    assert "not recorded" not in {one.what for one in found.findings}


def test_a_model_that_is_not_at_hand_is_noted(recorded: Path) -> None:
    """Nothing differs for that; the note says what to give."""
    for model in ("", "no_model_here"):
        found = verify_outputs(recorded, n_sampled=12, model=model)
        assert found.is_sound
        assert [one.what for one in found.recomputed] == [FLAVOR.name]
        assert found.notes[0].startswith("predictions were not computed again")


def test_the_model_is_that_of_the_last_settings(recorded: Path, model_folder: Path) -> None:
    """As the newest file of settings in logs/ names it."""
    (recorded / "logs" / "20260101T000000_group_1.toml").write_text('model = "nowhere"\n')
    newer = recorded / "logs" / "20260102T000000_group_1.toml"
    newer.write_text(f'model = "{model_folder}"\n')
    found = verify_outputs(recorded, n_sampled=12)
    assert found.notes == []
    assert len(found.recomputed) == 9


def test_a_folder_without_records_is_refused(output_dir: Path, tmp_path: Path) -> None:
    """And one that is not there."""
    with pytest.raises(InputError, match="expected hashes that a run recorded"):
        verify_outputs(output_dir)
    with pytest.raises(InputError, match="found no folder"):
        verify_outputs(tmp_path / "nowhere")


def test_settings_that_cannot_be_read_do_not_hide_what_was_found(recorded: Path) -> None:
    """As those of a run that was killed while it wrote them."""
    (recorded / "logs" / "20260103T000000_group_1.toml").write_text("model = ")
    (recorded / "group.html").write_text("x")
    found = verify_outputs(recorded, n_sampled=12)
    assert [one.what for one in found.findings] == ["extra"]
    assert [one.what for one in found.recomputed] == [FLAVOR.name]
    assert "not valid TOML" in found.notes[0]
    assert found.notes[0].endswith("Give --model.")


def test_latents_that_were_cut_are_noted(recorded: Path, model_folder: Path) -> None:
    """And the file is named; the others are computed again."""
    path = latents_path(recorded, "02", None)
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    path.write_text("".join("\t".join(words[:-1]) + "\n" for words in lines))
    found = verify_outputs(recorded, n_sampled=12, model=str(model_folder))
    assert [one.path for one in found.findings] == [path.relative_to(recorded).as_posix()]
    assert any(note.startswith("sub-02: ") for note in found.notes)
    assert {one.session for one in found.recomputed} == {"sub-01"}
