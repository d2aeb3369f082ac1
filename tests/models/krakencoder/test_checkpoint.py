"""Our model folder: there and back, and every way in which it can be broken."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.exceptions import CheckpointError, InputError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.digests import compute_sha256
from kraken_bids.models.krakencoder.checkpoint import read_model, write_model
from kraken_bids.models.krakencoder.model import Model


@pytest.mark.parametrize("changes", [{}, {"hidden_sizes": (9,), "latent_activation": "tanh"}])
def test_a_folder_gives_back_the_model(
    tmp_path: Path,
    make_model: Callable[..., Model],
    rng: np.random.Generator,
    changes: dict[str, object],
) -> None:
    """Latents and predictions are the same to the last bit; so is the identity."""
    model = make_model(**changes)
    flavor = parse_flavor("FCpcorr_other_hpf")
    x = rng.normal(size=(5, 45))

    write_model(model, tmp_path / "deep" / "model")
    found = read_model(tmp_path / "deep" / "model", "cpu")

    assert (found.name, found.sha256, found.flavors) == ("tiny", "abc", model.flavors)
    assert found.network.architecture == model.network.architecture
    np.testing.assert_array_equal(found.encode(flavor, x), model.encode(flavor, x))
    z = model.encode(flavor, x)
    np.testing.assert_array_equal(found.decode(flavor, z), model.decode(flavor, z))
    names = sorted(p.name for p in (tmp_path / "deep" / "model").iterdir())
    assert [name for name in names if not name.startswith(".")] == [
        "maps.safetensors", "model.json", "weights.safetensors"
    ]  # fmt: skip


def test_a_new_model_is_known_by_its_weights(
    tmp_path: Path, make_model: Callable[..., Model]
) -> None:
    """Without an identity of its own a model takes the SHA-256 of its weights."""
    model = make_model()
    object.__setattr__(model, "sha256", "")

    write_model(model, tmp_path)

    assert read_model(tmp_path, "cpu").sha256 == compute_sha256(tmp_path / "weights.safetensors")


def test_region_names_travel_with_the_model(
    tmp_path: Path, make_model: Callable[..., Model]
) -> None:
    """Parcellations without a table in the package are left out of them."""
    write_model(make_model(), tmp_path)

    assert json.loads((tmp_path / "model.json").read_text())["regions"] == {}


def damage_weights(weights: Path, how: str) -> None:
    data = bytearray(weights.read_bytes())
    if how == "no weights":
        weights.unlink()
    elif how == "torn weights":
        weights.write_bytes(data[:-10])
    elif how == "other weights":
        weights.write_text("hello")
    elif how == "changed weights":
        data[-1] ^= 1
        weights.write_bytes(data)


def damage_description(description: Path, how: str) -> None:
    content = json.loads(description.read_text())
    if how == "no description":
        description.unlink()
    elif how == "torn description":
        description.write_text(description.read_text()[:-9])
    elif how == "other program":
        description.write_text("{}")
    elif how == "newer format":
        description.write_text(json.dumps({**content, "format_version": 99}))
    elif how == "no transforms":
        del content["transforms"]
        description.write_text(json.dumps(content))
    elif how == "other architecture":
        content["architecture"]["latent_size"] = 4
        description.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no weights", r"weights\.safetensors"),
        ("torn weights", r"weights\.safetensors"),
        ("other weights", r"weights\.safetensors"),
        ("changed weights", "changed or damaged"),
        ("no description", r"found no .*model\.json"),
        ("torn description", "expected JSON"),
        ("other program", "another program"),
        ("newer format", "found 99"),
        ("no transforms", "transforms"),
        ("other architecture", "fit the architecture"),
    ],
)
def test_a_broken_folder_is_refused(
    tmp_path: Path, make_model: Callable[..., Model], how: str, message: str
) -> None:
    """Each fault ends with a CheckpointError that names it."""
    write_model(make_model(), tmp_path)
    damage_weights(tmp_path / "weights.safetensors", how)
    damage_description(tmp_path / "model.json", how)

    with pytest.raises(CheckpointError, match=message):
        read_model(tmp_path, "cpu")


def test_a_folder_that_cannot_be_written_is_said(
    tmp_path: Path, make_model: Callable[..., Model]
) -> None:
    """A weights file that is a folder stands for a disk that refuses; no half file is left."""
    (tmp_path / "weights.safetensors" / "x").mkdir(parents=True)

    with pytest.raises(InputError, match="expected to write"):
        write_model(make_model(), tmp_path)

    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]
