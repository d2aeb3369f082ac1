"""kraken-tools verify on what a run has written."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from kraken_bids.cli.tools import main
from kraken_bids.cohort.manifests import manifest_path, read_manifest
from kraken_bids.io.files import make_folder


def verify(app: Any, *words: object) -> Result:
    """Verify OUTPUT_DIR."""
    return CliRunner().invoke(main, ["verify", str(app.out), *map(str, words)])


def test_a_run_is_as_it_was(app: Any) -> None:
    """Files as recorded, and numbers as they come out again: FC, and what was predicted."""
    app.copy_done()
    done = verify(app, "--sample", 1, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["is_sound"]
    assert found["n_files"] > 50
    assert found["findings"] == []
    assert found["notes"] == []
    what = [one["what"] for one in found["recomputed"]]
    assert "FCcorr_fs86_hpf" in what
    assert "fusionFC -> SCifod2act_fs86_volnorm" in what


def test_what_was_changed_is_named(app: Any) -> None:
    """A number of a prediction, by its file and computed again; a missing and a new file."""
    app.copy_done()
    path = next(app.out.glob("sub-01/dwi/*SCifod2actVN_desc-fusionFCkraken_relmat.dense.tsv"))
    square = np.loadtxt(path)
    square[0, 1] = square[1, 0] = square[0, 1] + 1
    np.savetxt(path, square, fmt="%.6g", delimiter="\t")
    (app.out / "sub-02.html").unlink()
    (app.out / "sub-03" / "note.txt").write_text("x")
    done = verify(app, "--sample", 3)
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert f"changed: {path.relative_to(app.out).as_posix()}" in lines
    assert "missing: sub-02.html" in lines
    assert "extra: sub-03/note.txt" in lines
    assert any(
        line.startswith("differs: sub-01, fusionFC -> SCifod2act_fs86_volnorm") for line in lines
    )


def test_what_had_vanished_before_a_group_run_stays_missing(app: Any, finished: Path) -> None:
    """The group level measures nobody: what it cannot make again is named until it is there."""
    shutil.copytree(finished, app.out, copy_function=os.link)
    gone = next(app.out.glob("sub-01/func/*_coverage.tsv"))
    gone.unlink()
    page = app.out / "sub-02.html"
    page.unlink()  # drawn again
    for _ in range(2):
        outcome = app.group()
        assert outcome.exit_code == 0, outcome.output
        assert outcome.says("1 recorded file(s) were gone before this run", gone.name)
        assert page.is_file()
        done = verify(app, "--sample", 0)
        assert done.exit_code == 1
        assert f"missing: {gone.relative_to(app.out).as_posix()}" in done.output.splitlines()
        assert "1 not as recorded" in done.output


def test_who_cannot_be_recorded_fails(app: Any, finished: Path) -> None:
    """Of the group it is a failure of the run; everything else is done and recorded."""
    shutil.copytree(finished, app.out, copy_function=os.link)
    places = [app.out / "logs" / f"{whose}_files.tsv" for whose in ("sub-01", "group")]
    for path in places:
        path.unlink()
        path.mkdir()
        (path / "mine.txt").write_text("somebody's")
    (app.out / "sub-02.html").unlink()

    outcome = app.group()

    assert outcome.exit_code == 3
    assert outcome.says(*places), outcome.output
    assert set(app.failures()) == {"sub-01"}
    assert "all 3 participant(s) done" not in outcome.output
    assert "sub-02.html" in read_manifest(manifest_path(app.out, "02"))


def test_a_model_that_is_not_at_hand_is_noted(app: Any) -> None:
    """Files and functional connectomes are compared all the same."""
    app.copy_done()
    done = verify(app, "--sample", 1, "--model", app.out / "nowhere")
    assert done.exit_code == 0, done.output
    assert "note: predictions were not computed again" in done.output
    other = verify(app, "--sample", 1, "--model", app.world.other_model)
    assert other.exit_code == 0, other.output
    assert "are of another model" in other.output


def test_a_folder_that_no_run_has_recorded_is_refused(app: Any) -> None:
    """And one that is not there."""
    assert verify(app).exit_code == 3
    make_folder(app.out)
    empty = verify(app)
    assert empty.exit_code == 3
    assert "expected hashes that a run recorded" in empty.output
