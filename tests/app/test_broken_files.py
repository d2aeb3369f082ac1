"""One participant's broken file: it is named, the others are finished, nothing half is left."""

import errno
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("without_pictures")

FC, IFOD2, SDSTREAM = (
    "atlas-fs86_meas-FCcorrHPF",
    "atlas-fs86_meas-SCifod2actVN",
    "atlas-fs86_meas-SCsdstreamVN",
)


def check_others(app: Any, *, failed: str, words: tuple[object, ...]) -> None:
    """Sub-01 is named with why; sub-02 has everything; all files are whole."""
    failures = app.failures()
    assert set(failures) == {failed}
    for word in words:
        assert str(word) in failures[failed], failures[failed]
    assert app.is_finished("02")
    assert app.check_whole_files() == []


def test_truncated_bold(app: Any, break_file: Callable[..., None]) -> None:
    """A cut .nii.gz fails its participant's function; structure goes on to predict both."""
    app.copy_bids("01", "02")
    path = app.bold("01")
    break_file(path)
    outcome = app.participant()
    assert outcome.exit_code == 1
    assert outcome.says(path, "whole ones", "cut or damaged", "copy it again")
    check_others(app, failed="sub-01", words=("expected", "volumes in", path))
    assert app.measured("01") == [IFOD2, SDSTREAM]
    assert app.is_finished("01", "fusionSC")


def test_truncated_bold_in_one_space(app: Any, break_file: Callable[..., None]) -> None:
    """A run that is cut in one space leaves the atlases of another, before or after it."""
    app.copy_bids("01")
    flavors = ("FCcorr_fs86_hpf", "FCcorr_shen268_hpf")
    broken = app.bold("01")
    break_file(broken)
    outcome = app.participant("--atlases", "shen268", flavors=flavors)
    assert outcome.exit_code != 0
    assert outcome.says(broken, "cut or damaged")
    assert app.measured("01") == ["atlas-shen268_meas-FCcorrHPF"]


def test_truncated_bold_of_everyone(app: Any, break_file: Callable[..., None]) -> None:
    """Where everyone fails for one reason, the command ends with the code of that reason."""
    app.copy_bids("01", "02")
    for subject in ("01", "02"):
        break_file(app.bold(subject))
    outcome = app.participant(flavors=("FCcorr_fs86_hpf",))
    assert outcome.exit_code == 3
    assert set(app.failures()) == {"sub-01", "sub-02"}
    assert app.measured("01") == app.measured("02") == []


@pytest.mark.parametrize(
    "name",
    [
        "anat/sub-01_desc-aparcaseg_dseg.nii.gz",
        "anat/sub-01_label-WM_probseg.nii.gz",
        "func/sub-01_task-rest_run-01_space-T1w_desc-brain_mask.nii.gz",
        "func/sub-01_task-rest_run-01_desc-confounds_timeseries.tsv",
        "func/sub-01_task-rest_run-01_desc-confounds_timeseries.json",
    ],
)
def test_truncated_file_beside_bold(app: Any, break_file: Callable[..., None], name: str) -> None:
    """Whatever else is cut is named too."""
    app.copy_bids("01", "02")
    path = app.fmriprep / "sub-01" / name
    break_file(path)
    outcome = app.participant(flavors=("FCcorr_fs86_hpf",))
    assert outcome.exit_code == 1
    assert outcome.says(path)
    assert "unexpected" not in outcome.output
    assert set(app.failures()) == {"sub-01"}
    assert app.measured("02") == [FC]


@pytest.mark.parametrize("compressed", [True, False])
def test_cut_tractogram(app: Any, break_file: Callable[..., None], compressed: bool) -> None:
    """A tractogram cut in the middle fails structure; function goes on to predict both."""
    app.copy_bids("01", "02")
    path = app.dwi("01", "streamlines.tck.gz")
    if not compressed:
        content = gzip.decompress(path.read_bytes())
        path.unlink()
        path = path.with_suffix("")
        path.write_bytes(content)
    break_file(path)
    outcome = app.participant()
    assert outcome.exit_code == 1
    assert outcome.says(path, "cut in the middle", "Copy it again")
    check_others(app, failed="sub-01", words=("whole track file", path))
    assert FC in app.measured("01")
    assert IFOD2 not in app.measured("01")
    assert app.is_finished("01", "fusionFC")


def test_empty_tractogram(app: Any, break_file: Callable[..., None]) -> None:
    """An empty file in place of a tractogram is named."""
    app.copy_bids("01", "02")
    path = app.dwi("01", "streamlines.tck.gz")
    break_file(path, b"")
    outcome = app.participant()
    assert outcome.exit_code == 1
    check_others(app, failed="sub-01", words=(path,))


