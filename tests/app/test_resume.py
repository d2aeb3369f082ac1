"""Runs that are repeated, changed, killed, or spread over processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

COMMAND = [sys.executable, "-c", "from kraken_bids.cli.app import main; main()"]


def stamps(folder: Path, pattern: str = "sub-*/**/*_relmat.dense.tsv") -> dict[Path, int]:
    """Time of change of every file, which a file that is left alone keeps."""
    return {path: path.stat().st_mtime_ns for path in folder.glob(pattern)}


def measured_only(found: dict[Path, int]) -> dict[Path, int]:
    return {path: stamp for path, stamp in found.items() if "kraken_" not in path.name}


def check_same(one: bytes, two: bytes, *, exactly: bool) -> None:
    """Assert equal matrices; float32 sums depend a little on how many people are in a run."""
    if exactly:
        assert one == two
    a, b = (np.array(text.split(), float) for text in (one, two))
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())


def test_dry_run(app: Any) -> None:
    """A dry run says what would be read and writes nothing."""
    outcome = app.participant("--dry-run")
    assert outcome.exit_code == 0
    for subject in ("01", "02", "03"):
        assert outcome.says(
            f"would read sub-{subject}: sub-{subject}_task-rest_run-01_space-T1w",
            f"would read sub-{subject}: sub-{subject}_space-ACPC_model-ifod2_streamlines.tck.gz",
        )
    assert not app.out.exists()


def test_group_dry_run(app: Any) -> None:
    """A dry run of the group level writes nothing either."""
    app.copy_done()
    before = stamps(app.out, "**/*")
    outcome = app.group("--dry-run")
    assert outcome.exit_code == 0
    assert outcome.says("would use sub-01: 3 flavors")
    assert stamps(app.out, "**/*") == before


def test_a_rerun_removes_what_a_killed_run_left(app: Any) -> None:
    """A half-written file of an earlier day goes, hidden as it is."""
    app.copy_done()
    path = app.out / "sub-01" / "func" / ".x.12-0123abcd.tmp.tsv"
    path.write_text("half")
    os.utime(path, (0, 0))
    assert app.participant().exit_code == 0
    assert not path.exists()


def test_rerun_skips(app: Any) -> None:
    """What is done and unchanged is skipped, and said."""
    app.copy_done()
    before = stamps(app.out)
    outcome = app.participant()
    assert outcome.exit_code == 0
    for subject in ("01", "02", "03"):
        assert outcome.says(f"sub-{subject}: 1 connectome(s) up to date, skipped (--force")
    assert stamps(app.out) == before


def test_changed_setting_redoes(app: Any) -> None:
    """A setting of function redoes function, and the predictions, but not structure."""
    app.copy_done()
    before = stamps(app.out)
    words = ("--high-pass", "0.02", "--participant-label", "01")
    assert app.participant(*words).exit_code == 0
    changed = {path for path, stamp in stamps(app.out).items() if before[path] != stamp}
    measured = measured_only(before)
    assert {path.name for path in changed & set(measured)} == {
        "sub-01_task-rest_space-T1w_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv"
    }
    assert {path.parents[1].name for path in changed} == {"sub-01"}
    assert any("desc-fusionkraken" in path.name for path in changed)
    assert app.sidecar("01", "meas-FCcorrHPF_relmat")["HighPass"] == 0.02


def test_changed_input_redoes(app: Any) -> None:
    """An input that changed is read again."""
    app.copy_bids("01", "02")
    assert app.participant("--participant-label", "01").exit_code == 0
    before = stamps(app.out)
    path = app.dwi("01", "desc-sift2_streamlineweights.csv", "sdstream")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    assert app.participant("--participant-label", "01").exit_code == 0
    changed = {p.name for p, stamp in stamps(app.out).items() if before[p] != stamp}
    assert "sub-01_space-ACPC_atlas-fs86_meas-SCsdstreamVN_relmat.dense.tsv" in changed
    assert "sub-01_space-ACPC_atlas-fs86_meas-SCifod2actVN_relmat.dense.tsv" not in changed


def test_force_redoes(app: Any) -> None:
    """--force redoes everything: measured to the same bytes, predicted to the last digits."""
    app.copy_done()
    before = stamps(app.out)
    content = {path: path.read_bytes() for path in before}
    outcome = app.participant("--force", "--participant-label", "01")
    assert outcome.exit_code == 0
    assert "skipped" not in outcome.output
    changed = {path for path, stamp in stamps(app.out).items() if before[path] != stamp}
    assert changed == {path for path in before if path.name.startswith("sub-01")}
    for path in changed:
        check_same(path.read_bytes(), content[path], exactly=path in measured_only(before))


def test_deleted_file_is_made_again(app: Any) -> None:
    """A prediction or a measured file that somebody deleted comes back."""
    app.copy_done()
    folder = app.out / "sub-01"
    predicted = next(folder.glob("dwi/*desc-fusionFCkraken_relmat.json"))
    predicted = predicted.with_suffix(".dense.tsv")
    measured = next(folder.glob("func/*_meas-FCcorrHPF_relmat.dense.tsv"))
    for path in (predicted, measured):
        content = path.read_bytes()
        path.unlink()
        assert app.participant("--participant-label", "01").exit_code == 0
        check_same(path.read_bytes(), content, exactly=path == measured)


def test_killed_run(app: Any) -> None:
    """A killed run leaves whole files only; the next one keeps them and does the rest."""
    words = [app.world.bids, app.out, "participant", *app.options()]
    process = subprocess.Popen(
        [*COMMAND, *map(str, words)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    wanted = "sub-*/func/*_relmat.json"
    deadline = time.monotonic() + 60
    while not list(app.out.glob(wanted)) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    app.check_whole_files()
    assert not app.is_finished("03")
    before = measured_only(stamps(app.out))
    assert before
    (app.out / "sub-01/func/.sub-01_relmat.dense.1-ab.tmp.tsv").write_text("0\t1")
    outcome = app.participant()
    assert outcome.exit_code == 0
    assert outcome.says("sub-01: 1 connectome(s) up to date, skipped")
    after = stamps(app.out)
    assert {path: after[path] for path in before} == before
    assert all(app.is_finished(subject) for subject in ("01", "02", "03"))
    assert app.failures() == {}


def test_processes_change_nothing(app: Any) -> None:
    """Two processes at a time write the same bytes as one."""
    folders = []
    flavors = ("FCcorr_fs86_hpf", "SCsdstream_fs86_volnorm")
    for n_procs in (1, 2):
        folder = app.out / str(n_procs)
        words = [app.world.bids, folder, "participant", *app.options(flavors)]
        words += ["--participant-label", "01", "02", "--n-procs", n_procs]
        words += ["--targets", "FCcorr_fs86_hpf"]
        done = subprocess.run(
            [*COMMAND, *map(str, words)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        folders.append(folder)
    one, two = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.parent.name != "logs"
        }
        for folder in folders
    )
    assert len(one) > 30
    assert one == two
