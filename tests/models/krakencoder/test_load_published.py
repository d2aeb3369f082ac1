"""``load_model`` by name: published models whose files lie in the cache, here small stand-ins."""

import copy
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.parcellations import load_parcellation
from kraken_bids.published import models as published
from kraken_bids.published.models import list_published_flavors

N_COMPONENTS, N_LATENT = 3, 4
COUNT = "SCifod2act_cocoyeo243_count"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KRAKEN_BIDS_DATA", str(tmp_path / "cache"))
    folder = tmp_path / "cache/models"
    folder.mkdir(parents=True)
    return folder


def fill(cache: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write stand-ins of a published model's files, and register their SHA-256."""
    registry = copy.deepcopy(published._read_registry())
    checkpoint, *transforms = [file.name for file in published.list_model_files(name)]
    held = {f: e for f, e in registry["flavors"].items() if e["checkpoint"] == checkpoint}
    rng = np.random.default_rng(0)
    torch.save(make_checkpoint(rng, list(held)), cache / checkpoint)
    for transform in transforms:
        mine = [flavor for flavor, entry in held.items() if entry["transform"] == transform]
        content = np.array({flavor: make_pca(rng, flavor) for flavor in mine}, dtype=object)
        np.save(cache / transform, content, allow_pickle=True)
    for path in [cache / checkpoint, *(cache / t for t in transforms)]:
        registry["files"][path.name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(published, "_read_registry", lambda: registry)


def make_checkpoint(rng: np.random.Generator, flavors: list[str]) -> dict[str, Any]:
    def linear(n_out: int, n_in: int) -> dict[str, torch.Tensor]:
        weight = torch.from_numpy(rng.normal(size=(n_out, n_in)).astype(np.float32))
        return {"weight": weight, "bias": torch.zeros(n_out)}

    state = {
        f"{side}_list.{i}.0.{key}": value
        for i in range(len(flavors))
        for side, sizes in (
            ("encoder", (N_LATENT, N_COMPONENTS)),
            ("decoder", (N_COMPONENTS, N_LATENT)),
        )
        for key, value in linear(*sizes).items()
    }
    edges = [load_parcellation(parse_flavor(flavor).parcellation).n_edges for flavor in flavors]
    return {
        "state_dict": state,
        "input_name_list": flavors,
        "input_size_list": [N_COMPONENTS] * len(flavors),
        "orig_input_size_list": edges,
        "latentsize": N_LATENT,
        "latent_normalize": True,
        "input_transformation_info": "pc256",
    }


def make_pca(rng: np.random.Generator, flavor: str) -> dict[str, Any]:
    n_edges = load_parcellation(parse_flavor(flavor).parcellation).n_edges
    return {
        "type": "pca",
        "pca_components": rng.normal(size=(N_COMPONENTS, n_edges)).astype(np.float32),
        "pca_input_mean": rng.normal(size=n_edges).astype(np.float32),
        "input_normscale": np.float32(7),
        "output_normscale": np.float32(100),
        "input_dimension": n_edges,
        "output_dimension": N_COMPONENTS,
    }


def encode_by_hand(cache: Path, name: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Latent of a single-flavor stand-in, from its files alone."""
    checkpoint, transform = [cache / file.name for file in published.list_model_files(name)]
    pca = np.load(transform, allow_pickle=True).item()[name]
    z = 100 * ((x - pca["pca_input_mean"]) @ pca["pca_components"].T) / 7
    z = z @ torch.load(checkpoint)["state_dict"]["encoder_list.0.0.weight"].numpy().T
    return np.asarray(z / np.linalg.norm(z, axis=1, keepdims=True))


def test_the_joint_model_has_the_fifteen_flavors(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``pretrained``, or any of its flavors' ids, is one checkpoint with three transforms."""
    fill(cache, "pretrained", monkeypatch)

    model = load_model("pretrained", device="cpu")
    by_flavor = load_model("FCcorr_shen268_hpf", device="cpu")

    assert [flavor.name for flavor in model.flavors] == list(list_published_flavors()[:15])
    assert by_flavor.sha256 == model.sha256
    assert set(model.training_means()) == set(model.flavors)


def test_a_flavor_s_id_is_its_own_model(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flavor that was added later loads by its id, and encodes as its files say."""
    fill(cache, COUNT, monkeypatch)
    flavor = parse_flavor(COUNT)
    x = np.random.default_rng(1).normal(size=(3, 243 * 242 // 2))

    model = load_model(COUNT, device="cpu")

    assert model.flavors == (flavor,)
    np.testing.assert_allclose(model.encode(flavor, x), encode_by_hand(cache, COUNT, x), atol=1e-4)


def test_five_flavors_that_share_a_checkpoint_load_together(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flavors of cocoyeo243 have a transform file each."""
    fill(cache, "FCcorr_cocoyeo243_hpf", monkeypatch)

    model = load_model("SCsdstream_cocoyeo243_volnorm", device="cpu")

    assert [flavor.parcellation for flavor in model.flavors] == ["cocoyeo243"] * 5


def test_sift2count_is_another_word_for_sift2() -> None:
    """Both spellings of the published files name the same model."""
    spelled = published.list_model_files("SCifod2act_fs86_sift2count")

    assert spelled == published.list_model_files("SCifod2act_fs86_sift2")


def test_what_is_missing_of_a_flavor_is_named(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the file that is not there, its two addresses, its place, and the command."""
    fill(cache, COUNT, monkeypatch)
    checkpoint, transform = published.list_model_files(COUNT)
    (cache / transform.name).unlink()

    with pytest.raises(CheckpointError, match="1 of 2 are missing") as caught:
        load_model(COUNT)

    message = str(caught.value)
    assert checkpoint.name not in message
    for word in (transform.name, *transform.urls, str(cache), f"kraken-tools fetch {COUNT}"):
        assert word in message


def test_a_flavor_s_file_that_changed_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte is enough; the stamp of an earlier start does not hide it."""
    fill(cache, COUNT, monkeypatch)
    load_model(COUNT, device="cpu")
    path = cache / published.list_model_files(COUNT)[0].name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    os.utime(path, ns=(0, 0))

    with pytest.raises(CheckpointError, match=f"run kraken-tools fetch {COUNT}"):
        load_model(COUNT)


def test_a_folder_of_a_flavor_s_name_comes_first(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies where the path says is meant."""
    fill(cache, COUNT, monkeypatch)
    published_model = load_model(COUNT, device="cpu")
    write_model(published_model, tmp_path / "here" / COUNT)
    monkeypatch.chdir(tmp_path / "here")
    for file in cache.iterdir():
        file.unlink()

    assert load_model(COUNT, device="cpu").sha256 == published_model.sha256


def test_an_unknown_name_points_to_the_list() -> None:
    """A misspelled flavor is a path that is not there; the message says where the names are."""
    with pytest.raises(CheckpointError, match="fetch --list shows the published flavors"):
        load_model("SCifod2act_fs86_cuont")
