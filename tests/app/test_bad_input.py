"""Wrong folders, words and models: one message, the exit code of its kind, nothing written."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.checkpoint import read_model


class Malicious:
    """Touches a file when a careless reader unpickles it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def write_checkpoint(app: Any, path: Path) -> None:
    """Write the weights of the tiny model in the published layout, without transforms."""
    model = read_model(app.world.model)
    weights = {}
    for i, flavor in enumerate(model.flavors):
        for kind in ("encoder", "decoder"):
            (layer,) = model.network.linears(f"{kind}s.{flavor.name}")
            weights[f"{kind}_list.{i}.0.weight"] = torch.tensor(layer.weight)
            weights[f"{kind}_list.{i}.0.bias"] = torch.tensor(layer.bias)
    content = {
        "state_dict": weights,
        "input_name_list": [flavor.name for flavor in model.flavors],
        "input_size_list": [4] * len(model.flavors),
        "latentsize": 4,
        "latent_normalize": True,
    }
    torch.save(content, path)


def test_missing_folder(app: Any, tmp_path: Path) -> None:
    """A BIDS_DIR that is not there is said, with the mount of a container as the likely cause."""
    outcome = app.invoke(tmp_path / "nowhere", app.out, "participant")
    assert outcome.exit_code == 3
    assert outcome.says("BIDS_DIR", "nothing at", tmp_path / "nowhere", "mount")
    assert not app.out.exists()


def test_file_as_folder(app: Any, tmp_path: Path) -> None:
    """A file in place of BIDS_DIR is said."""
    (tmp_path / "bids.zip").write_bytes(b"PK")
    outcome = app.invoke(tmp_path / "bids.zip", app.out, "participant")
    assert outcome.exit_code == 3
    assert outcome.says("expected a folder", "a file at", "bids.zip")


def test_empty_folder(app: Any, tmp_path: Path) -> None:
    """An empty BIDS_DIR is said, before the model is asked for."""
    (tmp_path / "empty").mkdir()
    outcome = app.invoke(tmp_path / "empty", app.out, "participant")
    assert outcome.exit_code == 3
    assert outcome.says("the folder is empty", tmp_path / "empty", "mounted")
    assert not app.out.exists()


def test_folder_of_something_else(app: Any, tmp_path: Path) -> None:
    """A folder without a dataset is said."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    outcome = app.invoke(tmp_path / "photos", app.out, "participant")
    assert outcome.exit_code == 3
    assert outcome.says("dataset_description.json", "found neither", tmp_path / "photos")


def test_raw_without_derivatives(app: Any) -> None:
    """A raw dataset alone is answered with the commands that make derivatives."""
    app.copy_bids("01")
    (app.bids / "derivatives").rename(app.bids.parent / "elsewhere")
    outcome = app.invoke(app.bids, app.out, "participant")
    assert outcome.exit_code == 3
    assert outcome.says(
        "expected derivatives of fMRIPrep or QSIRecon", app.bids / "derivatives", "-d fmriprep="
    )
    assert outcome.says("--output-spaces T1w MNI152NLin6Asym:res-2")
    assert not app.out.exists()


def test_same_folder(app: Any) -> None:
    """BIDS_DIR and OUTPUT_DIR may not be one folder, however it is spelled."""
    app.copy_bids("01")
    app.out = app.bids / "derivatives" / ".."
    outcome = app.participant()
    assert outcome.exit_code == 2
    assert outcome.says("BIDS_DIR and OUTPUT_DIR are the same folder", "derivatives/kraken_bids")


def test_folder_of_another_tool(app: Any) -> None:
    """The dataset of another tool is not written into."""
    app.copy_bids("01")
    before = sorted(app.fmriprep.rglob("*"))
    app.out = app.fmriprep
    outcome = app.participant()
    assert outcome.exit_code == 3
    assert outcome.says("found the dataset", "fMRIPrep", "Choose another OUTPUT_DIR")
    assert sorted(app.fmriprep.rglob("*")) == before


def test_output_is_a_file(app: Any) -> None:
    """An OUTPUT_DIR that is a file is said."""
    app.out.write_text("notes")
    outcome = app.participant()
    assert outcome.exit_code == 3
    assert outcome.says("OUTPUT_DIR", "cannot write to", app.out)
    assert app.out.read_text() == "notes"


def test_logs_are_a_link_to_nowhere(app: Any) -> None:
    """The message says what cannot be written, of all that is in OUTPUT_DIR."""
    app.out.mkdir()
    (app.out / "logs").symlink_to("gone/with/the/disk")
    outcome = app.participant()
    assert outcome.exit_code == 3
    assert outcome.says("OUTPUT_DIR", f"cannot write to {app.out / 'logs'}")


def test_output_not_writable(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OUTPUT_DIR without the right to write is said, with the mount as the likely cause."""

    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    outcome = app.participant()
    assert outcome.exit_code == 3
    assert outcome.says("OUTPUT_DIR", "Permission denied", app.out, "read-write")


def test_unknown_participant(app: Any) -> None:
    """A label that does not exist is answered with those that do."""
    outcome = app.participant("--participant-label", "01", "sub-77")
    assert outcome.exit_code == 3
    assert outcome.says("expected participants 77", "01, 02, 03", "--participant-label")
    assert not app.out.exists()


def test_unknown_session(app: Any) -> None:
    """A session that nobody has is an error of the request; each participant's reason is said."""
    outcome = app.participant("--session-id", "ses-9", "--participant-label", "01", "02")
    assert outcome.exit_code == 2
    assert outcome.says("expected sessions 9", "no session level", "--session-id", "found 9")


