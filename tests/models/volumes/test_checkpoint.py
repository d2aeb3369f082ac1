"""Model folders of volumes, and decoding with them."""

import json

import numpy as np
import pytest
import torch

from kraken_bids.exceptions import CheckpointError
from kraken_bids.models.volumes.architecture import VolumeArchitecture, VolumeCleaning
from kraken_bids.models.volumes.checkpoint import (
    VolumeModel,
    read_volume_model,
    write_volume_model,
)
from kraken_bids.models.volumes.decoding import decode_volumes
from kraken_bids.models.volumes.network import build_network

GRID = (6, 7, 5)


@pytest.fixture(params=["2d", "3d"])
def model(request) -> VolumeModel:
    torch.manual_seed(0)
    network = build_network(
        VolumeArchitecture(request.param, ("left", "right"), GRID, (3, 4), (1, 2))
    )
    return VolumeModel(network.eval(), VolumeCleaning(4.0, 0.01), {"subjects": ["01"]})


def test_a_model_is_read_back_as_it_was_written(model, tmp_path) -> None:
    found = read_volume_model(write_volume_model(model, tmp_path / "decoder"))
    assert found.network.architecture == model.network.architecture
    assert (found.cleaning.smoothing_fwhm, found.cleaning.high_pass) == (4.0, 0.01)
    assert found.provenance == {"subjects": ["01"]}
    for name, values in model.network.state_dict().items():
        torch.testing.assert_close(found.network.state_dict()[name], values, rtol=0, atol=0)
    assert not found.network.training


def test_weights_that_were_changed_are_refused(model, tmp_path) -> None:
    folder = write_volume_model(model, tmp_path / "decoder")
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(weights))
    with pytest.raises(CheckpointError, match="expected the weights that"):
        read_volume_model(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "another"}, "Give a folder that kraken-tools train-volumes wrote"),
        ({"format_version": 9}, "Update kraken_bids"),
        ({"smoothing_fwhm": None}, "complete description"),
        ({"architecture": {"kind": "4d", "states": ["a", "b"]}}, "complete description"),
    ],
)
def test_other_descriptions_are_refused(model, tmp_path, change, words) -> None:
    folder = write_volume_model(model, tmp_path / "decoder")
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=words):
        read_volume_model(folder)


def test_a_folder_of_something_else_is_refused(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="kraken-tools train-volumes wrote"):
        read_volume_model(tmp_path)


def test_probabilities_do_not_depend_on_threads(model) -> None:
    volumes = np.random.default_rng(0).normal(size=(9, *GRID)).astype(np.float32)
    with torch.no_grad():
        expected = model.network(torch.from_numpy(volumes)).double().softmax(1).numpy()
    one, three = (
        np.array(list(decode_volumes(model.network, volumes.__getitem__, 9, n_threads=n)))
        for n in (1, 3)
    )
    np.testing.assert_array_equal(one, three)
    np.testing.assert_allclose(one, expected, atol=1e-6)
