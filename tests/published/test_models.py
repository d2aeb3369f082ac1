"""The registry of published files, and the cache."""

from pathlib import Path

import pytest

from kraken_bids.exceptions import CheckpointError, FlavorError
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.published import models as published
from kraken_bids.published.models import find_published, list_model_files, list_published


def test_the_registry_is_whole() -> None:
    """Every file has a SHA-256 and two addresses; every flavor's files are in it."""
    files = list_published()
    assert len(files) == 64
    for file in files.values():
        assert len(file.sha256) == 64
        assert len(file.urls) == 2
        assert all(url.startswith("https://") for url in file.urls)
    for name in published._read_registry()["flavors"]:
        assert parse_flavor(name).name == name
        assert list_model_files(name)


def test_the_pretrained_model_is_one_checkpoint_and_three_transforms() -> None:
    """The joint model of 15 flavors has one transform file per parcellation."""
    names = [file.name for file in list_model_files("pretrained")]

    assert names[0].startswith("kraken_chkpt_SCFC_fs86+shen268+coco439")
    assert [n.split("_")[3] for n in names[1:]] == ["fs86", "shen268", "coco439"]
    with pytest.raises(FlavorError, match="found 'nothing'"):
        list_model_files("nothing")


def test_missing_files_are_listed_with_addresses_and_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is enough to download by hand."""
    monkeypatch.setenv("KRAKEN_BIDS_DATA", str(tmp_path))

    with pytest.raises(CheckpointError) as caught:
        load_model("pretrained")

    message = str(caught.value)
    for file in list_model_files():
        assert file.name in message
        assert all(url in message for url in file.urls)
    assert str(tmp_path / "models") in message


def test_a_damaged_download_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are all there but differ in a byte are not used."""
    monkeypatch.setenv("KRAKEN_BIDS_DATA", str(tmp_path))
    (tmp_path / "models").mkdir()
    for file in list_model_files():
        (tmp_path / "models" / file.name).write_text("half a file")

    with pytest.raises(CheckpointError, match="incomplete or changed"):
        find_published()