def test_unknown_task(app: Any) -> None:
    """A task that nobody has is an error that names those there are; nothing is measured."""
    outcome = app.participant("--task-id", "nback", "--participant-label", "01")
    assert outcome.exit_code == 2
    assert outcome.says("--task-id", "found nback", "rest")
    assert not app.is_finished("01", "fusionSC")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--denoise", "magic"), "magic"),
        (("--atlases", "aal"), "aal"),
        (("--high-pass", "-1"), "--high-pass"),
        (("--n-procs", "0"), "--n-procs"),
        (("--derivatives", "fmriprep"), "NAME=VALUE"),
        (("--colour", "red"), "--colour"),
    ],
)
def test_usage(app: Any, words: tuple[str, ...], said: str) -> None:
    """Options that do not exist or make no sense end with code 2."""
    outcome = app.invoke(app.world.bids, app.out, "participant", *words)
    assert outcome.exit_code == 2
    assert outcome.says(said)
    assert not app.out.exists()


def test_group_without_participants(app: Any) -> None:
    """The group level of an empty folder says to run the participant level first."""
    for make in (lambda: None, app.out.mkdir):
        make()
        outcome = app.group()
        assert outcome.exit_code == 3
        assert outcome.says("expected measured connectomes", app.out, "participant level first")
    assert not list(app.out.iterdir())


def test_missing_model(app: Any, tmp_path: Path) -> None:
    """A model that is not there is said before anything is measured."""
    outcome = app.invoke(
        app.world.bids, app.out, "participant", "--model", tmp_path / "model_of_mine"
    )
    assert outcome.exit_code == 5
    assert outcome.says("expected a model", tmp_path / "model_of_mine")
    assert not list(app.out.glob("sub-*"))


def test_checkpoint_without_transforms(app: Any, tmp_path: Path) -> None:
    """A checkpoint alone is answered with the option that names its transforms."""
    path = tmp_path / "kraken_chkpt_tiny.pt"
    write_checkpoint(app, path)
    outcome = app.participant("--model", path)
    assert outcome.exit_code == 5
    assert outcome.says("transforms", path, "FCcorr_fs86_hpf", "--transforms")
    assert not list(app.out.glob("sub-*"))


@pytest.mark.parametrize("content", [b"", b"hello\n", bytes(range(256)) * 40, b"PK\x03\x04cut"])
def test_not_a_checkpoint(app: Any, tmp_path: Path, content: bytes) -> None:
    """Files that are no checkpoint are named as such."""
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    outcome = app.participant("--model", path)
    assert outcome.exit_code == 5
    assert outcome.says("expected", path)


def test_broken_model_folder(app: Any, tmp_path: Path) -> None:
    """A model folder whose weights are cut is named."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in app.world.model.iterdir():
        content = path.read_bytes()
        (folder / path.name).write_bytes(
            content if path.suffix == ".json" else content[: len(content) // 2]
        )
    outcome = app.participant("--model", folder)
    assert outcome.exit_code == 5
    assert outcome.says("weights.safetensors")


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_malicious_checkpoint(app: Any, tmp_path: Path, writer: str) -> None:
    """Code in a checkpoint is refused and not run."""
    marker, path = tmp_path / "marker", tmp_path / "model.pt"
    content = {"state_dict": Malicious(marker)}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    outcome = app.participant("--model", path)
    assert outcome.exit_code == 5
    assert outcome.says(path)
    assert not marker.exists()


def test_malicious_transforms(app: Any, tmp_path: Path) -> None:
    """Code in a transforms file is refused and not run."""
    marker, checkpoint, transforms = (tmp_path / name for name in ("marker", "m.pt", "t.npy"))
    write_checkpoint(app, checkpoint)
    np.save(transforms, np.array({"type": Malicious(marker)}, dtype=object), allow_pickle=True)
    outcome = app.participant("--model", checkpoint, "--transforms", transforms)
    assert outcome.exit_code == 5
    assert outcome.says(transforms)
    assert not marker.exists()


def test_adaptation_file(app: Any, tmp_path: Path) -> None:
    """An adaptation that is missing or no adaptation is said before anything is measured."""
    broken = tmp_path / "broken.h5"
    broken.write_text("not HDF5")
    for path in (tmp_path / "none.h5", broken):
        outcome = app.participant("--adaptation", path)
        assert outcome.exit_code in {3, 5}
        assert outcome.says(path)
        assert not list(app.out.glob("sub-*"))


def test_wrong_path_is_quick_and_plain() -> None:
    """As a process: a message on stderr, no traceback, and no heavy library loaded."""
    code = (
        "import sys\nfrom kraken_bids.cli.app import main\n"
        "try:\n    main(['/nowhere', '/nowhere/out', 'participant'])\n"
        "finally:\n    assert not {'torch', 'nilearn', 'bids', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("Error: BIDS_DIR")
    assert "Traceback" not in done.stderr


def test_flavor_that_model_lacks(app: Any) -> None:
    """A target that the model does not know is said, with those that it knows."""
    flavor = parse_flavor("FCcorr_shen268_hpf")
    outcome = app.participant("--targets", flavor)
    assert outcome.exit_code == 3
    assert outcome.says("FCcorr_shen268_hpf", "FCcorr_fs86_hpf")
    assert not list(app.out.glob("sub-*"))