def test_labels_in_another_space(app: Any, shift_image: Callable[..., None]) -> None:
    """Labels 60 mm beside the streamlines are refused, with both files and their spaces."""
    app.copy_bids("02", "03")
    image = app.dwi("03", "x").with_name("sub-03_space-ACPC_seg-fs86_dseg.nii.gz")
    shift_image(image, 60.0)
    outcome = app.participant()
    assert outcome.exit_code == 1
    tracks = app.dwi("03", "streamlines.tck.gz")
    assert outcome.says("same space", f"{tracks} (space-ACPC)", f"{image} (space-ACPC)")
    check_others(app, failed="sub-03", words=("same space", "--parcellation", tracks, image))
    assert app.measured("03") == [FC]


def test_labels_that_say_another_space(app: Any) -> None:
    """A label image given by hand is called by the space in its own name."""
    app.copy_bids("01")
    image = app.bids / "derivatives/atlases/tpl-MNI152NLin6Asym/anat"
    image = image / "tpl-MNI152NLin6Asym_atlas-shen268_res-02_dseg.nii.gz"
    named = app.bids / "sub-01_space-MNI152NLin6Asym_atlas-shen268_dseg.nii.gz"
    named.write_bytes(image.read_bytes())
    flavor = "SCifod2act_shen268_volnorm"
    outcome = app.participant(
        "--atlases", "shen268", "--parcellation", f"shen268={named}", flavors=(flavor,)
    )
    assert outcome.exit_code == 3
    assert outcome.says("same space", "(space-ACPC)", "(space-MNI152NLin6Asym)")


def test_no_confounds(app: Any) -> None:
    """A run without confounds fails function; structure goes on to predict both."""
    app.copy_bids("01", "02")
    path = next((app.fmriprep / "sub-01" / "func").glob("*run-01_desc-confounds*.tsv"))
    path.unlink()
    outcome = app.participant()
    assert outcome.exit_code == 1
    assert outcome.says("expected the confounds of", path, "--level full")
    check_others(app, failed="sub-01", words=("confounds", path))
    assert app.measured("01") == [IFOD2, SDSTREAM]
    assert app.is_finished("01", "fusionSC")


def test_too_few_weights(app: Any, break_file: Callable[..., None]) -> None:
    """Weights of another tractogram are named, and no connectome of that tractogram is left."""
    app.copy_bids("01", "02")
    path = app.dwi("01", "desc-sift2_streamlineweights.csv")
    break_file(path)
    outcome = app.participant()
    assert outcome.exit_code == 1
    assert outcome.says(path, "a weight for every streamline", "tcksift2")
    check_others(app, failed="sub-01", words=(path, "streamlines.tck.gz"))
    assert IFOD2 not in app.measured("01")


def test_two_tractograms(app: Any) -> None:
    """Two tractograms of one algorithm are not chosen between; function goes on."""
    app.copy_bids("01", "02")
    path = app.dwi("01", "streamlines.tck.gz")
    twin = path.with_name(path.name.replace("_streamlines", "_desc-twin_streamlines"))
    twin.write_bytes(path.read_bytes())
    outcome = app.participant()
    assert outcome.exit_code == 1
    assert outcome.says("expected one ifod2 tractogram", path, twin, "--bids-filter-file")
    check_others(app, failed="sub-01", words=(path, twin))
    assert app.measured("01") == [FC]


def test_full_disk(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk fails the participant that meets it; no half file; a rerun finishes."""
    app.copy_bids("01", "02")
    opened = Path.open

    def run_out(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "w" in mode and "sub-01_" in path.name and "SCifod2act" in path.name:
            with opened(path, "wb") as file:
                file.write(b"0.1\t0.")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return opened(path, mode, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", run_out)
        outcome = app.participant()
    assert outcome.exit_code == 1
    assert outcome.says("is full", "Free some space and rerun the same command")
    check_others(app, failed="sub-01", words=("expected room for", "is full"))
    assert app.measured("01") == [FC]
    outcome = app.participant()
    assert outcome.exit_code == 0
    assert outcome.says("sub-01: 1 connectome(s) up to date, skipped")
    assert app.failures() == {}
    assert app.is_finished("01")


def test_full_disk_from_the_start(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with no room at all ends the run with the code of broken input."""

    def run_out(path: Path, text: str, *args: Any, **kwargs: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", run_out)
        outcome = app.participant()
    assert outcome.exit_code == 3
    assert outcome.says("expected room for", "is full", "Free some space")
    assert app.check_whole_files() == []


def test_log_on_a_full_disk(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that cannot be written neither ends the run nor covers the terminal with traces."""
    opened = io.TextIOWrapper.flush

    def run_out(stream: io.TextIOWrapper) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert opened
    monkeypatch.setattr("logging.FileHandler.flush", lambda self: run_out(self.stream))
    outcome = app.participant("--participant-label", "01")
    assert outcome.exit_code == 0
    assert "Logging error" not in outcome.output
