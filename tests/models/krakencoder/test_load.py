"""One door for every kind of model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kraken_bids.exceptions import CheckpointError, SettingsError
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model


def test_folders_and_published_files_load(
    tmp_path: Path, published: Any, make_model: Callable[..., Model]
) -> None:
    """A folder, its model.json, and a .pt with and without named transforms."""
    write_model(make_model(), tmp_path / "ours")
    published.write()

    names = [
        load_model(tmp_path / "ours", device="cpu").name,
        load_model(str(tmp_path / "ours" / "model.json"), device="cpu").name,
        load_model(published.checkpoint, device="cpu").name,
        load_model(
            published.checkpoint, transforms=[str(published.transforms)], device="cpu"
        ).name,
    ]

    assert names == ["tiny", "tiny", "kraken_chkpt_tiny", "kraken_chkpt_tiny"]


def test_what_is_no_model_is_refused_with_the_way_out(tmp_path: Path, published: Any) -> None:
    """Nothing there, an empty folder, a folder around a .pt, and a text file."""
    with pytest.raises(CheckpointError, match="found nothing at"):
        load_model(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"found no .*model\.json"):
        load_model(tmp_path / "empty")
    published.write()
    with pytest.raises(CheckpointError, match=r"with the checkpoint kraken_chkpt_tiny\.pt"):
        load_model(published.folder)
    (tmp_path / "x.pt").write_text("hello")
    with pytest.raises(CheckpointError, match="another kind of file"):
        load_model(tmp_path / "x.pt")


def test_a_converted_model_keeps_its_identity(tmp_path: Path, published: Any) -> None:
    """A published checkpoint and its folder are one model, so that adaptations fit both."""
    published.write()
    original = load_model(published.checkpoint, device="cpu")

    converted = load_model(write_model(original, tmp_path / "converted"), device="cpu")

    assert converted.sha256 == original.sha256
    for name, values in original.network.arrays.items():
        np.testing.assert_array_equal(converted.network.arrays[name], values)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("pretraind", "pretrained"), ("SCifod2act_fs86_cnt", "SCifod2act_fs86_count")],
)
def test_names_of_much_the_same_spelling_are_suggested(typed: str, meant: str) -> None:
    """A typing error in the name of a published model is answered with what was meant."""
    with pytest.raises(CheckpointError, match=f"Did you mean {meant}"):
        load_model(typed)


def test_a_device_that_is_not_there_is_no_fault_of_the_model(
    tmp_path: Path, published: Any, make_model: Callable[..., Model]
) -> None:
    """The option is named, whatever the model's format, and nobody is told to make it again."""
    write_model(make_model(), tmp_path / "ours")
    published.write()

    for path in (tmp_path / "ours", published.checkpoint):
        with pytest.raises(SettingsError, match="expected the device cuda:99") as caught:
            load_model(path, device="cuda:99")
        assert "again" not in str(caught.value)


def test_one_file_of_transforms_needs_no_list(published: Any) -> None:
    """A path or a text by itself names one file."""
    published.write()

    for one in (published.transforms, str(published.transforms)):
        assert load_model(published.checkpoint, transforms=one, device="cpu").flavors
